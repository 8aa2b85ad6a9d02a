//! An object's file: made, given its owner and mode, opened.

use core::sync::atomic::Ordering::Relaxed;

use super::{BACKED, BACKING, Locked, Mechanism, State};
use crate::errno::{Errno, Result};
use crate::file_access;
use crate::member::Member;
use crate::namespace;
use crate::sys::{self, Fd};

/// Makes the file of a new object in a namespace for several users: it must belong to the creator from the start.
pub(crate) fn make_exclusively<S: Mechanism>(member: &Member, slot: &S, id: i32) -> Result<Fd> {
    slot.flags().fetch_or(BACKING, Relaxed);
    let file = member.with_object_path(S::DIRECTORY, id, |path| {
        sys::open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600)
    })?;
    give_form(&file, slot)?;
    Ok(file)
}

/// Opens the file of an object that has one. It is made by nobody who only opens it: the object may be gone meanwhile, and
/// its slot another's.
///
/// # Errors
/// `EIDRM` if it has none, or a shorter one; those of open(2).
pub(crate) fn open<S: Mechanism>(member: &Member, slot: &S, id: i32, read_only: bool) -> Result<Fd> {
    if slot.flags().load(Relaxed) & BACKED == 0 {
        return Err(Errno::EIDRM);
    }
    let file = member.with_object_path(S::DIRECTORY, id, |path| sys::open(path, access(read_only), 0))?;
    // Others may have cut the file short, and touching what is missing would raise SIGBUS.
    if member.is_shared() && (sys::fstat(&file)?.st_size as usize) < slot.file_length() {
        return Err(Errno::EIDRM);
    }
    Ok(file)
}

fn access(read_only: bool) -> i32 {
    if read_only { libc::O_RDONLY } else { libc::O_RDWR }
}

/// Opens the file, and makes it first if the object has none yet. For those whom the object cannot be removed under: it is
/// in the making, or they have its registry's lock, or an attachment.
pub(crate) fn open_or_make<S: Mechanism>(member: &Member, slot: &S, id: i32, read_only: bool) -> Result<Fd> {
    if slot.flags().load(Relaxed) & BACKED != 0 || member.is_shared() {
        return open(member, slot, id, read_only);
    }
    member.with_object_path(S::DIRECTORY, id, |path| {
        // Said before it is done, so that whoever removes the object looks for a file.
        slot.flags().fetch_or(BACKING, Relaxed);
        let file = match sys::open(path, libc::O_RDWR | libc::O_CREAT, 0o600) {
            // Somebody else gives it its form, or was killed doing so, and its mode already forbids writing.
            Err(Errno::EACCES) => {
                sys::chmod(path, 0o600)?;
                sys::open(path, libc::O_RDWR, 0)?
            }
            other => other?,
        };
        give_form(&file, slot)?;
        if read_only {
            sys::open(path, access(read_only), 0)
        } else {
            Ok(file)
        }
    })
}

/// Length and mode, then the word that both are right. The mode last: until then the owner can open the file again.
fn give_form<S: Mechanism>(file: &Fd, slot: &S) -> Result<()> {
    let len = slot.file_length() as u64;
    // Never shorter: somebody may have more of it mapped.
    if (sys::fstat(file)?.st_size as u64) < len {
        sys::ftruncate(file, len)?;
    }
    let eager = slot.file_eager();
    if eager > 0 {
        namespace::allocate(file, 0, eager as u64)?;
    }
    // Even where it is the one that the file was made with: the umask may have taken from that.
    sys::fchmod(file, S::file_mode(slot.head().ownership().mode))?;
    slot.flags().fetch_or(BACKED, Relaxed);
    Ok(())
}

impl<S: Mechanism> Locked<'_, S> {
    /// Gives the file the owner and the mode that the slot says, as far as this process may.
    pub(crate) fn match_file(&self, number: usize, slot: &S, state: State) {
        if slot.flags().load(Relaxed) & BACKED == 0 {
            return;
        }
        let owner = slot.head().ownership();
        let mode = S::file_mode(owner.mode);
        let id = self.registry().id(number, state);
        // What this process may not change lags behind until an `IPC_SET` of the file's owner or of root.
        let _ = self
            .member
            .with_object_path(S::DIRECTORY, id, |path| file_access::apply(path, &owner, mode));
    }
}
