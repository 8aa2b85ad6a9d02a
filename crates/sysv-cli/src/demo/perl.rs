//! Perl's part: a program that knows nothing of this one, run as `sysv run` runs it.

use std::process::Command;

use sysv::Namespace;

use super::act::{ANSWER, GREETING};
use super::{KEY, SIZE, say};
use crate::failure::{Failure, NOT_FOUND};

/// shmget, shmread and shmwrite are built into perl and call the C library's.
const SCRIPT: &str = r#"
    my ($key, $size, $greeting, $answer) = @ARGV;
    my $id = shmget($key, $size, 0);
    defined $id or die "shmget: $!\n";
    shmread($id, my $text, $greeting, 64) or die "shmread: $!\n";
    $text =~ s/\0.*//s;
    print "   pid $$ (perl) found segment $id and read \"$text\"\n";
    $text = uc($text) . ", says perl";
    shmwrite($id, $text, $answer, 64) or die "shmwrite: $!\n";
    print "   pid $$ (perl) wrote \"$text\"\n";
"#;

pub(super) fn converse(namespace: &Namespace) -> Result<(), Failure> {
    let directory = namespace
        .location()
        .directory()
        .ok_or_else(|| Failure::new("the kernel needs no help"))?;
    say(format_args!(
        "   sysv run --namespace {} -- perl …",
        directory.display()
    ))?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["run", "--namespace"])
        .arg(directory)
        .args(["--", "perl", "-e", SCRIPT]);
    command.args([
        KEY.get().to_string(),
        SIZE.to_string(),
        GREETING.to_string(),
        ANSWER.to_string(),
    ]);
    let status = command.status()?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) if code == i32::from(NOT_FOUND) => Err(Failure::new(
            "this part needs perl; install it (Debian: apt-get install perl-base) and run the demonstration again",
        )),
        _ => Err(Failure::new(format_args!("perl did not do its part: {status}"))),
    }
}
