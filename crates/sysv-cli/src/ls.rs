//! `sysv ls`: every object of a facility.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use clap::Args;
use sysv::{Filter, Key, Order, Snapshot};

use crate::columns::{self, Column};
use crate::described::Listing;
use crate::duration::Span;
use crate::failure::Failure;
use crate::selection::{self, Conditions, Kinds};
use crate::target::Target;
use crate::{output, wording};

/// Show every object, and who has it in use
///
/// All of them are shown, whoever owns them, also segments that are removed and still attached. Processes are named that
/// have a segment attached, wait for a semaphore or a queue, or will change a semaphore when they end (SEM_UNDO). On the
/// kernel's facility these are looked for in /proc, where only root sees other users' processes, and SEM_UNDO cannot be
/// seen at all.
///
/// SIZE is the bytes of a segment, the semaphores of a set, the messages of a queue; RESIDENT the bytes that take memory,
/// and of a queue those in it and those it may hold.
#[derive(Debug, Args)]
#[command(after_help = "\
States: in use: somebody has it attached, waits for it or owes it an undo. idle: it was used, and nobody has it in use. \
never used: nobody ever has. left: nobody has it in use, and every process that is known to have made or used it is dead. \
removed: it goes with its last attachment.

Examples:
  sysv ls --semaphores --wide      sets alone, with their values
  sysv ls --state left --idle 1h   what crashed services may have left behind
  sysv ls --kernel --sort resident what takes most memory in the kernel's own facility
  sysv ls --watch                  the same every two seconds")]
pub(crate) struct Arguments {
    #[command(flatten)]
    kinds: Kinds,

    /// Only those with this key; may be given several times
    #[arg(long = "key", short = 'K', value_name = "KEY", allow_hyphen_values = true)]
    keys: Vec<Key>,

    #[command(flatten)]
    conditions: Conditions,

    /// Sort by this: kind, key, id, owner, size, resident, processes, used or state
    #[arg(long, value_name = "COLUMN", default_value = "kind", hide_default_value = true)]
    sort: Order,

    /// The other way round
    #[arg(long, short)]
    reverse: bool,

    /// More columns, and every process
    #[arg(long, short)]
    wide: bool,

    /// Show it again every so often [default: 2 seconds]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "2")]
    watch: Option<Span>,

    #[command(flatten)]
    target: Target,

    /// Print JSON, as docs/json.md describes it
    #[arg(long)]
    json: bool,
}

pub(crate) fn ls(arguments: &Arguments) -> Result<(), Failure> {
    let Some(Span(interval)) = arguments.watch else {
        return output::print(render(arguments)?);
    };
    let mut first = true;
    loop {
        let text = render(arguments)?;
        // On a terminal in the place of what was there, elsewhere below it.
        let between = match (stdout().is_terminal(), first) {
            (true, _) => "\x1b[H\x1b[2J\x1b[3J",
            (false, false) if !arguments.json => "\n",
            (false, _) => "",
        };
        output::print(format!("{between}{text}"))?;
        first = false;
        std::thread::sleep(interval.max(Duration::from_millis(100)));
    }
}

fn render(arguments: &Arguments) -> Result<String, Failure> {
    let kinds = arguments.kinds.wanted();
    let filter = Filter {
        keys: arguments.keys.clone(),
        ..arguments.conditions.filter()
    };
    let mut snapshot = selection::take(&arguments.target, &kinds, &filter)?;
    arguments.sort.sort(&mut snapshot.objects);
    if arguments.reverse {
        snapshot.objects.reverse();
    }
    if arguments.json {
        return output::json(&Listing::new(&snapshot, &kinds));
    }
    let columns = Column::of(&kinds, arguments.wide);
    let table = columns::table(&columns, &snapshot.objects, snapshot.taken_at);
    Ok(table + &unseen(&snapshot))
}

/// What was left out: nothing, if every process that the facility counts was seen.
pub(crate) fn unseen(snapshot: &Snapshot) -> String {
    if snapshot.unseen == 0 || !snapshot.objects.iter().any(wording::may_have_unseen_users) {
        return String::new();
    }
    let processes = wording::processes(snapshot.unseen as u64);
    format!("\n{processes} may not be looked at by this user; what they have in use is not shown.\n")
}
