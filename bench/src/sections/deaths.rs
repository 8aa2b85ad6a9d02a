//! What a death frees, and what waiting for one costs.

use super::Section;
use crate::contest::{Contest, Effort, KERNEL, SYSV};
use crate::job::{Api, Job, Placement, Work};
use crate::launch::Host;

pub(super) const SECTION: Section = Section {
    name: "deaths",
    title: "A holder's death, and idle waiting",
    about: "A process that holds a semaphore with `SEM_UNDO` is killed while another waits for it: the time from the kill to the \
            waiter's return. Then a hundred processes wait while somebody who lives owes them the unit; what they use of a \
            processor is for one second of waiting, all of them together.",
    seconds: 12,
    contests,
};

fn contest(name: &str, work: &Work, rounds: usize, turn_ns: u64) -> Contest<'static> {
    let mut contest = Contest::new(name, Placement::Free);
    let job = Job {
        work: work.clone(),
        placement: Placement::Free,
        api: Api::C,
    };
    contest.worker(KERNEL, Host::Kernel, job.clone());
    contest.worker(SYSV, Host::Library, job);
    contest.rounds = Some(rounds);
    contest.turn_ns = Some(turn_ns);
    contest
}

fn contests(_: Effort) -> Vec<Contest<'static>> {
    vec![
        contest("freed by a death", &Work::Death, 20, 1),
        contest(
            "waiting of a hundred processes",
            &Work::Idle { waiters: 100 },
            3,
            1_000_000_000,
        ),
    ]
}
