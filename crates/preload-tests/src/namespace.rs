//! A namespace for one test.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sysv_engine::{Engine, Join};

/// A namespace directory that nobody else uses, removed with everything in it when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    directory: PathBuf,
}

impl Namespace {
    /// Chooses the name; the first program to use it makes the directory.
    pub fn fresh() -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(format!("/dev/shm/sysv-preload-test-{}-{number}", std::process::id()));
        Namespace { directory }
    }

    /// Makes one for several users.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn shared() -> Namespace {
        let namespace = Namespace::fresh();
        let directory = CString::new(namespace.directory.as_os_str().as_bytes()).expect("a path holds no NUL");
        Engine::join(&directory, Join::CreateShared).expect("the namespace can be made");
        namespace
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
