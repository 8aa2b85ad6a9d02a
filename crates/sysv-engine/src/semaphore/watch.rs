//! Who looks for the dead while all sleep.
//!
//! A killed process cannot wake those whom its undo lets go, nor finish what it had begun. One waiter of a set *watches* on
//! behalf of all: it sleeps for short, and looks. A second is its deputy: it looks only when nobody has done so for a little
//! longer than that. The others sleep long, so that idle waiting costs next to nothing however many wait. A watcher that
//! goes on appoints another; one that is killed is replaced by its colleague.

use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::time::Duration;

use super::locked::LockedSet;
use super::memory::Set;
use super::waiters::{Cell, DONE, FAILED, NOTIFIED, WAITING};
use super::word::{Word, ZERO};
use crate::lock::Tag;
use crate::sys;
use crate::table::Semaphore;

/// Milliseconds since the last look after which the watcher, and after which its deputy, looks, where somebody may owe an
/// undo: whom a death lets go goes on within 50, even if the watcher died with the other.
const WITH_UNDO: [u64; 2] = [38, 45];
/// The same where nobody ever owed anything: whoever should have woken a sleeper may have been killed before he could.
const WITHOUT_UNDO: [u64; 2] = [150, 200];
/// How long the others sleep.
const LONG: Duration = Duration::from_secs(2);
/// Milliseconds without a look after which somebody else looks: the watchers may have been stopped.
const UNWATCHED: u64 = 400;

/// How long watcher and deputy leave the set alone.
fn distances(set: &Set<'_>) -> [u64; 2] {
    if set.head.undos.high.load(Relaxed) > 0 {
        WITH_UNDO
    } else {
        WITHOUT_UNDO
    }
}

/// Whether a waiter is the watcher (0) or the deputy (1).
fn place_of(set: &Set<'_>, first: usize) -> Option<usize> {
    let own = first as u16 + 1;
    set.head
        .watchers
        .iter()
        .position(|watcher| watcher.load(Relaxed) == own)
}

/// Milliseconds since somebody looked.
fn unwatched_for(set: &Set<'_>) -> u64 {
    sys::monotonic_ms().wrapping_sub(set.head.looked_at.load(Relaxed))
}

/// How long a waiter sleeps before it looks, unless it is woken. Before it `has_slept` it watches in any case: in a busy set
/// nobody waits for long, and nobody need be appointed.
pub(super) fn nap(set: &Set<'_>, first: usize, has_slept: bool) -> Duration {
    let distances = distances(set);
    match place_of(set, first) {
        Some(place) => Duration::from_millis(distances[place].saturating_sub(unwatched_for(set)).max(1)),
        None if has_slept => LONG,
        None => Duration::from_millis(distances[1]),
    }
}

/// Whether watcher and deputy have been appointed.
pub(super) fn has_watchers(set: &Set<'_>) -> bool {
    set.head.watchers.iter().all(|watcher| watcher.load(Relaxed) != 0)
}

/// Semaphores of a set that a watcher looks through.
const SMALL: usize = 64;

/// Whether others have watched lately, so that this waiter need not.
pub(super) fn is_watched(set: &Set<'_>, first: usize) -> bool {
    let bound = place_of(set, first).map_or(UNWATCHED, |place| distances(set)[place]);
    unwatched_for(set) < bound
}

impl LockedSet<'_> {
    /// A waiter has slept its time: looks for what nobody else would notice, if that is its part.
    pub(super) fn watch(&self, first: usize) {
        let own = first as u16 + 1;
        let watchers = &self.set.head.watchers;
        let mut watches = watchers.iter().any(|watcher| watcher.load(Relaxed) == own);
        for watcher in watchers {
            let other = watcher.load(Relaxed);
            if other == own || self.is_watching(other) {
                continue;
            }
            if watches {
                watcher.store(0, Relaxed);
                self.appoint(watcher);
            } else {
                watcher.store(own, Relaxed);
                watches = true;
            }
        }
        if watches || unwatched_for(self.set) >= UNWATCHED {
            let at_rest = self.is_at_rest();
            self.look_for_the_dead(at_rest);
            if !at_rest {
                self.call_again(first);
                self.serve_all();
            }
        }
    }

    /// Whether no waiter can have been told or served: nothing is there that anybody waits for. Of a large set that is not
    /// known.
    fn is_at_rest(&self) -> bool {
        let semaphores = self.set.semaphores;
        let wanted = |semaphore: &Semaphore| {
            let word = Word(semaphore.word.load(Relaxed));
            semaphore.waiters.load(Relaxed) != 0 && (word.value() > 0 || word.has(ZERO))
        };
        self.set.head.served.load(Relaxed) == 0 && semaphores.len() <= SMALL && !semaphores.iter().any(wanted)
    }

    fn is_watching(&self, link: u16) -> bool {
        self.waiter_at(link).is_some_and(|cell| {
            matches!(cell.state.load(Acquire), WAITING | NOTIFIED)
                && Tag::from_word(cell.owner.load(Relaxed)).is_some_and(|owner| self.is_alive(owner))
        })
    }

    fn waiter_at(&self, link: u16) -> Option<&Cell> {
        let index = (link as usize).checked_sub(1)?;
        self.records().ok()?.cells.get(index)
    }

    /// Makes some sleeper watch.
    fn appoint(&self, place: &core::sync::atomic::AtomicU16) {
        let Ok(records) = self.records() else { return };
        let watchers = &self.set.head.watchers;
        let high = (self.set.head.waiters.high.load(Relaxed) as usize).min(records.cells.len());
        let found = (0..high).find(|&index| {
            records.cells[index].state.load(Relaxed) == WAITING
                && watchers.iter().all(|watcher| watcher.load(Relaxed) != index as u16 + 1)
        });
        if let Some(index) = found {
            place.store(index as u16 + 1, Relaxed);
            // It goes to sleep again at once, for shorter.
            self.wake(index);
        }
    }

    /// Somebody will owe an undo in a set where nobody ever did: from now on watchers look more often. Whoever sleeps may be one,
    /// or about to be.
    #[cold]
    pub(super) fn hasten_watchers(&self) {
        self.for_each_first_cell(&mut |index, _, _| self.wake(index));
    }

    /// A waiter goes on: if it watched, another does from now on.
    #[inline]
    pub(super) fn end_watch(&self, first: usize) {
        for watcher in &self.set.head.watchers {
            if watcher.load(Relaxed) == first as u16 + 1 {
                watcher.store(0, Relaxed);
                self.appoint(watcher);
            }
        }
    }

    /// Wakes those once more who have been told or served and have not noticed: whoever told them may have been killed before
    /// it could wake them.
    fn call_again(&self, first: usize) {
        let Ok(records) = self.records() else { return };
        let high = (self.set.head.waiters.high.load(Relaxed) as usize).min(records.cells.len());
        for (index, cell) in records.cells[..high].iter().enumerate() {
            let state = cell.state.load(Relaxed);
            if index != first && matches!(state, NOTIFIED | DONE | FAILED) {
                sys::futex_wake(&cell.state, 1);
                if state == NOTIFIED && self.is_late(cell) {
                    self.serve_one(cell.semaphore.load(Relaxed));
                }
            }
        }
    }
}
