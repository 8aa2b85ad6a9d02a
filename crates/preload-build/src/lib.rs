//! Builds `libsysv.so` and `libsysv.a`, for build scripts.
//!
//! No dependency can be what these libraries are: always optimised, without unwinding, and of another crate type. So a
//! build script has a cargo of its own build them:
//!
//! ```no_run
//! let library = sysv_preload_build::shared_library();
//! println!("cargo::rustc-env=LIBSYSV_SO={}", library.display());
//! ```

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Builds `libsysv.so` into the build script's output directory and returns its path.
///
/// # Panics
/// Outside a build script of a crate beside `sysv-preload`, and when it does not build.
pub fn shared_library() -> PathBuf {
    build("cdylib", &[], "libsysv_preload.so", "libsysv.so")
}

/// Builds `libsysv.a` into the build script's output directory and returns its path.
///
/// It lacks what only a shared library can interpose.
///
/// # Panics
/// Outside a build script of a crate beside `sysv-preload`, and when it does not build.
pub fn static_library() -> PathBuf {
    build(
        "staticlib",
        &["--no-default-features"],
        "libsysv_preload.a",
        "libsysv.a",
    )
}

fn build(crate_type: &str, options: &[&str], built: &str, wanted: &str) -> PathBuf {
    // Where the script's package is now: this crate may have been compiled before the checkout was copied or moved.
    let crates = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("..");
    let manifest = crates.join("sysv-preload/Cargo.toml");
    for input in [
        "sysv-preload/src",
        "sysv-preload/build.rs",
        "sysv-preload/Cargo.toml",
        "sysv-engine/src",
    ] {
        println!("cargo::rerun-if-changed={}", crates.join(input).display());
    }
    println!("cargo::rerun-if-changed={}", crates.join("../Cargo.toml").display());

    // A target directory of its own, because cargo has locked the one that this script runs for; one for all scripts of a
    // build, which cargo locks in turn. `OUT_DIR` is `<target directory>/<profile>/build/<package>/out`.
    let out = PathBuf::from(variable("OUT_DIR"));
    let profile = out.ancestors().nth(3).unwrap_or(&out);
    let (target, target_dir) = (variable("TARGET"), profile.join("libsysv"));
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args([
            "rustc",
            "--profile",
            "library",
            "--lib",
            "--crate-type",
            crate_type,
            "--target",
            &target,
        ])
        .args(options);
    cargo
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target_dir);
    // Meant for the build that this script belongs to: clippy in the compiler's place, coverage, sanitizers.
    for name in [
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ] {
        cargo.env_remove(name);
    }
    let status = cargo.status().unwrap_or_else(|e| panic!("cannot start cargo: {e}"));
    assert!(status.success(), "sysv-preload does not build: {status}");

    let (built, wanted) = (target_dir.join(target).join("library").join(built), out.join(wanted));
    fs::copy(&built, &wanted).unwrap_or_else(|e| panic!("{}: {e}", built.display()));
    wanted
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|e| panic!("{name}, which cargo sets for build scripts: {e}"))
}
