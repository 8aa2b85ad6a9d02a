/* Ends of programs, and what they leave attached. The mode is the way to end. */
#include "say.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>

static int id;
static char *memory;

static long attached(void)
{
    struct shmid_ds ds;
    MUST(shmctl(id, IPC_STAT, &ds));
    return ds.shm_nattch;
}

static void last_words(void)
{
    /* Its memory is there to the end, and the facility answers. */
    say("at exit: %s, attached %ld", memory, attached());
}

__attribute__((destructor)) static void destructor(void)
{
    if (memory)
        say("destructor: %s, attached %ld", memory, attached());
}

static void *using_the_memory(void *unused)
{
    for (;;)
        ((volatile char *)memory)[100]++;
    return unused;
}

static void end(const char *way)
{
    pthread_t thread;
    memory = MUST(shmat(id, NULL, 0));
    strcpy(memory, "still here");
    MUST(shmat(id, NULL, SHM_RDONLY));
    say("attached %ld", attached());
    if (strcmp(way, "return") == 0)
        return;
    if (strcmp(way, "exit") == 0) {
        atexit(last_words);
        exit(0);
    }
    if (strcmp(way, "exit_with_threads") == 0) {
        for (int i = 0; i < 3; i++)
            pthread_create(&thread, NULL, using_the_memory, NULL);
        exit(0);
    }
    if (strcmp(way, "_exit") == 0)
        _exit(0);
    if (strcmp(way, "quick_exit") == 0)
        quick_exit(0);
    if (strcmp(way, "abort") == 0)
        abort();
    if (strcmp(way, "kill") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(way, "thread_exits") == 0)
        pthread_exit(NULL);
    if (strcmp(way, "exec") == 0)
        execl("/bin/true", "true", NULL);
    /* All descriptors gone, as a daemon does it, and then no different. */
    if (strcmp(way, "closefrom") == 0) {
        int keep = STDOUT_FILENO;
        closefrom(keep + 1);
        say("attached %ld", attached());
        char *again = MUST(shmat(id, NULL, 0));
        say("%s", again);
        say("attached %ld", attached());
        for (int fd = 3; fd < 1024; fd++)
            if (fcntl(fd, F_GETFD) != -1)
                say("descriptor %d is open", fd);
        exit(0);
    }
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "return";
    /* Nobody asks until some time after. */
    int late = strncmp(way, "late/", 5) == 0;
    way += late ? 5 : 0;
    id = MUST(shmget(IPC_PRIVATE, 4096, 0600));
    int pid = MUST(fork());
    if (pid == 0) {
        end(way);
        return 0;
    }
    int status;
    MUST(waitpid(pid, &status, 0));
    say("exit %d, signal %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    time_t ended = time(NULL);
    if (late)
        sleep(2);
    struct shmid_ds ds;
    MUST(shmctl(id, IPC_STAT, &ds));
    say("attached %lu, by the child last %d", ds.shm_nattch, ds.shm_lpid == pid);
    if (late)
        say("detached when it ended: %d", ds.shm_dtime <= ended);
    MUST(shmctl(id, IPC_RMID, NULL));
    return 0;
}
