//! Each operation in one process.

use super::{Section, peers, rivals};
use crate::contest::{Contest, Effort};
use crate::job::{Among, Api, Job, Placement, Work};
use crate::launch::Host;

pub(super) const SECTION: Section = Section {
    name: "calls",
    title: "Single operations in one process",
    about: "Nobody else is there; what is measured is the path through the call. \"Take and give\" and \
            \"msgsnd + msgrcv\" are two calls. Single operations are timed by reading the clock before and after each, \
            which \"nothing\" shows the cost of.",
    seconds: 40,
    contests,
};

/// Operations and the size that they concern.
const OPERATIONS: &[(&str, usize)] = &[
    ("shmget", 0),
    ("shmctl IPC_STAT", 0),
    ("shmctl IPC_STAT, attached", 0),
    ("shmat + shmdt, again", 0),
    ("shmat + shmdt, first", 0),
    ("shmget + IPC_RMID", 0),
    ("shmget + shmat + shmdt + IPC_RMID", 0),
    ("first touch of 64 pages", 0),
    ("copy into a segment", 1 << 20),
    ("semop, take and give", 0),
    ("semop with SEM_UNDO, take and give", 0),
    ("semop of two semaphores, take and give", 0),
    ("semop of two with SEM_UNDO, take and give", 0),
    ("semctl GETVAL", 0),
    ("semget + IPC_RMID", 0),
    ("msgsnd + msgrcv", 8),
    ("msgsnd + msgrcv", 64),
    ("msgsnd + msgrcv", 8192),
    ("forty msgsnd + forty msgrcv", 64),
    ("msgrcv by type among sixty + msgsnd", 64),
    ("msgget + IPC_RMID", 0),
];

fn work(call: &str, size: usize) -> Work {
    Work::Call {
        call: call.to_owned(),
        size,
        among: Among::Nothing,
    }
}

fn contest(name: &str, size: usize, placement: Placement) -> Contest<'static> {
    let mut contest = Contest::new(name, placement);
    contest.case.size = (size > 0).then_some(size);
    contest.facilities(&work(name, size), placement);
    let pair = |way| Work::Pair { way, size };
    match name {
        "msgsnd + msgrcv" => {
            let ways = ["POSIX message queue", "pipe", "Unix socket"];
            rivals(&mut contest, &ways, placement, pair);
            let ways = ["Boost message queue", "iceoryx2", "ipc-channel"];
            peers(&mut contest, &ways, placement, pair);
        }
        "semop, take and give" => {
            rivals(&mut contest, &["POSIX semaphore"], placement, pair);
            peers(&mut contest, &["Boost semaphore"], placement, pair);
        }
        "shmget + shmat + shmdt + IPC_RMID" => {
            rival_call(&mut contest, "shm_open + mmap + munmap + shm_unlink", size, placement);
        }
        "copy into a segment" => rival_call(&mut contest, "copy into POSIX shared memory", size, placement),
        "shmget" => rival_call(&mut contest, "nothing", size, placement),
        _ => {}
    }
    contest
}

fn rival_call(contest: &mut Contest<'static>, call: &str, size: usize, placement: Placement) {
    let job = Job {
        work: work(call, size),
        placement,
        api: Api::C,
    };
    contest.worker(call, Host::Kernel, job);
}

/// A message of a size through our queue beside the same bytes copied twice.
fn beside_copies(size: usize) -> Contest<'static> {
    let mut contest = Contest::new("msgsnd + msgrcv beside two copies", Placement::One);
    contest.case.size = Some(size);
    let job = |call: &str| Job {
        work: work(call, size),
        placement: Placement::One,
        api: Api::C,
    };
    contest.worker("two copies", Host::Kernel, job("two copies"));
    contest.worker(crate::contest::SYSV, Host::Library, job("msgsnd + msgrcv"));
    contest
}

fn contests(_: Effort) -> Vec<Contest<'static>> {
    let pinned = OPERATIONS.iter().map(|(name, size)| {
        let mut contest = contest(name, *size, Placement::One);
        contest.latency = true;
        contest
    });
    let free = OPERATIONS
        .iter()
        .map(|(name, size)| contest(name, *size, Placement::Free));
    pinned.chain([beside_copies(1 << 20)]).chain(free).collect()
}

pub(super) fn short() -> Vec<Contest<'static>> {
    let contests = OPERATIONS.iter().map(|(name, size)| {
        let mut contest = Contest::new(*name, Placement::One);
        contest.case.size = (*size > 0).then_some(*size);
        contest.facilities(&work(name, *size), Placement::One);
        contest.entries.truncate(2);
        contest
    });
    contests.collect()
}
