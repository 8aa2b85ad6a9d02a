/* The files under /proc that belong to the facility, opened in every way. Modes: "read", "paths", "others", "write",
 * "absent", "status". */
#include "say.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

static const char *const files[] = {
    "/proc/sysvipc/shm", "/proc/sys/kernel/shmmax", "/proc/sys/kernel/shmall", "/proc/sys/kernel/shmmni",
};

/* Says what can be read, but for ids, process ids and times. */
static void say_text(char *text)
{
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        long f[16];
        int fields = sscanf(line, "%ld %ld %lo %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld", f, f + 1, f + 2, f + 3,
            f + 4, f + 5, f + 6, f + 7, f + 8, f + 9, f + 10, f + 11, f + 12, f + 13, f + 14, f + 15);
        if (fields == 16)
            say("%ld mode %lo size %ld, made by me %d, used by me %d, attached %ld, %ld %ld %ld %ld, %ld in memory, %ld; %zu",
                f[0], f[2], f[3], f[4] == getpid(), f[5] == getpid(), f[6], f[7], f[8], f[9], f[10], f[14], f[15],
                strlen(line));
        else
            say("%s", line);
    }
}

static void say_descriptor(const char *what, int fd)
{
    if (fd == -1) {
        say("%s: %s", what, strerrorname_np(errno));
        return;
    }
    static char text[65536];
    ssize_t length = 0, got;
    while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0)
        length += got;
    text[length] = 0;
    say("%s: descriptor %d, %s, access %d", what, fd, fcntl(fd, F_GETFD) & FD_CLOEXEC ? "closed by exec" : "kept by exec",
        fcntl(fd, F_GETFL) & O_ACCMODE);
    say_text(text);
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(read(fd, text, 5));
    TRY(write(fd, "1", 1));
    close(fd);
}

static void say_stream(const char *what, FILE *stream)
{
    if (!stream) {
        say("%s: %s", what, strerrorname_np(errno));
        return;
    }
    static char text[65536];
    size_t length = fread(text, 1, sizeof text - 1, stream);
    text[length] = 0;
    say("%s: stream of descriptor %d, %s", what, fileno(stream),
        fcntl(fileno(stream), F_GETFD) & FD_CLOEXEC ? "closed by exec" : "kept by exec");
    say_text(text);
    fclose(stream);
}

int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);

static void read_all_ways(void)
{
    int id = MUST(shmget(0x77, 5000, IPC_CREAT | 0640));
    char *memory = MUST(shmat(id, NULL, 0));
    memory[0] = 1;
    int other = MUST(shmget(IPC_PRIVATE, 1, 0));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = files[i];
        say("---- %s", path);
        errno = UNTOUCHED;
        int fd = open(path, O_RDONLY);
        say("errno touched: %d", errno != UNTOUCHED);
        say_descriptor("open", fd);
        say_descriptor("open64", open64(path, O_RDONLY | O_CLOEXEC));
        say_descriptor("openat", openat(AT_FDCWD, path, O_RDONLY));
        say_descriptor("openat, another directory", openat(MUST(open("/usr", O_PATH | O_CLOEXEC)), path, O_RDONLY));
        close(3);
        say_descriptor("openat64", openat64(AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
        say_descriptor("__open_2", __open_2(path, O_RDONLY));
        say_descriptor("__open64_2", __open64_2(path, O_RDONLY));
        say_descriptor("__openat_2", __openat_2(AT_FDCWD, path, O_RDONLY));
        say_descriptor("__openat64_2", __openat64_2(AT_FDCWD, path, O_RDONLY));
        say_stream("fopen", fopen(path, "r"));
        say_stream("fopen64", fopen64(path, "re"));
        say_stream("freopen", freopen(path, "r", fopen("/dev/null", "w")));
        say_stream("freopen64", freopen64(path, "r", fopen("/dev/null", "r")));
        fd = MUST(open(path, O_PATH));
        SHOW(read(fd, memory, 1));
        close(fd);
        TRY(open(path, O_RDONLY | O_DIRECTORY));
        TRY(open(path, O_RDONLY | O_CREAT | O_EXCL, 0600));
        /* Nothing is left open. */
        SHOW(open("/dev/null", O_RDONLY));
        close(3);
    }
    MUST(shmctl(id, IPC_RMID, NULL));
    MUST(shmctl(other, IPC_RMID, NULL));
    say_descriptor("removed, attached", open(files[0], O_RDONLY));
    MUST(shmdt(memory));
    say_descriptor("gone", open(files[0], O_RDONLY));
}

static int opens_ours(const char *path, int fd)
{
    char text[64] = "";
    if (fd == -1) {
        say("%s: %s", path, strerrorname_np(errno));
        return -1;
    }
    ssize_t length = read(fd, text, 20);
    say("%s: %zd bytes, %.10s", path, length, text);
    return close(fd);
}

static void paths(void)
{
    static const char *const absolute[] = {
        "/proc//sys///kernel/shmmni", "//proc/sys/kernel/shmmni", "/proc/./sys/kernel/./shmmni", "/proc/sys/../sys/kernel/shmmni",
        "/usr/../proc/sysvipc/shm", "/../proc/sysvipc/shm", "/proc/sysvipc/shm/", "/proc/sys/kernel/shmmni/", "/proc/sysvipc/nothing/shm",
        "/proc/shm", "/shm", "shm", "", "/", "/proc/sysvipc", "/proc/sys/kernel/shm", "/proc/sysvipc/shmmni", "/dev/shm",
    };
    for (size_t i = 0; i < sizeof absolute / sizeof *absolute; i++)
        opens_ours(absolute[i], open(absolute[i], O_RDONLY));
    MUST(chdir("/proc/sysvipc"));
    opens_ours("shm", open("shm", O_RDONLY));
    opens_ours("./shm", open("./shm", O_RDONLY));
    opens_ours("../sys/kernel/shmmax", open("../sys/kernel/shmmax", O_RDONLY));
    opens_ours("shmmax", open("shmmax", O_RDONLY));
    int directory = MUST(open("/proc/sys", O_RDONLY | O_DIRECTORY));
    opens_ours("kernel/shmmax", openat(directory, "kernel/shmmax", O_RDONLY));
    opens_ours("../sysvipc/shm", openat(directory, "../sysvipc/shm", O_RDONLY));
    opens_ours("shm", openat(directory, "shm", O_RDONLY));
    opens_ours("no directory", openat(99, "kernel/shmmax", O_RDONLY));
    opens_ours("no directory", openat(STDIN_FILENO, "kernel/shmmax", O_RDONLY));
    MUST(chdir("/"));
    opens_ours("proc/sysvipc/shm", open("proc/sysvipc/shm", O_RDONLY));
    opens_ours("proc/sysvipc/shm", openat(directory, "proc/sysvipc/shm", O_RDONLY));
}

/* Files and answers that are none of ours. */
static void others(void)
{
    char directory[] = "/tmp/sysv-procfs-XXXXXX", path[64];
    if (!mkdtemp(directory))
        exit(112);
    snprintf(path, sizeof path, "%s/shm", directory);
    umask(027);
    int fd = TRY(open(path, O_RDWR | O_CREAT | O_EXCL, 0666));
    struct stat status;
    MUST(fstat(fd, &status));
    say("mode %o", status.st_mode);
    MUST(write(fd, "mine", 4));
    close(fd);
    TRY(open(path, O_RDWR | O_CREAT | O_EXCL, 0666));
    opens_ours("shm", open(path, O_RDONLY));
    fd = TRY(openat(AT_FDCWD, path, O_RDWR | O_TRUNC));
    opens_ours("shm", fd);
    unlink(path);
    fd = TRY(creat(path, 0604));
    MUST(fstat(fd, &status));
    say("mode %o", status.st_mode);
    close(fd);
    unlink(path);
    snprintf(path, sizeof path, "%s/shmmni", directory);
    FILE *file = fopen(path, "w");
    fputs("1 2 3", file);
    fclose(file);
    opens_ours("shmmni", open(path, O_RDONLY));
    unlink(path);
    fd = MUST(open(directory, O_TMPFILE | O_RDWR, 0640));
    MUST(fstat(fd, &status));
    say("mode %o", status.st_mode);
    close(fd);
    MUST(rmdir(directory));

    void *bad[] = { NULL, (void *)8, (void *)-1 };
    for (int i = 0; i < 3; i++) {
        TRY(open(bad[i], O_RDONLY));
        TRY(openat(AT_FDCWD, bad[i], O_RDONLY));
        TRY(creat(bad[i], 0));
        TRY(access(bad[i], W_OK));
        TRY(stat(bad[i], &status));
        TRY(lstat(bad[i], &status));
        TRY(fstatat(AT_FDCWD, bad[i], &status, 0));
        TRY(faccessat(AT_FDCWD, bad[i], R_OK, 0));
        TRY_POINTER(fopen(bad[i], "r"));
        if (bad[i])
            TRY_POINTER(freopen(bad[i], "r", fopen("/dev/null", "r")));
    }
    TRY(stat("/proc/self/status", (void *)8));
    TRY_POINTER(fopen("/proc/sysvipc/shm", "z"));
    file = freopen(NULL, "r", fopen("/proc/sysvipc/shm", "r"));
    say("%d", file != NULL);
    char line[8];
    say("%d", file && fgets(line, sizeof line, file));
}

static void say_limit(const char *path)
{
    char text[64] = "";
    int fd = MUST(open(path, O_RDONLY));
    MUST(read(fd, text, sizeof text - 1));
    close(fd);
    struct shminfo limits;
    MUST(shmctl(0, IPC_INFO, (void *)&limits));
    text[strcspn(text, "\n")] = 0;
    say("%s: %s; %lu %lu %lu", path, text, limits.shmmax, limits.shmall, limits.shmmni);
}

static void write_all_ways(void)
{
    const char *mni = files[3], *max = files[1], *all = files[2];
    int fd = MUST(open(mni, O_WRONLY));
    TRY(write(fd, "100\n", 4));
    close(fd);
    say_limit(mni);
    fd = MUST(open(mni, O_WRONLY | O_CREAT | O_TRUNC, 0666));
    say_limit(mni);
    TRY(write(fd, "2\n", 2));
    say_limit(mni);
    close(fd);
    int a = TRY(shmget(IPC_PRIVATE, 100, 0600)), b = TRY(shmget(IPC_PRIVATE, 100, 0600));
    TRY(shmget(IPC_PRIVATE, 100, 0600));
    FILE *file = fopen(mni, "w");
    fprintf(file, "%d", 3);
    fclose(file);
    say_limit(mni);
    int c = TRY(shmget(IPC_PRIVATE, 100, 0600));
    file = fopen(max, "r+");
    fprintf(file, "8192\n");
    fclose(file);
    say_limit(max);
    TRY(shmget(IPC_PRIVATE, 8193, 0600));
    MUST(shmctl(a, IPC_RMID, NULL));
    MUST(shmctl(b, IPC_RMID, NULL));
    MUST(shmctl(c, IPC_RMID, NULL));
    a = TRY(shmget(IPC_PRIVATE, 8192, 0600));
    MUST(shmctl(a, IPC_RMID, NULL));
    fd = MUST(creat(all, 0600));
    TRY(write(fd, "1\n", 2));
    close(fd);
    say_limit(all);
    TRY(shmget(IPC_PRIVATE, 8192, 0600));
    file = freopen(all, "w", fopen("/dev/null", "r"));
    fprintf(file, "  20  \n");
    fclose(file);
    say_limit(all);
    /* By other programs, which get only the descriptor. */
    fflush(stdout);
    SHOW(system("echo 77 > /proc/sys/kernel/shmmni"));
    say_limit(mni);
    SHOW(system("cd /proc/sys/kernel && echo 78 > shmmni && cat shmmni"));
    SHOW(system("env -i /bin/echo 79 > /proc/sys/kernel/shmmni"));
    say_limit(mni);
    SHOW(system("sysctl -q -w kernel.shmmni=80 kernel.shmall=1000 kernel.shmmax=100000 && sysctl kernel.shmmni kernel.shmall kernel.shmmax"));
    say_limit(mni);
    TRY(open(files[0], O_WRONLY | O_CREAT | O_EXCL, 0600));
    SHOW(access(mni, W_OK));
    SHOW(access(max, R_OK | W_OK));
    TRY(access(max, X_OK));
    TRY(access(max, F_OK));
}

static void say_status(const char *what, int result, const struct stat *status)
{
    if (result == -1)
        say("%s: %s", what, strerrorname_np(errno));
    else
        say("%s: mode %o, links %ld, owner %d, size %ld", what, status->st_mode, (long)status->st_nlink, status->st_uid,
            (long)status->st_size);
}

static void status(void)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = files[i];
        struct stat status;
        struct stat64 large;
        struct statx x;
        say("---- %s", path);
        say_status("stat", stat(path, &status), &status);
        say_status("lstat", lstat(path, &status), &status);
        say_status("fstatat", fstatat(AT_FDCWD, path, &status, 0), &status);
        SHOW(stat64(path, &large));
        say("mode %o", large.st_mode);
        SHOW(lstat64(path, &large));
        SHOW(fstatat64(AT_FDCWD, path, &large, AT_SYMLINK_NOFOLLOW));
        SHOW(statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &x));
        say("mode %o", x.stx_mode);
        SHOW(access(path, F_OK));
        SHOW(access(path, R_OK));
        TRY(access(path, X_OK));
        SHOW(eaccess(path, R_OK));
        SHOW(euidaccess(path, F_OK));
        SHOW(faccessat(AT_FDCWD, path, R_OK, 0));
        SHOW(faccessat(AT_FDCWD, path, R_OK, AT_EACCESS));
    }
}

/* Where the kernel has no such files: they can still be read, and asked about. */
static void absent(void)
{
    status();
    say_descriptor("open", open(files[0], O_RDONLY));
    say_descriptor("open64", open64(files[0], O_RDONLY | O_CLOEXEC));
    say_stream("fopen", fopen(files[0], "r"));
    say_stream("freopen", freopen(files[0], "r", fopen("/dev/null", "w")));
    SHOW(open("/dev/null", O_RDONLY));
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "read") == 0)
        read_all_ways();
    else if (strcmp(mode, "paths") == 0)
        paths();
    else if (strcmp(mode, "others") == 0)
        others();
    else if (strcmp(mode, "write") == 0)
        write_all_ways();
    else if (strcmp(mode, "status") == 0)
        status();
    else if (strcmp(mode, "absent") == 0)
        absent();
    return 0;
}
