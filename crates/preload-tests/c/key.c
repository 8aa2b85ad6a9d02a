/* ftok(3). */
#include "say.h"
#include <sys/ipc.h>
#include <sys/stat.h>

int main(void)
{
    const char *paths[] = { "/", "/etc/passwd", "/dev/null", "/bin/sh", "/nonexistent", "/etc/passwd/x", "" };
    int projects[] = { 0, 1, 'a', 255, 256, -1, 0x12345678 };
    for (size_t p = 0; p < sizeof paths / sizeof *paths; p++)
        for (size_t i = 0; i < sizeof projects / sizeof *projects; i++) {
            errno = UNTOUCHED;
            key_t key = ftok(paths[p], projects[i]);
            say("%s %d: %#x %s", paths[p], projects[i],
                (unsigned)key, errno == UNTOUCHED ? "" : strerrorname_np(errno));
        }
    TRY(ftok((const char *)1, 1));
    return 0;
}
