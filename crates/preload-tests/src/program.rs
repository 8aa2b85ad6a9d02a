//! A C program or module, compiled when it is first needed.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::Run;

/// How a program comes by the facility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Linked {
    /// By preloading.
    Dynamically,
    /// By preloading; what it loads itself is searched for beside it.
    WithOrigin,
    /// By linking `libsysv.a`, and the C library as a shared one.
    WithArchive,
    /// By linking `libsysv.a` and the C library's archive.
    Statically,
    /// It is no program but a module, to be loaded by one.
    AsModule,
}

/// A compiled program.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
}

impl Program {
    /// Compiles `c/<name>.c`.
    ///
    /// # Panics
    /// If it does not compile without a warning.
    pub fn compile(name: &str) -> Program {
        Program::compile_as(name, Linked::Dynamically)
    }

    /// Compiles `c/<name>.c` for one way of linking.
    ///
    /// # Panics
    /// If it does not compile without a warning.
    pub fn compile_as(name: &str, linked: Linked) -> Program {
        static COMPILED: Mutex<Option<HashMap<(String, Linked), PathBuf>>> = Mutex::new(None);
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = compiled.get_or_insert_default().entry((name.to_owned(), linked));
        Program {
            path: compiled.or_insert_with(|| compile(name, linked)).clone(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A run of it.
    pub fn run(&self) -> Run {
        Run::of(&self.path)
    }
}

impl AsRef<OsStr> for Program {
    fn as_ref(&self) -> &OsStr {
        self.path.as_os_str()
    }
}

/// Compiles beside the libraries, under a name of this process's, so that tests of several builds do not meet.
fn compile(name: &str, linked: Linked) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("c")
        .join(format!("{name}.c"));
    let path = Path::new(env!("OUT_DIR")).join(format!("{name}-{linked:?}"));
    let unfinished = path.with_extension(std::process::id().to_string());
    let mut cc = Command::new("cc");
    cc.args([
        "-std=gnu11",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-deprecated-declarations",
        "-pthread",
    ]);
    cc.arg("-o").arg(&unfinished).arg(source);
    match linked {
        Linked::Dynamically => cc.arg("-ldl"),
        Linked::WithOrigin => cc.args(["-ldl", "-Wl,-rpath,$ORIGIN,--enable-new-dtags"]),
        Linked::WithArchive => cc.arg(crate::ARCHIVE),
        Linked::Statically => cc.arg("-static").arg(crate::ARCHIVE),
        Linked::AsModule => cc.args(["-shared", "-fPIC"]),
    };
    let output = cc.output().expect("cc is needed to compile the test programs");
    assert!(
        output.status.success(),
        "{name}.c: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(&unfinished, &path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}
