//! A namespace for one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

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
