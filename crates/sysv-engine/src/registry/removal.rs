//! The end of an object.

use core::sync::atomic::Ordering::Relaxed;

use super::{BACKING, Locked, Mechanism, Phase, State, adjust32, adjust64};
use crate::errno::Errno;
use crate::sys;

impl<S: Mechanism> Locked<'_, S> {
    /// Removes an object that nobody uses any more, or whose users are told.
    pub(crate) fn destroy(&self, number: usize, slot: &S, state: State) {
        let registry = self.registry();
        registry.unlink_key(number, slot.head().key(state));
        registry.mark_doomed(number, false);
        adjust32(&registry.header.in_use, -1);
        adjust64(&registry.header.total, -(slot.size() as i64));
        adjust64(&registry.header.promised, -(slot.promised() as i64));
        let state = State {
            phase: Phase::Dying,
            ..state
        };
        slot.head().set_state(state);
        self.finish_dying(number, slot, state);
    }

    /// Removes what somebody else, who might not, left half removed.
    pub(crate) fn finish_all_dying(&self) {
        for number in self.registry().doomed_numbers() {
            let Some(slot) = self.registry().slots.get(number) else {
                continue;
            };
            let state = slot.head().state();
            if matches!(state.phase, Phase::Making | Phase::Dying) {
                self.finish_dying(number, slot, state);
            }
        }
    }

    /// Removes the file of an object that is being made or dying, and frees its slot. Where this process may not remove
    /// the file, the slot stays as it is, marked with the doomed ones, so that every call tries until somebody comes who may.
    pub(crate) fn finish_dying(&self, number: usize, slot: &S, state: State) {
        S::end(self, number, slot, state);
        let registry = self.registry();
        if slot.flags().load(Relaxed) & BACKING != 0 {
            let id = registry.id(number, state);
            match self.member.with_object_path(S::DIRECTORY, id, sys::unlink) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(_) => return registry.mark_doomed(number, true),
            }
        }
        slot.head().set_state(State {
            phase: Phase::Free,
            ..state
        });
        registry.mark_doomed(number, false);
        registry.mark_used(number, false);
    }
}
