//! `libsysv.so` and the peers' program, built as they are released, when they are needed.

use std::path::{Path, PathBuf};
use std::process::Command;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// Builds `libsysv.so` from the present source and returns its path.
pub(crate) fn library() -> Result<PathBuf, String> {
    let target = target_directory()?.join("bench-library");
    let manifest = Path::new(HERE).join("../crates/sysv-preload/Cargo.toml");
    let build = cargo(&[
        "rustc",
        "--quiet",
        "--profile",
        "library",
        "--lib",
        "--crate-type",
        "cdylib",
    ]);
    finish(build, &target, &manifest, "sysv-preload")?;
    Ok(target.join("library/libsysv_preload.so"))
}

/// Builds the program with other people's ways and returns its path.
pub(crate) fn peers() -> Result<PathBuf, String> {
    let target = target_directory()?.join("bench-peers");
    let manifest = Path::new(HERE).join("peers/Cargo.toml");
    let build = cargo(&["build", "--quiet", "--release"]);
    finish(build, &target, &manifest, "bench/peers")?;
    Ok(target.join("release/peers"))
}

fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments);
    for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}

fn finish(mut build: Command, target: &Path, manifest: &Path, what: &str) -> Result<(), String> {
    build
        .arg("--target-dir")
        .arg(target)
        .arg("--manifest-path")
        .arg(manifest);
    let status = build.status().map_err(|e| format!("cannot start cargo: {e}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{what} does not build: {status}"))
}

/// Cargo's: this program is `<target>/<profile>/sysv-bench`.
fn target_directory() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = program
        .ancestors()
        .nth(2)
        .ok_or("this program is not in cargo's target directory")?;
    Ok(target.to_owned())
}
