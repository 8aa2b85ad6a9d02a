//! Making a namespace: wholly or not at all, however many processes try at once.
//!
//! The makers take turns by `flock` on the directory, which the kernel drops when one dies. `table` comes last, under
//! a temporary name first: where it is, everything is.

use core::ffi::CStr;
use core::mem::offset_of;

use super::error::JoinError;
use crate::errno::Errno;
use crate::limits;
use crate::path::PathBuf;
use crate::sys::{self, Fd};
use crate::table::{EAGER_BYTES, FINGERPRINT, FLAG_SHARED, Header, LAYOUT_VERSION, MAGIC, Table};

/// Directories of object files.
pub(super) const OBJECT_DIRECTORIES: [&[u8]; 3] = [b"shm", b"sem", b"msg"];

/// Makes what is missing in the directory that `dir` is open on.
pub(super) fn create(directory: &CStr, dir: &Fd, shared: bool) -> Result<(), JoinError> {
    let system = JoinError::system;
    let _locked = sys::flock_exclusive(dir).map_err(system("locking the directory"))?;
    let table = PathBuf::join(directory, b"table").map_err(system("naming the table"))?;
    if sys::stat(table.as_c_str(), false).is_ok() {
        return Ok(());
    }
    if shared {
        // The directory may have stood there before, for its owner alone.
        sys::fchmod(dir, 0o711).map_err(system("setting the directory's mode"))?;
    }
    for name in OBJECT_DIRECTORIES {
        object_directory(directory, name, shared).map_err(system("making its directories"))?;
    }
    live(directory, shared).map_err(system("making its file live"))?;
    limits::create(directory, if shared { 0o644 } else { 0o600 }).map_err(system("making its file limits"))?;
    write_table(directory, table.as_c_str(), shared).map_err(system("making its table"))
}

fn object_directory(directory: &CStr, name: &[u8], shared: bool) -> Result<(), Errno> {
    let path = PathBuf::join(directory, name)?;
    match sys::mkdir(path.as_c_str(), 0o700) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(e) => return Err(e),
    }
    // Sticky: only an object's owner removes its file. Explicit: mkdir's mode was subject to the umask.
    sys::chmod(path.as_c_str(), if shared { 0o1733 } else { 0o700 })
}

fn live(directory: &CStr, shared: bool) -> Result<(), Errno> {
    let path = PathBuf::join(directory, b"live")?;
    let fd = sys::open(path.as_c_str(), libc::O_RDWR | libc::O_CREAT, 0o600)?;
    sys::fchmod(&fd, if shared { 0o666 } else { 0o600 })
}

fn write_table(directory: &CStr, path: &CStr, shared: bool) -> Result<(), Errno> {
    let temporary = PathBuf::join(directory, b"table.new")?;
    let _ = sys::unlink(temporary.as_c_str());
    let fd = sys::open(temporary.as_c_str(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600)?;
    sys::fchmod(&fd, if shared { 0o666 } else { 0o600 })?;
    sys::ftruncate(&fd, size_of::<Table>() as u64)?;
    allocate(&fd, 0, EAGER_BYTES as u64)?;
    let mut header = [0u8; 64];
    let mut put = |offset: usize, bytes: &[u8]| header[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(offset_of!(Header, magic), &MAGIC.to_le_bytes());
    put(offset_of!(Header, version), &LAYOUT_VERSION.to_le_bytes());
    put(
        offset_of!(Header, flags),
        &(if shared { FLAG_SHARED } else { 0 }).to_le_bytes(),
    );
    put(offset_of!(Header, fingerprint), &FINGERPRINT.to_le_bytes());
    put(offset_of!(Header, created), &sys::now().to_le_bytes());
    put(offset_of!(Header, creator), &sys::geteuid().to_le_bytes());
    sys::pwrite(&fd, &header, 0)?;
    sys::rename(temporary.as_c_str(), path)
}

/// Allocates a range of a sparse file that nobody uses yet, so that touching it cannot raise SIGBUS.
pub(crate) fn allocate(fd: &Fd, offset: u64, len: u64) -> Result<(), Errno> {
    match sys::fallocate(fd, offset, len) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
            let zeros = [0u8; 4096];
            let mut at = offset;
            while at < offset + len {
                let n = (offset + len - at).min(4096);
                sys::pwrite(fd, &zeros[..n as usize], at)?;
                at += n;
            }
            Ok(())
        }
        other => other,
    }
}
