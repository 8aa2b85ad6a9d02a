//! `SYSV_TRACE`: every call reported to `sysv trace`, which listens on the datagram socket of that name.
//!
//! No descriptor is kept: programs close what they do not know. The listener's end is noticed by the next report, and
//! nothing is reported any more. With `kernel:` before the name the calls go to the kernel's own facility, and this library
//! only reports them.

#![allow(unsafe_code)]

use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU8, AtomicU32};

use sysv_engine::abi::{
    GETALL, IPC_INFO, IPC_NOWAIT, IPC_SET, IPC_STAT, MSG_INFO, MSG_STAT, MSG_STAT_ANY, MsgInfo, MsqidDs, SEM_INFO,
    SEM_STAT, SEM_STAT_ANY, SETALL, SHM_INFO, SHM_STAT, SHM_STAT_ANY, SemInfo, Sembuf, SemidDs, ShmInfoLimits,
    ShmInfoUsage, ShmidDs, Timespec,
};
use sysv_engine::trace::{Call, LONGEST, MEMORY, Report, Stage};
use sysv_engine::{Errno, Result, Semaphores, usercopy};

use crate::raw::{self, Fd, or_map_failed, or_minus_one, syscall};
use crate::{environment, joined};

/// | value | meaning | who changes it |
/// |---|---|---|
/// | `UNASKED` | no call yet | the first callers, all to the same |
/// | `OFF` | nobody listens, for ever | nobody |
/// | `ON` | the name in `LISTENER` counts | whoever finds that nobody listens there any more |
/// | `KERNEL` | the same, and the calls are the kernel's | the same, to `SILENT` |
/// | `SILENT` | nobody listens any more; the calls are the kernel's, for ever | nobody |
static MODE: AtomicU32 = AtomicU32::new(UNASKED);
const UNASKED: u32 = 0;
const OFF: u32 = 1;
const ON: u32 = 2;
const KERNEL: u32 = 3;
const SILENT: u32 = 4;

/// The listener's name, as long as a socket's may be. Written before `MODE`, by every thread that writes the same.
static LISTENER: [AtomicU8; 108] = [const { AtomicU8::new(0) }; 108];

/// Reports that could not be sent.
static LOST: AtomicU32 = AtomicU32::new(0);

/// What a call returns: what its C function does, with `errno` set, or what that is made of.
pub(crate) trait Returned: Copy {
    /// For the report: the C function's value, and `errno` where that is -1.
    fn outcome(self) -> (i64, c_int);
    /// From what the kernel answered.
    fn from_kernel(answer: Result<usize>) -> Self;
}

/// [`Returned::outcome`] of a value with `errno` set.
fn with_errno(value: i64) -> (i64, c_int) {
    (value, if value == -1 { raw::errno().raw() } else { 0 })
}

impl Returned for Result<usize> {
    fn outcome(self) -> (i64, c_int) {
        self.map_or_else(|errno| (-1, errno.raw()), |value| (value as i64, 0))
    }

    fn from_kernel(answer: Result<usize>) -> Result<usize> {
        answer
    }
}

impl Returned for c_int {
    fn outcome(self) -> (i64, c_int) {
        with_errno(self.into())
    }

    fn from_kernel(answer: Result<usize>) -> c_int {
        or_minus_one(answer.map(|value| value as c_int))
    }
}

impl Returned for *mut c_void {
    fn outcome(self) -> (i64, c_int) {
        with_errno(self as i64)
    }

    fn from_kernel(answer: Result<usize>) -> *mut c_void {
        or_map_failed(answer)
    }
}

/// Makes a call of the facility, and reports it if somebody listens. The call stands here once: it is inlined.
#[inline(always)]
pub(crate) fn call<R: Returned>(call: Call, arguments: [usize; 5], make: impl FnOnce() -> R) -> R {
    let traced = if MODE.load(Relaxed) == OFF {
        None
    } else {
        begin(call, arguments)
    };
    let returned = match &traced {
        Some(traced) if traced.kernels => R::from_kernel(traced.ask_the_kernel()),
        _ => make(),
    };
    if let Some(traced) = traced {
        traced.finish(returned.outcome());
    }
    returned
}

/// Whether the program's calls go to the kernel's own facility.
#[cfg(feature = "interpose")]
pub(crate) fn is_of_the_kernel() -> bool {
    matches!(mode(), KERNEL | SILENT)
}

fn mode() -> u32 {
    match MODE.load(Acquire) {
        UNASKED => ask(),
        mode => mode,
    }
}

#[cold]
fn ask() -> u32 {
    let Ok(Some(value)) = environment::trace() else {
        MODE.store(OFF, Release);
        return OFF;
    };
    let value = value.as_c_str().to_bytes();
    let (path, mode) = match value.strip_prefix(b"kernel:") {
        Some(path) => (path, KERNEL),
        None => (value, ON),
    };
    if path.len() >= LISTENER.len() {
        raw::complain(format_args!(
            "SYSV_TRACE is longer than a socket's name may be; nothing is traced"
        ));
        let mode = if mode == KERNEL { SILENT } else { OFF };
        MODE.store(mode, Release);
        return mode;
    }
    for (to, &byte) in LISTENER.iter().zip(path) {
        to.store(byte, Relaxed);
    }
    MODE.store(mode, Release);
    mode
}

/// A call that is being reported.
struct Traced {
    call: Call,
    arguments: [usize; 5],
    kernels: bool,
    began: u64,
    /// The same by the clock that nobody sets.
    started: u64,
    memory: Memory,
}

#[cold]
fn begin(call: Call, arguments: [usize; 5]) -> Option<Traced> {
    let mode = mode();
    if mode == OFF {
        return None;
    }
    let mut traced = Traced {
        call,
        arguments,
        kernels: mode != ON,
        began: clock(libc::CLOCK_REALTIME),
        started: 0,
        memory: Memory::new(),
    };
    if call == Call::Semctl && matches!(arguments[2] as c_int, GETALL | SETALL) {
        traced.arguments[4] = traced.count_semaphores();
    }
    traced.memory.take_before(call, traced.arguments);
    if traced.may_wait() {
        traced.report(Stage::Begins, 0, 0, 0);
    }
    traced.started = clock(libc::CLOCK_MONOTONIC);
    Some(traced)
}

impl Traced {
    fn may_wait(&self) -> bool {
        let flags = match self.call {
            Call::Semop | Call::Semtimedop => return true,
            Call::Msgsnd => self.arguments[3],
            Call::Msgrcv => self.arguments[4],
            _ => return false,
        };
        flags as i32 & IPC_NOWAIT == 0
    }

    #[cold]
    fn finish(mut self, (returned, errno): (i64, c_int)) {
        let took = clock(libc::CLOCK_MONOTONIC).saturating_sub(self.started);
        if returned != -1 {
            self.memory.take_after(self.call, self.arguments, returned);
        }
        self.report(Stage::Returned, took, returned, errno);
    }

    /// How many values `GETALL` and `SETALL` are about, which only the set itself tells.
    fn count_semaphores(&self) -> usize {
        let id = self.arguments[0];
        if !self.kernels {
            let count = joined::facility().and_then(|facility| facility.sem_count(id as c_int));
            return count.unwrap_or(0);
        }
        let mut ds = SemidDs::default();
        // SAFETY: the kernel writes the structure.
        let asked = unsafe { syscall!(SYS_semctl, id, 0, IPC_STAT, &raw mut ds) };
        asked.map_or(0, |_| ds.nsems as usize)
    }

    fn ask_the_kernel(&self) -> Result<usize> {
        let number = match self.call {
            Call::Shmget => libc::SYS_shmget,
            Call::Shmat => libc::SYS_shmat,
            Call::Shmdt => libc::SYS_shmdt,
            Call::Shmctl => libc::SYS_shmctl,
            Call::Semget => libc::SYS_semget,
            Call::Semop => libc::SYS_semop,
            Call::Semtimedop => libc::SYS_semtimedop,
            Call::Semctl => libc::SYS_semctl,
            Call::Msgget => libc::SYS_msgget,
            Call::Msgsnd => libc::SYS_msgsnd,
            Call::Msgrcv => libc::SYS_msgrcv,
            Call::Msgctl => libc::SYS_msgctl,
        };
        // SAFETY: the arguments are the caller's, who vouches for them.
        unsafe { raw::call(number, raw::six(&self.arguments)) }
    }

    fn report(&self, stage: Stage, took: u64, result: i64, errno: c_int) {
        if !matches!(MODE.load(Acquire), ON | KERNEL) {
            return;
        }
        let lost = LOST.swap(0, Relaxed);
        let report = Report {
            call: self.call,
            stage,
            pid: raw::getpid(),
            // SAFETY: no argument.
            tid: unsafe { syscall!(SYS_gettid) }.unwrap_or(0) as u32,
            began: self.began,
            took,
            arguments: self.arguments.map(|argument| argument as u64),
            result,
            errno,
            lost,
            memory: &self.memory.bytes[..self.memory.len],
        };
        let mut bytes = [0; LONGEST];
        let len = report.encode(&mut bytes);
        match send(&bytes[..len]) {
            Ok(()) => {}
            Err(Errno::ENOENT | Errno::ENOTDIR | ECONNREFUSED) => {
                MODE.store(if self.kernels { SILENT } else { OFF }, Release);
            }
            Err(_) => {
                LOST.fetch_add(lost + 1, Relaxed);
            }
        }
    }
}

/// The listener has ended and left its socket's name behind.
const ECONNREFUSED: Errno = Errno::from_raw(libc::ECONNREFUSED);

/// Waits while the listener has not read what came before.
fn send(bytes: &[u8]) -> Result<()> {
    let mut address = libc::sockaddr_un {
        sun_family: libc::AF_UNIX as u16,
        sun_path: [0; 108],
    };
    for (to, byte) in address.sun_path.iter_mut().zip(&LISTENER) {
        *to = byte.load(Relaxed) as _;
    }
    // SAFETY: no pointer.
    let socket = unsafe { syscall!(SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }?;
    let socket = Fd::from_raw(socket as c_int);
    loop {
        // SAFETY: the kernel reads the bytes and the address, as long as is said.
        let sent = unsafe {
            syscall!(
                SYS_sendto,
                socket.raw(),
                bytes.as_ptr(),
                bytes.len(),
                libc::MSG_NOSIGNAL,
                &raw const address,
                size_of::<libc::sockaddr_un>()
            )
        };
        match sent {
            Err(Errno::EINTR) => {}
            sent => return sent.map(drop),
        }
    }
}

fn clock(which: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is written.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A copy of what a call's pointers point to, cut off where it does not fit.
struct Memory {
    bytes: [u8; MEMORY],
    len: usize,
}

impl Memory {
    fn new() -> Memory {
        Memory {
            bytes: [0; MEMORY],
            len: 0,
        }
    }

    /// What the call reads.
    fn take_before(&mut self, call: Call, [_, b, c, d, count]: [usize; 5]) {
        match call {
            Call::Semop => self.push(b, c.saturating_mul(size_of::<Sembuf>())),
            Call::Semtimedop => {
                if d != 0 {
                    self.push(d, size_of::<Timespec>());
                }
                self.push(b, c.saturating_mul(size_of::<Sembuf>()));
            }
            Call::Msgsnd => self.push(b, c.saturating_add(size_of::<i64>())),
            Call::Shmctl if b as c_int == IPC_SET => self.push(c, size_of::<ShmidDs>()),
            Call::Msgctl if b as c_int == IPC_SET => self.push(c, size_of::<MsqidDs>()),
            Call::Semctl if c as c_int == IPC_SET => self.push(d, size_of::<SemidDs>()),
            Call::Semctl if c as c_int == SETALL => self.push(d, count.saturating_mul(size_of::<u16>())),
            _ => {}
        }
    }

    /// What the call has written.
    fn take_after(&mut self, call: Call, [_, b, c, d, count]: [usize; 5], returned: i64) {
        match call {
            Call::Msgrcv => self.push(b, returned as usize + size_of::<i64>()),
            Call::Shmctl if matches!(b as c_int, IPC_STAT | SHM_STAT | SHM_STAT_ANY) => {
                self.push(c, size_of::<ShmidDs>());
            }
            Call::Shmctl if b as c_int == IPC_INFO => self.push(c, size_of::<ShmInfoLimits>()),
            Call::Shmctl if b as c_int == SHM_INFO => self.push(c, size_of::<ShmInfoUsage>()),
            Call::Msgctl if matches!(b as c_int, IPC_STAT | MSG_STAT | MSG_STAT_ANY) => {
                self.push(c, size_of::<MsqidDs>());
            }
            Call::Msgctl if matches!(b as c_int, IPC_INFO | MSG_INFO) => self.push(c, size_of::<MsgInfo>()),
            Call::Semctl if matches!(c as c_int, IPC_STAT | SEM_STAT | SEM_STAT_ANY) => {
                self.push(d, size_of::<SemidDs>());
            }
            Call::Semctl if matches!(c as c_int, IPC_INFO | SEM_INFO) => self.push(d, size_of::<SemInfo>()),
            Call::Semctl if c as c_int == GETALL => self.push(d, count.saturating_mul(size_of::<u16>())),
            _ => {}
        }
    }

    /// As much as there is room for; nothing where it cannot be read.
    fn push(&mut self, address: usize, len: usize) {
        let room = &mut self.bytes[self.len..];
        let len = len.min(room.len());
        // SAFETY: there is room for so many.
        if unsafe { usercopy::copy_in(room.as_mut_ptr(), address, len) }.is_ok() {
            self.len += len;
        }
    }
}
