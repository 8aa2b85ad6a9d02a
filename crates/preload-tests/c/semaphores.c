/* The semaphore sets' calls, with processes that wait and die. Modes: "direct", "syscall". */
#include "say.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static int by_number;

static int get(key_t key, int nsems, int flags)
{
    return by_number ? syscall(SYS_semget, key, nsems, flags) : semget(key, nsems, flags);
}

static int op(int id, struct sembuf *operations, size_t count)
{
    return by_number ? syscall(SYS_semop, id, operations, count) : semop(id, operations, count);
}

static int timed(int id, struct sembuf *operations, size_t count, const struct timespec *limit)
{
    return by_number ? syscall(SYS_semtimedop, id, operations, count, limit)
                     : semtimedop(id, operations, count, limit);
}

#define CTL(id, num, command, ...) \
    (by_number ? (int)syscall(SYS_semctl, id, num, command, ##__VA_ARGS__) : semctl(id, num, command, ##__VA_ARGS__))

static int one(int id, int num, int by, int flags)
{
    struct sembuf operation = { num, by, flags };
    return op(id, &operation, 1);
}

static void describe(int id)
{
    struct semid_ds ds;
    memset(&ds, 0xff, sizeof ds);
    if (TRY(CTL(id, 0, IPC_STAT, &ds)) == -1)
        return;
    say("key %#x mode %o semaphores %lu operated %d changed %d", ds.sem_perm.__key, ds.sem_perm.mode, ds.sem_nsems,
        ds.sem_otime != 0, ds.sem_ctime != 0);
}

static void show(int id, int num)
{
    int pid = CTL(id, num, GETPID);
    say("%d: value %d, by %s, waiting %d and %d", num, CTL(id, num, GETVAL), pid == getpid() ? "me" : pid ? "another" : "nobody",
        CTL(id, num, GETNCNT), CTL(id, num, GETZCNT));
}

static void nothing(int signal)
{
    (void)signal;
}

static void await_waiter(int id, int num)
{
    while (CTL(id, num, GETNCNT) == 0)
        usleep(500);
}

static void show_proc(int id)
{
    char line[512];
    FILE *file = fopen("/proc/sysvipc/sem", "r");
    if (!file) {
        say("no file");
        return;
    }
    while (fgets(line, sizeof line, file)) {
        int key, found, perms;
        unsigned long nsems;
        if (sscanf(line, "%d %d %o %lu", &key, &found, &perms, &nsems) == 4 && found == id)
            say("proc: %#x %o %lu, length %zu", key, perms, nsems, strlen(line));
        else if (strstr(line, "semid"))
            say("proc: %s", line);
    }
    fclose(file);
    int fd = open("/proc/sys/kernel/sem", O_RDONLY);
    ssize_t got = read(fd, line, sizeof line);
    say("sem: %.*s", (int)got, line);
    close(fd);
}

int main(int argc, char **argv)
{
    by_number = argc > 1 && strcmp(argv[1], "syscall") == 0;
    key_t key = 0x5e5;
    struct timespec soon = { 0, 20000000 }, wrong = { 0, -1 };

    TRY(get(key, 3, 0));
    int id = TRY(get(key, 3, IPC_CREAT | IPC_EXCL | 0600)) == -1 ? -1 : get(key, 0, 0);
    TRY(get(key, 3, IPC_CREAT | IPC_EXCL | 0600));
    TRY(get(key, 4, 0));
    describe(id);
    show_proc(id);
    show(id, 0);
    TRY(one(id, 0, 2, 0));
    TRY(one(id, 0, -1, 0));
    TRY(one(id, 0, -2, IPC_NOWAIT));
    TRY(one(id, 0, 0, IPC_NOWAIT));
    TRY(one(id, 1, 0, 0));
    TRY(one(id, 3, 1, 0));
    TRY(one(id, 0, 32767, 0));
    show(id, 0);
    show(id, 1);
    describe(id);

    struct sembuf many[3] = { { 0, -1, SEM_UNDO }, { 1, 4, 0 }, { 2, 0, 0 } };
    TRY(op(id, many, 3));
    TRY(op(id, many, 0));
    TRY(op(id, many, 501));
    TRY(op(-1, many, 3));
    TRY(timed(id, many, 3, &soon));
    TRY(timed(id, many, 3, &wrong));

    /* Pointers that lead nowhere. */
    void *hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect((char *)hole + 4096, 4096, PROT_NONE);
    TRY(op(id, NULL, 1));
    TRY(op(id, (struct sembuf *)((char *)hole + 4093), 1));
    TRY(op(id, (struct sembuf *)((char *)hole + 4090), 2));
    TRY(timed(id, many, 1, (struct timespec *)8));
    TRY(CTL(id, 0, IPC_STAT, NULL));
    TRY(CTL(id, 0, IPC_SET, NULL));
    TRY(CTL(id, 0, GETALL, (char *)hole + 4092));
    TRY(CTL(id, 0, SETALL, (char *)hole + 4092));

    unsigned short values[3] = { 7, 8, 9 };
    TRY(CTL(id, 0, SETALL, values));
    values[1] = 40000;
    TRY(CTL(id, 0, SETALL, values));
    memset(values, 0, sizeof values);
    TRY(CTL(id, 0, GETALL, values));
    say("%d %d %d", values[0], values[1], values[2]);
    TRY(CTL(id, 1, SETVAL, 5));
    TRY(CTL(id, 1, SETVAL, 0xffffffff00000003));
    TRY(CTL(id, 1, SETVAL, -1));
    TRY(CTL(id, 5, SETVAL, 1));
    TRY(CTL(id, 5, GETVAL));
    TRY(CTL(id, 0, 77, 0));
    TRY(CTL(-1, 0, GETVAL));
    show(id, 1);

    struct semid_ds ds;
    MUST(CTL(id, 0, IPC_STAT, &ds));
    ds.sem_perm.mode = 0640;
    TRY(CTL(id, 0, IPC_SET, &ds));
    describe(id);
    struct seminfo info;
    TRY(CTL(0, 0, IPC_INFO, &info) == -1 ? -1 : 0);
    say("%d %d %d %d %d %d %d %d %d %d", info.semmap, info.semmni, info.semmns, info.semmnu, info.semmsl, info.semopm,
        info.semume, info.semusz, info.semvmx, info.semaem);

    /* Others wait, die and are interrupted. */
    MUST(CTL(id, 0, SETVAL, 0));
    pid_t child = fork();
    if (child == 0)
        _exit(one(id, 0, -1, 0) == 0 ? 0 : errno);
    await_waiter(id, 0);
    TRY(one(id, 0, 1, 0));
    int status;
    waitpid(child, &status, 0);
    say("the waiter: %d", status);
    show(id, 0);

    child = fork();
    if (child == 0) {
        struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART };
        sigaction(SIGUSR1, &action, NULL);
        _exit(one(id, 0, -1, 0) == 0 ? 0 : errno);
    }
    await_waiter(id, 0);
    usleep(30000);
    kill(child, SIGUSR1);
    waitpid(child, &status, 0);
    say("interrupted: %s", strerrorname_np(WEXITSTATUS(status)));

    child = fork();
    if (child == 0) {
        one(id, 0, 3, SEM_UNDO);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, &status, 0);
    show(id, 0);
    child = fork();
    if (child == 0) {
        one(id, 0, 3, SEM_UNDO);
        exit(0);
    }
    waitpid(child, &status, 0);
    show(id, 0);
    TRY(timed(id, &(struct sembuf){ 0, -1, 0 }, 1, &soon));

    child = fork();
    if (child == 0)
        _exit(one(id, 0, -1, 0) == 0 ? 0 : errno);
    await_waiter(id, 0);
    TRY(CTL(id, 0, IPC_RMID));
    waitpid(child, &status, 0);
    say("removed: %s", strerrorname_np(WEXITSTATUS(status)));
    TRY(one(id, 0, 1, 0));
    TRY(CTL(id, 0, IPC_RMID));
    return 0;
}
