//! Builds `libsysv.so` and puts it where `src/run/library.rs` includes it, so that the command is one file.

use std::fs;

fn main() {
    let path = sysv_preload_build::shared_library();
    let library = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    println!("cargo::rustc-env=LIBSYSV_HASH={:016x}", hash(&library));
    println!("cargo::rerun-if-changed=build.rs");
}

/// FNV-1a, which tells versions of the library apart in their names. What is run is compared byte by byte.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
