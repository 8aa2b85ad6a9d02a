//! Every operation on the kernel's facility and on ours, interleaved in one run.
//!
//! ```sh
//! cargo run --profile library -p sysv-bench              # the engine, called from Rust
//! cargo run --profile library -p sysv-bench -- segments  # only what has `segments` in its name
//! ```
//!
//! Times are nanoseconds, each the minimum of `ROUNDS` rounds in which kernel and engine take turns. Absolute times say
//! something about the machine; compare the ratios.

mod measure;
mod queues;
mod segments;
mod semaphores;

use std::ffi::CString;
use std::path::PathBuf;

use sysv_engine::{Engine, Join, Kernel};

/// A private namespace that is removed at the end.
struct Scratch {
    directory: PathBuf,
    engine: Engine,
}

impl Scratch {
    fn new() -> Scratch {
        let directory = PathBuf::from(format!("/dev/shm/sysv-bench-{}", std::process::id()));
        let name = CString::new(directory.to_str().expect("an ASCII name")).expect("no NUL");
        let engine = Engine::join(&name, Join::Create).unwrap_or_else(|e| panic!("{}", e.describe(&name)));
        Scratch { directory, engine }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let scratch = Scratch::new();
    // As in a program under libsysv.so, which interposes what the promises are about.
    sysv_engine::process::credential_changes_will_be_announced();
    sysv_engine::signals::take_all();
    measure::header();
    segments::run(&Kernel, &scratch.engine, &filter);
    semaphores::run(&Kernel, &scratch.engine, &filter);
    queues::run(&Kernel, &scratch.engine, &filter);
}
