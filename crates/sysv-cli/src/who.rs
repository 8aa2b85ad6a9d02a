//! `sysv who`: what one process has to do with objects.

use clap::Args;
use serde::Serialize;
use sysv::{Mechanism, Namespace, Object, Party, Snapshot};

use crate::described::Listing;
use crate::failure::Failure;
use crate::target::Target;
use crate::{ls, output, wording};

/// Show what one process has in use
///
/// That is what it has attached, what it waits for, and what it will change when it ends (SEM_UNDO). Unless --namespace or --kernel is given, both the namespace that `sysv ls` shows and the kernel's own facility are
/// looked through. Also shown is what the process made and has not in use.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: sysv who $(pidof -s postgres)")]
pub(crate) struct Arguments {
    /// The process's id, as this command sees it
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: u32,

    #[command(flatten)]
    target: Target,

    /// Print JSON, as docs/json.md describes it
    #[arg(long)]
    json: bool,
}

pub(crate) fn who(arguments: &Arguments) -> Result<(), Failure> {
    let pid = arguments.pid;
    let Ok(command) = std::fs::read_to_string(format!("/proc/{pid}/comm")) else {
        return Err(Failure::new(format_args!(
            "no process has the id {pid}; what dead processes left `sysv gc --dry-run` and `sysv ls --state left` show"
        )));
    };
    let command = command.trim_end();
    let mut snapshots = Vec::new();
    for namespace in arguments.target.all()? {
        snapshots.push(involving(&namespace, pid)?);
    }
    if arguments.json {
        let facilities = snapshots
            .iter()
            .map(|(snapshot, _)| Listing::new(snapshot, &Mechanism::ALL));
        return output::print_json(&Told {
            pid,
            command,
            facilities: facilities.collect(),
        });
    }
    let mut text = format!("{} (pid {pid})\n", output::printable(command));
    for (snapshot, parties) in &snapshots {
        text += &section(snapshot, parties);
    }
    output::print(text)
}

/// The objects that the process has to do with, and what, in the same order.
fn involving(namespace: &Namespace, pid: u32) -> Result<(Snapshot, Vec<Vec<Party>>), Failure> {
    let mut snapshot = namespace.snapshot(&Mechanism::ALL)?;
    let is_meant = |party: &Party| match party.process.elsewhere {
        false => party.process.pid == pid,
        true => party.process.whereabouts().pid_here == Some(pid),
    };
    let mut found = Vec::new();
    snapshot.objects.retain(|object| {
        let parties: Vec<Party> = object.parties.iter().filter(|party| is_meant(party)).cloned().collect();
        let concerned = !parties.is_empty() || made(object, pid);
        if concerned {
            found.push(parties);
        }
        concerned
    });
    Ok((snapshot, found))
}

/// Whether the process made it, and not an earlier one with its id: that one's objects are left by the dead unless
/// somebody uses them.
fn made(object: &Object, pid: u32) -> bool {
    object.creator_pid == pid && object.state != sysv::State::Left
}

fn section(snapshot: &Snapshot, parties: &[Vec<Party>]) -> String {
    let location = &snapshot.location;
    if snapshot.objects.is_empty() {
        return format!("\nIt has nothing to do with objects of {location}.\n");
    }
    let mut rows = Vec::new();
    for (object, parties) in snapshot.objects.iter().zip(parties) {
        let row = |what: String| {
            vec![
                object.mechanism.word().to_owned(),
                object.id.to_string(),
                object.key.to_string(),
                what,
            ]
        };
        rows.extend(parties.iter().map(|party| {
            let waited = party.waited.map(|time| format!(", for {}", wording::span(time)));
            row(format!("{}{}", party.role, waited.unwrap_or_default()))
        }));
        if parties.is_empty() {
            rows.push(row("made it, and has it not in use".to_owned()));
        }
    }
    let table = output::table(&["KIND", "ID", "KEY", "WHAT"], &["ID"], rows);
    format!("\nOf {location}:\n{table}{}", ls::unseen(snapshot))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'t> {
    pid: u32,
    command: &'t str,
    facilities: Vec<Listing<'t>>,
}
