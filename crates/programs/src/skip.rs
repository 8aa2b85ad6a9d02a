//! What a test needs and this machine may not have.

#![allow(unsafe_code)]

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Says that a test is skipped, past the test harness, which shows what a test prints only if the test fails.
pub fn skipped(why: impl Display) {
    let test = std::thread::current();
    let _ = writeln!(
        std::io::stderr(),
        "{} is skipped: {why}",
        test.name().unwrap_or("a test")
    );
}

/// Whether all of these programs are there; otherwise says that the test is skipped.
pub fn found(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &str| match name.strip_prefix('/') {
        Some(_) => Path::new(name).exists(),
        None => std::env::split_paths(&path).any(|directory| directory.join(name).exists()),
    };
    let missing: Vec<&str> = programs.iter().copied().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() {
        skipped(format_args!(
            "{} not found; crates/programs/install.sh installs it",
            missing.join(", ")
        ));
    }
    missing.is_empty()
}

/// The interpreter of the virtual environment that `install.sh` makes, if it is there; otherwise says that the test is
/// skipped.
pub fn python() -> Option<PathBuf> {
    let python = target_directory().join("programs-venv/bin/python");
    found(&[python.to_str().expect("a path in UTF-8")]).then_some(python)
}

/// Whether root runs the tests.
pub fn is_root() -> bool {
    // SAFETY: the call takes no argument and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Cargo's target directory: this program is `<target>/<profile>/deps/<name>`.
pub(crate) fn target_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    program
        .ancestors()
        .nth(3)
        .expect("a program in cargo's target directory")
        .to_owned()
}
