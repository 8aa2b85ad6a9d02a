/* Threads that are cancelled in functions which the library stands in front of. */
#include "say.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

static char fifo[64];

static void cleaned_up(void *what)
{
    say("cleaned up: %s", (const char *)what);
}

static void *opening(void *way)
{
    pthread_cleanup_push(cleaned_up, way);
    /* Waits for a writer, for ever. */
    if (strcmp(way, "open") == 0)
        open(fifo, O_RDONLY);
    else if (strcmp(way, "openat64") == 0)
        openat64(AT_FDCWD, fifo, O_RDONLY);
    else if (strcmp(way, "creat") == 0)
        creat(fifo, 0600);
    else
        fopen(fifo, "r");
    pthread_cleanup_pop(0);
    say("not reached");
    return NULL;
}

int main(void)
{
    snprintf(fifo, sizeof fifo, "/tmp/sysv-cancelled-%d", getpid());
    MUST(mkfifo(fifo, 0600));
    static const char *const ways[] = { "open", "openat64", "creat", "fopen" };
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, opening, (void *)ways[i]);
        usleep(20000);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        say("%s: cancelled %d", ways[i], result == PTHREAD_CANCELED);
    }
    unlink(fifo);
    return 0;
}
