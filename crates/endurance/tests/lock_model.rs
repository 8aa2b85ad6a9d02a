//! Every interleaving of the lock, its takeover and the reads without it, and every order in which the memory model lets
//! their stores become visible. The engine's own two files, with loom's atomics under them.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p endurance --test lock_model`

#![cfg(loom)]
#![allow(unsafe_code, missing_docs)]

#[path = "../../sysv-engine/src/lock.rs"]
#[allow(dead_code)]
mod lock;
#[path = "../../sysv-engine/src/version.rs"]
mod version;

mod primitive {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
}

/// The futex, as far as the lock relies on it.
mod sys {
    use std::cell::Cell;
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    use loom::sync::atomic::AtomicU32;
    use loom::sync::{Condvar, Mutex};

    loom::lazy_static! {
        static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    }

    thread_local! {
        /// Whether naps end by themselves. Loom runs a model's threads on one thread of the system.
        pub(crate) static NAPS_END: Cell<bool> = const { Cell::new(true) };
    }

    pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, _nap: Duration) {
        if NAPS_END.get() {
            loom::thread::yield_now();
            return;
        }
        let (mutex, condition) = &*SLEEPERS;
        let guard = mutex.lock().unwrap();
        if word.load(Relaxed) == expected {
            drop(condition.wait(guard).unwrap());
        }
    }

    pub(crate) fn futex_wake(_word: &AtomicU32, _count: i32) {
        let (mutex, condition) = &*SLEEPERS;
        drop(mutex.lock().unwrap());
        condition.notify_one();
    }
}

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use lock::{Acquired, Tag, acquire, release};

fn model(naps_end: bool, body: impl Fn() + Sync + Send + 'static) {
    sys::NAPS_END.set(naps_end);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// Something that only the lock's holder may touch; loom complains when two do.
struct Guarded {
    word: AtomicU32,
    value: UnsafeCell<u32>,
}

impl Guarded {
    fn new(word: u32) -> Arc<Guarded> {
        Arc::new(Guarded {
            word: AtomicU32::new(word),
            value: UnsafeCell::new(0),
        })
    }

    fn enter(&self, index: usize, alive: &dyn Fn(Tag) -> bool) -> Acquired {
        let acquired = acquire(&self.word, Tag::new(index, 0), false, alive);
        // SAFETY: the lock is held; loom checks that this is so.
        self.value.with_mut(|value| unsafe { *value += 1 });
        acquired
    }
}

#[test]
fn holders_exclude_each_other_and_no_waiter_is_forgotten() {
    // Naps do not end by themselves: a forgotten waiter is a deadlock, which loom reports.
    model(false, || {
        let guarded = Guarded::new(0);
        let threads: Vec<_> = (0..2)
            .map(|index| {
                let guarded = guarded.clone();
                loom::thread::spawn(move || {
                    assert_eq!(guarded.enter(index, &|_| true), Acquired::Clean);
                    release(&guarded.word);
                })
            })
            .collect();
        assert_eq!(guarded.enter(2, &|_| true), Acquired::Clean);
        release(&guarded.word);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(guarded.word.load(Relaxed), 0);
    });
}

#[test]
fn one_of_two_succeeds_a_dead_owner_and_the_other_follows_in_order() {
    model(true, || {
        let dead = Tag::new(7, 3);
        let guarded = Guarded::new(dead.word());
        let enter = move |guarded: &Guarded, index| {
            let acquired = guarded.enter(index, &|tag| tag != dead);
            release(&guarded.word);
            acquired
        };
        let other = {
            let guarded = guarded.clone();
            loom::thread::spawn(move || enter(&guarded, 1))
        };
        let mine = enter(&guarded, 0);
        let theirs = other.join().unwrap();
        assert_ne!(mine, theirs, "one takeover");
        assert_eq!(guarded.word.load(Relaxed), 0);
    });
}

#[test]
fn an_owner_that_dies_in_the_middle_is_succeeded_once_it_is_dead() {
    model(true, || {
        let guarded = Guarded::new(0);
        let died = Arc::new(AtomicBool::new(false));
        let owner = {
            let (guarded, died) = (guarded.clone(), died.clone());
            loom::thread::spawn(move || {
                guarded.enter(1, &|_| true);
                // Its death is known only after everything that it did.
                died.store(true, Release);
            })
        };
        let acquired = guarded.enter(0, &|tag| tag != Tag::new(1, 0) || !died.load(Acquire));
        if acquired == Acquired::Takeover {
            assert!(died.load(Relaxed));
            release(&guarded.word);
        } else {
            // We were first, and it takes the lock after us.
            release(&guarded.word);
        }
        owner.join().unwrap();
    });
}

#[test]
fn what_is_read_without_the_lock_is_whole_or_not_believed() {
    model(true, || {
        let shared = Arc::new((AtomicU64::new(0), AtomicU32::new(0), AtomicU32::new(0)));
        let writer = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                for value in 1..3 {
                    version::begin_change(&shared.0);
                    shared.1.store(value, Relaxed);
                    shared.2.store(value, Relaxed);
                    version::end_change(&shared.0);
                }
            })
        };
        let read = version::read_unchanged(&shared.0, || (shared.1.load(Relaxed), shared.2.load(Relaxed)));
        if let Some((first, second)) = read {
            assert_eq!(first, second);
        }
        writer.join().unwrap();
    });
}

#[test]
fn what_a_dead_writer_left_half_done_is_never_believed() {
    model(true, || {
        let shared = Arc::new((AtomicU64::new(0), AtomicU32::new(0), AtomicU32::new(0)));
        let writer = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                // The first dies in the middle; the next begins, recovers, and ends.
                version::begin_change(&shared.0);
                shared.1.store(1, Relaxed);
                version::begin_change(&shared.0);
                shared.1.store(2, Relaxed);
                shared.2.store(2, Relaxed);
                version::end_change(&shared.0);
            })
        };
        let read = version::read_unchanged(&shared.0, || (shared.1.load(Relaxed), shared.2.load(Relaxed)));
        assert!(matches!(read, None | Some((0, 0) | (2, 2))), "{read:?}");
        writer.join().unwrap();
    });
}
