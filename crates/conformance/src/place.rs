//! Where the namespaces of a test live: a fresh directory, removed with everything in it.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr};
use std::fs::Permissions;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::user::User;

/// A directory that other users may pass but not list, removed on drop.
pub(crate) struct Place {
    path: PathBuf,
}

impl Place {
    /// Makes it in `/dev/shm`, or among the temporary files where there is none. It belongs to `owner`, or
    /// to whoever calls.
    pub(crate) fn new(owner: Option<User>) -> Place {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let template = parent.join("sysv-conformance-XXXXXX").into_os_string().into_vec();
        let template = CString::new(template).expect("a path without NUL").into_raw();
        // SAFETY: a writable string that ends in six X; it is taken back below.
        let made = unsafe { libc::mkdtemp(template) };
        assert!(!made.is_null(), "mkdtemp: {}", std::io::Error::last_os_error());
        // SAFETY: `into_raw` gave it away above; mkdtemp changed its last letters only.
        let path = unsafe { CString::from_raw(template) };
        let place = Place {
            path: PathBuf::from(OsStr::from_bytes(path.as_bytes())),
        };
        std::fs::set_permissions(&place.path, Permissions::from_mode(0o711)).expect("chmod");
        if let Some(owner) = owner {
            chown(&place.path, Some(owner.uid), Some(owner.gid)).expect("chown");
        }
        place
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// `path` for a C function.
pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path without NUL")
}

/// `path` from a C function.
pub(crate) fn rust_path(path: &CStr) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.to_bytes()))
}
