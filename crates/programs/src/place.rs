//! Directories of a test's own, removed with everything in them.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::user::User;

/// A fresh directory that every user may enter, removed on drop.
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// Makes one in memory, where namespaces usually are, or among the temporary files where there is no such place.
    pub fn in_memory() -> Place {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            Place::within(memory)
        } else {
            Place::on_disk()
        }
    }

    /// Makes one among the temporary files.
    pub fn on_disk() -> Place {
        Place::within(&std::env::temp_dir())
    }

    fn within(parent: &Path) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("sysv-programs-{}-{number}", process::id()));
            match DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => {
                    // The mode was subject to the umask.
                    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod");
                    return Place { path };
                }
                // Left by an earlier process of this id.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    /// Gives it to a user.
    pub fn owned_by(self, user: &User) -> Place {
        chown(&self.path, Some(user.uid), Some(user.gid)).expect("chown");
        self
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
