//! Which objects of a facility a command is about.

use clap::Args;
use sysv::{Filter, Mechanism, Snapshot, State};

use crate::duration::Span;
use crate::failure::Failure;
use crate::target::Target;
use crate::users::parse_user;

/// Kinds of objects.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Kinds {
    /// Segments
    #[arg(long = "segments", visible_alias = "segment")]
    segments: bool,

    /// Semaphore sets
    #[arg(long = "semaphores", visible_alias = "semaphore")]
    semaphores: bool,

    /// Message queues
    #[arg(long = "queues", visible_alias = "queue")]
    queues: bool,
}

impl Kinds {
    /// Those that are named, or else all.
    pub(crate) fn wanted(self) -> Vec<Mechanism> {
        let named = [self.segments, self.semaphores, self.queues];
        if named == [false; 3] {
            return Mechanism::ALL.to_vec();
        }
        let named = Mechanism::ALL.into_iter().zip(named).filter(|(_, named)| *named);
        named.map(|(kind, _)| kind).collect()
    }
}

/// What objects must be like, whatever they are called.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Conditions {
    /// Only those that belong to this user; may be given several times
    #[arg(long = "owner", short = 'o', value_name = "USER", value_parser = parse_user)]
    owners: Vec<u32>,

    /// Only those that nobody has in use and nobody has used for this time, as in 90s, 15m, 12h or 7d
    #[arg(long, value_name = "TIME")]
    idle: Option<Span>,

    /// Only those in this state: in-use, idle, never-used, left (by processes that are dead) or removed (and still
    /// attached); may be given several times
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<State>,
}

impl Conditions {
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            owners: self.owners.clone(),
            states: self.states.clone(),
            idle: self.idle.map(|Span(time)| time),
            ..Filter::default()
        }
    }
}

/// The objects of these kinds that a filter admits.
pub(crate) fn take(target: &Target, kinds: &[Mechanism], filter: &Filter) -> Result<Snapshot, Failure> {
    let mut snapshot = target.namespace()?.snapshot(kinds)?;
    let now = snapshot.taken_at;
    snapshot.objects.retain(|object| filter.admits(object, now));
    Ok(snapshot)
}
