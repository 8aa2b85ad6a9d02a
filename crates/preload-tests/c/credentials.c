/* A program of root's that becomes somebody else, in every way. */
#include "say.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NOBODY 65534
#define GROUP 65533

int capset(cap_user_header_t, const cap_user_data_t);

static int of_root, of_nobody, of_group;

static int make(uid_t uid, gid_t gid, int mode)
{
    int id = MUST(shmget(IPC_PRIVATE, 100, IPC_CREAT | mode));
    struct shmid_ds ds;
    MUST(shmctl(id, IPC_STAT, &ds));
    ds.shm_perm.uid = uid;
    ds.shm_perm.gid = gid;
    MUST(shmctl(id, IPC_SET, &ds));
    return id;
}

static void look(const char *name, int id)
{
    struct shmid_ds ds;
    errno = UNTOUCHED;
    say_result(name, shmctl(id, IPC_STAT, &ds));
    void *memory = shmat(id, NULL, 0);
    say_result("    attached", (long)memory);
    if (memory != (void *)-1)
        shmdt(memory);
    memory = shmat(id, NULL, SHM_RDONLY);
    say_result("    attached for reading", (long)memory);
    if (memory != (void *)-1)
        shmdt(memory);
    memset(&ds, 0, sizeof ds);
    int removed = shmctl(id, SHM_LOCK, NULL);
    say("    locked: %s", removed == 0 ? "ok" : strerrorname_np(errno));
    if (removed == 0)
        shmctl(id, SHM_UNLOCK, NULL);
}

static void look_at_all(const char *when)
{
    say("---- %s: %d %d", when, geteuid(), getegid());
    look("of root", of_root);
    look("of nobody", of_nobody);
    look("of the group", of_group);
    int id = shmget(IPC_PRIVATE, 100, 0600);
    struct shmid_ds ds;
    if (id == -1 || shmctl(id, IPC_STAT, &ds) == -1)
        say("cannot make: %s", strerrorname_np(errno));
    else
        say("made: %d %d %d %d", ds.shm_perm.uid, ds.shm_perm.gid, ds.shm_perm.cuid, ds.shm_perm.cgid);
    shmctl(id, IPC_RMID, NULL);
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
    TRY(capset(&header, none));
}

static void drop_capabilities_by_number(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
    TRY(syscall(SYS_capset, &header, none));
}

static void *setting_in_a_thread(void *unused)
{
    /* For the whole process, as the C library has it. */
    MUST(setuid(NOBODY));
    return unused;
}

static void setuid_in_a_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, setting_in_a_thread, NULL);
    pthread_join(thread, NULL);
}

static void group_of_nobody(void)
{
    gid_t groups[] = { GROUP };
    TRY(setgroups(1, groups));
    TRY(setuid(NOBODY));
}

static void as_a_daemon(void)
{
    TRY(initgroups("nobody", NOBODY));
    TRY(setgid(NOBODY));
    TRY(setuid(NOBODY));
}

static void back_and_forth(void)
{
    TRY(seteuid(NOBODY));
    look_at_all("in between");
    TRY(seteuid(0));
}

static void by_setuid(void)
{
    TRY(setuid(NOBODY));
}

static void by_seteuid(void)
{
    TRY(seteuid(NOBODY));
}

static void by_setreuid(void)
{
    TRY(setreuid(-1, NOBODY));
}

static void by_setresuid(void)
{
    TRY(setresuid(-1, NOBODY, -1));
}

static void by_setgid(void)
{
    TRY(setgid(GROUP));
}

static void by_setegid_seteuid(void)
{
    TRY(setegid(GROUP));
    TRY(seteuid(NOBODY));
}

static void by_setregid_setreuid(void)
{
    TRY(setregid(GROUP, GROUP));
    TRY(setreuid(NOBODY, NOBODY));
}

static void by_setresgid_setresuid(void)
{
    TRY(setresgid(GROUP, GROUP, GROUP));
    TRY(setresuid(NOBODY, NOBODY, NOBODY));
}

static void by_setfsgid(void)
{
    TRY(setfsgid(GROUP));
}

static void number_setuid(void)
{
    TRY(syscall(SYS_setuid, NOBODY));
}

static void by_number_setresuid(void)
{
    TRY(syscall(SYS_setresuid, -1, NOBODY, -1));
}

static void by_number_setgid_by_number_setreuid(void)
{
    TRY(syscall(SYS_setgid, GROUP));
    TRY(syscall(SYS_setreuid, -1, NOBODY));
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    of_root = make(0, 0, 0600);
    of_nobody = make(NOBODY, NOBODY, 0640);
    of_group = make(0, GROUP, 0660);
    look_at_all("as root");
    static const struct { const char *what; void (*run)(void); } ways[] = {
#define WAY(name) { #name, name }
        WAY(by_setuid),
        WAY(by_seteuid),
        WAY(by_setreuid),
        WAY(by_setresuid),
        WAY(by_setgid),
        WAY(by_setegid_seteuid),
        WAY(by_setregid_setreuid),
        WAY(by_setresgid_setresuid),
        WAY(by_setfsgid),
        WAY(number_setuid),
        WAY(by_number_setresuid),
        WAY(by_number_setgid_by_number_setreuid),
        WAY(group_of_nobody),
        WAY(as_a_daemon),
        WAY(drop_capabilities),
        WAY(drop_capabilities_by_number),
        WAY(setuid_in_a_thread),
        WAY(back_and_forth),
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int pid = MUST(fork());
        if (pid == 0) {
            ways[i].run();
            look_at_all(ways[i].what);
            _exit(0);
        }
        int status;
        MUST(waitpid(pid, &status, 0));
        if (status)
            say("status %x", status);
    }
    MUST(shmctl(of_root, IPC_RMID, NULL));
    MUST(shmctl(of_nobody, IPC_RMID, NULL));
    MUST(shmctl(of_group, IPC_RMID, NULL));
    return 0;
}
