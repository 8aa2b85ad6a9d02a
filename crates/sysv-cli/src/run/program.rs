//! Which file a program is, and whether the library can be loaded into it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Access, StatVfsMountFlags, access, getxattr, statvfs};
use rustix::process::{getegid, geteuid};

use super::Refusal;
use super::interpreter::{self, Kind};
use crate::output;

/// How many interpreters Linux lets name interpreters.
const SCRIPTS: usize = 5;

/// The file that a name means: itself if it has a slash, and otherwise the first in `$PATH` that may be executed.
pub(super) fn find(name: &OsStr) -> Result<PathBuf, Refusal> {
    let shown = name.display();
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return match executable(&path) {
            Ok(()) => Ok(path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Refusal::not_found(format_args!("{shown}: {e}"))),
            Err(e) => Err(Refusal::cannot_run(format_args!("{shown}: {e}"))),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let mut denied = None;
    for directory in std::env::split_paths(&path).filter(|_| !name.is_empty()) {
        // An empty element means the working directory.
        let candidate = if directory.as_os_str().is_empty() {
            Path::new(".").join(name)
        } else {
            directory.join(name)
        };
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(e) => denied = denied.or(Some((candidate, e))),
        }
    }
    Err(match denied {
        Some((candidate, e)) => Refusal::cannot_run(format_args!("{}: {e}", candidate.display())),
        None => Refusal::not_found(format_args!("{shown}: not found in $PATH")),
    })
}

fn executable(path: &Path) -> io::Result<()> {
    let file = fs::metadata(path)?;
    if file.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    Ok(access(path, Access::EXEC_OK)?)
}

/// How a program is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// By the kernel.
    Itself,
    /// By a shell, as execvp(3) does with a file that the kernel does not know.
    Shell,
}

/// The shell of execvp(3).
const SHELL: &str = "/bin/sh";

/// What starts the program; it sees the name by which it was called.
pub(super) fn command(name: &OsStr, path: &Path, start: Start) -> Command {
    match start {
        Start::Itself => {
            let mut command = Command::new(path);
            command.arg0(name);
            command
        }
        Start::Shell => {
            let mut command = Command::new(SHELL);
            command.arg(path);
            command
        }
    }
}

/// Insists that the library will be loaded into the program: anything else would leave it on the kernel's facility
/// without a word.
pub(super) fn check(program: &Path) -> Result<Start, Refusal> {
    let mut start = Start::Itself;
    let mut path = program.to_owned();
    // Whose fault it is, when a script's interpreter cannot be run on a namespace.
    let mut through = String::new();
    for depth in 0..=SCRIPTS {
        let shown = format!("{}{through}", path.display());
        let subject = if depth == 0 { shown.clone() } else { format!("{shown},") };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                output::complain(format_args!(
                    "sysv run: {subject} cannot be read, so that whether it runs on a namespace shows only now"
                ));
                return Ok(start);
            }
            Err(e) => return Err(Refusal::cannot_run(format_args!("{shown}: {e}"))),
        };
        let metadata = file
            .metadata()
            .map_err(|e| Refusal::cannot_run(format_args!("{shown}: {e}")))?;
        gains_no_privileges(&path, &metadata, &subject)?;
        let kind = interpreter::kind(&mut file).map_err(|e| Refusal::cannot_run(format_args!("{shown}: {e}")))?;
        path = match kind {
            Kind::Dynamic { interpreter } => return is_ours(&interpreter, &subject).map(|()| start),
            Kind::Static => {
                return Err(Refusal::cannot_run(format_args!(
                    "{subject} is statically linked, so that no library can be loaded into it; link it with libsysv.a, or \
                     run it without sysv on the kernel's facility"
                )));
            }
            Kind::Foreign => {
                return Err(Refusal::cannot_run(format_args!(
                    "{subject} is not made for x86-64 Linux, and the library is; run it without sysv on the kernel's \
                     facility"
                )));
            }
            Kind::Script { interpreter, argument } => script(interpreter, argument.as_deref())?,
            Kind::Text if depth == 0 => {
                start = Start::Shell;
                PathBuf::from(SHELL)
            }
            Kind::Text => return Err(Refusal::cannot_run(format_args!("{subject} is no program"))),
        };
        through = format!(", which runs {shown}");
    }
    Err(Refusal::cannot_run(format_args!(
        "{}: too many interpreters",
        program.display()
    )))
}

/// What a script's first line runs: its interpreter, or what env(1) looks up.
fn script(interpreter: PathBuf, argument: Option<&OsStr>) -> Result<PathBuf, Refusal> {
    let asks_env = interpreter.file_name().is_some_and(|name| name == "env");
    match argument.filter(|_| asks_env).and_then(looked_up_by_env) {
        Some(name) => find(&name),
        None => Ok(interpreter),
    }
}

/// The program that env(1) is asked for, past `-S` and assignments.
fn looked_up_by_env(argument: &OsStr) -> Option<OsString> {
    let mut words = argument
        .as_bytes()
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let name = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))?;
    Some(OsString::from_vec(name.to_vec()))
}

/// The dynamic loader ignores `LD_PRELOAD` in programs that gain privileges.
fn gains_no_privileges(path: &Path, file: &Metadata, subject: &str) -> Result<(), Refusal> {
    const SETUID: u32 = 0o4000;
    const SETGID_EXECUTABLE: u32 = 0o2010;
    let honoured = statvfs(path).is_ok_and(|fs| !fs.f_flag.contains(StatVfsMountFlags::NOSUID));
    let setuid = file.mode() & SETUID != 0 && file.uid() != geteuid().as_raw();
    let setgid = file.mode() & SETGID_EXECUTABLE == SETGID_EXECUTABLE && file.gid() != getegid().as_raw();
    // Root gains nothing by a file's capabilities.
    let capable = !geteuid().is_root() && getxattr(path, "security.capability", &mut [0u8; 64][..]).is_ok();
    let how = match () {
        () if !honoured => return Ok(()),
        () if setuid => "setuid",
        () if setgid => "setgid",
        () if capable => "given capabilities by its file",
        () => return Ok(()),
    };
    Err(Refusal::cannot_run(format_args!(
        "{subject} is {how}, and the system loads no library of ours into programs that gain privileges; run it from \
         within `sysv run` as the user that it becomes, or without sysv on the kernel's facility"
    )))
}

/// Whether a dynamic loader is that of the library's C library.
fn is_ours(loader: &Path, subject: &str) -> Result<(), Refusal> {
    if loader.file_name().is_some_and(|name| name == "ld-linux-x86-64.so.2") {
        return Ok(());
    }
    Err(Refusal::cannot_run(format_args!(
        "{subject} is linked with another C library ({}), and sysv's library with the GNU C library; use a build for the \
         GNU C library, or run it without sysv on the kernel's facility",
        loader.display()
    )))
}

/// Reads at most `N` bytes from a place in a file.
pub(super) fn read_at<const N: usize>(file: &mut File, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(N);
    file.seek(SeekFrom::Start(offset))?;
    file.take(N as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_is_looked_through() {
        for (argument, program) in [
            ("perl", "perl"),
            ("-S perl -w", "perl"),
            ("-S LC_ALL=C  perl -w", "perl"),
            ("-i -S A=b C=d python3", "python3"),
        ] {
            assert_eq!(
                looked_up_by_env(OsStr::new(argument)),
                Some(program.into()),
                "{argument}"
            );
        }
        assert_eq!(looked_up_by_env(OsStr::new("-S A=b")), None);
    }
}
