//! `sysv show`: everything about one object.

use clap::Args;
use serde::Serialize;
use sysv::{AttachmentReport, SegmentReport};

use crate::failure::Failure;
use crate::ls::{self, Described};
use crate::output;
use crate::target::{Target, Which};
use crate::users::{group_name, user_name};

/// Show everything about a segment, with each of its attachments
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    target: Target,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn show(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let segment = arguments.which.segment(&namespace)?;
    let Some(report) = namespace.report()?.into_iter().find(|r| r.stat.id == segment.id()) else {
        // The error of looking at it knows what to say.
        segment.stat()?;
        return Err(Failure::new(format_args!("segment {} is gone", segment.id())));
    };
    let attachments = segment.attachments()?;
    if arguments.json {
        let shown = Shown {
            segment: Described::new(&report),
            attached_by: attachments.iter().map(Attached::new).collect(),
        };
        return output::print_json(&shown);
    }
    output::print(sheet(&report, &namespace) + &list(&report, &attachments))
}

fn sheet(report: &SegmentReport, namespace: &sysv::Namespace) -> String {
    let stat = &report.stat;
    let permissions = &stat.permissions;
    let last = if stat.last_pid == 0 {
        "-".to_owned()
    } else {
        format!("pid {}", stat.last_pid)
    };
    let lines = [
        ("segment", stat.id.to_string()),
        ("of", namespace.location().to_string()),
        (
            "key",
            if stat.key.is_private() {
                "none".to_owned()
            } else {
                stat.key.to_string()
            },
        ),
        ("state", ls::state(report).to_owned()),
        (
            "size",
            format!("{} bytes, {} of them resident", stat.size, report.resident),
        ),
        ("mode", permissions.mode.to_string()),
        (
            "owner",
            format!(
                "{}, group {}",
                user_name(permissions.owner),
                group_name(permissions.group)
            ),
        ),
        (
            "creator",
            format!("{}, group {}", user_name(stat.creator), group_name(stat.creator_group)),
        ),
        ("created by", ls::creator(report)),
        ("changed", output::ago(Some(stat.changed_at))),
        ("attached", output::ago(stat.attached_at)),
        ("detached", output::ago(stat.detached_at)),
        ("last used by", last),
        (
            "memory",
            if stat.memory_locked {
                "locked"
            } else {
                "may be swapped out"
            }
            .to_owned(),
        ),
        ("attachments", stat.attachments.to_string()),
    ];
    lines
        .iter()
        .map(|(name, value)| format!("{:<13} {value}\n", format!("{name}:")))
        .collect()
}

fn list(report: &SegmentReport, attachments: &[AttachmentReport]) -> String {
    if attachments.is_empty() {
        let unseen = if report.stat.attachments > 0 {
            "\nWho holds them only root can see.\n"
        } else {
            ""
        };
        return unseen.to_owned();
    }
    let rows = attachments.iter().map(|a| {
        vec![
            a.process.pid.to_string(),
            output::printable(&a.process.command),
            user_name(a.user),
            format!("{:#x}", a.address),
            a.length.to_string(),
            if a.read_only { "read" } else { "read, write" }.to_owned(),
            if a.process.elsewhere {
                "in another pid namespace"
            } else {
                ""
            }
            .to_owned(),
        ]
    });
    let header = ["PID", "COMMAND", "USER", "ADDRESS", "BYTES", "ACCESS", ""];
    format!("\n{}", output::table(&header, &["PID", "BYTES"], rows))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    segment: Described,
    attached_by: Vec<Attached>,
}

#[derive(Serialize)]
struct Attached {
    /// As the process itself sees it.
    pid: u32,
    /// Whether that is in another pid namespace than the reader's.
    elsewhere: bool,
    command: String,
    user: u32,
    address: u64,
    length: u64,
    read_only: bool,
}

impl Attached {
    fn new(report: &AttachmentReport) -> Attached {
        Attached {
            pid: report.process.pid,
            elsewhere: report.process.elsewhere,
            command: report.process.command.clone(),
            user: report.user,
            address: report.address,
            length: report.length,
            read_only: report.read_only,
        }
    }
}
