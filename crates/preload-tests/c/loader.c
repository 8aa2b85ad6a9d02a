/* Loads a module in each way. Arguments: the mode, "deepbind", "plain" or "missing"; the module. */
#include "say.h"
#include <dlfcn.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    int id = MUST(shmget(IPC_PRIVATE, 4096, 0600));
    char *memory = MUST(shmat(id, NULL, 0));
    strcpy(memory, "from the program");
    if (strcmp(mode, "missing") == 0) {
        SHOW(dlopen("/nonexistent.so", RTLD_NOW | RTLD_DEEPBIND) == NULL);
        say("%s", dlerror());
        SHOW(dlopen(NULL, RTLD_NOW) != NULL);
    } else {
        int flags = RTLD_NOW | (strcmp(mode, "deepbind") == 0 ? RTLD_DEEPBIND : 0);
        void *module = dlopen(argv[2], flags);
        if (!module) {
            say("%s", dlerror());
            return 1;
        }
        int (*use)(int) = (int (*)(int))dlsym(module, "use");
        SHOW(use(id));
        SHOW(dlclose(module));
        module = dlmopen(LM_ID_BASE, argv[2], flags);
        SHOW(module != NULL);
    }
    MUST(shmctl(id, IPC_RMID, NULL));
    return 0;
}
