/* Functions looked up by name, as foreign function interfaces do it. */
#include "say.h"
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

static void use(void *library, const char *what)
{
    say("-- %s", what);
    int (*get)(key_t, size_t, int) = dlsym(library, "shmget");
    void *(*at)(int, const void *, int) = dlsym(library, "shmat");
    int (*dt)(const void *) = dlsym(library, "shmdt");
    int (*ctl)(int, int, struct shmid_ds *) = dlsym(library, "shmctl");
    int (*unmap)(void *, size_t) = dlsym(library, "munmap");
    long (*call)(long, ...) = dlsym(library, "syscall");
    int id = TRY(get(0x77, 100, IPC_CREAT | 0600));
    SHOW(id == shmget(0x77, 0, 0));
    char *memory = TRY(at(id, NULL, 0));
    struct shmid_ds ds;
    TRY(ctl(id, IPC_STAT, &ds));
    say("attached %lu", ds.shm_nattch);
    TRY(unmap(memory, 4096));
    MUST(shmctl(id, IPC_STAT, &ds));
    say("attached %lu", ds.shm_nattch);
    memory = TRY(at(id, NULL, 0));
    TRY(dt(memory));
    TRY(call(SYS_shmctl, id, IPC_RMID, NULL));
}

int main(void)
{
    use(dlopen("libc.so.6", RTLD_LAZY), "the C library");
    use(dlopen(NULL, RTLD_LAZY), "the program");
    use(RTLD_DEFAULT, "everything");
    use(RTLD_NEXT, "what comes next");
    void *library = dlopen("libc.so.6", RTLD_LAZY);
    SHOW(dlsym(library, "no_such_function") == NULL);
    say("%s", strrchr(dlerror(), ':'));
    SHOW(dlsym(RTLD_DEFAULT, "no_such_function") == NULL);
    say("%s", strrchr(dlerror(), ':'));
    SHOW(dlsym(library, "getpid") != NULL);
    SHOW(dlsym(library, "environ") != NULL);
    SHOW(dlerror() == NULL);
    return 0;
}
