//! A semaphore whose holder, if he dies, gives it back: how soon whoever waits for it learns of that, and what waiting
//! costs.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use libc::SEM_UNDO;

use crate::c_api::{Set, by};
use crate::job::{Request, Sample};
use crate::statistics::Latency;
use crate::system::{self, Words, now};

/// A process that has taken the only unit and sleeps.
fn holder(set: &Set) -> libc::pid_t {
    let pid = system::fork(|| {
        set.op(&mut [by(0, -1, SEM_UNDO)]);
        std::thread::sleep(Duration::from_secs(3600));
    });
    while set.value(0) != 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
    pid
}

fn wait_for_waiters(set: &Set, count: i32) {
    while set.waiting(0) < count {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Holders that are killed, one after the other.
pub(crate) fn deaths(request: &Request) -> Sample {
    let (freed, mut times) = (Words::new(1), Vec::new());
    for _ in 0..request.count {
        let set = Set::new(1, 1);
        let holder = holder(&set);
        let waiter = system::fork(|| {
            set.op(&mut [by(0, -1, 0)]);
            freed[0].store(now(), SeqCst);
        });
        wait_for_waiters(&set, 1);
        // It may have just looked whether the holder lives: any moment until the next time is as likely.
        std::thread::sleep(Duration::from_millis(5 + times.len() as u64 * 7 % 40));
        let killed = now();
        system::kill(holder);
        system::reap(waiter);
        times.push(freed[0].load(SeqCst).saturating_sub(killed));
    }
    Sample {
        count: request.count,
        elapsed_ns: times.iter().sum(),
        latency: Latency::of(times),
        ..Sample::default()
    }
}

/// Processes that wait for a while; the processor time is theirs together, for one second, without that of starting and
/// of being let go.
pub(crate) fn idle(waiters: usize, request: &Request) -> Sample {
    let (around, all) = (spent(waiters, 0), spent(waiters, request.time_ns));
    Sample {
        count: 1,
        elapsed_ns: 1_000_000_000,
        processor_ns: (all.saturating_sub(around) as f64 * 1e9 / request.time_ns as f64) as u64,
        ..Sample::default()
    }
}

/// Nanoseconds of processor time that waiting for so long costs, from the first call to the last one's return.
fn spent(waiters: usize, time_ns: u64) -> u64 {
    let set = Set::new(1, 1);
    let holder = holder(&set);
    let used = Words::new(waiters);
    let wait = |index: usize| {
        let before = system::processor_time();
        set.op(&mut [by(0, -1, 0)]);
        used[index].store(system::processor_time() - before, SeqCst);
    };
    let children: Vec<libc::pid_t> = (0..waiters).map(|index| system::fork(|| wait(index))).collect();
    wait_for_waiters(&set, waiters as i32);
    std::thread::sleep(Duration::from_nanos(time_ns));
    for _ in 0..waiters {
        set.op(&mut [by(0, 1, 0)]);
    }
    children.into_iter().for_each(system::reap);
    system::kill(holder);
    used.iter().map(|word| word.load(SeqCst)).sum()
}
