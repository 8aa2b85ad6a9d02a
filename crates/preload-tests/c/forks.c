/* Children made in every way, and the attachments that they have. The mode is the way; with "late/" before it nobody asks
 * before the child has made a call. */
#include "say.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

pid_t _Fork(void);

static int id, to_child[2], to_parent[2];
static void *memory;

static long attached(void)
{
    struct shmid_ds ds;
    MUST(shmctl(id, IPC_STAT, &ds));
    return ds.shm_nattch;
}

static void tell(int *way)
{
    MUST(write(way[1], "x", 1));
}

static void hear(int *way)
{
    char byte;
    while (read(way[0], &byte, 1) != 1)
        ;
}

static int child(void *unused)
{
    (void)unused;
    hear(to_child);
    say("child: %s", (char *)memory);
    say("child: attached %ld", attached());
    tell(to_parent);
    hear(to_child);
    TRY(shmdt(memory));
    TRY(shmdt(memory));
    say("child: attached %ld", attached());
    memory = MUST(shmat(id, NULL, 0));
    MUST(shmat(id, NULL, SHM_RDONLY));
    say("child: attached %ld", attached());
    tell(to_parent);
    hear(to_child);
    _exit(7);
}

static char stack[65536];

static int make_child(const char *way)
{
    int made = -2;
    if (strcmp(way, "fork") == 0)
        made = fork();
    else if (strcmp(way, "_Fork") == 0)
        made = _Fork();
    else if (strcmp(way, "clone") == 0)
        made = clone(child, stack + sizeof stack, SIGCHLD, NULL);
    else if (strcmp(way, "clone_files") == 0)
        made = clone(child, stack + sizeof stack, SIGCHLD | CLONE_FILES | CLONE_FS, NULL);
    else if (strcmp(way, "by_number_fork") == 0)
        made = syscall(SYS_fork);
    else if (strcmp(way, "by_number_clone") == 0)
        made = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    else if (strcmp(way, "by_number_clone3") == 0) {
        struct clone_args arguments = { .exit_signal = SIGCHLD };
        made = syscall(SYS_clone3, &arguments, sizeof arguments);
    } else if (strcmp(way, "by_number_clone3_clear") == 0) {
        struct clone_args arguments = { .exit_signal = SIGCHLD, .flags = CLONE_CLEAR_SIGHAND };
        made = syscall(SYS_clone3, &arguments, sizeof arguments);
        if (made == 0)
            TRY(shmctl(id, IPC_STAT, (void *)8));
    } else if (strcmp(way, "past_everything") == 0)
        __asm__ volatile("syscall" : "=a"(made) : "a"(SYS_fork) : "rcx", "r11", "memory");
    if (made == 0)
        child(NULL);
    return made;
}

static void one_child(const char *way)
{
    int late = strncmp(way, "late/", 5) == 0;
    int pid = MUST(make_child(late ? way + 5 : way));
    if (!late)
        say("attached %ld", attached());
    tell(to_child);
    hear(to_parent);
    say("attached %ld", attached());
    tell(to_child);
    hear(to_parent);
    say("attached %ld", attached());
    tell(to_child);
    int status;
    MUST(waitpid(pid, &status, 0));
    say("exit %d", WEXITSTATUS(status));
    say("attached %ld", attached());
}

/* Killed, instead of leaving by itself. */
static void killed_child(void)
{
    int pid = MUST(make_child("fork"));
    say("attached %ld", attached());
    tell(to_child);
    hear(to_parent);
    say("attached %ld", attached());
    kill(pid, SIGKILL);
    MUST(waitpid(pid, NULL, 0));
    say("attached %ld", attached());
}

/* The child becomes another program. */
static void exec_child(void)
{
    int pid = MUST(fork());
    if (pid == 0) {
        execl("/bin/sleep", "sleep", "100", NULL);
        _exit(1);
    }
    /* Until it is, and sleeps. */
    char path[64], line[512], wanted[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    snprintf(wanted, sizeof wanted, "%d (sleep) S", pid);
    do {
        FILE *file = fopen(path, "r");
        if (!file || !fgets(line, sizeof line, file))
            exit(113);
        fclose(file);
    } while (strncmp(line, wanted, strlen(wanted)) != 0);
    say("attached %ld", attached());
    kill(pid, SIGKILL);
    MUST(waitpid(pid, NULL, 0));
    say("attached %ld", attached());
}

static void sharing_children(void)
{
    /* These share the memory until they become another program; nothing is counted for them. */
    int status, pid = vfork();
    if (pid == 0) {
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    MUST(waitpid(pid, &status, 0));
    say("exit %d, attached %ld", WEXITSTATUS(status), attached());
    char *arguments[] = { "true", NULL };
    MUST(posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, NULL) == 0 ? 0 : -1);
    MUST(waitpid(pid, &status, 0));
    say("exit %d, attached %ld", WEXITSTATUS(status), attached());
    say("exit %d, attached %ld", WEXITSTATUS(system("exit 5")), attached());
    pid = syscall(SYS_vfork);
    if (pid == 0)
        syscall(SYS_exit, 3);
    MUST(waitpid(pid, &status, 0));
    say("exit %d, attached %ld", WEXITSTATUS(status), attached());
}

static int in_clone(void *argument)
{
    *(int *)argument = 5;
    return 9;
}

static void sharing_clone(void)
{
    int value = 0, status;
    int pid = MUST(clone(in_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, &value));
    MUST(waitpid(pid, &status, 0));
    say("exit %d, value %d, attached %ld", WEXITSTATUS(status), value, attached());
    TRY(clone(in_clone, NULL, SIGCHLD, &value));
    TRY(clone(NULL, stack + sizeof stack, SIGCHLD, &value));
    TRY(syscall(SYS_clone3, NULL, 0));
    TRY(syscall(SYS_clone3, (void *)8, 88));
    TRY(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, 0, 0, 0));
    say("attached %ld", attached());
}

static void detaching_before(void)
{
    MUST(shmdt(memory));
    int pid = MUST(fork());
    if (pid == 0) {
        say("child: attached %ld", attached());
        void *own = MUST(shmat(id, NULL, 0));
        say("child: attached %ld", attached());
        MUST(shmdt(own));
        _exit(0);
    }
    MUST(waitpid(pid, NULL, 0));
    say("attached %ld", attached());
}

/* Generations, each with the attachments of the one before. */
static void generations(void)
{
    for (int generation = 1; generation < 5; generation++) {
        int pid = MUST(fork());
        if (pid) {
            int status;
            MUST(waitpid(pid, &status, 0));
            say("generation %d ends: attached %ld", generation, attached());
            exit(0);
        }
        say("generation %d: attached %ld", generation, attached());
    }
    exit(0);
}

/* The parent dies first. */
static void orphan(void)
{
    int pid = MUST(fork());
    if (pid == 0) {
        pid = MUST(fork());
        if (pid)
            _exit(0);
        tell(to_parent);
        hear(to_child);
        say("orphan: attached %ld", attached());
        MUST(shmdt(memory));
        say("orphan: attached %ld", attached());
        tell(to_parent);
        _exit(0);
    }
    MUST(waitpid(pid, NULL, 0));
    hear(to_parent);
    say("attached %ld", attached());
    tell(to_child);
    hear(to_parent);
    say("attached %ld", attached());
}

static volatile int stop;

static void *attaching(void *unused)
{
    while (!stop) {
        void *here = shmat(id, NULL, 0);
        if (here == (void *)-1 || shmdt(here) == -1) {
            say("%s", strerrorname_np(errno));
            break;
        }
    }
    return unused;
}

/* Children made while other threads are in the middle of calls. */
static void threads(void)
{
    pthread_t attachers[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&attachers[i], NULL, attaching, NULL);
    int wrong = 0;
    for (int i = 0; i < 300; i++) {
        int way = i % 3;
        int pid = way == 0 ? fork() : way == 1 ? _Fork() : syscall(SYS_fork);
        if (pid == 0) {
            void *here = shmat(id, NULL, 0);
            _exit(here == (void *)-1 || shmdt(here) == -1 || shmdt(memory) == -1);
        }
        int status = -1;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            wrong++;
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(attachers[i], NULL);
    say("wrong %d, attached %ld", wrong, attached());
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    id = MUST(shmget(IPC_PRIVATE, 4096, 0600));
    memory = MUST(shmat(id, NULL, 0));
    strcpy(memory, "inherited");
    say("attached %ld", attached());
    MUST(pipe(to_child));
    MUST(pipe(to_parent));
    if (strcmp(mode, "killed") == 0)
        killed_child();
    else if (strcmp(mode, "exec") == 0)
        exec_child();
    else if (strcmp(mode, "sharing") == 0)
        sharing_children();
    else if (strcmp(mode, "sharing_clone") == 0)
        sharing_clone();
    else if (strcmp(mode, "detached_before") == 0)
        detaching_before();
    else if (strcmp(mode, "generations") == 0)
        generations();
    else if (strcmp(mode, "orphan") == 0)
        orphan();
    else if (strcmp(mode, "threads") == 0)
        threads();
    else
        one_child(mode);
    MUST(shmctl(id, IPC_RMID, NULL));
    return 0;
}
