//! The two facilities that a program runs on.

#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::command::finish;
use crate::filter::without_kernel_ipc;
use crate::kernel::IpcNamespace;
use crate::normal::normalised;
use crate::place::Place;
use crate::skip::{is_root, skipped, target_directory};
use crate::user::User;

/// Where a program's System V calls go.
pub enum Facility {
    /// To the kernel, in an IPC namespace of the test's own.
    Kernel(Kernel),
    /// To a namespace of ours.
    Namespace(Namespace),
}

/// The kernel's facility.
pub struct Kernel {
    namespace: IpcNamespace,
}

/// Ours: the command `sysv` and a directory.
pub struct Namespace {
    sysv: PathBuf,
    /// None for one that `sysv` makes and removes with each command.
    directory: Option<PathBuf>,
    /// Where `sysv` is, if another user must be able to run it.
    _copy: Option<Place>,
}

impl Facility {
    /// The kernel's, or `None` after saying that the test is skipped, where we may not have an IPC namespace.
    pub fn kernel() -> Option<Facility> {
        match IpcNamespace::new(is_root()) {
            Ok(namespace) => Some(Facility::Kernel(Kernel { namespace })),
            Err(error) => {
                skipped(format_args!(
                    "no IPC namespace of the kernel's can be had to compare with: {error}"
                ));
                None
            }
        }
    }

    /// Ours, in a directory that need not be there yet.
    pub fn namespace(directory: PathBuf) -> Facility {
        Facility::namespace_for(None, directory)
    }

    /// [`Facility::namespace`] for the programs of another user, who may be unable to reach cargo's target directory: the
    /// command is a single file, which is copied.
    pub fn namespace_for(user: Option<&User>, directory: PathBuf) -> Facility {
        let mut sysv = sysv_command().to_owned();
        let copy = user.map(|_| Place::on_disk());
        if let Some(place) = &copy {
            let copied = place.join("sysv");
            std::fs::copy(sysv, &copied).expect("copying sysv");
            sysv = copied;
        }
        Facility::Namespace(Namespace {
            sysv,
            directory: Some(directory),
            _copy: copy,
        })
    }

    /// Ours, fresh for each command. If root runs the tests, other users may use it whom root's programs become.
    pub fn ephemeral() -> Facility {
        Facility::Namespace(Namespace {
            sysv: sysv_command().to_owned(),
            directory: None,
            _copy: None,
        })
    }

    /// Its name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Facility::Kernel(_) => "the kernel",
            Facility::Namespace(_) => "a namespace",
        }
    }

    /// A command that runs a program on the facility, as the user that runs the tests.
    ///
    /// The facility must live until the command is started.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_as(None, program)
    }

    /// [`Facility::command`] as another user.
    pub fn command_as(&self, user: Option<&User>, program: impl AsRef<OsStr>) -> Command {
        let user = user.cloned();
        match self {
            Facility::Kernel(Kernel { namespace }) => {
                let mut command = Command::new(program);
                let namespace = namespace.clone();
                // SAFETY: the closure makes system calls only; what it owns was made before the fork.
                unsafe {
                    command.pre_exec(move || {
                        namespace.enter()?;
                        user.iter().try_for_each(User::become_for_good)
                    })
                };
                command
            }
            Facility::Namespace(Namespace { sysv, directory, .. }) => {
                let mut command = Command::new(sysv);
                command.arg("run");
                match directory {
                    Some(directory) => command.arg("--namespace").arg(directory),
                    None => command.arg("--ephemeral"),
                };
                command.arg("--").arg(program);
                // SAFETY: as above.
                unsafe {
                    command.pre_exec(move || {
                        user.iter().try_for_each(User::become_for_good)?;
                        without_kernel_ipc()
                    })
                };
                command
            }
        }
    }
}

/// Runs a shell script on both facilities and returns what both printed, [normalised]; `None` after saying that the test
/// is skipped.
///
/// # Panics
/// When the script fails on one of them, or prints something else on ours than on the kernel.
#[track_caller]
pub fn same_on_both(script: &str) -> Option<String> {
    let place = Place::in_memory();
    same_on(
        &Facility::kernel()?,
        &Facility::namespace(place.join("namespace")),
        script,
    )
}

/// [`same_on_both`] for scripts of root's whose programs go on as other users. They must leave nothing behind.
#[track_caller]
pub fn same_on_both_for_several_users(script: &str) -> Option<String> {
    same_on(&Facility::kernel()?, &Facility::ephemeral(), script)
}

#[track_caller]
fn same_on(kernel: &Facility, ours: &Facility, script: &str) -> Option<String> {
    let [expected, found] = [kernel, ours].map(|facility| {
        let mut command = facility.command("sh");
        command.args(["-euc", script]).env("LC_ALL", "C").env("TZ", "UTC");
        let finished = finish(&mut command);
        let name = facility.name();
        assert!(
            finished.status.success(),
            "on {name}, {}:\n{}",
            finished.status,
            finished.output
        );
        normalised(&finished.output)
    });
    assert!(
        expected == found,
        "on the kernel:\n{expected}\non a namespace:\n{found}"
    );
    Some(expected)
}

/// The command `sysv`, built from the present source.
pub(crate) fn sysv_command() -> &'static Path {
    static SYSV: OnceLock<PathBuf> = OnceLock::new();
    SYSV.get_or_init(|| {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args(["build", "--quiet", "--package", "sysv-cli", "--target-dir"])
            .arg(target_directory());
        if profile == "release" {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo");
        assert!(built.success(), "sysv does not build: {built}");
        target_directory().join(profile).join("sysv")
    })
}
