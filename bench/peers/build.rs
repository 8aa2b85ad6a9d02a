//! Compiles the C++ that calls Boost.Interprocess, where there is a compiler and Boost's headers.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(boost)");
    println!("cargo::rerun-if-changed=src/boost.cpp");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(2).warnings(false).file("src/boost.cpp");
    match build.try_compile("boost_ways") {
        Ok(()) => {
            println!("cargo::rustc-cfg=boost");
            println!("cargo::rustc-link-lib=rt");
            println!("cargo::rustc-link-lib=pthread");
        }
        Err(_) => println!("cargo::warning=no Boost.Interprocess (Debian: g++ and libboost-dev): its ways are left out"),
    }
}
