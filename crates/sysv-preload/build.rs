//! How the shared library is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        // The name that programs linked with -lsysv look for.
        "-Wl,-soname,libsysv.so",
        // Nothing runs at load: no start files, hence no constructor.
        "-nostartfiles",
        // Handlers and fork hooks point into it, so dlclose(3) must not unmap it.
        "-Wl,-z,nodelete",
        // Fewer mappings, faster load: the code is small enough to share pages with the constants.
        "-Wl,-z,noseparate-code",
        "-Wl,--hash-style=gnu",
        // Our own functions among each other: nothing to look up.
        "-Wl,-Bsymbolic-functions",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
