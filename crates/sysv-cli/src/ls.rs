//! `sysv ls`: every object of a facility.

use clap::Args;
use serde::Serialize;
use sysv::{Location, Process, SegmentReport};

use crate::failure::Failure;
use crate::output;
use crate::target::Target;
use crate::users::user_name;

/// Show every segment
///
/// All of them are shown, whoever owns them, also those that are removed and still attached.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn ls(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let segments = namespace.report()?;
    if arguments.json {
        let segments = segments.iter().map(Described::new).collect();
        return output::print_json(&Listing {
            namespace: place(namespace.location()),
            segments,
        });
    }
    let header = [
        "KEY",
        "ID",
        "OWNER",
        "MODE",
        "SIZE",
        "RESIDENT",
        "ATTACHED",
        "CREATED BY",
        "STATE",
    ];
    output::print(output::table(
        &header,
        &["ID", "SIZE", "RESIDENT", "ATTACHED"],
        segments.iter().map(row),
    ))
}

fn row(segment: &SegmentReport) -> Vec<String> {
    let stat = &segment.stat;
    vec![
        stat.key.to_string(),
        stat.id.to_string(),
        user_name(stat.permissions.owner),
        stat.permissions.mode.to_string(),
        stat.size.to_string(),
        segment.resident.to_string(),
        stat.attachments.to_string(),
        creator(segment),
        state(segment).to_owned(),
    ]
}

/// Who created it, as far as that is known.
pub(crate) fn creator(segment: &SegmentReport) -> String {
    segment
        .creator
        .as_ref()
        .map_or_else(|| format!("pid {}", segment.stat.creator_pid), process)
}

pub(crate) fn process(process: &Process) -> String {
    let elsewhere = if process.elsewhere {
        ", in another pid namespace"
    } else {
        ""
    };
    format!(
        "{} (pid {}{elsewhere})",
        output::printable(&process.command),
        process.pid
    )
}

/// Its state, as a sentence would put it.
pub(crate) fn state(segment: &SegmentReport) -> &'static str {
    match (segment.stat.removed, segment.stat.attachments, segment.stat.attached_at) {
        (true, ..) => "removed, still attached",
        (false, 1.., _) => "in use",
        (false, 0, Some(_)) => "idle",
        (false, 0, None) => "never used",
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Listing {
    /// The namespace's directory; null for the kernel.
    namespace: Option<String>,
    segments: Vec<Described>,
}

pub(crate) fn place(location: &Location) -> Option<String> {
    location.directory().map(|d| d.display().to_string())
}

/// A segment in JSON: numbers as they are, times in seconds since the Epoch.
#[derive(Serialize)]
pub(crate) struct Described {
    id: i32,
    key: i32,
    owner: u32,
    group: u32,
    creator: u32,
    creator_group: u32,
    /// In octal, as everywhere else.
    mode: String,
    size: u64,
    resident: u64,
    attachments: u64,
    removed: bool,
    memory_locked: bool,
    attached_at: Option<u64>,
    detached_at: Option<u64>,
    changed_at: u64,
    creator_pid: i32,
    last_pid: i32,
    /// Null where it is not known.
    creator_command: Option<String>,
}

impl Described {
    pub(crate) fn new(segment: &SegmentReport) -> Described {
        let stat = &segment.stat;
        Described {
            id: stat.id.get(),
            key: stat.key.get(),
            owner: stat.permissions.owner,
            group: stat.permissions.group,
            creator: stat.creator,
            creator_group: stat.creator_group,
            mode: stat.permissions.mode.to_string(),
            size: stat.size,
            resident: segment.resident,
            attachments: stat.attachments,
            removed: stat.removed,
            memory_locked: stat.memory_locked,
            attached_at: stat.attached_at.map(output::seconds),
            detached_at: stat.detached_at.map(output::seconds),
            changed_at: output::seconds(stat.changed_at),
            creator_pid: stat.creator_pid,
            last_pid: stat.last_pid,
            creator_command: segment.creator.as_ref().map(|c| c.command.clone()),
        }
    }
}
