//! Builds the libraries that the tests load and link.

fn main() {
    let (shared, archive) = (
        sysv_preload_build::shared_library(),
        sysv_preload_build::static_library(),
    );
    println!("cargo::rustc-env=LIBSYSV_SO={}", shared.display());
    println!("cargo::rustc-env=LIBSYSV_A={}", archive.display());
}
