//! A semaphore's word, changed without the lock, against the set's lock and a sleeper: every interleaving, and every order in
//! which the memory model lets stores become visible. The engine's own `word.rs` and `lock.rs`, with loom's atomics under them;
//! the place in the queue is one cell, as for a set with one waiter.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p endurance --test semaphore_model`

#![cfg(loom)]
#![allow(unsafe_code, missing_docs)]

#[path = "../../sysv-engine/src/lock.rs"]
#[allow(dead_code)]
mod lock;
#[path = "../../sysv-engine/src/semaphore/word.rs"]
#[allow(dead_code)]
mod word;

mod primitive {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};
}

mod abi {
    pub(crate) const SEMVMX: i32 = 32767;
}

/// Of a process, what the word keeps.
mod identity {
    #[derive(Clone, Copy)]
    pub(crate) struct Identity(pub u32);

    impl Identity {
        pub(crate) fn pid(self) -> u32 {
            self.0
        }

        pub(crate) fn namespace(self) -> u32 {
            1
        }
    }
}

/// The futex. No nap ends by itself: a sleeper that nobody wakes is a deadlock, which loom reports.
mod sys {
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    use loom::sync::atomic::AtomicU32;
    use loom::sync::{Condvar, Mutex};

    loom::lazy_static! {
        static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    }

    pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, _nap: Duration) {
        let (mutex, condition) = &*SLEEPERS;
        let guard = mutex.lock().unwrap();
        if word.load(Relaxed) == expected {
            drop(condition.wait(guard).unwrap());
        }
    }

    pub(crate) fn futex_wake(_word: &AtomicU32, _count: i32) {
        let (mutex, condition) = &*SLEEPERS;
        drop(mutex.lock().unwrap());
        // Who sleeps on another word looks, and sleeps again.
        condition.notify_all();
    }
}

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use identity::Identity;
use lock::{Tag, acquire, release};
use word::{Last, MORE, Possible, Word, ZERO};

const SEQUENCE: u16 = 7;
const FREE: u32 = 0;
const WAITING: u32 = 1;
const DONE: u32 = 3;

/// A set of one semaphore with place for one waiter.
struct Set {
    lock: AtomicU32,
    word: AtomicU64,
    cell: AtomicU32,
    /// What the waiter wants, under the lock.
    wants: UnsafeCell<Option<i32>>,
}

impl Set {
    fn new(value: i32) -> Arc<Set> {
        let word = Word::new(SEQUENCE).after(value, last(0));
        Arc::new(Set {
            lock: AtomicU32::new(0),
            word: AtomicU64::new(word.0),
            cell: AtomicU32::new(FREE),
            wants: UnsafeCell::new(None),
        })
    }

    fn value(&self) -> i32 {
        Word(self.word.load(Relaxed)).value()
    }

    /// `semop` with one operation, as `operate.rs` and `wait.rs` have it: a swap; else under the lock, once more, or a place in
    /// the queue; and who changes the value under the lock serves the waiter.
    fn semop(&self, process: usize, op: i32) {
        let last = last(process as u32);
        if word::swap(&self.word, SEQUENCE, op, last) {
            return;
        }
        acquire(&self.lock, Tag::new(process, 0), false, &|_| true);
        let possible = word::operate(&self.word, op, last, true);
        if possible == Possible::Now {
            let served = self.serve(last);
            release(&self.lock);
            if served {
                sys::futex_wake(&self.cell, 1);
            }
            return;
        }
        assert_eq!(possible, Possible::Later);
        // SAFETY: the lock is held; loom checks that this is so.
        self.wants.with_mut(|wants| unsafe { *wants = Some(op) });
        self.cell.store(WAITING, Release);
        release(&self.lock);
        while self.cell.load(Acquire) == WAITING {
            sys::futex_wait(&self.cell, WAITING, Duration::MAX);
        }
        assert_eq!(self.cell.load(Relaxed), DONE);
    }

    /// Does the waiter's operation, if it can be done now.
    fn serve(&self, last: Last) -> bool {
        // SAFETY: the lock is held; loom checks that this is so.
        let Some(op) = self.wants.with(|wants| unsafe { *wants }) else {
            return false;
        };
        let served = word::operate(&self.word, op, last, true) == Possible::Now;
        if served {
            // SAFETY: as above.
            self.wants.with_mut(|wants| unsafe { *wants = None });
            self.word.fetch_and(!(MORE | ZERO), Relaxed);
            self.cell.store(DONE, Release);
        }
        served
    }
}

fn last(process: u32) -> Last {
    Last::of(Identity(process))
}

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// One process does each list of operations; the value at the end, or a deadlock.
fn together(start: i32, end: i32, lists: [&'static [i32]; 2]) {
    model(move || {
        let set = Set::new(start);
        let other = {
            let set = set.clone();
            loom::thread::spawn(move || lists[1].iter().for_each(|&op| set.semop(1, op)))
        };
        lists[0].iter().for_each(|&op| set.semop(0, op));
        other.join().unwrap();
        assert_eq!(set.value(), end);
        assert_eq!(set.word.load(Relaxed) & (MORE | ZERO), 0, "nobody waits any more");
    });
}

#[test]
fn a_unit_given_without_the_lock_is_not_missed_by_one_who_goes_to_sleep() {
    together(0, 0, [&[-1], &[1]]);
}

#[test]
fn one_who_waits_for_two_units_gets_them_from_two_swaps() {
    together(0, 0, [&[-2], &[1, 1]]);
}

#[test]
fn one_who_waits_for_zero_learns_of_it() {
    together(1, 0, [&[0], &[-1]]);
}

#[test]
fn a_unit_goes_back_and_forth_and_none_is_lost() {
    together(1, 1, [&[-1, 1], &[-1, 1]]);
}

#[test]
fn of_two_who_swap_for_one_unit_one_has_it() {
    model(|| {
        let set = Set::new(1);
        let other = {
            let set = set.clone();
            loom::thread::spawn(move || word::swap(&set.word, SEQUENCE, -1, last(1)))
        };
        let mine = word::swap(&set.word, SEQUENCE, -1, last(0));
        assert_ne!(mine, other.join().unwrap());
        assert_eq!(set.value(), 0);
    });
}
