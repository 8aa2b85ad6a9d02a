/* A module that is loaded with RTLD_DEEPBIND, as PHP loads its extensions. */
#include "say.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/shm.h>

__attribute__((constructor)) static void constructed(void)
{
    int id = TRY(shmget(IPC_PRIVATE, 100, 0600));
    TRY(shmctl(id, IPC_RMID, NULL));
}

int use(int id)
{
    char *memory = TRY(shmat(id, NULL, 0));
    say("%s", memory);
    struct shmid_ds ds;
    TRY(shmctl(id, IPC_STAT, &ds));
    say("attached %lu", ds.shm_nattch);
    TRY(munmap(memory, 4096));
    TRY(shmctl(id, IPC_STAT, &ds));
    say("attached %lu", ds.shm_nattch);
    say("%d", signal(SIGSEGV, SIG_DFL) == SIG_DFL);
    TRY(shmctl(id, IPC_STAT, (void *)8));
    return 5;
}
