//! Shell scripts that run programs under `sysv run`, in circumstances that they make themselves.

#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::command::finish;
use crate::facility::sysv_command;
use crate::filter::without_kernel_ipc;
use crate::place::Place;
use crate::skip::{is_root, skipped};

/// Functions that every script can use.
const FUNCTIONS: &str = r#"
# Puts a segment of so many bytes to use; the key is 1 if none is given.
program='my ($size, $key) = (@ARGV, 1);
    my $id = shmget($key, $size, 01600) // die "shmget: $!\n";
    shmwrite($id, "x" x $size, 0, $size) or die "shmwrite: $!\n";
    print "fine\n"'
use() { # namespace, size, key
    directory=$1
    shift
    "$SYSV" run --namespace "$directory" -- perl -e "$program" "$@" || echo "status $?"
}
# The same without `sysv run`, which would look at the namespace first.
preload=$("$SYSV" run --namespace "$PLACE/another" -- printenv LD_PRELOAD)
use_directly() { # namespace, size, key
    directory=$1
    shift
    LD_PRELOAD=$preload SYSV_NAMESPACE=$directory perl -e "$program" "$@" || echo "status $?"
}
# Everything in a directory, but for times.
contents() { # directory
    find "$1" -printf '%y %m %u %s %p %l\n' | sort
}
"#;

/// A script for the shell, without the kernel's System V IPC. `$SYSV` is the command, `$PLACE` a directory of the test's
/// own. The functions of `FUNCTIONS` are at hand.
pub fn shell(place: &Place, script: &str) -> Command {
    prepared(Command::new("sh"), place, script)
}

/// [`shell`] with mounts of its own, which it may change as root does; `None` after saying that the test is skipped, where
/// we may not have them.
pub fn shell_with_mounts(place: &Place, script: &str) -> Option<Command> {
    let unshare = || {
        let mut unshare = Command::new("unshare");
        if !is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare.arg("--mount");
        unshare
    };
    let trial = finish(unshare().args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]));
    if !trial.status.success() {
        skipped(format_args!("mounts of its own cannot be had: {}", trial.output.trim()));
        return None;
    }
    let mut command = unshare();
    command.arg("sh");
    Some(prepared(command, place, script))
}

fn prepared(mut command: Command, place: &Place, script: &str) -> Command {
    command
        .args(["-euc", &format!("{FUNCTIONS}{script}")])
        .env("SYSV", sysv_command())
        .env("PLACE", place.path());
    command
        .env("LC_ALL", "C")
        .env_remove("SYSV_NAMESPACE")
        .stdin(Stdio::null());
    // SAFETY: the closure makes system calls only.
    unsafe { command.pre_exec(without_kernel_ipc) };
    command
}
