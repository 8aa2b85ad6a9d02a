//! `sysv gc`: clearing away what is left over, and saying why that is safe.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use sysv::{AbandonedNamespace, Mechanism, Namespace, Object, Remnant, State};

use crate::duration::Span;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{output, removal, wording};

/// Remove what only dead processes held
///
/// That are their attachments, removed segments that only they had attached, and objects whose making or removal they
/// did not live to finish; and, unless --namespace is given, this user's namespaces of runs with `sysv run --ephemeral`
/// that were killed. That a process is dead, the kernel says, which held a lock for it: never a process id, and never
/// time that has passed.
///
/// Programs on the namespace clear away the same where their calls come upon it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sysv gc --dry-run         what would be removed, and why
  sysv gc --orphans=7d      also objects that nobody has in use and nobody has used for a week")]
pub(crate) struct Arguments {
    /// The namespace in this directory, and nothing else [default: $SYSV_NAMESPACE, or the user's own in /dev/shm]
    #[arg(long, short, value_name = "DIR")]
    namespace: Option<PathBuf>,

    /// Also remove objects that nobody has in use, and that nobody has used or changed for this time
    ///
    /// A number of seconds, or with m, h or d of minutes, hours or days; a day if none is given. What they hold is lost,
    /// and programs that would look for them by key find none: that nobody would, only you can know.
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1d"
    )]
    orphans: Option<Span>,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn gc(arguments: &Arguments) -> Result<(), Failure> {
    let directory = match &arguments.namespace {
        Some(directory) => directory.clone(),
        None => Namespace::current_directory()?,
    };
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    // Of a default that nobody has made yet there is nothing to clear away.
    if arguments.namespace.is_some() || directory.join("table").exists() {
        dead(&directory, arguments.dry_run, &mut removed)?;
        if let Some(Span(unused)) = arguments.orphans {
            orphans(&directory, unused, arguments.dry_run, &mut removed, &mut failed)?;
        }
    }
    if arguments.namespace.is_none() {
        abandoned(arguments.dry_run, &mut removed, &mut failed)?;
    }
    tell(arguments, &directory, &removed)?;
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Said(failed))
    }
}

/// One thing that is removed.
#[derive(Debug, PartialEq, Serialize)]
struct Removed {
    /// `process`, `segment`, `semaphores`, `queue`, `half-made object` or `namespace`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// What it is, for people.
    #[serde(skip)]
    shown: String,
    /// Why nobody misses it.
    why: String,
}

impl Removed {
    fn new(kind: &'static str, shown: String, why: impl Into<String>) -> Removed {
        Removed {
            kind,
            id: None,
            pid: None,
            path: None,
            bytes: None,
            shown,
            why: why.into(),
        }
    }
}

/// What only the dead held. What is left afterwards is what this user may not remove.
fn dead(directory: &Path, dry_run: bool, removed: &mut Vec<Removed>) -> Result<(), Failure> {
    let before = Namespace::remains(directory)?.dead;
    if dry_run {
        removed.extend(before.iter().map(describe));
        return Ok(());
    }
    Namespace::open(directory)?.sweep()?;
    let after = Namespace::remains(directory)?.dead;
    removed.extend(before.iter().filter(|remnant| !after.contains(remnant)).map(describe));
    Ok(())
}

fn describe(remnant: &Remnant) -> Removed {
    match remnant {
        Remnant::Process {
            process: dead,
            attachments,
        } => Removed {
            pid: Some(dead.pid),
            ..Removed::new(
                "process",
                format!("record of process {}", wording::process(dead)),
                match attachments {
                    0 => "the process is dead".to_owned(),
                    1 => "the process is dead; it had 1 attachment".to_owned(),
                    n => format!("the process is dead; it had {n} attachments"),
                },
            )
        },
        Remnant::Segment { id, size } => Removed {
            id: Some(id.get()),
            bytes: Some(*size),
            ..Removed::new(
                "segment",
                format!("segment {id}, {size} bytes"),
                "removed, and every process that had it attached is dead",
            )
        },
        Remnant::HalfMade { file } => Removed {
            path: Some(file.display().to_string()),
            ..Removed::new(
                "half-made object",
                format!("object {}", file.display()),
                "the process that made or removed it died before it had done so, and no identifier names it",
            )
        },
        _ => Removed::new(
            "remnant",
            "something of a dead process".to_owned(),
            "the process is dead",
        ),
    }
}

/// Objects that nobody has in use and nobody has used for some time.
fn orphans(
    directory: &Path,
    unused: Duration,
    dry_run: bool,
    removed: &mut Vec<Removed>,
    failed: &mut Vec<String>,
) -> Result<(), Failure> {
    let namespace = Namespace::open(directory)?;
    let snapshot = namespace.snapshot(&Mechanism::ALL)?;
    let mut progress = Progress::new("removing", snapshot.objects.len() as u64);
    for object in &snapshot.objects {
        if !is_orphan(object, snapshot.taken_at, unused) {
            continue;
        }
        if dry_run {
            removed.push(describe_orphan(object));
            continue;
        }
        // Whoever attaches a segment in the last moment keeps the memory, as after any removal.
        if removal::is_unused_since(&namespace, object) {
            match removal::remove(&namespace, object) {
                Ok(()) => removed.push(describe_orphan(object)),
                Err(error) => failed.push(error.to_string()),
            }
        }
        progress.advance(1);
    }
    Ok(())
}

fn is_orphan(object: &Object, now: std::time::SystemTime, unused: Duration) -> bool {
    object.state != State::Removed && !object.is_in_use() && object.idle(now) >= unused
}

fn describe_orphan(object: &Object) -> Removed {
    Removed {
        id: Some(object.id.get()),
        bytes: Some(object.resident()),
        ..Removed::new(
            object.mechanism.word(),
            format!("{}, created by {}", wording::title(object), wording::creator(object)),
            format!(
                "nobody has it in use, and it was last used {}",
                wording::ago(object.used_at.max(Some(object.changed_at)))
            ),
        )
    }
}

/// Namespaces of runs that were killed.
fn abandoned(dry_run: bool, removed: &mut Vec<Removed>, failed: &mut Vec<String>) -> Result<(), Failure> {
    let found =
        AbandonedNamespace::find().map_err(|e| Failure::new(format_args!("cannot look for namespaces: {e}")))?;
    for left in found {
        let path = left.directory().display().to_string();
        if !dry_run && let Err(error) = left.remove() {
            failed.push(error.to_string());
            continue;
        }
        removed.push(Removed {
            path: Some(path.clone()),
            ..Removed::new(
                "namespace",
                format!("namespace {path}"),
                "made for one run, and the process that was to remove it is dead, as is every other member",
            )
        });
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'t> {
    namespace: String,
    dry_run: bool,
    removed: &'t [Removed],
}

fn tell(arguments: &Arguments, directory: &Path, removed: &[Removed]) -> Result<(), Failure> {
    let dry_run = arguments.dry_run;
    if arguments.json {
        let namespace = directory.display().to_string();
        return output::print_json(&Told {
            namespace,
            dry_run,
            removed,
        });
    }
    let mut text = String::from(match (removed.is_empty(), dry_run) {
        (true, _) => "nothing to remove\n",
        (false, true) => "would remove:\n",
        (false, false) => "removed:\n",
    });
    for Removed { shown, why, .. } in removed {
        text += &format!("  {shown}: {why}\n");
    }
    output::print(text)
}
