/* The message queues' calls, from one process. Modes: "direct", "syscall". */
#include "say.h"
#include <limits.h>
#include <sys/msg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <fcntl.h>

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

static int by_number;

struct message {
    long type;
    char text[20000];
};

static int get(key_t key, int flags)
{
    return by_number ? syscall(SYS_msgget, key, flags) : msgget(key, flags);
}

static int snd(int id, const void *message, size_t size, int flags)
{
    return by_number ? syscall(SYS_msgsnd, id, message, size, flags) : msgsnd(id, message, size, flags);
}

static ssize_t rcv(int id, void *message, size_t size, long type, int flags)
{
    return by_number ? syscall(SYS_msgrcv, id, message, size, type, flags) : msgrcv(id, message, size, type, flags);
}

static int ctl(int id, int command, void *argument)
{
    return by_number ? syscall(SYS_msgctl, id, command, argument) : msgctl(id, command, argument);
}

static void describe(int id)
{
    struct msqid_ds ds;
    memset(&ds, 0xff, sizeof ds);
    if (TRY(ctl(id, IPC_STAT, &ds)) == -1)
        return;
    say("key %#x mode %o bytes %lu messages %lu capacity %lu", ds.msg_perm.__key, ds.msg_perm.mode, ds.__msg_cbytes,
        ds.msg_qnum, ds.msg_qbytes);
    say("sent by me %d, received by me %d", ds.msg_lspid == getpid(), ds.msg_lrpid == getpid());
    say("sent %d received %d changed %d", ds.msg_stime != 0, ds.msg_rtime != 0, ds.msg_ctime != 0);
}

static int send_text(int id, long type, const char *text, int flags)
{
    struct message message = { .type = type };
    strcpy(message.text, text);
    return snd(id, &message, strlen(text), flags);
}

static void receive(int id, size_t size, long type, int flags)
{
    static struct message message;
    memset(&message, 'x', sizeof message);
    errno = UNTOUCHED;
    ssize_t got = rcv(id, &message, size, type, flags);
    if (got == -1)
        say("receive %zu %ld %o: %s", size, type, flags, strerrorname_np(errno));
    else
        say("receive %zu %ld %o: type %ld, %zd bytes, %.*s, then %c", size, type, flags, message.type, got, (int)got,
            message.text, message.text[got]);
}

static void nothing(int signal)
{
    (void)signal;
}

/* The line of a file about this queue, without what differs from one run to the next. */
static void show_proc(int id)
{
    char line[512];
    FILE *file = fopen("/proc/sysvipc/msg", "r");
    if (!file) {
        say("no file");
        return;
    }
    while (fgets(line, sizeof line, file)) {
        int key, found, perms;
        unsigned long bytes, messages;
        if (sscanf(line, "%d %d %o %lu %lu", &key, &found, &perms, &bytes, &messages) == 5 && found == id)
            say("proc: %#x %o %lu %lu, length %zu", key, perms, bytes, messages, strlen(line));
        else if (strstr(line, "msqid"))
            say("proc: %s", line);
    }
    fclose(file);
    for (const char *const *name = (const char *const[]){ "msgmax", "msgmnb", "msgmni", NULL }; *name; name++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/sys/kernel/%s", *name);
        int fd = open(path, O_RDONLY);
        ssize_t got = read(fd, line, sizeof line);
        say("%s: %.*s", *name, (int)got, line);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    by_number = argc > 1 && strcmp(argv[1], "syscall") == 0;
    key_t key = 0x5e7;

    TRY(get(key, 0));
    int id = TRY(get(key, IPC_CREAT | IPC_EXCL | 0600));
    TRY(get(key, IPC_CREAT | IPC_EXCL | 0600));
    TRY(get(key, 0) == id ? 0 : -1);
    describe(id);
    TRY(send_text(id, 5, "five", 0));
    TRY(send_text(id, 3, "three", 0));
    TRY(send_text(id, 3, "three again", 0));
    TRY(send_text(id, 9, "nine", IPC_NOWAIT));
    TRY(send_text(id, 0, "zero", 0));
    TRY(send_text(id, -1, "minus one", 0));
    describe(id);
    show_proc(id);
    receive(id, 100, 2, MSG_COPY | IPC_NOWAIT);
    receive(id, 100, 2, MSG_COPY);
    receive(id, 100, -5, 0);
    receive(id, 2, 0, IPC_NOWAIT);
    receive(id, 2, 5, MSG_NOERROR);
    receive(id, 100, 3, MSG_EXCEPT);
    receive(id, 100, LONG_MIN, 0);
    receive(id, 100, 0, IPC_NOWAIT);
    describe(id);

    static struct message large = { .type = 1 };
    TRY(snd(id, &large, 8193, IPC_NOWAIT));
    TRY(snd(id, &large, 8192, IPC_NOWAIT));
    TRY(snd(id, &large, 8192, IPC_NOWAIT));
    TRY(snd(id, &large, 1, IPC_NOWAIT));
    TRY(snd(id, &large, 0, IPC_NOWAIT));
    TRY(snd(id, &large, -1, IPC_NOWAIT));
    TRY(snd(id, (void *)8, 1, 0));
    TRY(snd(id + 1, &large, 1, 0));
    TRY(snd(-1, &large, 1, 0));

    signal(SIGALRM, nothing);
    alarm(1);
    TRY(snd(id, &large, 1, 0));
    int other = MUST(get(IPC_PRIVATE, 0600));
    alarm(1);
    receive(other, 10, 0, 0);

    pid_t child = fork();
    if (child == 0) {
        /* Silently: the two would speak at once. */
        struct message message;
        if (rcv(other, &message, 10, 7, 0) != 5 || memcmp(message.text, "seven", 5) != 0)
            _exit(1);
        _exit(rcv(other, &message, 10, 7, 0) == -1 ? errno : 2);
    }
    TRY(send_text(other, 6, "six", 0));
    TRY(send_text(other, 7, "seven", 0));
    usleep(200000);
    struct msqid_ds ds;
    TRY(ctl(other, IPC_STAT, &ds));
    SHOW(ds.msg_qnum);
    SHOW(ds.msg_lrpid == child);
    TRY(ctl(other, IPC_RMID, NULL));
    int status = 0;
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status) == EIDRM);

    TRY(ctl(id, IPC_STAT, &ds));
    ds.msg_qbytes = 100;
    ds.msg_perm.mode = 0640;
    TRY(ctl(id, IPC_SET, &ds));
    describe(id);
    struct msginfo info;
    memset(&info, 0, sizeof info);
    ctl(0, IPC_INFO, (void *)&info);
    say("%d %d %d %d %d %d %d %d", info.msgpool, info.msgmap, info.msgmax, info.msgmnb, info.msgmni, info.msgssz,
        info.msgtql, info.msgseg);
    ctl(0, MSG_INFO, (void *)&info);
    say("%d %d %d", info.msgpool, info.msgmap, info.msgtql);
    TRY(ctl(id, IPC_STAT, (void *)8));
    TRY(ctl(id, IPC_SET, (void *)8));
    TRY(ctl(id + 1, IPC_SET, (void *)8));
    TRY(ctl(id, 99, &ds));
    TRY(ctl(-1, IPC_STAT, &ds));
    TRY(ctl(id, IPC_RMID, NULL));
    TRY(ctl(id, IPC_RMID, NULL));
    return 0;
}
