//! Semaphore sets through the C ABI: the C library's calls, which are the kernel's, and those of `libsysv.so`.
//!
//! The library is the one that is built beside this program (`cargo build --profile library -p sysv-preload`), or the file that
//! `LIBSYSV` names.

#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use sysv_engine::abi::{GETVAL, IPC_PRIVATE, IPC_RMID, SEM_UNDO, SETVAL, Sembuf};
use sysv_engine::{Engine, Kernel};

use crate::measure::{in_turns, line};

/// The calls as C programs make them.
#[derive(Clone, Copy)]
struct Calls {
    semget: unsafe extern "C" fn(c_int, c_int, c_int) -> c_int,
    semop: unsafe extern "C" fn(c_int, *const Sembuf, usize) -> c_int,
    semctl: unsafe extern "C" fn(c_int, c_int, c_int, usize) -> c_int,
}

impl Calls {
    /// Those of a shared library that stays loaded, or of the C library.
    fn of(library: Option<&PathBuf>) -> Result<Calls, String> {
        let handle = match library {
            None => libc::RTLD_DEFAULT,
            Some(path) => {
                let name = CString::new(path.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
                // SAFETY: `libsysv.so` has no constructor.
                unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) }
            }
        };
        let find = |name: &std::ffi::CStr| {
            // SAFETY: a terminated name; a handle that is null finds the C library's.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            (!symbol.is_null()).then_some(symbol).ok_or(format!("no {name:?}"))
        };
        if library.is_some() && handle.is_null() {
            return Err("it cannot be loaded".to_owned());
        }
        // SAFETY: these are the calls' types; the variadic semctl takes its fourth argument where a fourth one goes.
        unsafe {
            Ok(Calls {
                semget: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int, c_int, c_int) -> c_int>(find(
                    c"semget",
                )?),
                semop: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int, *const Sembuf, usize) -> c_int>(
                    find(c"semop")?,
                ),
                semctl: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int, c_int, c_int, usize) -> c_int>(
                    find(c"semctl")?,
                ),
            })
        }
    }

    /// The kernel's calls and ours, in the engine's namespace.
    fn both(engine: &Engine) -> Result<[Calls; 2], String> {
        let library = match std::env::var_os("LIBSYSV") {
            Some(path) => PathBuf::from(path),
            None => {
                let program = std::env::current_exe().map_err(|e| e.to_string())?;
                program.with_file_name("libsysv_preload.so")
            }
        };
        let namespace = std::ffi::OsString::from_vec(engine.directory().to_bytes().to_vec());
        // SAFETY: this process has one thread.
        unsafe { std::env::set_var("SYSV_NAMESPACE", namespace) };
        let ours = Calls::of(Some(&library)).map_err(|e| format!("{}: {e}", library.display()))?;
        Ok([Calls::of(None)?, ours])
    }
}

/// A set that is removed at the end.
struct Set {
    calls: Calls,
    id: c_int,
}

impl Set {
    fn new(calls: Calls, nsems: c_int, value: c_int) -> Set {
        // SAFETY: no pointer.
        let id = unsafe { (calls.semget)(IPC_PRIVATE, nsems, 0o600) };
        assert!(id >= 0, "semget: {}", std::io::Error::last_os_error());
        let set = Set { calls, id };
        for num in 0..nsems {
            // SAFETY: the argument is a value.
            assert_eq!(unsafe { (calls.semctl)(id, num, SETVAL, value as usize) }, 0);
        }
        set
    }

    #[inline]
    fn op<const COUNT: usize>(&self, operations: &[Sembuf; COUNT]) {
        // SAFETY: so many operations stand there.
        let result = unsafe { (self.calls.semop)(self.id, operations.as_ptr(), COUNT) };
        assert_eq!(result, 0, "semop: {}", std::io::Error::last_os_error());
    }

    #[inline]
    fn value(&self) -> c_int {
        // SAFETY: no pointer.
        unsafe { (self.calls.semctl)(self.id, 0, GETVAL, 0) }
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        // SAFETY: no pointer.
        unsafe { (self.calls.semctl)(self.id, 0, IPC_RMID, 0) };
    }
}

const fn by(num: u16, op: i16, flags: i32) -> Sembuf {
    Sembuf {
        num,
        op,
        flg: flags as i16,
    }
}

/// Measures what has `filter` in its name.
pub(crate) fn run(_: &Kernel, engine: &Engine, filter: &str) {
    let wanted = |name: &str| name.contains(filter);
    if !"semaphores: ".contains(filter) && !filter.starts_with("semaphores: ") {
        return;
    }
    let calls = match Calls::both(engine) {
        Ok(calls) => calls,
        Err(error) => return println!("semaphores: not measured: {error}"),
    };
    alone(calls, &wanted);
    together(calls, &wanted);
}

/// What one process does alone.
fn alone(calls: [Calls; 2], wanted: &dyn Fn(&str) -> bool) {
    let pair = |name: &str, nsems: c_int, turn: &dyn Fn(&Set)| {
        if wanted(name) {
            let [one, other] = calls.map(|calls| Set::new(calls, nsems, 1));
            line(name, in_turns(5000, &mut || turn(&one), &mut || turn(&other)));
        }
    };
    pair("semaphores: take and give one", 2, &|set| {
        set.op(&[by(0, -1, 0)]);
        set.op(&[by(0, 1, 0)]);
    });
    pair("semaphores: the same in a set of 100", 100, &|set| {
        set.op(&[by(0, -1, 0)]);
        set.op(&[by(0, 1, 0)]);
    });
    pair("semaphores: the same with SEM_UNDO", 2, &|set| {
        set.op(&[by(0, -1, SEM_UNDO)]);
        set.op(&[by(0, 1, SEM_UNDO)]);
    });
    pair("semaphores: take and give two", 2, &|set| {
        set.op(&[by(0, -1, 0), by(1, -1, 0)]);
        set.op(&[by(0, 1, 0), by(1, 1, 0)]);
    });
    pair("semaphores: the same two with SEM_UNDO", 2, &|set| {
        set.op(&[by(0, -1, SEM_UNDO), by(1, -1, SEM_UNDO)]);
        set.op(&[by(0, 1, SEM_UNDO), by(1, 1, SEM_UNDO)]);
    });
    pair("semaphores: GETVAL", 2, &|set| assert_eq!(set.value(), 1));
    if wanted("semaphores: semget and IPC_RMID") {
        let [one, other] = calls.map(|calls| move || drop(Set::new(calls, 1, 0)));
        let times = in_turns(500, &mut || one(), &mut || other());
        line("semaphores: semget and IPC_RMID", times);
    }
}

/// What several processes do.
fn together(calls: [Calls; 2], wanted: &dyn Fn(&str) -> bool) {
    for (name, processors) in [
        ("semaphores: turns on two processors", [0, 1]),
        ("semaphores: turns on one processor", [0, 0]),
    ] {
        if wanted(name) {
            let [one, other] = calls.map(|calls| turns(calls, processors));
            println!("{name:<44} {one:>10.1} {other:>10.1} {:>8.3}", other / one);
        }
    }
    for (name, flags) in [
        ("semaphores: a mutex among eight", 0),
        ("semaphores: the same with SEM_UNDO", SEM_UNDO),
    ] {
        if wanted(name) {
            let [one, other] = calls.map(|calls| mutex(calls, flags));
            println!(
                "{name:<44} {:>10.1} {:>10.1} {:>8.3}  slowest/fastest {:.2} ({:.2}), worst wait {:.1} ms ({:.1})",
                one.each,
                other.each,
                other.each / one.each,
                other.fairness,
                one.fairness,
                other.worst_wait.as_secs_f64() * 1e3,
                one.worst_wait.as_secs_f64() * 1e3,
            );
        }
    }
    let name = "semaphores: freed by a death, ms";
    if wanted(name) {
        let [one, other] = calls.map(freed_by_a_death);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        println!("{name:<44} {:>10.1} {:>10.1}", milliseconds(one), milliseconds(other));
    }
    let name = "semaphores: 100 idle waiters, us a second";
    if wanted(name) {
        let [one, other] = calls.map(idle);
        println!("{name:<44} {one:>10.1} {other:>10.1}");
    }
}

/// Keeps the process on a processor, or lets it run on all.
fn pin(processor: Option<usize>) {
    // SAFETY: a set of processors is plain bits.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        match processor {
            Some(processor) => libc::CPU_SET(processor, &mut set),
            None => (0..libc::CPU_SETSIZE as usize).for_each(|processor| libc::CPU_SET(processor, &mut set)),
        }
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// Runs `body` in a child.
fn fork(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        body();
        // SAFETY: no destructors of the parent's.
        unsafe { libc::_exit(0) };
    }
    pid
}

/// Waits for a child's end; what it has used of the processor.
fn reap(pid: libc::pid_t) -> Duration {
    // SAFETY: our own child; the usage is plain numbers.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::wait4(pid, std::ptr::null_mut(), 0, &mut usage);
        usage
    };
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000))
        .sum()
}

/// Zeroed memory that children share, kept until the end.
///
/// # Safety
/// Zeros are a valid `T`.
unsafe fn shared<T: Sync>() -> &'static T {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: new memory, large enough; the caller vouches for the zeros.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), size_of::<T>(), protection, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        &*at.cast::<T>()
    }
}

/// Nanoseconds for a round of two processes that take turns.
fn turns(calls: Calls, processors: [usize; 2]) -> f64 {
    const ROUNDS: u32 = 20_000;
    let set = Set::new(calls, 2, 0);
    let child = fork(|| {
        pin(Some(processors[1]));
        for _ in 0..ROUNDS {
            set.op(&[by(0, -1, 0)]);
            set.op(&[by(1, 1, 0)]);
        }
    });
    pin(Some(processors[0]));
    std::thread::sleep(Duration::from_millis(20));
    let start = Instant::now();
    for _ in 0..ROUNDS {
        set.op(&[by(0, 1, 0)]);
        set.op(&[by(1, -1, 0)]);
    }
    let elapsed = start.elapsed();
    reap(child);
    pin(None);
    elapsed.as_nanos() as f64 / f64::from(ROUNDS)
}

/// What became of a mutex.
struct Contention {
    /// Nanoseconds for one acquisition, whoever's.
    each: f64,
    /// The slowest process's count by the fastest one's.
    fairness: f64,
    worst_wait: Duration,
}

/// Eight processes around 100 ns of work, for two seconds.
fn mutex(calls: Calls, flags: i32) -> Contention {
    const PROCESSES: usize = 8;
    const TIME: Duration = Duration::from_secs(2);
    struct Board {
        go: AtomicBool,
        stop: AtomicBool,
        counts: [AtomicU64; PROCESSES],
        worst: [AtomicU64; PROCESSES],
    }
    // SAFETY: atomics.
    let board = unsafe { shared::<Board>() };
    let set = Set::new(calls, 1, 1);
    let children: Vec<libc::pid_t> = (0..PROCESSES)
        .map(|n| {
            fork(|| {
                while !board.go.load(SeqCst) {
                    std::thread::sleep(Duration::from_micros(100));
                }
                let (mut count, mut worst) = (0, Duration::ZERO);
                while !board.stop.load(Relaxed) {
                    let asked = Instant::now();
                    set.op(&[by(0, -1, flags)]);
                    let got = Instant::now();
                    worst = worst.max(got - asked);
                    while got.elapsed() < Duration::from_nanos(100) {}
                    set.op(&[by(0, 1, flags)]);
                    count += 1;
                }
                board.counts[n].store(count, SeqCst);
                board.worst[n].store(worst.as_nanos() as u64, SeqCst);
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    board.go.store(true, SeqCst);
    std::thread::sleep(TIME);
    board.stop.store(true, SeqCst);
    for child in children {
        reap(child);
    }
    let counts = board.counts.each_ref().map(|count| count.load(SeqCst));
    let total: u64 = counts.iter().sum();
    let (least, most) = (counts.iter().min().copied(), counts.iter().max().copied());
    let worst = board.worst.iter().map(|worst| worst.load(SeqCst)).max();
    Contention {
        each: TIME.as_nanos() as f64 / total as f64,
        fairness: least.unwrap_or(0) as f64 / most.unwrap_or(1).max(1) as f64,
        worst_wait: Duration::from_nanos(worst.unwrap_or(0)),
    }
}

/// The longest time, of twenty, from a holder's death to the end of the wait that its undo ends.
fn freed_by_a_death(calls: Calls) -> Duration {
    let start = Instant::now();
    // SAFETY: an atomic.
    let freed = unsafe { shared::<AtomicU64>() };
    let once = |_| {
        let set = Set::new(calls, 1, 1);
        let holder = fork(|| {
            set.op(&[by(0, -1, SEM_UNDO)]);
            std::thread::sleep(Duration::from_secs(60));
        });
        while set.value() != 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        let waiter = fork(|| {
            set.op(&[by(0, -1, 0)]);
            freed.store(start.elapsed().as_nanos() as u64, SeqCst);
        });
        std::thread::sleep(Duration::from_millis(30));
        let killed = start.elapsed();
        // SAFETY: our own child.
        unsafe { libc::kill(holder, libc::SIGKILL) };
        reap(waiter);
        reap(holder);
        Duration::from_nanos(freed.load(SeqCst)).saturating_sub(killed)
    };
    (0..20).map(once).max().unwrap_or_default()
}

/// Microseconds of processor time that a hundred waiting processes use in a second, while somebody owes what they wait for.
fn idle(calls: Calls) -> f64 {
    const WAITERS: usize = 100;
    const TIME: Duration = Duration::from_secs(5);
    /// How long they wait, and what is spent.
    fn spent(calls: Calls, time: Duration) -> Duration {
        let set = Set::new(calls, 1, 1);
        let holder = fork(|| {
            set.op(&[by(0, -1, SEM_UNDO)]);
            std::thread::sleep(Duration::from_secs(60));
        });
        while set.value() != 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        let waiters: Vec<libc::pid_t> = (0..WAITERS)
            .map(|_| {
                fork(|| {
                    set.op(&[by(0, -1, 0)]);
                })
            })
            .collect();
        std::thread::sleep(time);
        for _ in 0..WAITERS {
            set.op(&[by(0, 1, 0)]);
        }
        let spent = waiters.into_iter().map(reap).sum();
        // SAFETY: our own child.
        unsafe { libc::kill(holder, libc::SIGKILL) };
        reap(holder);
        spent
    }
    // What starting and ending them costs does not count.
    let short = spent(calls, TIME / 10);
    let long = spent(calls, TIME + TIME / 10);
    long.saturating_sub(short).as_secs_f64() * 1e6 / TIME.as_secs_f64()
}
