/* A program under two preloaded libraries. */
#include "say.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/shm.h>

static void handler(int signal)
{
    say("handler: %d", signal);
}

int main(void)
{
    struct sigaction action = { .sa_handler = handler };
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    close(MUST(open("/etc/passwd", O_RDONLY)));
    int id = MUST(shmget(IPC_PRIVATE, 100, 0600));
    TRY(shmctl(id, IPC_STAT, (void *)8));
    raise(SIGUSR1);
    raise(SIGSEGV);
    char text[16] = "";
    int fd = MUST(open("/proc/sys/kernel/shmmni", O_RDONLY));
    SHOW(read(fd, text, sizeof text));
    say("%s", text);
    MUST(setuid(getuid()));
    MUST(shmctl(id, IPC_RMID, NULL));
    return 0;
}
