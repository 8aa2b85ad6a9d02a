//! The segments' registry, locked: attach records and derived data may be changed.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::fence;

use crate::live::LazyLive;
use crate::lock::{self, Acquired, Tag};
use crate::member::{Member, Private};
use crate::registry::Registry;
use crate::table::{SegmentSlot, Table};

/// The lock on the segments' registry, held. Released on drop.
pub(crate) struct LockedSegments<'m> {
    pub member: &'m Member,
    pub live: LazyLive<'m>,
}

impl<'m> LockedSegments<'m> {
    /// Takes the lock, and recovers first if its last owner died holding it. `_private` proves that signals are blocked
    /// and no other thread of the process is here.
    pub(crate) fn lock(member: &'m Member, _private: &Private) -> LockedSegments<'m> {
        let live = member.lazy_live();
        let header = &member.table().header.segments;
        let acquired = lock::acquire(&header.lock, member.tag(), member.spin, &|tag| {
            member.is_alive(tag, &live)
        });
        let locked = LockedSegments { member, live };
        // Odd from here; the changes that follow come after it for every reader.
        header.version.store(header.version.load(Relaxed) | 1, Relaxed);
        fence(Release);
        if acquired == Acquired::Takeover {
            locked.recover();
        }
        locked
    }

    pub(crate) fn table(&self) -> &'m Table {
        self.member.table()
    }

    pub(crate) fn registry(&self) -> Registry<'m, SegmentSlot> {
        super::registry(self.table())
    }

    /// Whether the process with this tag lives.
    pub(crate) fn is_alive(&self, tag: Tag) -> bool {
        self.member.is_alive(tag, &self.live)
    }
}

impl Drop for LockedSegments<'_> {
    fn drop(&mut self) {
        let header = &self.table().header.segments;
        header
            .version
            .store(header.version.load(Relaxed).wrapping_add(1) & !1, Release);
        lock::release(&header.lock);
    }
}
