//! A process under `ptrace`, stepped instruction by instruction or system call by system call.

#![allow(unsafe_code)]

use std::collections::HashMap;

use crate::process::{self, become_user, kill, reap};

/// Why the process stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// After one instruction.
    Step,
    /// At the entry or exit of a system call.
    SystemCall,
    /// It stopped itself: the operation begins, or is over.
    Mark,
    /// It forked; the child is traced too, and stopped.
    Forked(i32),
    /// A signal on its way to it.
    Signal(i32),
    /// It is dead.
    Dead,
}

/// A traced process.
pub(crate) struct Tracee {
    pid: i32,
    /// The instruction at an address, where it is a system call.
    system_calls: HashMap<u64, bool>,
    pending: i32,
    /// Whether it has done what is traced: it would never stop again.
    over: bool,
}

impl Tracee {
    /// Forks a process that makes ready, stops itself, does what shall be traced, and stops itself again. Returns when it
    /// is ready.
    pub(crate) fn fork<T>(user: Option<u32>, ready: impl FnOnce() -> T, act: impl FnOnce(T) -> T) -> Tracee {
        // SAFETY: the harness has one thread.
        match unsafe { libc::fork() } {
            0 => {
                if let Some(uid) = user {
                    become_user(uid);
                }
                be_traced(ready, act)
            }
            pid if pid > 0 => {
                let mut tracee = Tracee::adopted(pid);
                assert_eq!(tracee.wait(), Stop::Mark, "the traced process never became ready");
                let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
                // SAFETY: the process is stopped and ours; no memory is involved.
                unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
                tracee
            }
            _ => panic!("fork: {}", std::io::Error::last_os_error()),
        }
    }

    fn adopted(pid: i32) -> Tracee {
        Tracee {
            pid,
            system_calls: HashMap::new(),
            pending: 0,
            over: false,
        }
    }

    /// Has a fork of the process bring its child under this harness too.
    pub(crate) fn trace_forks(&self) {
        let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACEFORK;
        // SAFETY: the process is stopped and ours; no memory is involved.
        unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, self.pid, 0, options) };
    }

    /// The child of a traced process, stopped before its first instruction.
    pub(crate) fn child(pid: i32) -> Tracee {
        let mut child = Tracee::adopted(pid);
        // It stops with SIGSTOP once the kernel has attached us to it.
        child.wait();
        child
    }

    /// Runs one instruction.
    pub(crate) fn step(&mut self) -> Stop {
        self.resume(libc::PTRACE_SINGLESTEP)
    }

    /// Runs to the next entry or exit of a system call.
    pub(crate) fn run_to_system_call(&mut self) -> Stop {
        self.resume(libc::PTRACE_SYSCALL)
    }

    /// Runs freely until it stops itself, or dies.
    pub(crate) fn run_to_mark(&mut self) -> Stop {
        loop {
            let stop = self.resume(libc::PTRACE_CONT);
            if matches!(stop, Stop::Mark | Stop::Dead) {
                return stop;
            }
        }
    }

    fn resume(&mut self, how: libc::c_uint) -> Stop {
        if self.over {
            return Stop::Mark;
        }
        // SAFETY: the process is stopped and ours.
        if unsafe { libc::ptrace(how, self.pid, 0, self.pending) } != 0 {
            return Stop::Dead;
        }
        self.pending = 0;
        let stop = self.wait();
        self.over = stop == Stop::Mark;
        stop
    }

    /// Waits for the next stop.
    pub(crate) fn wait(&mut self) -> Stop {
        let mut status = 0;
        // SAFETY: a child or tracee of ours; the status is written.
        let done = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
        if done != self.pid || !libc::WIFSTOPPED(status) {
            self.pid = 0;
            return Stop::Dead;
        }
        let signal = libc::WSTOPSIG(status);
        match (signal, status >> 16) {
            (_, libc::PTRACE_EVENT_FORK) => {
                let mut child = 0 as libc::c_ulong;
                // SAFETY: the kernel writes one word.
                unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, self.pid, 0, &raw mut child) };
                Stop::Forked(child as i32)
            }
            (signal, _) if signal == libc::SIGTRAP | 0x80 => Stop::SystemCall,
            (libc::SIGTRAP, _) => Stop::Step,
            (libc::SIGSTOP, _) => Stop::Mark,
            _ => {
                self.pending = signal;
                Stop::Signal(signal)
            }
        }
    }

    /// The system call that the next instruction makes, if it makes one.
    pub(crate) fn next_system_call(&mut self) -> Option<i64> {
        let at = self.register(std::mem::offset_of!(libc::user_regs_struct, rip));
        let pid = self.pid;
        let is = *self.system_calls.entry(at).or_insert_with(|| {
            // SAFETY: the kernel reads the word, or fails.
            let word = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, pid, at, 0) };
            word & 0xffff == 0x050f
        });
        is.then(|| self.register(std::mem::offset_of!(libc::user_regs_struct, rax)) as i64)
    }

    /// Whether the next instruction, or the system call at whose entry the process is stopped, puts it to sleep.
    pub(crate) fn falls_asleep(&mut self, at_entry: bool) -> bool {
        use std::mem::offset_of;
        let call = if at_entry {
            Some(self.register(offset_of!(libc::user_regs_struct, orig_rax)) as i64)
        } else {
            self.next_system_call()
        };
        let operation = self.register(offset_of!(libc::user_regs_struct, rsi)) as i32;
        let waits = matches!(
            operation & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME),
            libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET
        );
        call == Some(libc::SYS_futex) && waits
    }

    fn register(&self, offset: usize) -> u64 {
        // SAFETY: the kernel reads the register, or fails.
        unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, self.pid, offset, 0) as u64 }
    }

    /// Kills it, and returns when it is dead.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        kill(self.pid, libc::SIGKILL);
        if self.pid > 0 {
            reap(self.pid);
        }
        self.pid = 0;
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes ready, stops, does what its tracer wants to see, stops, and waits to be killed.
pub(super) fn be_traced<T>(ready: impl FnOnce() -> T, act: impl FnOnce(T) -> T) -> ! {
    let made = ready();
    // SAFETY: no memory is involved.
    unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
    stop_here();
    let made = act(made);
    stop_here();
    // Never run destructors: the process is killed here at the latest.
    std::mem::forget(made);
    loop {
        std::thread::park();
    }
}

/// Stops the calling process, which tells its tracer that something begins or is over.
pub(super) fn stop_here() {
    process::kill(std::process::id() as i32, libc::SIGSTOP);
}

/// System calls that change nothing that another process can see.
pub(crate) fn changes_nothing(call: i64) -> bool {
    matches!(
        call,
        libc::SYS_getpid
            | libc::SYS_gettid
            | libc::SYS_geteuid
            | libc::SYS_getegid
            | libc::SYS_getuid
            | libc::SYS_getgroups
            | libc::SYS_capget
            | libc::SYS_rt_sigprocmask
            | libc::SYS_clock_gettime
            | libc::SYS_sysinfo
            | libc::SYS_statfs
            | libc::SYS_fstat
            | libc::SYS_newfstatat
            | libc::SYS_pread64
            | libc::SYS_sched_getaffinity
            | libc::SYS_getrlimit
            | libc::SYS_getcwd
    )
}
