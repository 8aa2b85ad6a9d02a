/* The four calls and every way to call them wrongly. Modes: "direct", "syscall". */
#include "say.h"
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

static int by_number;

static int get(key_t key, size_t size, int flags)
{
    return by_number ? syscall(SYS_shmget, key, size, flags) : shmget(key, size, flags);
}

static void *at(int id, const void *address, int flags)
{
    return by_number ? (void *)syscall(SYS_shmat, id, address, flags) : shmat(id, address, flags);
}

static int dt(const void *address)
{
    return by_number ? syscall(SYS_shmdt, address) : shmdt(address);
}

static int ctl(int id, int command, void *argument)
{
    return by_number ? syscall(SYS_shmctl, id, command, argument) : shmctl(id, command, argument);
}

static void describe(int id)
{
    struct shmid_ds ds;
    memset(&ds, 0xff, sizeof ds);
    if (TRY(ctl(id, IPC_STAT, &ds)) == -1)
        return;
    time_t now = time(NULL);
#define RECENT(when) (when == 0 ? "never" : when <= now && when >= now - 60 ? "lately" : "wrong")
    say("key %#x mode %o size %zu nattch %lu", ds.shm_perm.__key, ds.shm_perm.mode, ds.shm_segsz, ds.shm_nattch);
    say("owner %d %d creator %d %d", ds.shm_perm.uid == getuid(), ds.shm_perm.gid == getgid(),
        ds.shm_perm.cuid == getuid(), ds.shm_perm.cgid == getgid());
    say("created by me %d, last user me %d nobody %d", ds.shm_cpid == getpid(), ds.shm_lpid == getpid(), ds.shm_lpid == 0);
    say("attached %s detached %s changed %s", RECENT(ds.shm_atime), RECENT(ds.shm_dtime), RECENT(ds.shm_ctime));
    /* Every byte that no field covers. */
    const unsigned char *bytes = (const unsigned char *)&ds;
    int rest = 0;
    for (size_t i = offsetof(struct ipc_perm, __seq) + 2; i < offsetof(struct shmid_ds, shm_segsz); i++)
        rest |= bytes[i];
    for (size_t i = offsetof(struct shmid_ds, shm_nattch) + 8; i < sizeof ds; i++)
        rest |= bytes[i];
    SHOW(rest);
}

int main(int argc, char **argv)
{
    by_number = argc > 1 && strcmp(argv[1], "syscall") == 0;
    key_t key = 0x5e6;

    TRY(get(key, 100, 0));
    TRY(get(key, 0, IPC_CREAT | 0600));
    TRY(get(IPC_PRIVATE, -1, 0600));
    int id = TRY(get(key, 5000, IPC_CREAT | IPC_EXCL | 0640));
    describe(id);
    TRY(get(key, 5000, IPC_CREAT | IPC_EXCL | 0640));
    SHOW(get(key, 5000, IPC_CREAT) == id);
    SHOW(get(key, 0, 0) == id);
    SHOW(get(key, 1, 0400) == id);
    TRY(get(key, 5001, 0));
    TRY(get(key, 4096, SHM_HUGETLB));

    /* Attaching. */
    TRY(at(-1, NULL, 0));
    TRY(at(id + 1, NULL, 0));
    TRY(at(id, (void *)1, 0));
    TRY(at(id, NULL, SHM_REMAP));
    char *memory = TRY(at(id, NULL, 0));
    SHOW(memory[0] + memory[4999] + memory[8191]);
    strcpy(memory, "shared");
    TRY(at(id, memory, 0));
    SHOW(at(id, memory, SHM_REMAP) == memory);
    say("%s", memory);
    char *second = TRY(at(id, NULL, SHM_RDONLY));
    say("%s", second);
    TRY(mprotect(second, 4096, PROT_READ | PROT_WRITE));
    /* All of it: the kernel counts the parts that a change of protection makes of an attachment. */
    TRY(mprotect(memory, 8192, PROT_READ));
    TRY(mprotect(memory, 8192, PROT_READ | PROT_WRITE));
    describe(id);
    TRY(dt(second + 1));
    TRY(dt(second + 4096));
    TRY(dt(second));
    TRY(dt(second));
    TRY(dt(NULL));
    char *place = MUST(mmap(NULL, 32768, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    munmap(place, 32768);
    SHOW((char *)at(id, place + 4096, 0) - place);
    SHOW((char *)at(id, place + 16384 + 77, SHM_RND) - place);
    TRY(at(id, place + 77, 0));
    TRY(dt(place + 4096));
    TRY(dt(place + 16384));
    TRY(at(id, (void *)0x7fffffffffff000, 0));

    /* Changing. */
    struct shmid_ds ds;
    MUST(ctl(id, IPC_STAT, &ds));
    ds.shm_perm.mode = 07604;
    ds.shm_segsz = 1;
    TRY(ctl(id, IPC_SET, &ds));
    describe(id);
    TRY(ctl(id, SHM_LOCK, NULL));
    describe(id);
    TRY(ctl(id, SHM_UNLOCK, NULL));
    describe(id);

    /* Commands that are none. */
    TRY(ctl(-1, IPC_STAT, &ds));
    TRY(ctl(id, -1, &ds));
    TRY(ctl(id, 0x100 | IPC_STAT, &ds));
    TRY(ctl(id, 4, &ds));
    TRY(ctl(id, 12345, &ds));
    TRY(ctl(id ^ 32768, IPC_STAT, &ds));
    TRY(ctl(id ^ 32768, IPC_RMID, NULL));
    TRY(ctl(-1, IPC_INFO, &ds));
    TRY(ctl(-1, 12345, NULL));

    /* The facility as a whole. */
    struct shminfo limits;
    memset(&limits, 0xff, sizeof limits);
    SHOW(ctl(0, IPC_INFO, (void *)&limits) >= 0);
    say("%lu %lu %lu %lu %lu", limits.shmmax, limits.shmmin, limits.shmmni, limits.shmseg, limits.shmall);
    struct shm_info usage;
    memset(&usage, 0xff, sizeof usage);
    int highest = ctl(0, SHM_INFO, (void *)&usage);
    say("%d used, %lu pages, %lu in memory, %lu swapped, %lu %lu", usage.used_ids, usage.shm_tot, usage.shm_rss,
        usage.shm_swp, usage.swap_attempts, usage.swap_successes);
    SHOW(((const int *)&usage)[1]);
    SHOW(highest == id % 32768);
    SHOW(ctl(id % 32768, SHM_STAT, &ds) == id);
    SHOW(ctl(id % 32768, SHM_STAT_ANY, &ds) == id);
    TRY(ctl(id % 32768 + 1, SHM_STAT, &ds));

    /* Removing, attached. */
    TRY(ctl(id, IPC_RMID, NULL));
    describe(id);
    TRY(get(key, 0, 0));
    TRY(ctl(id, IPC_RMID, NULL));
    second = TRY(at(id, NULL, 0));
    say("%s", second);
    TRY(dt(second));
    TRY(dt(memory));
    TRY(ctl(id, IPC_STAT, &ds));
    TRY(at(id, NULL, 0));
    return 0;
}
