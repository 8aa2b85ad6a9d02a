//! Subjects that do the same work in turns.

use serde::{Deserialize, Serialize};

use crate::job::{Api, Job, Placement, Request, Sample, Work};
use crate::launch::{Host, Launcher, Worker};
use crate::results::{Case, Measurement, Skipped};
use crate::statistics::{Latency, Summary, ratios};

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Sittings, each with new processes, over which the rounds are spread: what a machine does to some seconds, and memory that lies
    /// well or badly, then concerns some rounds and not a case.
    pub sittings: usize,
    /// Rounds in which the subjects take turns, in all sittings together.
    pub rounds: usize,
    /// About how long a subject's turn is.
    pub turn_ns: u64,
    /// Rounds in which single operations are timed.
    pub latency_rounds: usize,
}

impl Effort {
    /// For the report.
    pub const FULL: Effort = Effort {
        sittings: 5,
        rounds: 25,
        turn_ns: 5_000_000,
        latency_rounds: 5,
    };
    /// For an operator who waits.
    pub const SHORT: Effort = Effort {
        sittings: 1,
        rounds: 7,
        turn_ns: 4_000_000,
        latency_rounds: 0,
    };
    /// To see that everything runs.
    pub const ONCE: Effort = Effort {
        sittings: 1,
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

/// A contestant, made anew for each sitting.
pub type Entry<'a> = (
    String,
    Box<dyn Fn(&Launcher) -> Result<Box<dyn Contestant>, String> + 'a>,
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
    /// Whether one sitting must do, because making the contestants takes long.
    pub at_once: bool,
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
            at_once: false,
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

    /// What is done in it, of a whole effort.
    fn effort(&self, effort: Effort) -> Effort {
        if effort == Effort::ONCE {
            return effort;
        }
        Effort {
            sittings: if self.at_once { 1 } else { effort.sittings },
            rounds: self.rounds.unwrap_or(effort.rounds),
            turn_ns: self.turn_ns.unwrap_or(effort.turn_ns),
            ..effort
        }
    }
}

/// A contest that goes on.
pub struct Standing<'a> {
    contest: Contest<'a>,
    effort: Effort,
    seats: Vec<Seat>,
    /// The distance between the processors.
    mode: Option<Seat>,
}

impl<'a> Standing<'a> {
    /// Nothing has been measured yet.
    pub fn new(contest: Contest<'a>, effort: Effort) -> Standing<'a> {
        let effort = contest.effort(effort);
        Standing {
            seats: contest
                .entries
                .iter()
                .map(|(subject, _)| Seat::new(subject.clone()))
                .collect(),
            mode: contest.mode.then(|| Seat::new(CACHE_LINE.to_owned())),
            contest,
            effort,
        }
    }

    /// What is measured.
    pub fn case(&self) -> &Case {
        &self.contest.case
    }

    /// Does the rounds of one sitting, the first of which is 0. Who cannot take part, or fails, is out.
    pub fn sit(&mut self, launcher: &Launcher, sitting: usize) {
        let Effort { sittings, rounds, .. } = self.effort;
        let part = |of: usize| of * sitting / sittings..of * (sitting + 1) / sittings;
        let (rounds, timed) = (part(rounds), part(self.effort.latency_rounds));
        if sitting >= sittings || rounds.is_empty() {
            return;
        }
        for (seat, (_, start)) in self.seats.iter_mut().zip(&self.contest.entries) {
            seat.take(self.effort, || start(launcher));
        }
        if let Some(mode) = &mut self.mode {
            mode.take(probing(self.effort), || probe(launcher));
        }
        for round in rounds {
            // There and back, so that nobody always follows the same one.
            let count = self.seats.len();
            for turn in 0..count {
                self.seats[if round % 2 == 0 { turn } else { count - 1 - turn }].round();
            }
            self.mode.iter_mut().for_each(Seat::round);
        }
        if self.contest.latency {
            for _ in timed {
                self.seats.iter_mut().for_each(Seat::timed_round);
            }
        }
        self.seats.iter_mut().chain(&mut self.mode).for_each(Seat::leave);
    }

    /// The figures, and who was left out.
    pub fn end(self) -> (Vec<Measurement>, Vec<Skipped>) {
        let (mut measurements, mut skipped) = (Vec::new(), Vec::new());
        let case = self.contest.case;
        let mode = self.mode.filter(|seat| seat.failure.is_none());
        let mode = mode.and_then(|seat| Summary::of(seat.samples.iter().map(Sample::each)));
        for seat in &self.seats {
            if let Some(why) = &seat.failure {
                skipped.push(Skipped {
                    case: case.name.clone(),
                    subject: seat.subject.clone(),
                    why: why.clone(),
                });
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
                case: case.clone(),
                subject: seat.subject.clone(),
                each: summary,
                processor,
                ratio: reference(&self.seats, &seat.subject).and_then(|reference| ratios(&each, &reference)),
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

/// A contestant's place in its contest, and what was measured there.
struct Seat {
    subject: String,
    contestant: Option<Box<dyn Contestant>>,
    /// How much fills a turn, once that is known.
    request: Option<Request>,
    samples: Vec<Sample>,
    timed: Vec<Sample>,
    failure: Option<String>,
}

/// Who does so many times what it was asked for has a length of its own.
const MUCH_MORE: u64 = 100;
/// No turn has more operations.
const MOST: u64 = 10_000_000;
/// A new contestant warms up for so large a part of a turn.
const WARMING: u64 = 8;

impl Seat {
    fn new(subject: String) -> Seat {
        Seat {
            subject,
            contestant: None,
            request: None,
            samples: Vec::new(),
            timed: Vec::new(),
            failure: None,
        }
    }

    /// A new contestant takes the seat and is warm.
    fn take(&mut self, effort: Effort, start: impl FnOnce() -> Result<Box<dyn Contestant>, String>) {
        if self.failure.is_some() {
            return;
        }
        let warm = start().and_then(|mut contestant| {
            match self.request {
                Some(request) => {
                    contestant.round(&Request {
                        count: request.count.div_ceil(WARMING),
                        time_ns: request.time_ns.div_ceil(WARMING),
                        ..request
                    })?;
                }
                None => self.request = Some(calibrate(&mut *contestant, effort)?),
            }
            Ok(contestant)
        });
        match warm {
            Ok(contestant) => self.contestant = Some(contestant),
            Err(why) => self.failure = Some(why),
        }
    }

    fn leave(&mut self) {
        self.contestant = None;
    }

    fn ask(&mut self, latency: bool) -> Option<Sample> {
        let (contestant, request) = self.contestant.as_mut().zip(self.request)?;
        let request = match latency {
            true => Request {
                latency,
                count: request.count.max(if request.count > 1 { 1000 } else { 1 }),
                ..request
            },
            false => request,
        };
        match contestant.round(&request) {
            Ok(sample) => Some(sample),
            Err(why) => {
                self.failure = Some(why);
                self.leave();
                None
            }
        }
    }

    fn round(&mut self) {
        let sample = self.ask(false);
        self.samples.extend(sample);
    }

    fn timed_round(&mut self) {
        let sample = self.ask(true);
        self.timed.extend(sample);
    }
}

/// Finds how many operations fill a turn.
fn calibrate(contestant: &mut dyn Contestant, effort: Effort) -> Result<Request, String> {
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
    Ok(request)
}

/// What the processors' distance is called.
const CACHE_LINE: &str = "cache line";

/// The effort of finding the distance.
fn probing(effort: Effort) -> Effort {
    Effort {
        turn_ns: effort.turn_ns.min(1_000_000),
        ..effort
    }
}

/// A spinning cache line between the two processors.
fn probe(launcher: &Launcher) -> Result<Box<dyn Contestant>, String> {
    let job = Job {
        work: Work::Turns {
            way: CACHE_LINE.to_owned(),
            size: 8,
        },
        placement: Placement::Two,
        api: Api::C,
    };
    Ok(Box::new(launcher.start(Host::Kernel, &job)?))
}

impl Contestant for Worker {
    fn round(&mut self, request: &Request) -> Result<Sample, String> {
        self.ask(request)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::PathBuf;

    use super::*;

    /// Takes a nanosecond for an operation, until it has done its rounds.
    struct Steady<'a> {
        rounds: &'a Cell<usize>,
        left: usize,
    }

    impl Contestant for Steady<'_> {
        fn round(&mut self, request: &Request) -> Result<Sample, String> {
            self.left = self.left.checked_sub(1).ok_or("tired")?;
            self.rounds.set(self.rounds.get() + 1);
            Ok(Sample {
                count: request.count,
                elapsed_ns: request.count,
                ..Sample::default()
            })
        }
    }

    fn nobody() -> Launcher {
        Launcher {
            program: PathBuf::new(),
            arguments: Vec::new(),
            library: PathBuf::new(),
            peers: Err("none".to_owned()),
        }
    }

    const EFFORT: Effort = Effort {
        sittings: 3,
        rounds: 7,
        turn_ns: 1000,
        latency_rounds: 0,
    };

    /// Runs a contest of one, which `make` makes, given the number of those made before.
    fn run<'a>(
        at_once: bool,
        made: &'a Cell<usize>,
        make: impl Fn(usize) -> Steady<'static> + 'a,
    ) -> (Vec<Measurement>, Vec<Skipped>) {
        let mut contest = Contest::new("nothing", Placement::One);
        contest.at_once = at_once;
        let start = move |_: &Launcher| {
            made.set(made.get() + 1);
            Ok(Box::new(make(made.get() - 1)) as Box<dyn Contestant>)
        };
        contest.entries.push(("steady".to_owned(), Box::new(start)));
        let mut standing = Standing::new(contest, EFFORT);
        (0..EFFORT.sittings).for_each(|sitting| standing.sit(&nobody(), sitting));
        standing.end()
    }

    #[test]
    fn rounds_are_spread_over_sittings_with_a_new_contestant_each() {
        for at_once in [false, true] {
            let made = Cell::new(0);
            let (measured, skipped) = run(at_once, &made, |_| Steady {
                rounds: Box::leak(Box::default()),
                left: 1000,
            });
            assert_eq!(made.get(), if at_once { 1 } else { 3 });
            assert_eq!((measured.len(), skipped.len()), (1, 0));
            assert_eq!(measured[0].each.median, 1.0);
        }
    }

    #[test]
    fn all_rounds_are_done_and_each_contestant_warms_up_once() {
        let made = Cell::new(0);
        let counts: Vec<&'static Cell<usize>> = (0..3).map(|_| &*Box::leak(Box::default())).collect();
        run(false, &made, |number| Steady {
            rounds: counts[number],
            left: 1000,
        });
        // Seven rounds over three sittings; the first contestant was calibrated, in several.
        assert_eq!([counts[1].get(), counts[2].get()], [1 + 2, 1 + 3]);
        assert!(counts[0].get() > 2);
    }

    #[test]
    fn who_fails_in_any_sitting_is_left_out_and_told() {
        let made = Cell::new(0);
        let (measured, skipped) = run(false, &made, |number| Steady {
            rounds: Box::leak(Box::default()),
            left: if number == 2 { 2 } else { 1000 },
        });
        assert_eq!(measured, []);
        assert_eq!(skipped.len(), 1);
        assert_eq!(skipped[0].why, "tired");
        assert_eq!(made.get(), 3);
    }
}
