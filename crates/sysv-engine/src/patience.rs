//! Whether to watch a value before going to sleep, and for how long.
//!
//! A process on another processor changes it within a fraction of a microsecond, or within some tens of them if it has to be
//! woken first; one that needs the very processor on which we watch cannot change it at all. So whoever lets a sleeper go on
//! notes on which processor it does that ([`trace`]), in the record of the one that waits, and the sleeper tells its
//! [`Patience`] when it wakes ([`Patience::met`]). Elsewhere than there it watches, as long as that has lately been worth it.
//! On that very processor it does not, but gives way: two processes that take turns on one processor then change over without
//! being put to sleep and woken, in two thirds of the time. Where a third one has work to do, that would cost its whole share of
//! time, and is not tried again for so long that it does not matter.
//!
//! One `Patience` for each object that a process waits for: others may be used by other processes.

use core::arch::x86_64::_rdtsc;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::sys;

/// Cycles of watching at the most: longer than it takes until a sleeper that has been woken runs.
const MOST: u32 = 120_000;
/// Cycles of watching after it has been in vain for long. Once in [`SELDOM`] times it is tried anew then.
const LEAST: u32 = 2_000;
const SELDOM: u32 = 32;
/// Cycles of [`Patience::glance`].
const GLANCE: u32 = 8_000;

/// How many times as long as it took in vain, or was taken by others, to give way it is not tried again.
const STAYS: u64 = 256;
/// The same where the other one has only been slow, as it is at first: nobody else has had a share of time.
const STAYS_SHORT: u64 = 16;
/// Cycles that are less than a share of time.
const SHARE: u64 = 1_000_000;

/// A processor's number + 1, as it stands in shared memory; 0 for none. What others write there costs at most time.
pub(crate) type Trace = u16;

/// The calling thread's processor.
pub(crate) fn trace() -> Trace {
    sys::processor().wrapping_add(1) as Trace
}

/// For how many cycles not to give way again, when that took so many and what was waited for has happened, or has not.
fn stays(happened: bool, took: u64) -> u64 {
    match took {
        _ if !happened => took.saturating_mul(STAYS),
        took if took <= u64::from(MOST) => 0,
        took if took < SHARE => took.saturating_mul(STAYS_SHORT),
        took => took.saturating_mul(STAYS),
    }
}

/// What a process knows of those for whom it waits at one object. All zeros is a beginner, who watches long. Threads of a
/// process may spoil each other's knowledge.
#[derive(Default)]
pub(crate) struct Patience {
    /// Cycles to watch; 0 before the first time.
    limit: AtomicU32,
    /// Where the one ran that let this process go on last; 0 if that is not known.
    partner: AtomicU32,
    /// Times that it was not worth it.
    in_vain: AtomicU32,
    /// The processor's clock before which this process does not give way.
    stays_until: AtomicU64,
}

impl Patience {
    /// Looks until what is waited for has happened, or looking is not worth it any more; whether it has happened.
    pub(crate) fn watch(&self, happened: impl Fn() -> bool) -> bool {
        self.watch_from(trace(), happened)
    }

    /// As [`watch`](Self::watch), for short.
    pub(crate) fn glance(&self, happened: impl Fn() -> bool) -> bool {
        happened() || !self.is_here(trace()) && watch(GLANCE, happened)
    }

    /// Whether whoever is waited for needs the processor that left this trace, as far as it is known.
    fn is_here(&self, here: Trace) -> bool {
        self.partner.load(Relaxed) == u32::from(here)
    }

    /// Lets others use the processor, in the hope that what is waited for happens.
    fn give_way(&self, happened: impl Fn() -> bool) -> bool {
        let start = cycles();
        if start < self.stays_until.load(Relaxed) {
            return false;
        }
        sys::give_way();
        let took = cycles().wrapping_sub(start);
        let happened = happened();
        let stays = stays(happened, took);
        if stays > 0 {
            self.stays_until.store(start.saturating_add(stays), Relaxed);
        }
        happened
    }

    fn watch_from(&self, here: Trace, happened: impl Fn() -> bool) -> bool {
        if happened() {
            return true;
        }
        if self.is_here(here) {
            return self.give_way(happened);
        }
        let limit = self.limit();
        let happened = watch(limit, happened);
        self.learn(limit, happened);
        happened
    }

    /// Another process has let this one go on, on that processor.
    #[inline]
    pub(crate) fn met(&self, partner: Trace) {
        if self.partner.load(Relaxed) != u32::from(partner) {
            self.partner.store(u32::from(partner), Relaxed);
        }
    }

    fn limit(&self) -> u32 {
        match self.limit.load(Relaxed) {
            0 => MOST,
            limit if limit > LEAST => limit.min(MOST),
            _ if self.in_vain.load(Relaxed).is_multiple_of(SELDOM) => MOST,
            _ => LEAST,
        }
    }

    fn learn(&self, limit: u32, happened: bool) {
        let kept = self.limit.load(Relaxed);
        let next = match (happened, kept) {
            (true, _) => limit.saturating_mul(2).min(MOST),
            (false, LEAST) => LEAST,
            (false, _) => (limit / 2).max(LEAST),
        };
        if happened {
            // It runs elsewhere, wherever that is.
            self.met(0);
        } else {
            self.in_vain.store(self.in_vain.load(Relaxed).wrapping_add(1), Relaxed);
        }
        if kept != next {
            self.limit.store(next, Relaxed);
        }
    }
}

/// Watches for so many cycles.
fn watch(limit: u32, happened: impl Fn() -> bool) -> bool {
    let start = cycles();
    loop {
        core::hint::spin_loop();
        if happened() {
            return true;
        }
        if cycles().wrapping_sub(start) > u64::from(limit) {
            return false;
        }
    }
}

/// The processor's own clock: no system call, and as good as any for a short while.
pub(crate) fn cycles() -> u64 {
    #![allow(unsafe_code)]
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { _rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// How many looks it takes to lose patience with something that never happens.
    fn looks(patience: &Patience, here: Trace) -> u32 {
        let looks = Cell::new(0);
        assert!(!patience.watch_from(here, || {
            looks.set(looks.get() + 1);
            false
        }));
        looks.get()
    }

    #[test]
    fn patience_is_lost_soon_and_found_again() {
        let patience = Patience::default();
        assert_eq!(patience.limit(), MOST);
        for _ in 0..10 {
            looks(&patience, 1);
        }
        let mut limits = 0;
        for _ in 0..SELDOM {
            limits += patience.limit();
            patience.learn(patience.limit(), false);
        }
        assert_eq!(limits, (SELDOM - 1) * LEAST + MOST);
        let second = Cell::new(false);
        for _ in 0..10 {
            second.set(false);
            assert!(patience.watch_from(1, || second.replace(true)));
        }
        assert_eq!(patience.limit(), MOST);
    }

    #[test]
    fn giving_way_is_soon_tried_again_after_the_other_was_slow_and_not_after_a_third_one_ran() {
        assert_eq!(stays(true, 20_000), 0);
        assert_eq!(stays(true, 200_000), 3_200_000);
        assert_eq!(stays(true, 8_000_000), 2_048_000_000);
        assert_eq!(stays(false, 1_000), 256_000);
        assert_eq!(stays(true, u64::MAX), u64::MAX);
    }

    #[test]
    fn nobody_watches_for_one_who_needs_the_same_processor() {
        let patience = Patience::default();
        patience.met(3);
        // Before and after giving way; then not even that.
        assert_eq!(looks(&patience, 3), 2);
        assert_eq!(looks(&patience, 3), 1);
        assert!(looks(&patience, 4) > 2);
        // What is there already says nothing about who made it.
        assert!(patience.watch_from(3, || true));
        assert!(looks(&patience, 3) <= 2);
        // Where it has come while we watched, the other does run elsewhere.
        let second = Cell::new(false);
        assert!(patience.watch_from(4, || second.replace(true)));
        assert!(looks(&patience, 3) > 2);
    }
}
