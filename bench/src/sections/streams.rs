//! Messages from senders to receivers.

use super::{Section, peers, rivals};
use crate::contest::{Contest, Effort, SYSV_RUST};
use crate::job::{Placement, Work};

pub(super) const SECTION: Section = Section {
    name: "streams",
    title: "Streams of messages",
    about: "64 bytes each, from senders to as many receivers, as fast as they go; the time is for one message. A pipe and a \
            socket take bytes, so that several receivers of a pipe could get halves of a message: they stand in one-to-one only.",
    seconds: 50,
    contests,
};

/// Senders and receivers, and where.
const SHAPES: &[(usize, Placement)] = &[
    (1, Placement::Two),
    (1, Placement::One),
    (1, Placement::Free),
    (4, Placement::Free),
    (16, Placement::Free),
    (32, Placement::Free),
];

fn contest(each: usize, placement: Placement, all: bool) -> Contest<'static> {
    let mut contest = Contest::new(format!("{each} to {each}, 64 bytes"), placement);
    contest.case.number = Some(2 * each);
    let work = |way| Work::Stream { way, size: 64, each };
    contest.facilities(&work("queue".to_owned()), placement);
    rivals(&mut contest, &["POSIX message queue"], placement, work);
    if each == 1 {
        rivals(&mut contest, &["pipe", "Unix socket"], placement, work);
        if all {
            peers(&mut contest, &["ipc-channel"], placement, work);
        }
    }
    if all {
        peers(&mut contest, &["Boost message queue"], placement, work);
    }
    if !all {
        contest.entries.retain(|(name, _)| name != SYSV_RUST);
    }
    contest.mode = true;
    // The scheduler has more to choose.
    contest.rounds = (all && each >= 16).then_some(40);
    contest.turn_ns = Some(25_000_000);
    contest
}

fn contests(_: Effort) -> Vec<Contest<'static>> {
    SHAPES
        .iter()
        .map(|(each, placement)| contest(*each, *placement, true))
        .collect()
}

pub(super) fn short() -> Vec<Contest<'static>> {
    [1, 4].map(|each| contest(each, Placement::Free, false)).into()
}
