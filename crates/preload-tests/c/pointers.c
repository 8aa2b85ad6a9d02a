/* Pointers that cannot be read or written. */
#include "say.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>

int main(void)
{
    int id = MUST(shmget(IPC_PRIVATE, 4096, 0600));
    char *pages = MUST(mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(pages, 4096, PROT_NONE);
    mprotect(pages + 2 * 4096, 4096, PROT_READ);
    char name[] = "/tmp/sysv-pointers-XXXXXX";
    int file = MUST(mkstemp(name));
    unlink(name);
    MUST(ftruncate(file, 4096));
    char *mapped = MUST(mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));

    void *unmapped = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    munmap(unmapped, 4096);

    struct { const char *what; void *address; } pointers[] = {
        { "null", NULL },
        { "one", (void *)1 },
        { "the last byte", (void *)-1L },
        { "a hole", (void *)0x800000000000 },
        { "the kernel's half", (void *)0xffff800000000000 },
        { "unmapped", unmapped },
        { "inaccessible", pages },
        { "from inaccessible to good", pages + 4096 - 8 },
        { "good", pages + 4096 },
        { "good, at the page's end", pages + 2 * 4096 - sizeof(struct shmid_ds) },
        { "from good to read-only", pages + 2 * 4096 - 8 },
        { "read-only", pages + 2 * 4096 },
        { "the program's text", (void *)main },
        { "a file", mapped },
        { "from a file to past its end", mapped + 4096 - 8 },
        { "past a file's end", mapped + 4096 },
    };
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        void *p = pointers[i].address;
        say("-- %s", pointers[i].what);
        TRY(shmctl(id, IPC_STAT, p));
        /* Changes the owner where it can be read, and so to whatever stands there; hence by a copy. */
        if (p == pages + 4096 || p == mapped || p == pages + 2 * 4096 - sizeof(struct shmid_ds))
            MUST(shmctl(id, IPC_STAT, p));
        /* Whoever may stand there as the new owner. */
        int set = shmctl(id, IPC_SET, p);
        say("IPC_SET: %s", set == -1 && errno == EFAULT ? "EFAULT" : "read");
        TRY(shmctl(0, IPC_INFO, p));
        TRY(shmctl(0, SHM_INFO, p));
        TRY(shmctl(id % 32768, SHM_STAT, p));
        /* Copied in before the id is looked at, out after. */
        TRY(shmctl(id ^ 32768, IPC_SET, p));
        TRY(shmctl(id ^ 32768, IPC_STAT, p));
        TRY(shmctl(id ^ 32768, IPC_RMID, p));
    }
    TRY(shmctl(id, IPC_RMID, (void *)1));
    return 0;
}
