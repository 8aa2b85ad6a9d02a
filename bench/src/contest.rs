//! Subjects that do the same work in turns.

use serde::{Deserialize, Serialize};

use crate::job::{Api, Job, Placement, Request, Sample, Work};
use crate::launch::{Host, Launcher, Worker};
use crate::results::{Case, Measurement, Skipped};
use crate::statistics::{Latency, Summary, ratios};

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Rounds in which the subjects take turns.
    pub rounds: usize,
    /// About how long a subject's turn is.
    pub turn_ns: u64,
    /// Rounds in which single operations are timed.
    pub latency_rounds: usize,
}

impl Effort {
    /// For the report.
    pub const FULL: Effort = Effort {
        rounds: 25,
        turn_ns: 5_000_000,
        latency_rounds: 5,
    };
    /// For an operator who waits.
    pub const SHORT: Effort = Effort {
        rounds: 7,
        turn_ns: 4_000_000,
        latency_rounds: 0,
    };
    /// To see that everything runs.
    pub const ONCE: Effort = Effort {
        rounds: 1,
        turn_ns: 0,
        latency_rounds: 1,
    };
}

/// Something whose rounds can be measured.
pub trait Contestant {
    /// Does a round.
    ///
    /// # Errors
    /// In words: it is out of the contest then.
    fn round(&mut self, request: &Request) -> Result<Sample, String>;
}

/// A contestant, made when its contest begins.
pub type Entry<'a> = (
    String,
    Box<dyn FnOnce(&Launcher) -> Result<Box<dyn Contestant>, String> + 'a>,
);

/// One case and whoever takes part in it. The first is the reference.
pub struct Contest<'a> {
    /// What is measured.
    pub case: Case,
    /// Who takes part.
    pub entries: Vec<Entry<'a>>,
    /// Whether single operations are timed as well.
    pub latency: bool,
    /// Whether the distance between the processors is measured alongside.
    pub mode: bool,
    /// Another number of rounds, where a turn is long.
    pub rounds: Option<usize>,
    /// Another length of a turn.
    pub turn_ns: Option<u64>,
}

/// The kernel's facility, called from C.
pub const KERNEL: &str = "kernel";
/// Ours, called from C under `libsysv.so`.
pub const SYSV: &str = "sysv";
/// Ours, called from Rust.
pub const SYSV_RUST: &str = "sysv (Rust)";

impl<'a> Contest<'a> {
    /// Nobody takes part yet.
    pub fn new(name: impl Into<String>, placement: Placement) -> Contest<'a> {
        Contest {
            case: Case {
                name: name.into(),
                placement,
                size: None,
                number: None,
            },
            entries: Vec::new(),
            latency: false,
            mode: false,
            rounds: None,
            turn_ns: None,
        }
    }

    /// A worker of this program joins.
    pub fn worker(&mut self, subject: &str, host: Host, job: Job) {
        let start = move |launcher: &Launcher| Ok(Box::new(launcher.start(host, &job)?) as Box<dyn Contestant>);
        self.entries.push((subject.to_owned(), Box::new(start)));
    }

    /// The kernel and ours join, each called from C, and ours from Rust where it has it.
    pub fn facilities(&mut self, work: &Work, placement: Placement) {
        let job = |api| Job {
            work: work.clone(),
            placement,
            api,
        };
        self.worker(KERNEL, Host::Kernel, job(Api::C));
        self.worker(SYSV, Host::Library, job(Api::C));
        self.worker(SYSV_RUST, Host::Crate, job(Api::Rust));
    }

    /// Runs it. Who cannot take part, or fails, is left out and told.
    pub fn run(self, launcher: &Launcher, effort: Effort) -> (Vec<Measurement>, Vec<Skipped>) {
        let mut skipped = Vec::new();
        let mut skip = |subject: &str, why: String| {
            skipped.push(Skipped {
                case: self.case.name.clone(),
                subject: subject.to_owned(),
                why,
            });
        };
        let effort = Effort {
            rounds: if effort == Effort::ONCE {
                1
            } else {
                self.rounds.unwrap_or(effort.rounds)
            },
            turn_ns: if effort == Effort::ONCE {
                0
            } else {
                self.turn_ns.unwrap_or(effort.turn_ns)
            },
            ..effort
        };
        let mut seats = Vec::new();
        for (subject, start) in self.entries {
            let ready = start(launcher).and_then(|contestant| Seat::calibrated(subject.clone(), contestant, effort));
            match ready {
                Ok(seat) => seats.push(seat),
                Err(why) => skip(&subject, why),
            }
        }
        let mut mode = self.mode.then(|| probe(launcher, effort)).and_then(Result::ok);
        for round in 0..effort.rounds {
            // There and back, so that nobody always follows the same one.
            let count = seats.len();
            for turn in 0..count {
                seats[if round % 2 == 0 { turn } else { count - 1 - turn }].round();
            }
            if let Some(probe) = &mut mode {
                probe.round();
            }
        }
        if self.latency {
            for _ in 0..effort.latency_rounds {
                seats.iter_mut().for_each(Seat::timed_round);
            }
        }
        let mode = mode.and_then(|probe| Summary::of(probe.samples.iter().map(Sample::each)));
        let mut measurements = Vec::new();
        for seat in &seats {
            if let Some(why) = &seat.failure {
                skip(&seat.subject, why.clone());
                continue;
            }
            let each: Vec<f64> = seat.samples.iter().map(Sample::each).collect();
            let processor = Summary::of(seat.samples.iter().map(Sample::processor_each));
            let (Some(summary), Some(processor)) = (Summary::of(each.iter().copied()), processor) else {
                continue;
            };
            let timed: Vec<Latency> = seat.timed.iter().filter_map(|sample| sample.latency).collect();
            let noted: Vec<Latency> = seat.samples.iter().filter_map(|sample| sample.latency).collect();
            measurements.push(Measurement {
                case: self.case.clone(),
                subject: seat.subject.clone(),
                each: summary,
                processor,
                ratio: reference(&seats, &seat.subject).and_then(|reference| ratios(&each, &reference)),
                latency: Latency::middle(if timed.is_empty() { &noted } else { &timed }),
                fairness: Summary::of(seat.samples.iter().filter_map(|sample| sample.fairness)).map(|s| s.median),
                mode,
            });
        }
        (measurements, skipped)
    }
}

/// The rounds that a subject's are compared with: of the kernel doing the same ("sysv, semop": "kernel, semop"), or else
/// of the first. The reference itself is compared with nobody.
fn reference(seats: &[Seat], subject: &str) -> Option<Vec<f64>> {
    let same = subject.split_once(", ").map(|(_, what)| format!("{KERNEL}, {what}"));
    let first = &seats.first()?.subject;
    let name = same
        .as_ref()
        .filter(|same| seats.iter().any(|seat| seat.subject == **same))
        .unwrap_or(first);
    let seat = seats
        .iter()
        .find(|seat| seat.subject == *name && seat.failure.is_none())?;
    (seat.subject != subject).then(|| seat.samples.iter().map(Sample::each).collect())
}

/// A contestant in its contest.
struct Seat {
    subject: String,
    contestant: Box<dyn Contestant>,
    request: Request,
    samples: Vec<Sample>,
    timed: Vec<Sample>,
    failure: Option<String>,
}

/// Who does so many times what it was asked for has a length of its own.
const MUCH_MORE: u64 = 100;
/// No turn has more operations.
const MOST: u64 = 10_000_000;

impl Seat {
    /// Finds how many operations fill a turn.
    fn calibrated(subject: String, mut contestant: Box<dyn Contestant>, effort: Effort) -> Result<Seat, String> {
        let mut request = Request {
            count: 1,
            time_ns: effort.turn_ns.max(1_000_000),
            latency: false,
        };
        if effort != Effort::ONCE {
            // What beginning costs is the difference between rounds of different lengths, and must not be taken for work.
            let (mut before, mut count) = (Sample::default(), request.count);
            loop {
                request.count = count;
                let sample = contestant.round(&request)?;
                if sample.count > MUCH_MORE * request.count {
                    break;
                }
                let more = sample.elapsed_ns.saturating_sub(before.elapsed_ns).max(1);
                let each = more as f64 / sample.count.saturating_sub(before.count).max(1) as f64;
                count = ((effort.turn_ns as f64 / each) as u64).clamp(1, MOST);
                if sample.elapsed_ns >= effort.turn_ns / 2 && count <= 2 * request.count || request.count >= MOST {
                    request.count = count.min(request.count.max(1));
                    break;
                }
                count = count.clamp(2 * request.count, 50 * request.count).min(MOST);
                before = sample;
            }
        }
        Ok(Seat {
            subject,
            contestant,
            request,
            samples: Vec::new(),
            timed: Vec::new(),
            failure: None,
        })
    }

    fn ask(&mut self, request: Request) -> Option<Sample> {
        if self.failure.is_some() {
            return None;
        }
        match self.contestant.round(&request) {
            Ok(sample) => Some(sample),
            Err(why) => {
                self.failure = Some(why);
                None
            }
        }
    }

    fn round(&mut self) {
        let sample = self.ask(self.request);
        self.samples.extend(sample);
    }

    fn timed_round(&mut self) {
        let sample = self.ask(Request {
            latency: true,
            count: self.request.count.max(if self.request.count > 1 { 1000 } else { 1 }),
            ..self.request
        });
        self.timed.extend(sample);
    }
}

/// A spinning cache line between the two processors.
fn probe(launcher: &Launcher, effort: Effort) -> Result<Seat, String> {
    let job = Job {
        work: Work::Turns {
            way: "cache line".to_owned(),
            size: 8,
        },
        placement: Placement::Two,
        api: Api::C,
    };
    let worker = launcher.start(Host::Kernel, &job)?;
    let effort = Effort {
        turn_ns: effort.turn_ns.min(1_000_000),
        ..effort
    };
    Seat::calibrated("cache line".to_owned(), Box::new(worker), effort)
}

impl Contestant for Worker {
    fn round(&mut self, request: &Request) -> Result<Sample, String> {
        self.ask(request)
    }
}
