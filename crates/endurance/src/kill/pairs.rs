//! Two operations of two processes: one stands still holding the lock, the other waits for it and is killed there; and the
//! owner is killed while the other waits.

use std::time::{Duration, Instant};

use sysv_engine::inspect::LAYOUT;

use super::image::Image;
use super::scenario::{Scenario, named};
use super::survey::{Point, Survey};
use super::trace::{Stop, changes_nothing};
use super::trial::Trial;
use crate::random::Random;

/// Who holds the lock, and who waits for it.
pub(super) const PAIRS: &[(&str, &str)] = &[
    ("ipc-set", "shmget-create"),
    ("shmget-create", "shmat-another's"),
    ("ipc-rmid-doomed", "shmdt"),
    ("shmat-again", "ipc-rmid"),
    ("shmdt-last-of-doomed", "sweep"),
    ("enrol", "fork"),
];

/// Sleeps of the waiter after which nothing new happens: it would sleep, look whether the owner lives, and sleep again.
const SLEEPS: u32 = 2;

/// Kills of one pair.
#[derive(Default)]
pub(super) struct Kills {
    pub waiters: u64,
    pub owners: u64,
}

/// Tries a pair at the owner's points, all or `sample` of them.
pub(super) fn try_pair(owner: &str, waiter: &str, sample: Option<usize>, seed: u64) -> Result<Kills, String> {
    let (first, second) = (
        named(owner).ok_or("no such owner")?,
        named(waiter).ok_or("no such waiter")?,
    );
    let survey = Survey::take(&Trial::begin(first, None)?)?;
    let mut points: Vec<Point> = survey.points.into_iter().filter(|point| point.in_lock).collect();
    if let Some(sample) = sample {
        points = super::choose(points, sample, seed);
    }
    let mut kills = Kills::default();
    for point in &points {
        let what = |error: String| {
            format!(
                "{owner} at instruction {}, {waiter} waiting: {error}",
                point.instruction
            )
        };
        // The waiter killed after each of its steps towards its second sleep; then not killed.
        let expected = alone(point, first, second)?;
        for step in 0.. {
            let trial = Trial::begin(first, None)?;
            let mut waiting = trial.ready_as(second);
            let mut owning = trial.ready();
            point
                .reach(&mut owning, &mut Image::new(trial.stage.place.path()))
                .map_err(what)?;
            let more = wait_until(&mut waiting, &trial, step).map_err(what)?;
            waiting.tracee.kill();
            kills.waiters += 1;
            if owning.tracee.run_to_mark() == Stop::Dead {
                return Err(what("the lock's owner died by itself".to_owned()));
            }
            let findings = trial.inquest(None).map_err(what)?;
            drop(owning);
            if !findings.complaints.is_empty() {
                return Err(what(findings.complaints.join("\n    ")));
            }
            if findings.view != expected {
                return Err(what(format!("not [{expected}], but [{}]", findings.view)));
            }
            if !more {
                break;
            }
        }
        // The owner killed instead: the waiter recovers what it left, and does its own work.
        let trial = Trial::begin(first, None)?;
        let mut waiting = trial.ready_as(second);
        let mut owning = trial.ready();
        point
            .reach(&mut owning, &mut Image::new(trial.stage.place.path()))
            .map_err(what)?;
        wait_until(&mut waiting, &trial, u32::MAX).map_err(what)?;
        owning.tracee.kill();
        kills.owners += 1;
        if waiting.tracee.run_to_mark() == Stop::Dead {
            return Err(what("the waiter died by itself".to_owned()));
        }
        let findings = trial.inquest(waiting.other.take()).map_err(what)?;
        if !findings.complaints.is_empty() {
            return Err(what(findings.complaints.join("\n    ")));
        }
        crate::process::reap_orphans();
    }
    Ok(kills)
}

/// The view after the owner's operation, the other process having died before its own.
fn alone(point: &Point, first: &Scenario, second: &Scenario) -> Result<String, String> {
    let trial = Trial::begin(first, None)?;
    trial.ready_as(second).tracee.kill();
    let mut owning = trial.ready();
    point.reach(&mut owning, &mut Image::new(trial.stage.place.path()))?;
    owning.tracee.run_to_mark();
    let findings = trial.inquest(None)?;
    Ok(findings.view)
}

/// Steps a waiter through changes of the lock's word and sleeps until it has made `steps` of them; `false` once it has
/// slept [`SLEEPS`] times.
fn wait_until(waiting: &mut super::trial::Doomed, trial: &Trial<'_>, steps: u32) -> Result<bool, String> {
    let mut image = Image::new(trial.stage.place.path());
    let mut word = image.word(LAYOUT.segments_lock);
    let (mut done, mut sleeps) = (0, 0);
    while done < steps {
        let call = waiting.tracee.next_system_call();
        match waiting.tracee.step() {
            Stop::Step | Stop::Signal(_) => {}
            stop => return Err(format!("{stop:?} while it should wait")),
        }
        let now = image.word(LAYOUT.segments_lock);
        if now != word || call.is_some_and(|call| !changes_nothing(call)) {
            word = now;
            done += 1;
        }
        if call == Some(libc::SYS_futex) {
            sleeps += 1;
            if sleeps == SLEEPS {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The time from an owner's death to the end of the waiter's call, many times.
pub(crate) fn takeover_times(times: usize, seed: u64) -> Result<Vec<Duration>, String> {
    let scenario = named("ipc-set").ok_or("no such owner")?;
    let points = super::trial::points_in_lock("ipc-set")?;
    let mut random = Random::new(seed);
    let mut taken = Vec::new();
    for _ in 0..times {
        let point = random.one_of(&points);
        let mut trial = Trial::begin(scenario, None)?;
        let mut owning = trial.ready();
        point.reach(&mut owning, &mut Image::new(trial.stage.place.path()))?;
        trial.send_survivor(b'g')?;
        // Long enough for the waiter's naps to have any length.
        std::thread::sleep(Duration::from_micros(random.below(300_000)));
        let killed = Instant::now();
        owning.tracee.kill();
        let answer = trial.survivor_answers()?;
        taken.push(killed.elapsed());
        if !answer.is_empty() {
            return Err(answer);
        }
    }
    taken.sort();
    Ok(taken)
}
