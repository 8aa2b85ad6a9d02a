//! `sysv rm`: removing objects.

use std::io::{self, BufRead, IsTerminal, Write, stderr, stdin};

use clap::Args;
use sysv::{Id, Key, Namespace, Object, Snapshot};

use crate::failure::Failure;
use crate::progress::Progress;
use crate::selection::{Conditions, Kinds};
use crate::target::{Name, Target};
use crate::{output, removal, wording};

/// Remove objects
///
/// By identifier, by key, or all that belong to somebody or are in some state. A segment's key is free at once; the memory goes when the last process has detached. Who waits for a semaphore set or a
/// queue fails with EIDRM. What is in use is removed only after a question, or with --force.
///
/// What was removed is said on standard output, what could not be on standard error.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).multiple(true).args(["ids", "keys", "owners", "states", "idle"]),
    after_help = "\
Exit status: 0 if all that was named is removed, or would be; 1 if something is not; 2 if the command line is wrong.

Examples:
  sysv rm 49152 49153
  sysv rm --key 0x1234 --semaphore         the set with this key, and not the segment
  sysv rm --state left --idle 1h --dry-run what crashed services left an hour ago or earlier
  sysv rm --kernel --owner build --force   everything of this user's"
)]
pub(crate) struct Arguments {
    /// Objects with these identifiers
    #[arg(value_name = "ID")]
    ids: Vec<Id>,

    /// The object with this key; may be given several times
    #[arg(long = "key", short = 'K', value_name = "KEY", allow_hyphen_values = true)]
    keys: Vec<Key>,

    #[command(flatten)]
    conditions: Conditions,

    #[command(flatten)]
    kinds: Kinds,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// Also remove what is in use, without asking
    #[arg(long, short)]
    force: bool,

    #[command(flatten)]
    target: Target,
}

/// Removes all that can be removed, and says at the end what could not.
pub(crate) fn rm(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let snapshot = namespace.snapshot(&arguments.kinds.wanted())?;
    let mut failed = Vec::new();
    let meant = meant(arguments, &namespace, &snapshot, &mut failed);
    let mut progress = Progress::new("removing", meant.len() as u64);
    for object in meant {
        match remove(arguments, &namespace, object) {
            Ok(said) => output::print(said + "\n")?,
            Err(complaint) => failed.push(complaint),
        }
        progress.advance(1);
    }
    progress.finish();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Said(failed))
    }
}

/// The objects that are named, or all if none is, as far as the conditions admit them.
fn meant<'s>(
    arguments: &Arguments,
    namespace: &Namespace,
    snapshot: &'s Snapshot,
    failed: &mut Vec<String>,
) -> Vec<&'s Object> {
    let conditions = arguments.conditions.filter();
    let mut meant: Vec<&Object> = Vec::new();
    if arguments.ids.is_empty() && arguments.keys.is_empty() {
        meant.extend(&snapshot.objects);
    }
    let kinds = arguments.kinds.wanted();
    let by_id = arguments.ids.iter().copied().map(Name::Id);
    let by_key = arguments.keys.iter().copied().map(Name::Key);
    for name in by_id.chain(by_key) {
        match name.find(&kinds, namespace, snapshot) {
            Ok(object) if meant.contains(&object) => {}
            Ok(object) => meant.push(object),
            Err(complaint) => failed.push(complaint),
        }
    }
    meant.retain(|object| conditions.admits(object, snapshot.taken_at));
    meant
}

fn remove(arguments: &Arguments, namespace: &Namespace, object: &Object) -> Result<String, String> {
    let title = wording::title(object);
    let created = wording::creator(object);
    let users = match object.is_in_use() {
        true => format!(", in use by {}", wording::parties(object, 3)),
        false => String::new(),
    };
    if arguments.dry_run {
        return Ok(format!("would remove {title}, created by {created}{users}"));
    }
    if object.is_in_use() && !arguments.force && !is_confirmed(&title, &users)? {
        return Err(format!("{title} is kept"));
    }
    removal::remove(namespace, object).map_err(|error| error.to_string())?;
    Ok(format!("removed {title}, created by {created}{users}"))
}

/// Whether somebody at the terminal says so.
fn is_confirmed(title: &str, users: &str) -> Result<bool, String> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(format!(
            "{title}{users}: not removed; give --force to remove what is in use"
        ));
    }
    let ask = || -> io::Result<String> {
        write!(stderr(), "{title}{users}: remove it? [y/N] ")?;
        let mut answer = String::new();
        stdin().lock().read_line(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| format!("{title}: no answer could be read: {error}"))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
