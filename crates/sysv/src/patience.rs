//! How long to wait, and waiting for what can only be asked for again and again.
//!
//! Where the system has no timed wait, neither a helping thread nor a signal makes one without leaving something behind. So
//! one looks, at first often and soon seldom.

use std::time::{Duration, Instant};

use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

use crate::Errno;

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    None,
    Until(Duration),
    Forever,
}

/// Looks again and again while the answer is `not_yet`, until the timeout has passed.
///
/// # Errors
/// `not_yet` after that; `EINTR` once a signal handler has run; what else the attempt says.
pub(crate) fn look<T>(
    timeout: Duration,
    not_yet: Errno,
    mut attempt: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut backoff = Backoff::new(timeout);
    loop {
        match attempt() {
            Err(errno) if errno == not_yet => match backoff.pause() {
                Pause::Over => {}
                Pause::TimedOut => return Err(not_yet),
                Pause::Interrupted => return Err(Errno::EINTR),
            },
            done => return done,
        }
    }
}

const FIRST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(16);

/// The pauses between looks, until a deadline.
struct Backoff {
    begun: Instant,
    timeout: Duration,
    next: Duration,
}

/// Why a pause ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// It is time to look again.
    Over,
    /// There was no time left for one: the last look was the last.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

impl Backoff {
    fn new(timeout: Duration) -> Backoff {
        Backoff {
            begun: Instant::now(),
            timeout,
            next: FIRST,
        }
    }

    /// Sleeps a while, at most until the deadline.
    fn pause(&mut self) -> Pause {
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
