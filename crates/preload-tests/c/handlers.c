/* Programs with signal handlers of every kind, before and after they hand over a bad pointer. One mode each. */
#include "say.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static int id;
static sigjmp_buf back;
static char *program;

/* What the kernel answers to a bad pointer. */
static void bad_pointer(void)
{
    errno = UNTOUCHED;
    int result = shmctl(id, IPC_STAT, (void *)8);
    say("bad pointer: %d %s", result, strerrorname_np(errno));
}

__attribute__((noinline)) static void own_fault(void *address)
{
    *(volatile int *)address = 1;
}

static const char *code_of(int signal, int code)
{
    switch (code) {
    case SI_USER: return "SI_USER";
    case SI_QUEUE: return "SI_QUEUE";
    case SI_TKILL: return "SI_TKILL";
    case SI_KERNEL: return "SI_KERNEL";
    case SEGV_MAPERR: return signal == SIGSEGV ? "SEGV_MAPERR" : "BUS_ADRALN";
    case SEGV_ACCERR: return signal == SIGSEGV ? "SEGV_ACCERR" : "BUS_ADRERR";
    default: return "?";
    }
}

static int blocked(int signal)
{
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    return sigismember(&set, signal);
}

static void say_circumstances(int signal)
{
    stack_t stack;
    sigaltstack(NULL, &stack);
    say("blocked SEGV %d BUS %d USR1 %d USR2 %d, alternate stack %d", blocked(SIGSEGV), blocked(SIGBUS), blocked(SIGUSR1),
        blocked(SIGUSR2), !!(stack.ss_flags & SS_ONSTACK));
    (void)signal;
}

static void reporting(int signal, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context;
    int sent = info->si_code <= 0;
    say("signal %d %s %s %p", signal, code_of(signal, info->si_code), sent ? "sent by me" : "at",
        sent ? (void *)(long)(info->si_pid == getpid()) : info->si_addr);
    if (info->si_code == SI_QUEUE)
        say("value %d", info->si_value.sival_int);
    say("the interrupted context is %s", interrupted->uc_mcontext.gregs[REG_RIP] ? "there" : "gone");
    say_circumstances(signal);
}

static void reporting_and_leaving(int signal, siginfo_t *info, void *context)
{
    reporting(signal, info, context);
    siglongjmp(back, 1);
}

static void leaving(int signal)
{
    say("signal %d", signal);
    siglongjmp(back, 1);
}

static void returning(int signal)
{
    say("signal %d", signal);
}

/* Says what the program would be told about its action. */
static void say_action(int signal)
{
    struct sigaction action;
    memset(&action, 0x55, sizeof action);
    MUST(sigaction(signal, NULL, &action));
    const char *name = action.sa_handler == SIG_DFL ? "default"
        : action.sa_handler == SIG_IGN ? "ignored"
        : action.sa_sigaction == reporting ? "reporting"
        : action.sa_sigaction == reporting_and_leaving ? "reporting_and_leaving"
        : action.sa_handler == leaving ? "leaving"
        : action.sa_handler == returning ? "returning" : "another";
    say("action of %d: %s, flags %#x, mask %016lx", signal, name, action.sa_flags, *(unsigned long *)&action.sa_mask);
}

static void set_action(int signal, void (*handler)(int, siginfo_t *, void *), int flags, int also_blocked)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = flags };
    sigemptyset(&action.sa_mask);
    if (also_blocked)
        sigaddset(&action.sa_mask, also_blocked);
    TRY(sigaction(signal, &action, NULL));
    say_action(signal);
}

static void use_alternate_stack(void)
{
    stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
    MUST(sigaltstack(&stack, NULL));
}

/* ---- no handler ---- */

static void none_fault(void)
{
    say_action(SIGSEGV);
    bad_pointer();
    say_action(SIGSEGV);
    own_fault((void *)16);
}

static void none_kill(void)
{
    bad_pointer();
    kill(getpid(), SIGSEGV);
    pause();
}

static void none_raise_bus(void)
{
    bad_pointer();
    raise(SIGBUS);
}

static void none_noncanonical(void)
{
    bad_pointer();
    own_fault((void *)0x8000000000000000);
}

static void none_blocked_sent(void)
{
    bad_pointer();
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGSEGV);
    bad_pointer();
    say("about to let it in");
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    say("not reached");
}

static void none_overflow(void);
static volatile int depth;
__attribute__((noinline)) static int overflow(void)
{
    volatile char space[4096];
    memset((char *)space, depth++, sizeof space);
    return depth < 0 ? 0 : overflow() + space[17];
}

static void none_overflow(void)
{
    bad_pointer();
    overflow();
}

/* ---- handlers ---- */

static void own_handler(void)
{
    bad_pointer();
    set_action(SIGSEGV, reporting_and_leaving, SA_SIGINFO, 0);
    bad_pointer();
    for (int i = 0; i < 3; i++)
        if (sigsetjmp(back, 1) == 0)
            own_fault((void *)16);
    if (sigsetjmp(back, 1) == 0)
        own_fault((void *)0x8000000000000000);
    void *read_only = MUST(mmap((void *)0x10000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (sigsetjmp(back, 1) == 0)
        own_fault(read_only);
    bad_pointer();
    say_circumstances(0);
}

static void handler_first(void)
{
    set_action(SIGSEGV, reporting_and_leaving, SA_SIGINFO | SA_NODEFER, SIGUSR1);
    bad_pointer();
    say_action(SIGSEGV);
    if (sigsetjmp(back, 1) == 0)
        own_fault((void *)16);
    bad_pointer();
}

static void plain_handler(void)
{
    bad_pointer();
    say("old: %d", signal(SIGSEGV, leaving) == SIG_DFL);
    say_action(SIGSEGV);
    if (sigsetjmp(back, 1) == 0)
        own_fault((void *)16);
    bad_pointer();
    say("old: %d", signal(SIGSEGV, SIG_DFL) == leaving);
    bad_pointer();
    say_action(SIGSEGV);
    own_fault((void *)16);
}

static void sent(void)
{
    bad_pointer();
    set_action(SIGSEGV, reporting, SA_SIGINFO, 0);
    kill(getpid(), SIGSEGV);
    sigqueue(getpid(), SIGSEGV, (union sigval) { .sival_int = 77 });
    raise(SIGSEGV);
    set_action(SIGUSR1, reporting, SA_SIGINFO, SIGUSR2);
    kill(getpid(), SIGUSR1);
    sigqueue(getpid(), SIGUSR1, (union sigval) { .sival_int = 78 });
    raise(SIGUSR1);
    set_action(SIGRTMIN, reporting, SA_SIGINFO, SIGUSR2);
    sigqueue(getpid(), SIGRTMIN, (union sigval) { .sival_int = 79 });
    bad_pointer();
}

static void stack_overflow(void)
{
    bad_pointer();
    use_alternate_stack();
    set_action(SIGSEGV, reporting_and_leaving, SA_SIGINFO | SA_ONSTACK, 0);
    bad_pointer();
    if (sigsetjmp(back, 1) == 0) {
        struct sigaction action = { .sa_handler = leaving, .sa_flags = SA_ONSTACK };
        sigaction(SIGSEGV, &action, NULL);
        overflow();
    }
    bad_pointer();
}

/* A run-time with a collector that protects pages, and its own handler for null pointers, in front of an older one. */
static struct sigaction older;
static char *barrier;

static void collector(int signal, siginfo_t *info, void *context)
{
    if ((char *)info->si_addr >= barrier && (char *)info->si_addr < barrier + 4096) {
        say("the collector's page");
        mprotect(barrier, 4096, PROT_READ | PROT_WRITE);
        return;
    }
    say("not the collector's");
    if (older.sa_flags & SA_SIGINFO)
        older.sa_sigaction(signal, info, context);
    else
        older.sa_handler(signal);
}

static void chained(void)
{
    barrier = MUST(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    set_action(SIGSEGV, reporting_and_leaving, SA_SIGINFO | SA_RESTART, 0);
    bad_pointer();
    struct sigaction action = { .sa_sigaction = collector, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
    sigfillset(&action.sa_mask);
    MUST(sigaction(SIGSEGV, &action, &older));
    say("the older one is mine: %d", older.sa_sigaction == reporting_and_leaving);
    bad_pointer();
    own_fault(barrier);
    say("written: %d", *(int *)barrier);
    if (sigsetjmp(back, 1) == 0)
        own_fault((void *)16);
    bad_pointer();
    mprotect(barrier, 4096, PROT_NONE);
    own_fault(barrier);
    bad_pointer();
}

/* Registers between two bad pointers and chains to what was there before: nothing. */
static void chained_to_default(void)
{
    bad_pointer();
    struct sigaction action = { .sa_sigaction = reporting, .sa_flags = SA_SIGINFO };
    MUST(sigaction(SIGSEGV, &action, &older));
    say("there was none: %d", older.sa_handler == SIG_DFL);
    MUST(sigaction(SIGSEGV, &older, NULL));
    bad_pointer();
    own_fault((void *)16);
}

static void crash_reporter(int signal)
{
    say("crashing on %d", signal);
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigaction(signal, &action, NULL);
    raise(signal);
}

static void crash_reporter_returning(int number)
{
    say("crashing on %d", number);
    signal(number, SIG_DFL);
}

static void crash_raise(void)
{
    bad_pointer();
    signal(SIGSEGV, crash_reporter);
    bad_pointer();
    own_fault((void *)16);
}

static void crash_return(void)
{
    bad_pointer();
    signal(SIGSEGV, crash_reporter_returning);
    bad_pointer();
    own_fault((void *)16);
}

static void crash_reset_hand(void)
{
    bad_pointer();
    set_action(SIGSEGV, reporting, SA_SIGINFO | SA_RESETHAND, 0);
    bad_pointer();
    own_fault((void *)16);
}

static void reset_hand(void)
{
    bad_pointer();
    set_action(SIGSEGV, reporting_and_leaving, SA_SIGINFO | SA_RESETHAND | SA_NODEFER, 0);
    bad_pointer();
    say_action(SIGSEGV);
    if (sigsetjmp(back, 1) == 0)
        own_fault((void *)16);
    say_action(SIGSEGV);
    bad_pointer();
    set_action(SIGUSR1, reporting, SA_SIGINFO | SA_RESETHAND, 0);
    raise(SIGUSR1);
    say_action(SIGUSR1);
    raise(SIGUSR1);
}

static void ignored(void)
{
    bad_pointer();
    say("old: %d", signal(SIGSEGV, SIG_IGN) == SIG_DFL);
    say_action(SIGSEGV);
    bad_pointer();
    kill(getpid(), SIGSEGV);
    signal(SIGBUS, SIG_IGN);
    bad_pointer();
    signal(SIGBUS, SIG_DFL);
    bad_pointer();
    int child = fork();
    if (child == 0) {
        own_fault((void *)16);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    say("the child died of %d", WTERMSIG(status));
    signal(SIGSEGV, leaving);
    say_action(SIGSEGV);
    bad_pointer();
    if (sigsetjmp(back, 1) == 0)
        own_fault((void *)16);
    bad_pointer();
    signal(SIGSEGV, SIG_IGN);
    execl(program, program, "after_exec", NULL);
}

static void handled_then_exec(void)
{
    bad_pointer();
    signal(SIGSEGV, leaving);
    signal(SIGBUS, SIG_IGN);
    signal(SIGUSR1, leaving);
    signal(SIGUSR2, SIG_IGN);
    bad_pointer();
    execl(program, program, "after_exec", NULL);
}

static void after_exec(void)
{
    say_action(SIGSEGV);
    say_action(SIGBUS);
    say_action(SIGUSR1);
    say_action(SIGUSR2);
    bad_pointer();
    say_action(SIGSEGV);
    say_action(SIGBUS);
}

static void every_setter(void)
{
    const int signals[] = { SIGSEGV, SIGBUS, SIGUSR1, SIGRTMAX };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
            int number = signals[i];
            say("-- %d", number);
            say_action(number);
            say("%d", signal(number, returning) == SIG_DFL);
            say_action(number);
            TRY(siginterrupt(number, 1));
            say_action(number);
            say("%d", signal(number, leaving) == returning);
            say_action(number);
            TRY(siginterrupt(number, 0));
            say_action(number);
            say("%d", sysv_signal(number, returning) == leaving);
            say_action(number);
            raise(number);
            say_action(number);
            say("%d", sigset(number, returning) == SIG_DFL);
            say_action(number);
            say("%d", sigset(number, SIG_HOLD) == returning);
            say("%d", blocked(number));
            say("%d", sigset(number, returning) == SIG_HOLD);
            say("%d", blocked(number));
            raise(number);
            TRY(sighold(number));
            say("%d", blocked(number));
            TRY(sigrelse(number));
            say("%d", blocked(number));
            TRY(sigignore(number));
            say_action(number);
            raise(number);
            struct sigaction action = { .sa_handler = returning, .sa_flags = 0x7fffffff & ~(SA_RESETHAND | SA_SIGINFO) };
            sigfillset(&action.sa_mask);
            TRY(sigaction(number, &action, NULL));
            say_action(number);
            /* Straight to the kernel, by number. */
            struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } raw;
            TRY(syscall(SYS_rt_sigaction, number, NULL, &raw, 8));
            say("%d %#lx %016lx", raw.handler == (void *)returning, raw.flags, raw.mask);
            raw.flags &= ~(unsigned long)SA_NODEFER;
            TRY(syscall(SYS_rt_sigaction, number, &raw, NULL, 8));
            say_action(number);
            TRY(syscall(SYS_rt_sigaction, number, (void *)8, NULL, 8));
            TRY(syscall(SYS_rt_sigaction, number, NULL, (void *)8, 8));
            TRY(syscall(SYS_rt_sigaction, number, NULL, &raw, 16));
            raise(number);
            action = (struct sigaction) { .sa_handler = SIG_DFL };
            TRY(sigaction(number, &action, NULL));
            say_action(number);
        }
        say("%d", signal(SIGKILL, returning) == SIG_ERR);
        say("%d", signal(0, returning) == SIG_ERR);
        say("%d", signal(65, returning) == SIG_ERR);
        say("%d", signal(SIGUSR1, SIG_ERR) == SIG_ERR);
        TRY(siginterrupt(0, 1));
        TRY(siginterrupt(SIGKILL, 1));
        TRY(sigignore(SIGSTOP));
        TRY(sighold(0));
        struct sigaction action = { .sa_handler = returning };
        TRY(sigaction(SIGKILL, &action, NULL));
        TRY(sigaction(SIGKILL, NULL, &action));
        TRY(sigaction(32, &action, NULL));
        TRY(sigaction(33, NULL, &action));
        TRY(sigaction(65, NULL, &action));
        bad_pointer();
    }
}

/* ---- masks ---- */

static void *in_thread(void *unused)
{
    bad_pointer();
    return unused;
}

static void masked(void)
{
    bad_pointer();
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL);
    bad_pointer();
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    bad_pointer();
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    sighold(SIGSEGV);
    bad_pointer();
    sigrelse(SIGSEGV);
    bad_pointer();
    /* The kernel kills for a fault that is blocked, whatever the handler. */
    signal(SIGSEGV, leaving);
    sigprocmask(SIG_SETMASK, &all, NULL);
    bad_pointer();
    own_fault((void *)16);
}

/* Signals that were sent wait until the program lets them in, whatever pointers it passes meanwhile. */
static void masked_and_sent(void)
{
    for (int flags = SA_SIGINFO; flags != 0; flags = flags & SA_NODEFER ? 0 : SA_SIGINFO | SA_NODEFER) {
        set_action(SIGSEGV, reporting, flags, 0);
        set_action(SIGBUS, reporting, flags, 0);
        sigset_t all, old, pending;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &old);
        bad_pointer();
        sigqueue(getpid(), SIGSEGV, (union sigval) { .sival_int = 5 });
        bad_pointer();
        kill(getpid(), SIGBUS);
        bad_pointer();
        struct shmid_ds ds;
        TRY(shmctl(id, IPC_STAT, &ds));
        say("blocked %d %d", blocked(SIGSEGV), blocked(SIGBUS));
        sigpending(&pending);
        say("pending %d %d", sigismember(&pending, SIGSEGV), sigismember(&pending, SIGBUS));
        sigdelset(&all, SIGBUS);
        say("letting the first in");
        sigprocmask(SIG_SETMASK, &all, NULL);
        bad_pointer();
        say("letting the second in");
        sigprocmask(SIG_SETMASK, &old, NULL);
        bad_pointer();
    }
}

static void masked_from_the_start(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    execl(program, program, "after_exec", NULL);
}

static void calling(int signal)
{
    say("signal %d", signal);
    bad_pointer();
}

static void calling_and_leaving(int signal)
{
    calling(signal);
    siglongjmp(back, 1);
}

static void in_handler(void)
{
    bad_pointer();
    signal(SIGSEGV, calling);
    raise(SIGSEGV);
    bad_pointer();
    signal(SIGSEGV, calling_and_leaving);
    /* Leaves SIGSEGV blocked. */
    if (sigsetjmp(back, 0) == 0)
        raise(SIGSEGV);
    say("blocked %d", blocked(SIGSEGV));
    bad_pointer();
    struct sigaction action = { .sa_handler = calling };
    sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
}

/* ---- SIGBUS ---- */

static void bus(void)
{
    char name[] = "/tmp/sysv-handlers-XXXXXX";
    int file = MUST(mkstemp(name));
    unlink(name);
    MUST(ftruncate(file, 4096));
    void *mapped = MUST(mmap((void *)0x10000000, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    TRY(shmctl(id, IPC_STAT, mapped + 4096));
    set_action(SIGBUS, reporting_and_leaving, SA_SIGINFO, 0);
    TRY(shmctl(id, IPC_STAT, mapped + 4096));
    if (sigsetjmp(back, 1) == 0)
        say("%d", ((volatile char *)mapped)[4096] ? 1 : 2);
    MUST(ftruncate(file, 0));
    TRY(shmctl(id, IPC_STAT, mapped));
    signal(SIGBUS, SIG_DFL);
    TRY(shmctl(id, IPC_STAT, mapped));
    own_fault(mapped);
}

/* ---- processes and threads ---- */

static void vfork_child_resets(void)
{
    bad_pointer();
    set_action(SIGSEGV, reporting_and_leaving, SA_SIGINFO, 0);
    set_action(SIGUSR1, reporting, SA_SIGINFO, 0);
    int child = vfork();
    if (child == 0) {
        for (int number = 1; number < 65; number++) {
            struct sigaction action;
            if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
                action.sa_handler = SIG_DFL;
                action.sa_flags = 0;
                sigaction(number, &action, NULL);
            }
        }
        say_action(SIGSEGV);
        say_action(SIGUSR1);
        execl(program, program, "after_exec", NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    say_action(SIGSEGV);
    say_action(SIGUSR1);
    bad_pointer();
    if (sigsetjmp(back, 1) == 0)
        own_fault((void *)16);
    raise(SIGUSR1);
}

static void fork_child(void)
{
    bad_pointer();
    set_action(SIGSEGV, reporting_and_leaving, SA_SIGINFO, 0);
    int child = fork();
    if (child == 0) {
        bad_pointer();
        if (sigsetjmp(back, 1) == 0)
            own_fault((void *)16);
        signal(SIGSEGV, SIG_DFL);
        bad_pointer();
        own_fault((void *)16);
    }
    int status;
    waitpid(child, &status, 0);
    say("the child died of %d", WTERMSIG(status));
    say_action(SIGSEGV);
    bad_pointer();
}

static volatile int stop;

static void *many_bad_pointers(void *unused)
{
    long wrong = 0;
    while (!stop)
        wrong += shmctl(id, IPC_STAT, (void *)8) != -1 || errno != EFAULT;
    say("wrong: %ld", wrong);
    return unused;
}

static void racing(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, many_bad_pointers, NULL);
    for (int round = 0; round < 2000; round++) {
        struct sigaction action = { .sa_handler = leaving }, old;
        sigaction(SIGSEGV, &action, &old);
        if (old.sa_handler != SIG_DFL)
            say("round %d: not what was set", round);
        action.sa_handler = SIG_DFL;
        sigaction(SIGSEGV, &action, &old);
        if (old.sa_handler != leaving)
            say("round %d: not what was set", round);
    }
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    say_action(SIGSEGV);
}

/* ---- handlers that make System V calls, or leave one ---- */

static volatile long handled;
static int other;

static void calling_the_facility(int signal)
{
    (void)signal;
    int error = errno;
    struct shmid_ds ds;
    if (shmctl(other, IPC_STAT, &ds) == -1)
        say("in the handler: %s", strerrorname_np(errno));
    void *memory = shmat(other, NULL, 0);
    if (memory == (void *)-1)
        say("in the handler: %s", strerrorname_np(errno));
    else
        shmdt(memory);
    handled++;
    errno = error;
}

static void leaving_the_facility(int signal)
{
    (void)signal;
    handled++;
    siglongjmp(back, 1);
}

static void start_timer(void)
{
    timer_t timer;
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec every = { { 0, 150000 }, { 0, 150000 } };
    MUST(timer_settime(timer, 0, &every, NULL));
}

static void use_the_facility(void)
{
    struct shmid_ds ds;
    void *memory = shmat(id, NULL, 0);
    if (memory == (void *)-1 || shmctl(id, IPC_STAT, &ds) == -1 || shmdt(memory) == -1)
        say("%s", strerrorname_np(errno));
}

static void reentered(void)
{
    other = MUST(shmget(IPC_PRIVATE, 4096, 0600));
    struct sigaction action = { .sa_handler = calling_the_facility };
    MUST(sigaction(SIGALRM, &action, NULL));
    start_timer();
    while (handled < 2000)
        use_the_facility();
    signal(SIGALRM, SIG_IGN);
    struct shmid_ds ds;
    MUST(shmctl(id, IPC_STAT, &ds));
    say("attached: %lu", ds.shm_nattch);
    MUST(shmctl(other, IPC_STAT, &ds));
    say("attached: %lu", ds.shm_nattch);
    shmctl(other, IPC_RMID, NULL);
}

static void left(void)
{
    signal(SIGALRM, leaving_the_facility);
    start_timer();
    sigsetjmp(back, 1);
    while (handled < 2000)
        use_the_facility();
    signal(SIGALRM, SIG_IGN);
    use_the_facility();
    struct shmid_ds ds;
    TRY(shmctl(id, IPC_STAT, &ds));
}

/* System calls of the program's are interrupted or restarted as it asked. */
static void nothing(int signal)
{
    (void)signal;
}

static void interrupted(void)
{
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction action = { .sa_handler = nothing, .sa_flags = restart ? SA_RESTART : 0 };
        int ends[2];
        MUST(pipe(ends));
        for (int joined = 0; joined < 2; joined++) {
            MUST(sigaction(SIGUSR1, &action, NULL));
            if (joined)
                bad_pointer();
            int parent = getpid(), child = MUST(fork());
            if (child == 0) {
                for (int i = 0; i < 20; i++) {
                    usleep(5000);
                    kill(parent, SIGUSR1);
                }
                say("writing");
                if (write(ends[1], "x", 1) != 1)
                    _exit(1);
                _exit(0);
            }
            char byte = 0;
            errno = UNTOUCHED;
            long got = read(ends[0], &byte, 1);
            say("read: %ld %s", got, got < 0 ? strerrorname_np(errno) : "");
            while (waitpid(child, NULL, 0) < 0)
                ;
            if (got < 0)
                MUST(read(ends[0], &byte, 1));
        }
    }
}

static const struct { const char *name; void (*run)(void); } modes[] = {
#define MODE(name) { #name, name }
    MODE(none_fault), MODE(none_kill), MODE(none_raise_bus), MODE(none_noncanonical), MODE(none_blocked_sent),
    MODE(none_overflow), MODE(own_handler), MODE(handler_first), MODE(plain_handler), MODE(sent), MODE(stack_overflow),
    MODE(chained), MODE(chained_to_default), MODE(crash_raise), MODE(crash_return), MODE(crash_reset_hand),
    MODE(reset_hand), MODE(ignored), MODE(handled_then_exec), MODE(after_exec), MODE(every_setter), MODE(masked),
    MODE(masked_from_the_start), MODE(masked_and_sent), MODE(in_handler), MODE(bus), MODE(vfork_child_resets), MODE(fork_child), MODE(racing),
    MODE(reentered), MODE(left), MODE(interrupted),
};

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 1)
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
            say("%s", modes[i].name);
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++)
        if (strcmp(argv[1], modes[i].name) == 0) {
            if (strcmp(argv[1], "handler_first") != 0 && strcmp(argv[1], "every_setter") != 0)
                id = MUST(shmget(0x5e6, 4096, IPC_CREAT | 0600));
            modes[i].run();
        }
    return 0;
}
