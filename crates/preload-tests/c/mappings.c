/* What munmap, mmap and mremap do to attachments. */
#include "say.h"
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#define PAGE 4096

static int id, by_number;

static long attached(int id)
{
    struct shmid_ds ds;
    return shmctl(id, IPC_STAT, &ds) == -1 ? -errno : (long)ds.shm_nattch;
}

static int unmap(void *address, size_t length)
{
    return by_number ? syscall(SYS_munmap, address, length) : munmap(address, length);
}

static void *map(void *address, size_t length, int flags)
{
    int all = flags | MAP_PRIVATE | MAP_ANONYMOUS;
    return by_number ? (void *)syscall(SYS_mmap, address, length, PROT_READ | PROT_WRITE, all, -1, 0)
        : mmap(address, length, PROT_READ | PROT_WRITE, all, -1, 0);
}

static void *remap(void *old, size_t old_length, size_t length, int flags, void *new)
{
    return by_number ? (void *)syscall(SYS_mremap, old, old_length, length, flags, new)
        : mremap(old, old_length, length, flags, new);
}

/* A range with nothing beside it. */
static char *room(size_t pages)
{
    char *range = MUST(map(NULL, (pages + 2) * PAGE, 0));
    MUST(munmap(range + PAGE, pages * PAGE));
    return range + PAGE;
}

static char *attach(void)
{
    return MUST(shmat(id, room(8), 0));
}

#define ATTACHED() say("attached %ld", attached(id))

int main(int argc, char **argv)
{
    by_number = argc > 1 && strcmp(argv[1], "syscall") == 0;
    id = MUST(shmget(IPC_PRIVATE, 4 * PAGE, 0600));

    say("-- all of it unmapped");
    char *memory = attach();
    ATTACHED();
    TRY(unmap(memory, 4 * PAGE));
    ATTACHED();
    TRY(shmdt(memory));

    say("-- more than all of it");
    memory = attach();
    TRY(unmap(memory - PAGE, 6 * PAGE));
    ATTACHED();
    TRY(shmdt(memory));

    say("-- the end");
    memory = attach();
    TRY(unmap(memory + 3 * PAGE, PAGE));
    ATTACHED();
    memory[0] = 1;
    TRY(shmdt(memory));
    ATTACHED();

    say("-- the beginning");
    memory = attach();
    TRY(unmap(memory, PAGE));
    ATTACHED();
    TRY(shmdt(memory));
    TRY(shmdt(memory + PAGE));
    ATTACHED();
    unmap(memory, 4 * PAGE);
    ATTACHED();

    say("-- the middle");
    memory = attach();
    TRY(unmap(memory + PAGE, PAGE));
    ATTACHED();
    TRY(shmdt(memory));
    ATTACHED();
    TRY(unmap(memory + 2 * PAGE, PAGE));
    ATTACHED();
    unmap(memory, 4 * PAGE);
    ATTACHED();

    say("-- lengths and addresses that are none");
    memory = attach();
    TRY(unmap(memory, 0));
    TRY(unmap(memory + 1, PAGE));
    TRY(unmap((void *)-PAGE, PAGE));
    ATTACHED();
    TRY(unmap(memory, 1));
    ATTACHED();
    unmap(memory, 4 * PAGE);

    say("-- replaced");
    memory = attach();
    SHOW((char *)map(memory, 4 * PAGE, MAP_FIXED) == memory);
    ATTACHED();
    TRY(shmdt(memory));
    unmap(memory, 4 * PAGE);
    memory = attach();
    SHOW((char *)map(memory + PAGE, PAGE, MAP_FIXED) == memory + PAGE);
    ATTACHED();
    TRY(shmdt(memory));
    ATTACHED();
    unmap(memory, 4 * PAGE);
    ATTACHED();

    say("-- not replaced");
    memory = attach();
    TRY(map(memory, PAGE, MAP_FIXED_NOREPLACE));
    SHOW(map(memory, PAGE, 0) != memory);
    ATTACHED();
    TRY(shmdt(memory));

    say("-- moved");
    memory = attach();
    strcpy(memory, "moving");
    char *place = room(8);
    SHOW((char *)remap(memory, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
    say("%s", place);
    ATTACHED();
    TRY(shmdt(memory));
    TRY(shmdt(place));
    ATTACHED();

    say("-- moved onto another");
    memory = attach();
    place = attach();
    ATTACHED();
    SHOW((char *)remap(memory, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
    ATTACHED();
    TRY(shmdt(memory));
    TRY(shmdt(place));
    ATTACHED();

    say("-- shrunk");
    memory = attach();
    SHOW((char *)remap(memory, 4 * PAGE, 2 * PAGE, 0, NULL) == memory);
    ATTACHED();
    TRY(shmdt(memory));
    ATTACHED();

    say("-- grown");
    memory = attach();
    char *grown = remap(memory, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE, NULL);
    SHOW(grown == memory);
    ATTACHED();
    TRY(shmdt(grown));
    ATTACHED();
    unmap(grown, 6 * PAGE);
    ATTACHED();

    say("-- doubled");
    memory = attach();
    strcpy(memory, "twice");
    char *copy = MUST(remap(memory, 0, 4 * PAGE, MREMAP_MAYMOVE, NULL));
    say("%s", copy);
    ATTACHED();
    TRY(shmdt(memory));
    ATTACHED();
    say("%s", copy);
    TRY(shmdt(copy));
    ATTACHED();

    say("-- a part moved away");
    memory = attach();
    place = room(8);
    SHOW((char *)remap(memory + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
    ATTACHED();
    TRY(shmdt(place));
    TRY(shmdt(memory));
    ATTACHED();
    unmap(place, PAGE);
    ATTACHED();

    say("-- wrongly moved");
    memory = attach();
    TRY(remap(memory + 1, PAGE, PAGE, 0, NULL));
    TRY(remap(memory, 4 * PAGE, 0, 0, NULL));
    TRY(remap(memory, 4 * PAGE, PAGE, 0x100, NULL));
    TRY(remap((void *)PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL));
    ATTACHED();
    TRY(shmdt(memory));

    say("-- of a segment that is removed");
    memory = attach();
    TRY(shmctl(id, IPC_RMID, NULL));
    ATTACHED();
    TRY(unmap(memory, 4 * PAGE));
    ATTACHED();

    say("-- of one of two");
    id = MUST(shmget(IPC_PRIVATE, 4 * PAGE, 0600));
    int other = MUST(shmget(IPC_PRIVATE, 4 * PAGE, 0600));
    memory = room(8);
    MUST(shmat(id, memory, 0));
    MUST(shmat(other, memory + 4 * PAGE, 0));
    say("attached %ld %ld", attached(id), attached(other));
    TRY(unmap(memory + 3 * PAGE, 2 * PAGE));
    say("attached %ld %ld", attached(id), attached(other));
    TRY(shmdt(memory));
    TRY(shmdt(memory + 4 * PAGE));
    TRY(shmdt(memory + 5 * PAGE));
    say("attached %ld %ld", attached(id), attached(other));
    SHOW((char *)shmat(other, memory, SHM_REMAP) == memory);
    say("attached %ld %ld", attached(id), attached(other));

    shmctl(id, IPC_RMID, NULL);
    shmctl(other, IPC_RMID, NULL);
    return 0;
}
