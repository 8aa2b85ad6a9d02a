//! Opening a namespace: everything is checked before any of it is believed.

#![allow(unsafe_code)]

use core::ffi::CStr;

use super::Join;
use super::create::create;
use super::error::{JoinError, JoinErrorKind};
use super::remove::discard;
use crate::errno::Errno;
use crate::limits::LimitsPage;
use crate::path::PathBuf;
use crate::sys::{self, Fd};
use crate::table::{FINGERPRINT, FLAG_SHARED, LAYOUT_VERSION, MAGIC, Table};

/// A namespace's files, mapped.
#[derive(Debug)]
pub(crate) struct Mapped {
    /// Absolute.
    pub directory: PathBuf,
    pub table: *const Table,
    pub limits: *const LimitsPage,
    /// Device and inode of the table: what the namespace is, whatever it is called.
    pub identity: (u64, u64),
    pub shared: bool,
}

impl Mapped {
    /// Unmaps the files.
    ///
    /// # Safety
    /// No reference to them may be left.
    pub(crate) unsafe fn unmap(&self) {
        // SAFETY: both were mapped by `open` with these sizes; the caller vouches for the rest.
        unsafe {
            let _ = sys::munmap(self.table as usize, size_of::<Table>());
            let _ = sys::munmap(self.limits as usize, size_of::<LimitsPage>());
        }
    }
}

/// Opens the namespace in `directory`, made first if `how` says so and there is none.
pub(crate) fn open(directory: &CStr, how: Join) -> Result<Mapped, JoinError> {
    let system = JoinError::system;
    let directory = absolute(directory).map_err(system("naming its directory"))?;
    let (dir, fresh) = open_directory(directory.as_c_str(), how)?;
    let st = sys::fstat(&dir).map_err(system("reading the directory"))?;
    if st.st_mode & 0o022 != 0 {
        return Err(JoinError::new(JoinErrorKind::Writable {
            mode: st.st_mode & 0o7777,
        }));
    }
    let me = sys::geteuid();
    let table = PathBuf::join(directory.as_c_str(), b"table").map_err(system("naming its table"))?;
    let file = match sys::open(table.as_c_str(), libc::O_RDWR, 0) {
        Err(Errno::ENOENT) if how == Join::Existing => return Err(JoinError::new(JoinErrorKind::Missing)),
        Err(Errno::ENOENT) => {
            if st.st_uid != me {
                return Err(JoinError::new(JoinErrorKind::Foreign { owner: st.st_uid }));
            }
            // Locking needs a descriptor that may read, which is more than joining asks of the directory.
            let dir = sys::open(directory.as_c_str(), libc::O_RDONLY | libc::O_DIRECTORY, 0)
                .map_err(system("opening the directory"))?;
            create(directory.as_c_str(), &dir, how == Join::CreateShared)
                .inspect_err(|_| discard(directory.as_c_str(), fresh))?;
            sys::open(table.as_c_str(), libc::O_RDWR, 0)
        }
        other => other,
    }
    .map_err(|errno| match errno {
        Errno::EACCES if st.st_uid != me => JoinError::new(JoinErrorKind::Foreign { owner: st.st_uid }),
        Errno::ELOOP | Errno::EISDIR => JoinError::new(JoinErrorKind::NotOurs { file: "table" }),
        errno => system("opening its table")(errno),
    })?;
    let flags = check_table(&file)?;
    let shared = flags & FLAG_SHARED != 0;
    if st.st_uid != me && me != 0 && !shared {
        return Err(JoinError::new(JoinErrorKind::Foreign { owner: st.st_uid }));
    }
    let st = sys::fstat(&file).map_err(system("reading its table"))?;
    let limits = map_limits(directory.as_c_str())?;
    // SAFETY: a new range.
    let table = unsafe {
        sys::mmap(
            0,
            size_of::<Table>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.raw(),
            0,
        )
    }
    .map_err(|errno| {
        // SAFETY: nobody else knows the mapping.
        let _ = unsafe { sys::munmap(limits as usize, size_of::<LimitsPage>()) };
        system("mapping its table")(errno)
    })? as *const Table;
    Ok(Mapped {
        directory,
        table,
        limits,
        identity: (st.st_dev, st.st_ino),
        shared,
    })
}

/// The directory, which must be one and no link to one, and whether it was made now.
fn open_directory(directory: &CStr, how: Join) -> Result<(Fd, bool), JoinError> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let mut fresh = false;
    let opened = match sys::open(directory, flags, 0) {
        Err(Errno::ENOENT) if how != Join::Existing => {
            let mode = if how == Join::CreateShared { 0o711 } else { 0o700 };
            // Once more with chmod: mkdir's mode is subject to the umask, which may forbid us everything.
            match sys::mkdir(directory, mode).and_then(|()| sys::chmod(directory, mode)) {
                Ok(()) => {
                    fresh = true;
                    sys::open(directory, flags, 0)
                }
                Err(Errno::EEXIST) => sys::open(directory, flags, 0),
                Err(e) => return Err(JoinError::system("making the directory")(e)),
            }
        }
        other => other,
    };
    opened.map(|dir| (dir, fresh)).map_err(|errno| match errno {
        Errno::ENOENT => JoinError::new(JoinErrorKind::Missing),
        Errno::ELOOP | Errno::ENOTDIR => {
            let link = sys::stat(directory, false).is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFLNK);
            JoinError::new(if link {
                JoinErrorKind::Symlink
            } else {
                JoinErrorKind::NotDirectory
            })
        }
        errno => JoinError::system("opening the directory")(errno),
    })
}

/// Believes the table's header, or says why not. Returns its flags.
pub(super) fn check_table(file: &Fd) -> Result<u32, JoinError> {
    let system = JoinError::system;
    let not_ours = || JoinError::new(JoinErrorKind::NotOurs { file: "table" });
    let st = sys::fstat(file).map_err(system("reading its table"))?;
    if st.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(not_ours());
    }
    let mut header = [0u8; 24];
    let read = sys::pread(file, &mut header, 0).map_err(system("reading its table"))?;
    let [magic, versions, fingerprint] = [0, 8, 16].map(|at| {
        let mut word = [0u8; 8];
        word.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(word)
    });
    if read < header.len() || magic != MAGIC {
        return Err(not_ours());
    }
    let version = versions as u32;
    if version != LAYOUT_VERSION {
        return Err(JoinError::new(JoinErrorKind::Version { found: version }));
    }
    if fingerprint != FINGERPRINT {
        return Err(JoinError::new(JoinErrorKind::Fingerprint));
    }
    if (st.st_size as u64) < size_of::<Table>() as u64 {
        return Err(JoinError::new(JoinErrorKind::Damaged { file: "table" }));
    }
    Ok((versions >> 32) as u32)
}

fn map_limits(directory: &CStr) -> Result<*const LimitsPage, JoinError> {
    let system = JoinError::system;
    let damaged = || JoinError::new(JoinErrorKind::Damaged { file: "limits" });
    let path = PathBuf::join(directory, b"limits").map_err(system("naming its limits"))?;
    let file = sys::open(path.as_c_str(), libc::O_RDONLY, 0).map_err(|errno| match errno {
        Errno::ENOENT | Errno::ELOOP | Errno::ENXIO => damaged(),
        errno => system("opening its limits")(errno),
    })?;
    let st = sys::fstat(&file).map_err(system("reading its limits"))?;
    if st.st_mode & libc::S_IFMT != libc::S_IFREG || (st.st_size as usize) < size_of::<LimitsPage>() {
        return Err(damaged());
    }
    // SAFETY: a new range.
    let page = unsafe {
        sys::mmap(
            0,
            size_of::<LimitsPage>(),
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.raw(),
            0,
        )
    }
    .map_err(system("mapping its limits"))? as *const LimitsPage;
    // SAFETY: the page is mapped, holds atomics only, and the file was long enough.
    if unsafe { &*page }.is_valid() {
        return Ok(page);
    }
    // SAFETY: nobody else knows the mapping.
    let _ = unsafe { sys::munmap(page as usize, size_of::<LimitsPage>()) };
    Err(damaged())
}

/// The name from the root, so that it stays right when the program changes its directory.
fn absolute(directory: &CStr) -> Result<PathBuf, Errno> {
    let mut path = PathBuf::new();
    let bytes = directory.to_bytes();
    if bytes.is_empty() {
        return Err(Errno::ENOENT);
    }
    if !bytes.starts_with(b"/") {
        let mut cwd = [0u8; 4096];
        path.push(sys::getcwd(&mut cwd).ok_or(Errno::ENAMETOOLONG)?.to_bytes())?;
        path.push(b"/")?;
    }
    // A trailing slash would make O_NOFOLLOW follow.
    let end = bytes.iter().rposition(|&b| b != b'/').map_or(1, |last| last + 1);
    path.push(&bytes[..end])?;
    Ok(path)
}
