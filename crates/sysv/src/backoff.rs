//! Waiting for what can only be asked for again and again.
//!
//! Where the system has no timed wait, neither a helping thread nor a signal makes one without leaving something behind. So
//! one looks, at first often and soon seldom: a wait of any length costs less than a thousandth of a processor, and what is
//! waited for is noticed a sixtieth of a second late at worst.

use std::time::{Duration, Instant};

use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

const FIRST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(16);

/// The pauses between looks, until a deadline.
pub(crate) struct Backoff {
    begun: Instant,
    timeout: Duration,
    next: Duration,
}

/// Why a pause ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It is time to look again.
    Over,
    /// There was no time left for one: the last look was the last.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

impl Backoff {
    pub(crate) fn new(timeout: Duration) -> Backoff {
        Backoff {
            begun: Instant::now(),
            timeout,
            next: FIRST,
        }
    }

    /// Sleeps a while, at most until the deadline.
    pub(crate) fn pause(&mut self) -> Pause {
        let left = self.timeout.saturating_sub(self.begun.elapsed());
        if left.is_zero() {
            return Pause::TimedOut;
        }
        let pause = self.next.min(left);
        self.next = (self.next * 2).min(LONGEST);
        let request = Timespec {
            tv_sec: 0,
            tv_nsec: pause.subsec_nanos().into(),
        };
        match nanosleep(&request) {
            NanosleepRelativeResult::Interrupted(_) => Pause::Interrupted,
            _ => Pause::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_last_until_the_timeout_and_not_for_less() {
        let timeout = Duration::from_millis(40);
        let begun = Instant::now();
        let mut backoff = Backoff::new(timeout);
        let mut looks = 0;
        while backoff.pause() != Pause::TimedOut {
            looks += 1;
        }
        assert!(begun.elapsed() >= timeout);
        assert!(looks < 40, "{looks} looks in 40 ms");
        assert_eq!(Backoff::new(Duration::ZERO).pause(), Pause::TimedOut);
    }
}
