//! Runs C programs on the kernel's facility and under `libsysv.so`, and compares what they print.
//!
//! The programs are in `c/`. Each prints what it learns, with ids, process ids and times left out, so that the kernel's
//! answer is the one expected of the library. Under the library the kernel's own calls fail, by a seccomp filter: nothing
//! passes by falling through to the kernel.

mod isolation;
mod namespace;
mod program;
mod run;
mod seccomp;

pub use namespace::Namespace;
pub use program::{Linked, Program};
pub use run::{Outcome, Run, Running};

/// Where `libsysv.so` is.
pub const LIBRARY: &str = env!("LIBSYSV_SO");
/// Where `libsysv.a` is.
pub const ARCHIVE: &str = env!("LIBSYSV_A");

/// Runs `mode` of the program on the kernel and under the library, each in a facility of its own, and asserts that it
/// prints the same and ends in the same way. Returns what it did on the kernel.
///
/// # Panics
/// If it does not, or if it prints nothing.
#[track_caller]
pub fn assert_same(program: &Program, mode: &str) -> Outcome {
    let expected = program.run().arg(mode).on_kernel();
    let actual = program.run().arg(mode).on_library(&Namespace::fresh());
    assert!(
        !expected.stdout.is_empty(),
        "{mode} on the kernel says nothing: {expected:?}"
    );
    actual.assert_is(&expected, mode);
    expected
}
