//! What the dead left: attachments that nobody has any more, and segments that only waited for them to go.

use core::sync::atomic::Ordering::Relaxed;

use super::LockedSegments;
use crate::identity::Identity;
use crate::lock::Tag;
use crate::registry::Phase;
use crate::sys;

/// Doomed segments that one call looks after. The calls take turns over all of them.
const SWEPT_PER_CALL: usize = 64;

impl LockedSegments<'_> {
    /// Drops the attachments of dead processes from a segment; returns how many are left.
    pub(super) fn reap(&self, number: usize) -> u64 {
        let mut left = 0;
        // The owners of neighbouring records are often the same.
        let mut known: Option<(Tag, bool)> = None;
        self.for_each_of_segment(number, &mut |index, owner, _| {
            let alive = match known {
                Some((tag, alive)) if tag == owner => alive,
                _ => self.is_alive(owner),
            };
            known = Some((owner, alive));
            if alive {
                left += 1;
            } else {
                let identity = self.identity_of(owner);
                self.drop_record(index, owner);
                self.note_detach(number, identity);
            }
        });
        left
    }

    fn identity_of(&self, tag: Tag) -> Identity {
        let word = self
            .table()
            .processes
            .get(tag.index())
            .map_or(0, |record| record.identity.load(Relaxed));
        Identity::from_word(word)
    }

    /// Notes an attachment that `by` has made, other than by `shmat`.
    pub(crate) fn note_attach(&self, number: usize, by: Identity) {
        if let Some(slot) = self.registry().slots.get(number) {
            slot.atime.store(sys::now(), Relaxed);
            slot.last.store(by.word(), Relaxed);
        }
    }

    pub(super) fn note_detach(&self, number: usize, by: Identity) {
        if let Some(slot) = self.registry().slots.get(number) {
            slot.dtime.store(sys::now(), Relaxed);
            slot.last.store(by.word(), Relaxed);
        }
    }

    /// Drops one attachment of a living process, and the segment if it was doomed and this was its last.
    pub(crate) fn detach(&self, number: usize, record: usize, owner: Tag, by: Identity) {
        if self.drop_record(record, owner) {
            self.note_detach(number, by);
        }
        self.destroy_if_unused(number);
    }

    /// Destroys a doomed segment that nobody has attached any more.
    pub(crate) fn destroy_if_unused(&self, number: usize) {
        let registry = self.registry();
        let Some(slot) = registry.slots.get(number) else { return };
        let state = slot.head.state();
        if state.phase == Phase::Doomed && self.reap(number) == 0 {
            self.destroy(number, slot, state);
        }
    }

    /// Does with a slot that is marked as doomed what can be done now: an unused segment goes, and so does what somebody
    /// else could not remove.
    fn settle(&self, number: usize) {
        let Some(slot) = self.registry().slots.get(number) else {
            return;
        };
        let state = slot.head.state();
        match state.phase {
            Phase::Doomed => self.destroy_if_unused(number),
            Phase::Making | Phase::Dying => self.finish_dying(number, slot, state),
            Phase::Live | Phase::Free => {}
        }
    }

    /// Frees the memory of removed segments whose last user died: done by every call while there are any doomed ones,
    /// so that the memory is back after the next call of anybody.
    pub(super) fn sweep_doomed(&self) {
        let registry = self.registry();
        if registry.header.doomed.load(Relaxed) == 0 {
            return;
        }
        let doomed = registry.header.doomed.load(Relaxed) as usize;
        // Not always the first ones: those may be in use for long, while the last user of another dies.
        let turn = (registry.header.version.load(Relaxed) >> 1) as usize;
        let start = if doomed > SWEPT_PER_CALL {
            turn.wrapping_mul(SWEPT_PER_CALL) % doomed
        } else {
            0
        };
        let (first, wrapped) = (
            registry.doomed_numbers().skip(start),
            registry.doomed_numbers().take(start),
        );
        for number in first.chain(wrapped).take(SWEPT_PER_CALL) {
            self.settle(number);
        }
    }

    /// As [`sweep_doomed`](Self::sweep_doomed), for all of them, and for every other attachment of the dead.
    pub(crate) fn sweep_all(&self) {
        let registry = self.registry();
        for number in registry.used_numbers() {
            let Some(slot) = registry.slots.get(number) else {
                continue;
            };
            match slot.head.state().phase {
                Phase::Live => drop(self.reap(number)),
                _ => self.settle(number),
            }
        }
    }

    /// Drops every attachment of the former owners of process record `index`, and the doomed segments that only they had.
    pub(crate) fn drop_attachments_of(&self, index: usize) {
        let mut any = false;
        self.drop_records_of_process(index, &mut |slot, owner| {
            any = true;
            self.note_detach(slot, self.identity_of(owner));
        });
        if any {
            // All at once: after each record would take time that grows with the square of their number.
            for number in self.registry().doomed_numbers() {
                self.settle(number);
            }
        }
    }
}
