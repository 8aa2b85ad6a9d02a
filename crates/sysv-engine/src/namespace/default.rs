//! Which namespace a process uses that was not told.

use core::ffi::CStr;

use super::error::{JoinError, JoinErrorKind};
use crate::errno::{Errno, Result};
use crate::path::PathBuf;
use crate::sys;

/// The default namespace's directory: `/dev/shm/sysv-<uid>` of the effective user.
///
/// Programs start as root and drop to another user, so root's namespace must let them pass and nobody else:
/// `/dev/shm/sysv-0` is a directory that others may pass but not list (0711), and the namespace is a directory in it
/// with an unguessable name, which only root can look up (in the file `current`).
///
/// # Errors
/// When root's directory cannot be made or read.
pub fn default_directory() -> core::result::Result<PathBuf, JoinError> {
    let uid = sys::geteuid();
    let base = PathBuf::from_args(format_args!("/dev/shm/sysv-{uid}"))
        .map_err(JoinError::system("naming the default directory"))?;
    if uid != 0 {
        return Ok(base);
    }
    inner(base.as_c_str())
}

fn inner(base: &CStr) -> core::result::Result<PathBuf, JoinError> {
    let system = JoinError::system;
    match sys::mkdir(base, 0o711) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(e) => return Err(system("making /dev/shm/sysv-0")(e)),
    }
    let dir = sys::open(base, libc::O_RDONLY | libc::O_DIRECTORY, 0).map_err(|e| match e {
        Errno::ELOOP => JoinError::new(JoinErrorKind::Symlink),
        Errno::ENOTDIR => JoinError::new(JoinErrorKind::NotDirectory),
        e => system("opening /dev/shm/sysv-0")(e),
    })?;
    let st = sys::fstat(&dir).map_err(system("reading /dev/shm/sysv-0"))?;
    if st.st_uid != 0 {
        return Err(JoinError::new(JoinErrorKind::Foreign { owner: st.st_uid }));
    }
    if st.st_mode & 0o022 != 0 {
        return Err(JoinError::new(JoinErrorKind::Writable {
            mode: st.st_mode & 0o7777,
        }));
    }
    // mkdir's mode was subject to the umask.
    sys::fchmod(&dir, 0o711).map_err(system("setting the mode of /dev/shm/sysv-0"))?;
    let _locked = sys::flock_exclusive(&dir).map_err(system("locking /dev/shm/sysv-0"))?;
    match current(base) {
        Ok(path) => Ok(path),
        Err(Errno::ENOENT) => choose(base).map_err(system("choosing a directory in /dev/shm/sysv-0")),
        Err(e) => Err(system("reading /dev/shm/sysv-0/current")(e)),
    }
}

/// The directory that `current` names.
fn current(base: &CStr) -> Result<PathBuf> {
    let file = sys::open(PathBuf::join(base, b"current")?.as_c_str(), libc::O_RDONLY, 0)?;
    let mut name = [0u8; 64];
    let len = sys::pread(&file, &mut name, 0)?;
    let name = name[..len].trim_ascii_end();
    if name.is_empty() || name.contains(&b'/') || name.starts_with(b".") {
        return Err(Errno::EINVAL);
    }
    PathBuf::join(base, name)
}

/// Writes a new `current`, wholly or not at all. The caller holds the directory's lock.
fn choose(base: &CStr) -> Result<PathBuf> {
    let mut random = [0u8; 16];
    sys::random(&mut random)?;
    let name = PathBuf::from_args(format_args!("{:032x}", u128::from_le_bytes(random)))?;
    let temporary = PathBuf::join(base, b"current.new")?;
    let _ = sys::unlink(temporary.as_c_str());
    let file = sys::open(
        temporary.as_c_str(),
        libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL,
        0o600,
    )?;
    sys::pwrite(&file, name.as_bytes(), 0)?;
    sys::rename(temporary.as_c_str(), PathBuf::join(base, b"current")?.as_c_str())?;
    PathBuf::join(base, name.as_bytes())
}
