/* Another library that stands in front of functions, and must go on being called. */
#include "say.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    if (strncmp(path, "/etc/", 5) == 0 || strncmp(path, "/proc/sys", 9) == 0)
        say("interposed open: %s", path);
    return NEXT(open)(path, flags, mode);
}

int sigaction(int signal, const struct sigaction *new, struct sigaction *old)
{
    say("interposed sigaction: %d", signal);
    return NEXT(sigaction)(signal, new, old);
}

int setuid(uid_t uid)
{
    say("interposed setuid");
    return NEXT(setuid)(uid);
}
