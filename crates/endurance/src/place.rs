//! A directory for one trial's namespace, removed with everything in it.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// An unused name below `/dev/shm`.
pub(crate) struct Place {
    path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sysv-endurance-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        Place {
            path: Path::new("/dev/shm").join(name),
        }
    }

    /// One that another process has made. It is removed when this is dropped.
    pub(crate) fn of_another(path: &Path) -> Place {
        Place { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn c_path(&self) -> CString {
        CString::new(self.path.to_str().unwrap_or_default()).unwrap_or_default()
    }

    /// The names in it, or in a directory of it; none where there is no such directory.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path.join(below)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
