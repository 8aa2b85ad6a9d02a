//! Two processes that wait for each other.

use super::{Section, peers, rivals};
use crate::contest::{Contest, Effort, KERNEL, SYSV, SYSV_RUST};
use crate::job::{Api, Job, Placement, Work};
use crate::launch::Host;

pub(super) const TURNS: Section = Section {
    name: "turns",
    title: "Two processes in turns",
    about: "A round trip: one process gives and waits, the other waits and gives back. Queues and sockets carry 64 bytes. \
            Ours looks for a few microseconds before it sleeps where the other runs on another processor, and at a semaphore \
            yields where both need the same one; \"futex\" always sleeps; \"cache line\" never does and is the physical limit on \
            two processors. The processor time is that of both.",
    seconds: 25,
    contests: turns,
};

pub(super) const WAKES: Section = Section {
    name: "wakes",
    title: "Waking a process that sleeps",
    about: "The one to be woken has been asleep for 150 µs. The time is from before the waker's call to the sleeper's return \
            from its own; it is the scheduler's and the hypervisor's more than anybody's.",
    seconds: 20,
    contests: wakes,
};

const RIVALS: &[&str] = &["POSIX semaphore", "POSIX message queue", "pipe", "Unix socket", "futex"];
const PEERS: &[&str] = &["Boost semaphore", "Boost message queue", "ipc-channel"];

fn contest(name: &str, placement: Placement, work: &dyn Fn(String) -> Work) -> Contest<'static> {
    let mut contest = Contest::new(name, placement);
    let job = |way: &str, api| Job {
        work: work(way.to_owned()),
        placement,
        api,
    };
    for (way, suffix) in [("semaphore", "semop"), ("queue", "msgsnd")] {
        contest.worker(&format!("{KERNEL}, {suffix}"), Host::Kernel, job(way, Api::C));
        contest.worker(&format!("{SYSV}, {suffix}"), Host::Library, job(way, Api::C));
        contest.worker(&format!("{SYSV_RUST}, {suffix}"), Host::Crate, job(way, Api::Rust));
    }
    contest.mode = true;
    contest
}

fn turn(way: String) -> Work {
    Work::Turns { way, size: 64 }
}

fn turns(_: Effort) -> Vec<Contest<'static>> {
    let contests = [Placement::Two, Placement::One, Placement::Free].map(|placement| {
        let mut contest = contest("round trip", placement, &turn);
        rivals(&mut contest, RIVALS, placement, turn);
        if placement != Placement::One {
            rivals(&mut contest, &["cache line"], placement, turn);
            // It has no way to wait but to look.
            peers(&mut contest, &["iceoryx2"], placement, turn);
        }
        peers(&mut contest, PEERS, placement, turn);
        contest.latency = true;
        contest.turn_ns = Some(12_000_000);
        contest
    });
    contests.into()
}

fn wakes(_: Effort) -> Vec<Contest<'static>> {
    let wake = |way| Work::Wake { way };
    let contests = [Placement::Two, Placement::One].map(|placement| {
        let mut contest = contest("wake-up", placement, &wake);
        rivals(&mut contest, RIVALS, placement, wake);
        peers(&mut contest, PEERS, placement, wake);
        // Time asleep is not counted: 30 wake-ups of 40 µs.
        contest.turn_ns = Some(1_200_000);
        contest
    });
    contests.into()
}

pub(super) fn short() -> Vec<Contest<'static>> {
    let contests = [Placement::Two, Placement::One].map(|placement| {
        let mut contest = contest("round trip", placement, &turn);
        contest.entries.retain(|(name, _)| !name.starts_with(SYSV_RUST));
        rivals(&mut contest, &["pipe", "futex"], placement, turn);
        contest
    });
    contests.into()
}
