//! Other programs, run on one of the facilities.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sysv::{Members, TemporaryNamespace};

use crate::system;

/// The facility that a program is started on.
pub(crate) enum Ground {
    /// The kernel's.
    Kernel,
    /// A namespace of its own under a library that the program's user can read.
    Namespace {
        /// Removed at the end.
        namespace: TemporaryNamespace,
        /// `libsysv.so`.
        library: PathBuf,
    },
}

impl Ground {
    /// A fresh namespace. Root's is for several users, since programs may go on as another.
    pub(crate) fn namespace(library: PathBuf) -> Result<Ground, String> {
        let members = if is_root() {
            Members::SeveralUsers
        } else {
            Members::OneUser
        };
        let namespace = TemporaryNamespace::create_for(members).map_err(|e| e.to_string())?;
        Ok(Ground::Namespace { namespace, library })
    }

    /// A command for a program that is to run on it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_remove("LD_PRELOAD").env_remove("SYSV_NAMESPACE");
        match self {
            Ground::Kernel => leave_nothing(&mut command),
            Ground::Namespace { namespace, library } => {
                let directory = namespace.location().directory().expect("a directory");
                command.env("SYSV_NAMESPACE", directory).env("LD_PRELOAD", library);
            }
        }
        command
    }
}

fn leave_nothing(command: &mut Command) {
    #![allow(unsafe_code)]
    let apart = || {
        system::own_kernel_facility();
        Ok(())
    };
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(apart) };
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A user that programs run as which refuse root: uid and gid.
pub(crate) fn lesser_user() -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let user = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    user("postgres").or_else(|| user("nobody"))
}

/// Makes a command run as another user.
pub(crate) fn become_user(command: &mut Command, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
}

/// Where a program is.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// What a program printed, if it went well; otherwise what it complained of.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let Output { status, stdout, stderr } = command.output().map_err(|e| format!("{name}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if status.success() {
        return Ok(text(&stdout) + &text(&stderr));
    }
    let complaint = text(&stderr);
    let last = complaint
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    Err(format!("{name}: {status}: {last}"))
}
