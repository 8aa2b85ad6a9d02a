//! What the next owner of the lock does after one died holding it: finish or undo, then rebuild what is derived.
//!
//! Every step may be killed and done again.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{LockedSegments, backing};
use crate::abi::S_IRWXUGO;
use crate::registry::{Phase, adjust32, adjust64};

impl LockedSegments<'_> {
    /// Brings the registry from any state that a killed process can leave to a consistent one.
    #[cold]
    pub(crate) fn recover(&self) {
        self.finish_intent();
        let registry = self.registry();
        registry.clear_derived();
        let high = (registry.header.high.load(Relaxed) as usize).min(registry.slots.len());
        for (number, slot) in registry.slots[..high].iter().enumerate() {
            let state = slot.head.state();
            match state.phase {
                Phase::Free => {}
                Phase::Making | Phase::Dying => {
                    registry.mark_used(number, true);
                    self.finish_dying(number, slot, state);
                }
                Phase::Live | Phase::Doomed => {
                    registry.mark_used(number, true);
                    registry.mark_doomed(number, state.phase == Phase::Doomed);
                    registry.link_key(number, slot.head.key(state));
                    adjust32(&registry.header.in_use, 1);
                    adjust64(&registry.header.total, backing::pages(slot) as i64);
                    adjust64(&registry.header.promised, backing::promised(slot) as i64);
                }
            }
        }
        self.rebuild_records();
    }

    /// Applies an armed change of ownership again.
    pub(super) fn finish_intent(&self) {
        let registry = self.registry();
        let intent = &registry.header.intent;
        let Some(number) = (intent.armed.load(Acquire) as usize).checked_sub(1) else {
            return;
        };
        if let Some(slot) = registry.slots.get(number) {
            let head = &slot.head;
            let state = head.state();
            if state.word() == intent.state.load(Relaxed) && state.exists() {
                head.uid.store(intent.uid.load(Relaxed), Relaxed);
                head.gid.store(intent.gid.load(Relaxed), Relaxed);
                head.set_permission_bits(intent.mode.load(Relaxed) & S_IRWXUGO);
                head.ctime.store(intent.ctime.load(Relaxed), Relaxed);
                self.match_file(number, slot, state);
            }
        }
        intent.armed.store(0, Release);
    }
}
