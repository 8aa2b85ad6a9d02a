//! How cost grows with what else there is.

use super::Section;
use crate::contest::{Contest, Effort, KERNEL, SYSV};
use crate::job::{Among, Api, Job, Placement, Work};
use crate::launch::Host;

pub(super) const SECTION: Section = Section {
    name: "growth",
    title: "How cost grows",
    about: "The same operation with more and more objects of its kind, attachments of the segment in the process, processes \
            that wait at the object for something else, or processes in the namespace. Flat is good. A namespace has 16,384 \
            segments at most, the kernel 4,096 by default.",
    seconds: 26,
    contests,
};

/// The operation, among what, and how many.
type Ladder = (&'static str, &'static str, fn(usize) -> Among, &'static [usize]);

const LADDERS: &[Ladder] = &[
    ("shmget", "segments", Among::Objects, OF_SEGMENTS),
    ("shmctl IPC_STAT", "segments", Among::Objects, OF_SEGMENTS),
    ("shmget + IPC_RMID", "segments", Among::Objects, OF_SEGMENTS),
    ("semop, take and give", "semaphore sets", Among::Objects, OF_OTHERS),
    ("semget + IPC_RMID", "semaphore sets", Among::Objects, OF_OTHERS),
    ("msgsnd + msgrcv", "queues", Among::Objects, OF_OTHERS),
    ("msgget + IPC_RMID", "queues", Among::Objects, OF_OTHERS),
    (
        "shmat + shmdt, again",
        "attachments",
        Among::Attachments,
        &[1, 10, 100, 1000],
    ),
    (
        "shmctl IPC_STAT, attached",
        "attachments",
        Among::Attachments,
        &[1, 10, 100, 1000],
    ),
    ("shmctl IPC_STAT", "processes", Among::Processes, OF_PROCESSES),
    ("shmat + shmdt, again", "processes", Among::Processes, OF_PROCESSES),
    ("semop, take and give", "waiters", Among::Waiters, OF_PROCESSES),
    ("semop, take and give", "processes", Among::Processes, OF_PROCESSES),
    ("msgsnd + msgrcv", "waiters", Among::Waiters, OF_PROCESSES),
];

const OF_SEGMENTS: &[usize] = &[10, 100, 1000, 4000];
const OF_OTHERS: &[usize] = &[10, 100, 1000, 10_000, 30_000];
const OF_PROCESSES: &[usize] = &[1, 8, 64, 256];

fn contests(effort: Effort) -> Vec<Contest<'static>> {
    let mut contests = Vec::new();
    for (call, of, among, ladder) in LADDERS {
        let ladder = if effort == Effort::ONCE { &ladder[..1] } else { ladder };
        for number in ladder {
            let mut contest = Contest::new(format!("{call}, among {of}"), Placement::One);
            contest.case.number = Some(*number);
            let job = Job {
                work: Work::Call {
                    call: (*call).to_owned(),
                    size: 64,
                    among: among(*number),
                },
                placement: Placement::One,
                api: Api::C,
            };
            contest.worker(KERNEL, Host::Kernel, job.clone());
            contest.worker(SYSV, Host::Library, job);
            contest.rounds = Some(15);
            contest.turn_ns = Some(3_000_000);
            contests.push(contest);
        }
    }
    contests
}
