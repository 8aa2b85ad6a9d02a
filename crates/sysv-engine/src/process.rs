//! The process itself: its record in each namespace, what `fork`, `execve` and exit do to it, and what the program does
//! behind the facility's back.

mod enrol;
mod exec;
mod fork;
mod mappings;
mod report;

pub(crate) use enrol::{enrol, enrol_again, retire, sweep_members};
pub(crate) use exec::{lives_on, note_debts};
pub(crate) use fork::{PreparedChild, watch_forks};
pub use fork::{after_fork_in_child, after_fork_in_parent, before_fork};
pub use mappings::{mmap, mremap, munmap};
pub(crate) use mappings::{note_attached, note_detached};
pub use report::ProcessReport;

use crate::member::Member;
use crate::page_vec::PageVec;
use crate::private_lock::PrivateLock;

/// The process's memberships.
pub(crate) static MEMBERS: PrivateLock<PageVec<&'static Member>> = PrivateLock::new(PageVec::new());

/// Promises that [`credentials_changed`] will be called after every change of the process's credentials, so that the
/// effective user need not be asked for at each call. Whoever interposes `setuid(2)` and its kin can promise that.
pub fn credential_changes_will_be_announced() {
    crate::credentials::changes_will_be_announced();
}

/// The process's user, groups or capabilities may have changed.
pub fn credentials_changed() {
    crate::credentials::changed();
}

/// The process exits in order: its attachments stop counting now instead of when somebody looks. Its memory stays mapped, so
/// that destructors which run later may still use it.
pub fn exiting() {
    let members = MEMBERS.lock();
    for member in members.as_slice() {
        let mut private = member.lock_private();
        if member.is_present() {
            retire(member, &mut private);
        }
    }
}
