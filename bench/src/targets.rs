//! What was aimed at, and whether it was met.

use serde::Serialize;

use crate::job::Placement;
use crate::results::{Measurement, Results};

/// What a target speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    /// Ours as a part of the reference.
    Ratio,
    /// Ours less the reference, in milliseconds.
    ExtraMilliseconds,
    /// The slowest process's count as a part of the fastest one's: at least that.
    Fairness,
    /// The worst wait in milliseconds.
    WorstWait,
    /// Processor time as a part of the time elapsed.
    ProcessorPart,
    /// How many times faster than the reference, which does twice the least work: at least that.
    PartOfSpeed,
}

/// One target.
struct Target {
    name: &'static str,
    section: &'static str,
    case: &'static str,
    subject: &'static str,
    placement: Placement,
    size: Option<usize>,
    number: Option<usize>,
    figure: Figure,
    bound: f64,
    /// What keeps it from being met, where it is not.
    bounded_by: &'static str,
}

/// A target and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What is aimed at.
    pub name: &'static str,
    /// The bound, in words.
    pub target: String,
    /// The measured figure, if it was.
    pub measured: Option<f64>,
    /// The same in words.
    pub told: String,
    /// Whether it is met.
    pub met: Option<bool>,
    /// What keeps it from being met, where it is not.
    pub bounded_by: &'static str,
    /// Whether a ratio that misses its bound does so by less than it varies: its lower quartile is within.
    pub within_spread: bool,
}

const fn call(name: &'static str, case: &'static str, bound: f64) -> Target {
    Target {
        name,
        section: "calls",
        case,
        subject: "sysv",
        placement: Placement::One,
        size: None,
        number: None,
        figure: Figure::Ratio,
        bound,
        bounded_by: "",
    }
}

const fn sized(name: &'static str, case: &'static str, size: usize, bound: f64) -> Target {
    Target {
        size: Some(size),
        ..call(name, case, bound)
    }
}

const fn turn(name: &'static str, subject: &'static str, placement: Placement, bound: f64) -> Target {
    Target {
        section: "turns",
        subject,
        placement,
        ..call(name, "round trip", bound)
    }
}

const fn mutex(name: &'static str, figure: Figure, bound: f64) -> Target {
    Target {
        section: "locks",
        placement: Placement::Free,
        number: Some(8),
        figure,
        ..call(name, "mutex around 100 ns of work", bound)
    }
}

const fn stream(name: &'static str, case: &'static str, placement: Placement, each: usize, bound: f64) -> Target {
    Target {
        section: "streams",
        placement,
        number: Some(2 * each),
        ..call(name, case, bound)
    }
}

const OPENED: &str =
    "the segment's file must be opened and closed, 2 to 3 µs that the kernel's attachment does without";
const SEMOP_DISTANCE: &str = "a cache line's way between the processors, which is the limit for anybody";
const MUTEX: &str =
    "who has found nothing for a while sleeps, and a wake-up costs tens of microseconds whoever does it";
const FAIR: &str = "a unit that is free goes to whoever comes first, and a process that runs comes before one that is being woken, until it \
                    has gone on for half a millisecond";
const WORST: &str =
    "eight processes on two processors: who is not running waits for the scheduler, whose slices are some milliseconds";
/// The same memory and the same instructions on both sides.
const NOISE: &str =
    "the memory is the kernel's on both sides, and so are the instructions: what differs is the machine";
const UNDER_LOCK: &str = "it happens under the set's lock, noted first so that whoever finds the owner dead can finish it; a single \
                          operation without undo is one compare-and-swap";
const DISTANCE: &str = "a message's two cache lines go from one processor to the other, from which they are taken away first; a bare line \
     there and back takes twice the target where processors are as far apart as in this run";
const STREAM: &str = "a message's two cache lines pass from one processor to the other, and receiving one takes \
                      half as long as both calls take alone; with processors that are near each other the target is met";
const IDLE: &str =
    "each waiter's first look, and the watcher's twenty-six a second, each of which asks whether the debtor lives";
const SLEEP: &str = "both sleep and are woken by the kernel, which switches as often as for its own calls";
const PAIR: &str = "two locks, taken and given back by an atomic exchange each, and two copies";
const MESSAGE: &str = "the queue's lock, an envelope that a death leaves whole or not at all, and two copies";

const TARGETS: &[Target] = &[
    call("`shmget` of an existing key", "shmget", 0.3),
    call("`IPC_STAT` of a segment", "shmctl IPC_STAT", 1.0),
    call("`shmat` + `shmdt`, already attached", "shmat + shmdt, again", 1.0),
    call("`shmat` + `shmdt`, first attachment", "shmat + shmdt, first", 1.5).or(OPENED),
    call("creating and removing a segment", "shmget + IPC_RMID", 1.5),
    call("first touch of a segment's pages", "first touch of 64 pages", 1.0).or(NOISE),
    sized("copying 1 MiB into a segment", "copy into a segment", 1 << 20, 1.0).or(NOISE),
    Target {
        section: "loading",
        subject: "with libsysv.so",
        placement: Placement::Free,
        figure: Figure::ExtraMilliseconds,
        ..call("loading `libsysv.so` into `/bin/true`", "/bin/true", 1.0)
    },
    call("`semop`", "semop, take and give", 0.06),
    call("`semop` with `SEM_UNDO`", "semop with SEM_UNDO, take and give", 0.10).or(UNDER_LOCK),
    call(
        "`semop` of two semaphores",
        "semop of two semaphores, take and give",
        0.10,
    )
    .or(UNDER_LOCK),
    call("`GETVAL`", "semctl GETVAL", 0.06),
    call("`semget` + `IPC_RMID`", "semget + IPC_RMID", 1.5),
    turn(
        "`semop`, two processes in turns on two processors",
        "sysv, semop",
        Placement::Two,
        0.02,
    )
    .or(SEMOP_DISTANCE),
    turn(
        "`semop`, two processes in turns on one processor",
        "sysv, semop",
        Placement::One,
        1.0,
    )
    .or(SLEEP),
    mutex("a mutex among eight processes", Figure::Ratio, 0.1).or(MUTEX),
    mutex(
        "the same: the slowest process's share of the fastest one's",
        Figure::Fairness,
        0.5,
    )
    .or(FAIR),
    mutex("the same: the worst wait", Figure::WorstWait, 20.0).or(WORST),
    Target {
        section: "deaths",
        placement: Placement::Free,
        figure: Figure::WorstWait,
        ..call("what a death frees goes on", "freed by a death", 50.0)
    },
    Target {
        section: "deaths",
        placement: Placement::Free,
        figure: Figure::ProcessorPart,
        ..call(
            "a hundred idle waiters, as a part of a processor",
            "waiting of a hundred processes",
            0.01,
        )
    }
    .or(IDLE),
    sized("`msgsnd` + `msgrcv`, 8 bytes", "msgsnd + msgrcv", 8, 0.08).or(PAIR),
    sized("`msgsnd` + `msgrcv`, 64 bytes", "msgsnd + msgrcv", 64, 0.08).or(PAIR),
    sized("`msgsnd` + `msgrcv`, 8 KiB", "msgsnd + msgrcv", 8192, 0.3),
    sized(
        "`msgrcv` by type among sixty",
        "msgrcv by type among sixty + msgsnd",
        64,
        0.1,
    )
    .or(MESSAGE),
    turn(
        "`msgsnd`, two processes in turns on two processors",
        "sysv, msgsnd",
        Placement::Two,
        0.03,
    )
    .or(DISTANCE),
    stream(
        "64-byte messages, one to one",
        "1 to 1, 64 bytes",
        Placement::Two,
        1,
        0.1,
    )
    .or(STREAM),
    stream(
        "64-byte messages, four to four",
        "4 to 4, 64 bytes",
        Placement::Free,
        4,
        0.3,
    )
    .or(STREAM),
    Target {
        figure: Figure::PartOfSpeed,
        ..sized(
            "1 MiB messages, as a part of the speed of two copies",
            "msgsnd + msgrcv beside two copies",
            1 << 20,
            0.8,
        )
    },
];

impl Target {
    /// What keeps it from being met, where it is not.
    const fn or(self, bounded_by: &'static str) -> Target {
        Target { bounded_by, ..self }
    }

    fn find<'r>(&self, results: &'r Results, subject: Option<&str>) -> Option<&'r Measurement> {
        results.of(self.section).iter().find(|m| {
            let case = &m.case;
            case.name == self.case
                && case.placement == self.placement
                && (self.size.is_none() || case.size == self.size)
                && (self.number.is_none() || case.number == self.number)
                && subject.is_none_or(|subject| m.subject == subject)
        })
    }

    fn judge(&self, results: &Results) -> Verdict {
        let ours = self.find(results, Some(self.subject));
        let (measured, unit, at_least) = match self.figure {
            Figure::Ratio => (ours.and_then(|m| Some(m.ratio?.median)), "", false),
            Figure::ExtraMilliseconds => {
                let reference = self.find(results, None);
                let extra = ours
                    .zip(reference)
                    .map(|(ours, reference)| ours.each.median - reference.each.median);
                (extra.map(|nanoseconds| nanoseconds / 1e6), " ms", false)
            }
            Figure::Fairness => (ours.and_then(|m| m.fairness), "", true),
            Figure::WorstWait => (ours.and_then(|m| Some(m.latency?.maximum / 1e6)), " ms", false),
            Figure::ProcessorPart => (ours.map(|m| m.processor.median / m.each.median), "", false),
            Figure::PartOfSpeed => (ours.and_then(|m| Some(1.0 / m.ratio?.median)), "", true),
        };
        let bound = if at_least { "at least" } else { "at most" };
        Verdict {
            name: self.name,
            target: format!("{bound} {}{unit}", self.bound),
            measured,
            bounded_by: self.bounded_by,
            told: measured.map_or_else(
                || "not measured".to_owned(),
                |value| format!("{}{unit}", crate::tables::ratio(value)),
            ),
            within_spread: self.figure == Figure::Ratio
                && ours
                    .and_then(|m| m.ratio)
                    .is_some_and(|ratio| ratio.lower <= self.bound),
            met: measured.map(|value| {
                if at_least {
                    value >= self.bound
                } else {
                    value <= self.bound
                }
            }),
        }
    }
}

/// Every target and what came of it.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    TARGETS.iter().map(|target| target.judge(results)).collect()
}
