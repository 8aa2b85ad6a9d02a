//! Until when a call waits.

use core::time::Duration;

use crate::sys;

/// Until when a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// [`sys::monotonic_us`]'s time.
    at: u64,
}

impl Deadline {
    /// For ever.
    pub(crate) const NEVER: Deadline = Deadline { at: u64::MAX };

    /// So long from now; for ever without a timeout.
    pub(crate) fn after(timeout: Option<Duration>) -> Deadline {
        let Some(timeout) = timeout else {
            return Deadline::NEVER;
        };
        // Rather too long than too short by the fraction.
        let us = u64::try_from(timeout.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        // The part of a microsecond that the clock does not show has passed already.
        let unseen = u64::from(us > 0);
        Deadline {
            at: (sys::monotonic_us() + unseen).saturating_add(us),
        }
    }

    /// What is left of a nap, at most until then.
    pub(crate) fn shorten(self, nap: Duration) -> Duration {
        if self == Deadline::NEVER {
            return nap;
        }
        nap.min(Duration::from_micros(self.at.saturating_sub(sys::monotonic_us())))
    }

    /// Whether it has passed.
    pub(crate) fn is_over(self) -> bool {
        self != Deadline::NEVER && sys::monotonic_us() >= self.at
    }
}
