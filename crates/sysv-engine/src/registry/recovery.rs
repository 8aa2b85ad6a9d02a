//! What the next owner of a registry's lock does after one died holding it: finish or undo, then rebuild what is derived.
//!
//! Every step may be killed and done again.

use core::sync::atomic::Ordering::Relaxed;

use super::{Locked, Mechanism, Phase, adjust32, adjust64};

impl<S: Mechanism> Locked<'_, S> {
    /// Brings the registry from any state that a killed process can leave to a consistent one.
    #[cold]
    pub(crate) fn recover(&self) {
        self.finish_intent();
        let registry = self.registry();
        registry.clear_derived();
        let high = (registry.header.high.load(Relaxed) as usize).min(registry.slots.len());
        for (number, slot) in registry.slots[..high].iter().enumerate() {
            let state = slot.head().state();
            match state.phase {
                Phase::Free => registry.mark_used(number, false),
                Phase::Making | Phase::Dying => {
                    registry.mark_used(number, true);
                    self.finish_dying(number, slot, state);
                }
                Phase::Live | Phase::Doomed => {
                    registry.mark_used(number, true);
                    registry.mark_doomed(number, state.phase == Phase::Doomed);
                    registry.link_key(number, slot.head().key(state));
                    adjust32(&registry.header.in_use, 1);
                    adjust64(&registry.header.total, slot.size() as i64);
                    adjust64(&registry.header.promised, slot.promised() as i64);
                }
            }
        }
        S::rebuild(self);
    }
}
