//! Builds `libsysv.so` and puts it where `src/run/library.rs` includes it, so that the command is one file.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let crates = Path::new(&variable("CARGO_MANIFEST_DIR")).join("..");
    let preload = crates.join("sysv-preload");
    let out = PathBuf::from(variable("OUT_DIR"));
    for source in [&preload, &crates.join("sysv-engine")] {
        for part in ["src", "Cargo.toml", "build.rs"] {
            if source.join(part).exists() {
                println!("cargo::rerun-if-changed={}", source.join(part).display());
            }
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", crates.join("../Cargo.toml").display());

    // A build of its own: another profile (always optimised), another panic strategy, and another crate type than what
    // a dependency could be. Its own target directory, because ours is locked until we are done.
    let (target, target_dir) = (variable("TARGET"), out.join("preload"));
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--release", "--lib", "--target", &target]);
    cargo
        .arg("--manifest-path")
        .arg(preload.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir);
    // What is meant for this build alone: clippy as the compiler, coverage and sanitizers, which need the standard
    // library.
    for name in [
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ] {
        cargo.env_remove(name);
    }
    let status = cargo
        .status()
        .unwrap_or_else(|e| panic!("cannot start cargo for sysv-preload: {e}"));
    assert!(status.success(), "sysv-preload does not build: {status}");

    let built = target_dir.join(target).join("release/libsysv_preload.so");
    let library = fs::read(&built).unwrap_or_else(|e| panic!("{}: {e}", built.display()));
    let included = out.join("libsysv.so");
    fs::write(&included, &library).unwrap_or_else(|e| panic!("{}: {e}", included.display()));
    println!("cargo::rustc-env=LIBSYSV_HASH={:016x}", hash(&library));
}

/// FNV-1a, which tells versions of the library apart in their names. What is run is compared byte by byte.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
