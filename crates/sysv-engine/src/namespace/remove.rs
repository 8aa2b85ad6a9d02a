//! Removing a namespace: the files it knows, and nothing else.

use core::ffi::CStr;

use super::create::OBJECT_DIRECTORIES;
use super::error::{JoinError, JoinErrorKind};
use super::open::check_table;
use crate::errno::{Errno, Result};
use crate::path::PathBuf;
use crate::sys;

/// The other files. The table comes last: as long as it is there, the removal can be done again.
const FILES: [&[u8]; 5] = [b"live", b"limits", b"limits.new", b"table.new", b"table"];

/// Removes the namespace in a directory, and the directory if nothing else is in it.
///
/// Processes that use it keep the memory they have attached; what they call afterwards fails or is seen by nobody new.
///
/// # Errors
/// [`JoinErrorKind::Missing`] and the like for what is no namespace of this version, [`JoinErrorKind::Foreign`] for another
/// user's, [`JoinErrorKind::System`] with `ENOTEMPTY` if the directory holds something else.
pub fn remove(directory: &CStr) -> core::result::Result<(), JoinError> {
    let system = JoinError::system;
    let dir = sys::open(directory, libc::O_PATH | libc::O_DIRECTORY, 0).map_err(|errno| match errno {
        Errno::ENOENT => JoinError::new(JoinErrorKind::Missing),
        Errno::ELOOP => JoinError::new(JoinErrorKind::Symlink),
        Errno::ENOTDIR => JoinError::new(JoinErrorKind::NotDirectory),
        errno => system("opening the directory")(errno),
    })?;
    let st = sys::fstat(&dir).map_err(system("reading the directory"))?;
    let me = sys::geteuid();
    if st.st_uid != me && me != 0 {
        return Err(JoinError::new(JoinErrorKind::Foreign { owner: st.st_uid }));
    }
    let table = PathBuf::join(directory, b"table").map_err(system("naming its table"))?;
    match sys::open(table.as_c_str(), libc::O_RDONLY, 0) {
        Ok(file) => drop(check_table(&file)?),
        Err(Errno::ENOENT) => return Err(JoinError::new(JoinErrorKind::Missing)),
        Err(errno) => return Err(system("opening its table")(errno)),
    }
    remove_files(directory).map_err(system("removing its files"))?;
    sys::rmdir(directory).map_err(system("removing the directory"))
}

/// After making a namespace has failed: takes away what was made of it, and the directory if it is `fresh`. Of a directory that
/// stood there before only what bears a temporary name is certainly ours.
pub(super) fn discard(directory: &CStr, fresh: bool) {
    if fresh {
        let _ = remove_files(directory).and_then(|()| sys::rmdir(directory));
        return;
    }
    for name in [&b"limits.new"[..], b"table.new"] {
        let _ = PathBuf::join(directory, name).and_then(|path| sys::unlink(path.as_c_str()));
    }
}

fn remove_files(directory: &CStr) -> Result<()> {
    for name in OBJECT_DIRECTORIES {
        let path = PathBuf::join(directory, name)?;
        remove_objects(path.as_c_str())?;
        absent_is_fine(sys::rmdir(path.as_c_str()))?;
    }
    for name in FILES {
        absent_is_fine(sys::unlink(PathBuf::join(directory, name)?.as_c_str()))?;
    }
    Ok(())
}

fn absent_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

/// Removes the files whose names are identifiers.
fn remove_objects(directory: &CStr) -> Result<()> {
    let dir = match sys::open(directory, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
        Ok(dir) => dir,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let mut entries = [0u8; 4096];
    loop {
        let len = sys::getdents(&dir, &mut entries)?;
        if len == 0 {
            return Ok(());
        }
        let mut rest = &entries[..len];
        while let Some((name, next)) = first_entry(rest) {
            if !name.is_empty() && name.iter().all(u8::is_ascii_digit) {
                absent_is_fine(sys::unlink(PathBuf::join(directory, name)?.as_c_str()))?;
            }
            rest = next;
        }
    }
}

/// The name in the first `struct linux_dirent64`, and what follows it.
fn first_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    /// `d_ino`, `d_off`, `d_reclen` and `d_type` precede the name.
    const NAME: usize = 19;
    let len = usize::from(u16::from_le_bytes([*entries.get(16)?, *entries.get(17)?]));
    let entry = entries.get(..len)?;
    let name = entry.get(NAME..)?;
    Some((&name[..name.iter().position(|&b| b == 0)?], &entries[len..]))
}
