//! One lock and many processes.

use super::{Section, peers, rivals};
use crate::contest::{Contest, Effort, SYSV_RUST};
use crate::job::{Api, Job, Placement, Work};
use crate::launch::Host;

pub(super) const SECTION: Section = Section {
    name: "locks",
    title: "A mutex among 1 to 64 processes",
    about: "Each process takes it, works for 100 ns, gives it back, and begins again; the time is for one acquisition, \
            whoever's. Fairness is the slowest process's count as a part of the fastest one's. Of the waits only \
            each process's longest in a round is kept: \"median alone\" and the percentages are of these.",
    seconds: 260,
    contests,
};

const RIVALS: &[&str] = &["POSIX semaphore", "pthread mutex", "robust pthread mutex"];

fn contest(processes: usize, placement: Placement, all: bool) -> Contest<'static> {
    let mut contest = Contest::new("mutex around 100 ns of work", placement);
    contest.case.number = Some(processes);
    let work = |lock: String| Work::Mutex { lock, processes };
    contest.facilities(&work("semaphore".to_owned()), placement);
    if all {
        let job = Job {
            work: work("semaphore with undo".to_owned()),
            placement,
            api: Api::C,
        };
        contest.worker("kernel, SEM_UNDO", Host::Kernel, job.clone());
        contest.worker("sysv, SEM_UNDO", Host::Library, job);
        rivals(&mut contest, RIVALS, placement, work);
        peers(&mut contest, &["Boost mutex"], placement, work);
    } else {
        contest.entries.retain(|(name, _)| name != SYSV_RUST);
        rivals(&mut contest, &RIVALS[1..2], placement, work);
    }
    contest.mode = true;
    contest.rounds = all.then_some(15);
    // Long enough for the scheduler to have been round everybody.
    contest.turn_ns = Some(150_000_000);
    contest
}

fn contests(_: Effort) -> Vec<Contest<'static>> {
    let free = [1, 2, 4, 8, 16, 32, 64].map(|processes| contest(processes, Placement::Free, true));
    let placed = [Placement::Two, Placement::One].map(|placement| contest(8, placement, true));
    free.into_iter().chain(placed).collect()
}

pub(super) fn short() -> Vec<Contest<'static>> {
    [1, 8]
        .map(|processes| contest(processes, Placement::Free, false))
        .into()
}
