/* The first System V call, in all circumstances. One mode each. */
#include "say.h"
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

static pthread_barrier_t together;

static void *creating(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&together);
    return (void *)(long)shmget(0x77, 100, IPC_CREAT | 0600);
}

/* Many threads at once. */
static void threads(void)
{
    enum { COUNT = 32 };
    pthread_t threads[COUNT];
    void *ids[COUNT];
    pthread_barrier_init(&together, NULL, COUNT);
    for (int i = 0; i < COUNT; i++)
        pthread_create(&threads[i], NULL, creating, NULL);
    int different = 0;
    for (int i = 0; i < COUNT; i++) {
        pthread_join(threads[i], &ids[i]);
        different += ids[i] != ids[0];
    }
    say("%d, different %d", (long)ids[0] >= 0, different);
    MUST(shmctl((long)ids[0], IPC_RMID, NULL));
}

static void *calling(void *unused)
{
    TRY(shmget(0x77, 100, IPC_CREAT | 0600));
    return unused;
}

static int is_waiting(int thread)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
    int fd = open(path, O_RDONLY);
    ssize_t length = fd == -1 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    /* flock(2) */
    return length > 0 && strncmp(text, "73 ", 3) == 0;
}

static int other_thread(void)
{
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    int found = 0;
    while ((entry = readdir(tasks)))
        if (atoi(entry->d_name) && atoi(entry->d_name) != getpid())
            found = atoi(entry->d_name);
    closedir(tasks);
    return found;
}

/* A child is forked while another thread is in the middle of joining: it waits for the lock on the directory. Only under
 * the library. */
static void forked_in_the_middle(void)
{
    const char *directory = getenv("SYSV_NAMESPACE");
    MUST(mkdir(directory, 0700));
    int lock = MUST(open(directory, O_RDONLY | O_DIRECTORY));
    MUST(flock(lock, LOCK_EX));
    pthread_t thread;
    pthread_create(&thread, NULL, calling, NULL);
    int other;
    while (!(other = other_thread()) || !is_waiting(other))
        usleep(1000);
    int pid = MUST(fork());
    if (pid == 0) {
        /* Without its parent's lock, which the parent still holds. */
        close(lock);
        calling(NULL);
        _exit(0);
    }
    usleep(50000);
    say("letting them go on");
    flock(lock, LOCK_UN);
    int status;
    MUST(waitpid(pid, &status, 0));
    pthread_join(thread, NULL);
    say("status %d", status);
    struct shmid_ds ds;
    MUST(shmctl(MUST(shmget(0x77, 0, 0)), IPC_STAT, &ds));
    say("made by %s", ds.shm_cpid == getpid() ? "one of us" : ds.shm_cpid == pid ? "one of us" : "somebody else");
}

/* A namespace that cannot be used: the same answer to everything, and one complaint. */
static void refused(void)
{
    struct shmid_ds ds;
    TRY(shmget(IPC_PRIVATE, 100, 0600));
    TRY(shmget(IPC_PRIVATE, 100, 0600));
    TRY(shmat(0, NULL, 0));
    TRY(shmdt(&ds));
    TRY(shmctl(-1, -1, NULL));
    TRY(shmctl(0, IPC_STAT, &ds));
    TRY(open("/proc/sysvipc/shm", O_RDONLY));
    TRY_POINTER(fopen("/proc/sysvipc/shm", "r"));
    int pid = MUST(fork());
    if (pid == 0) {
        TRY(shmget(IPC_PRIVATE, 100, 0600));
        _exit(0);
    }
    MUST(waitpid(pid, NULL, 0));
    void *memory = MUST(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    TRY(munmap(memory, 4096));
}

/* A daemon that cleans up after whoever started it. */
static void cleared_environment(void)
{
    clearenv();
    MUST(chdir("/"));
    umask(0777);
    closefrom(3);
    int id = TRY(shmget(0x77, 100, IPC_CREAT | 0600));
    TRY(shmat(id, NULL, 0));
}

static void changed_environment(void)
{
    char other[256];
    snprintf(other, sizeof other, "%s-other", getenv("SYSV_NAMESPACE"));
    setenv("SYSV_NAMESPACE", other, 1);
    TRY(shmget(0x77, 100, IPC_CREAT | 0600));
}

/* A namespace named from the working directory, of which there is another at the next call. */
static void relative(void)
{
    int id = TRY(shmget(0x77, 100, IPC_CREAT | 0600));
    MUST(chdir("/"));
    TRY(shmat(id, NULL, 0));
    struct shmid_ds ds;
    TRY(shmctl(id, IPC_STAT, &ds));
    say("attached %lu", ds.shm_nattch);
}

/* Programs that make no System V call leave no trace. */
static void no_call(void)
{
    void *memory = MUST(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    MUST(munmap(memory, 4096));
    signal(SIGSEGV, SIG_IGN);
    signal(SIGSEGV, SIG_DFL);
    fclose(fopen("/etc/passwd", "r"));
    int pid = MUST(fork());
    if (pid == 0)
        _exit(0);
    MUST(waitpid(pid, NULL, 0));
    /* The kernel has what the program set, and nothing else. */
    struct sigaction action;
    MUST(sigaction(SIGSEGV, NULL, &action));
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status))
        if (strncmp(line, "SigCgt", 6) == 0 || strncmp(line, "SigIgn", 6) == 0 || strncmp(line, "SigBlk", 6) == 0)
            say("%.*s", (int)strcspn(line, "\n"), line);
    fclose(status);
    const char *directory = getenv("SYSV_NAMESPACE");
    say("there is a namespace: %d", directory && access(directory, F_OK) == 0);
}

static void no_descriptors(void)
{
    struct rlimit none = { 3, 3 };
    MUST(setrlimit(RLIMIT_NOFILE, &none));
    TRY(shmget(0x77, 100, IPC_CREAT | 0600));
}

/* The dynamic linker's last error is the program's. */
static void linkers_error(void)
{
    shmget(0x77, 100, IPC_CREAT | 0600);
    SHOW(dlopen("/nonexistent.so", RTLD_NOW) == NULL);
    shmget(0x77, 100, 0);
    say("%s", dlerror());
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); } modes[] = {
#define MODE(name) { #name, name }
        MODE(threads), MODE(forked_in_the_middle), MODE(refused), MODE(cleared_environment), MODE(changed_environment),
        MODE(relative), MODE(no_call), MODE(no_descriptors), MODE(linkers_error),
    };
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0)
            modes[i].run();
    return 0;
}
