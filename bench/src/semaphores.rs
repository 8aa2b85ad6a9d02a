//! Semaphore sets: `semop`, `GETVAL`, creation, turns between two processes, and a mutex among eight.
//!
//! On our side an operation's `struct sembuf` is read as the C ABI reads it.

#![allow(unsafe_code)]

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use sysv_engine::abi::{IPC_PRIVATE, SEM_UNDO, Sembuf};
use sysv_engine::{Asked, Engine, Kernel, Semaphores, usercopy};

use crate::measure::{in_turns, line};

/// A set that is removed at the end.
struct Set<'f> {
    facility: &'f dyn Semaphores,
    id: i32,
}

impl<'f> Set<'f> {
    fn new(facility: &'f dyn Semaphores, nsems: i32, value: i32) -> Set<'f> {
        let id = facility.semget(IPC_PRIVATE, nsems, 0o600).expect("semget");
        for num in 0..nsems {
            facility.sem_set_value(id, num, value).expect("SETVAL");
        }
        Set { facility, id }
    }

    fn op<const COUNT: usize>(&self, operations: &[Sembuf; COUNT]) {
        let mut copy = [Sembuf::default(); COUNT];
        // SAFETY: both are arrays of that size, and any bytes are a `Sembuf`.
        unsafe { usercopy::copy_in((&raw mut copy).cast(), operations.as_ptr() as usize, size_of_val(&copy)) }
            .expect("readable");
        self.facility.semop(self.id, &copy, None).expect("semop");
    }
}

impl Drop for Set<'_> {
    fn drop(&mut self) {
        let _ = self.facility.sem_remove(self.id);
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
pub(crate) fn run(kernel: &Kernel, engine: &Engine, filter: &str) {
    let wanted = |name: &str| name.contains(filter);
    let facilities: [&dyn Semaphores; 2] = [kernel, engine];
    let pairs = [
        ("semaphores: take and give one", [by(0, -1, 0), by(0, 1, 0)]),
        (
            "semaphores: the same with SEM_UNDO",
            [by(0, -1, SEM_UNDO), by(0, 1, SEM_UNDO)],
        ),
    ];
    for (name, [take, give]) in pairs.into_iter().filter(|(name, _)| wanted(name)) {
        let [one, other] = facilities.map(|facility| Set::new(facility, 2, 1));
        let turn = |set: &Set<'_>| {
            set.op(&[take]);
            set.op(&[give]);
        };
        line(name, in_turns(2000, &mut || turn(&one), &mut || turn(&other)));
    }
    if wanted("semaphores: take and give two") {
        let [one, other] = facilities.map(|facility| Set::new(facility, 2, 1));
        let turn = |set: &Set<'_>| {
            set.op(&[by(0, -1, 0), by(1, -1, 0)]);
            set.op(&[by(0, 1, 0), by(1, 1, 0)]);
        };
        let times = in_turns(2000, &mut || turn(&one), &mut || turn(&other));
        line("semaphores: take and give two", times);
    }
    if wanted("semaphores: GETVAL") {
        let [one, other] = facilities.map(|facility| Set::new(facility, 2, 1));
        let value = |set: &Set<'_>| assert_eq!(set.facility.sem_ask(set.id, 0, Asked::Value), Ok(1));
        line(
            "semaphores: GETVAL",
            in_turns(2000, &mut || value(&one), &mut || value(&other)),
        );
    }
    if wanted("semaphores: semget and IPC_RMID") {
        let make = |facility: &dyn Semaphores| {
            let id = facility.semget(IPC_PRIVATE, 1, 0o600).expect("semget");
            facility.sem_remove(id).expect("IPC_RMID");
        };
        let times = in_turns(500, &mut || make(kernel), &mut || make(engine));
        line("semaphores: semget and IPC_RMID", times);
    }
    for (name, processors) in [
        ("semaphores: turns on two processors", [0, 1]),
        ("semaphores: turns on one processor", [0, 0]),
    ] {
        if wanted(name) {
            let [one, other] = facilities.map(|facility| turns(facility, processors));
            println!("{name:<44} {one:>10.1} {other:>10.1} {:>8.3}", other / one);
        }
    }
    if wanted("semaphores: a mutex among eight") {
        let [one, other] = facilities.map(mutex);
        println!(
            "{:<44} {:>10.1} {:>10.1} {:>8.3}  slowest/fastest {:.2}, worst wait {:.1} ms",
            "semaphores: a mutex among eight",
            one.each,
            other.each,
            other.each / one.each,
            other.fairness,
            other.worst_wait.as_secs_f64() * 1e3
        );
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

fn reap(pid: libc::pid_t) {
    // SAFETY: our own child; no status is wanted.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

/// Nanoseconds for a round of two processes that take turns.
fn turns(facility: &dyn Semaphores, processors: [usize; 2]) -> f64 {
    const ROUNDS: u32 = 20_000;
    let set = Set::new(facility, 2, 0);
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
fn mutex(facility: &dyn Semaphores) -> Contention {
    const PROCESSES: usize = 8;
    const TIME: Duration = Duration::from_secs(2);
    struct Board {
        go: AtomicBool,
        stop: AtomicBool,
        counts: [AtomicU64; PROCESSES],
        worst: [AtomicU64; PROCESSES],
    }
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: new zeroed memory, which is a valid `Board`, shared with the children and kept until the end.
    let board = unsafe {
        let at = libc::mmap(std::ptr::null_mut(), size_of::<Board>(), protection, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        &*at.cast::<Board>()
    };
    let set = Set::new(facility, 1, 1);
    let children: Vec<libc::pid_t> = (0..PROCESSES)
        .map(|n| {
            fork(|| {
                while !board.go.load(SeqCst) {
                    std::thread::sleep(Duration::from_micros(100));
                }
                let (mut count, mut worst) = (0, Duration::ZERO);
                while !board.stop.load(Relaxed) {
                    let asked = Instant::now();
                    set.op(&[by(0, -1, 0)]);
                    let got = Instant::now();
                    worst = worst.max(got - asked);
                    while got.elapsed() < Duration::from_nanos(100) {}
                    set.op(&[by(0, 1, 0)]);
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
    children.into_iter().for_each(reap);
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
