//! Processes that begin together and are timed from the first one's start to the last one's end.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::time::Duration;

use crate::job::{Placement, Sample};
use crate::system::{self, Words};

/// What one process does: made ready in it, and then done.
pub(crate) type Role<'a> = Box<dyn FnOnce() -> Task<'a> + 'a>;
/// The part that is timed. It returns how much was done; what it holds is given up afterwards.
pub(crate) type Task<'a> = Box<dyn FnMut() -> u64 + 'a>;

const READY: usize = 0;
const GO: usize = 1;
const HEAD: usize = 8;
/// Words of a member: start, end, processor time, count.
const EACH: usize = 8;

/// Forks a process for each role, lets them begin together, and waits for all.
pub(crate) fn together(placement: Placement, roles: Vec<Role<'_>>) -> Sample {
    let members = roles.len();
    let board = Words::new(HEAD + EACH * members);
    let children: Vec<libc::pid_t> = roles
        .into_iter()
        .enumerate()
        .map(|(index, role)| system::fork(|| member(&board, placement, index, role)))
        .collect();
    while board[READY].load(Acquire) < members as u64 {
        std::thread::sleep(Duration::from_micros(50));
    }
    // All sleep now or are about to: they begin with nobody in their way.
    std::thread::sleep(Duration::from_micros(200));
    board[GO].store(system::now() + 100_000, Release);
    children.into_iter().for_each(system::reap);
    let column = |word: usize| (0..members).map(move |index| HEAD + EACH * index + word);
    let values = |word| column(word).map(|at| board[at].load(Relaxed)).collect::<Vec<u64>>();
    let (starts, ends, counts) = (values(0), values(1), values(3));
    let (start, end) = (starts.iter().min(), ends.iter().max());
    let (least, most) = (counts.iter().min(), counts.iter().max());
    Sample {
        count: counts.iter().sum(),
        elapsed_ns: end.zip(start).map_or(0, |(end, start)| end.saturating_sub(*start)),
        processor_ns: values(2).iter().sum(),
        latency: None,
        fairness: least
            .zip(most)
            .map(|(least, most)| *least as f64 / (*most).max(1) as f64),
    }
}

fn member(board: &[AtomicU64], placement: Placement, index: usize, role: Role<'_>) {
    system::place(placement, index);
    let mut task = role();
    board[READY].fetch_add(1, SeqCst);
    let begin = loop {
        match board[GO].load(Acquire) {
            0 => std::thread::sleep(Duration::from_micros(50)),
            begin => break begin,
        }
    };
    // Those on the same processor would only take it from each other.
    while system::now() < begin {
        std::thread::yield_now();
    }
    let used = system::processor_time();
    let start = system::now();
    let count = task();
    let end = system::now();
    let used = system::processor_time() - used;
    let mine = HEAD + EACH * index;
    for (word, value) in [start, end, used, count].into_iter().enumerate() {
        board[mine + word].store(value, Release);
    }
}
