//! An object's file: made, given its owner and mode, opened.

use core::ffi::CStr;
use core::sync::atomic::Ordering::Relaxed;

use super::{BACKED, BACKING, Locked, Mechanism};
use crate::abi::S_IRWXUGO;
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::facility::PermChange;
use crate::file_access;
use crate::member::Member;
use crate::namespace;
use crate::sys::{self, Fd};

/// Makes the file of a new object in a namespace for several users: it must belong to the creator from the start, and grant
/// what the creator said, whatever others write into the slot meanwhile.
pub(crate) fn make_exclusively<S: Mechanism>(member: &Member, slot: &S, id: i32, mode: u32) -> Result<Fd> {
    slot.flags().fetch_or(BACKING, Relaxed);
    let file = member.with_object_path(S::DIRECTORY, id, |path| {
        sys::open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600)
    })?;
    give_form(&file, slot, mode)?;
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
        give_form(&file, slot, slot.head().ownership().mode)?;
        if read_only {
            sys::open(path, access(read_only), 0)
        } else {
            Ok(file)
        }
    })
}

/// Length and mode, then the word that both are right. The mode last: until then the owner can open the file again.
fn give_form<S: Mechanism>(file: &Fd, slot: &S, mode: u32) -> Result<()> {
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
    sys::fchmod(file, S::file_mode(mode & S_IRWXUGO))?;
    slot.flags().fetch_or(BACKED, Relaxed);
    Ok(())
}

impl<S: Mechanism> Locked<'_, S> {
    /// Gives the file the owner and the mode that `change` says, as far as the caller may.
    ///
    /// # Errors
    /// `EIO` if the file is not as an object's file is.
    pub(crate) fn change_file(&self, number: usize, slot: &S, change: &PermChange, caller: &Caller) -> Result<()> {
        let granted = self.with_file(number, slot, |path| {
            file_access::grant(path, &of_file::<S>(change), caller)
        });
        match granted {
            // The object's creator, who is no longer its owner: the file lags behind until an `IPC_SET` of its owner or of root.
            None | Some(Ok(()) | Err(Errno::EPERM)) => Ok(()),
            Some(Err(_)) => Err(Errno::EIO),
        }
    }

    /// Whether a change that somebody began has reached the file, so that it is to be finished.
    pub(crate) fn has_reached_file(&self, number: usize, slot: &S, change: &PermChange) -> bool {
        let reached = self.with_file(number, slot, |path| file_access::grants(path, &of_file::<S>(change)));
        reached.is_none_or(|reached| reached == Ok(true))
    }

    fn with_file<T>(&self, number: usize, slot: &S, act: impl FnOnce(&CStr) -> Result<T>) -> Option<Result<T>> {
        if slot.flags().load(Relaxed) & BACKED == 0 {
            return None;
        }
        let id = self.registry().id(number, slot.head().state());
        Some(self.member.with_object_path(S::DIRECTORY, id, act))
    }
}

/// What a change of the object means for its file.
fn of_file<S: Mechanism>(change: &PermChange) -> PermChange {
    PermChange {
        mode: S::file_mode(change.mode & S_IRWXUGO),
        ..*change
    }
}

#[cfg(test)]
mod tests {
    #![allow(unsafe_code)]

    use std::ffi::CString;

    use super::*;
    use crate::abi::{IPC_NOWAIT, IPC_PRIVATE};
    use crate::{Engine, Join, Queues, queue};

    /// Reading found it: a file that is made a second time, because its maker was killed before it said that it is whole, was cut
    /// to its first length. Meanwhile others may have used more of it.
    #[test]
    fn a_file_that_is_made_again_keeps_its_length() {
        let directory = format!("/dev/shm/sysv-file-unit-{}", std::process::id());
        let engine = Engine::join(&CString::new(directory.as_str()).unwrap(), Join::Create).unwrap();
        let id = engine.msgget(IPC_PRIVATE, 0o600).unwrap();
        let mut message = [7u64, 0x1234];
        // SAFETY: the message is that long.
        unsafe { engine.msgsnd(id, (&raw const message) as usize, 8, IPC_NOWAIT) }.unwrap();
        let member = engine.member();
        let (_, slot, _) = queue::registry(member.table()).find_id(id).unwrap();
        let length = |file: &Fd| sys::fstat(file).unwrap().st_size as usize;
        let before = length(&open(member, slot, id, true).unwrap());
        assert!(before > slot.file_length(), "it has grown");
        slot.flags().store(BACKING, Relaxed);
        assert_eq!(length(&open_or_make(member, slot, id, false).unwrap()), before);
        message[1] = 0;
        // SAFETY: the message may be overwritten, and is that long.
        let received = unsafe { engine.msgrcv(id, (&raw mut message) as usize, 8, 0, IPC_NOWAIT) };
        assert_eq!((received, message[1]), (Ok(8), 0x1234));
        let _ = std::fs::remove_dir_all(directory);
    }
}
