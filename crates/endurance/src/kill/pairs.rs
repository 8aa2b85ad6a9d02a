//! Two operations of two processes: one stands still holding the lock, the other waits for it and is killed there; and the
//! owner is killed while the other waits.

use std::time::{Duration, Instant};

use super::image::Image;
use super::scenario::{Died, Scenario, named};
use super::survey::Point;
use super::trace::{Stop, changes_nothing};
use super::trial::{Doomed, Trial, points_of_death};
use crate::random::Random;

/// Who holds the lock, and who waits for it.
pub(super) const PAIRS: &[(&str, &str)] = &[
    ("ipc-set", "shmget-create"),
    ("shmget-create", "shmat-another's"),
    ("ipc-rmid-doomed", "shmdt"),
    ("shmat-again", "ipc-rmid"),
    ("shmdt-last-of-doomed", "sweep"),
    ("enrol", "fork"),
    ("semop-several-undo-again", "semop-several-in-file"),
    ("semop-several", "semop-undo"),
    ("setall", "semop-undo"),
    ("sem-exit-undo", "semop-undo-first"),
    ("semget-create-many", "sem-sweep"),
    ("sem-rmid-owed", "semget-create"),
    ("sem-ipc-set", "semget-create"),
    ("msgsnd-growing", "msgrcv"),
    ("msgsnd-into-a-hole", "msgsnd"),
    ("msgrcv-in-the-middle", "msgrcv"),
    ("msgget-create", "sem-sweep"),
    ("msg-rmid", "msgget-create"),
    ("msg-ipc-set", "msgget-create"),
];

/// Sleeps of the waiter after which nothing new happens: it would sleep, look whether the owner lives, and sleep again.
const SLEEPS: u32 = 2;

/// Kills of one pair.
#[derive(Default)]
pub(super) struct Kills {
    pub waiters: u64,
    pub owners: u64,
}

/// Tries a pair at the owner's points, or a random part of them, as many as `sample` says.
pub(super) fn try_pair(owner: &str, waiter: &str, sample: Option<usize>, seed: u64) -> Result<Kills, String> {
    let (first, second) = (
        named(owner).ok_or("no such owner")?,
        named(waiter).ok_or("no such waiter")?,
    );
    let points = points_of_death(owner, Died::InLock)?;
    let points = super::choose(points, sample.unwrap_or(super::MOST_POINTS), seed);
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
        let Some(steps) = steps_to_sleep(point, first, second).map_err(what)? else {
            continue;
        };
        let mut steps: Vec<u32> = (0..=steps).collect();
        if let Some(sample) = sample {
            steps = super::choose(steps, 2 * sample, seed);
        }
        for step in steps {
            let mut trial = Trial::begin(first, None)?;
            let mut owning = trial.ready();
            let mut waiting = trial.ready_as(second);
            point.reach(&mut owning, &mut trial).map_err(what)?;
            wait_until(&mut waiting, &trial, step).map_err(what)?;
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
        }
        // The owner killed instead: the waiter recovers what it left, and does its own work.
        let mut trial = Trial::begin(first, None)?;
        let mut owning = trial.ready();
        let mut waiting = trial.ready_as(second);
        point.reach(&mut owning, &mut trial).map_err(what)?;
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

/// How many steps the other process makes until it sleeps; `None` if it does not need a lock that the owner has.
fn steps_to_sleep(point: &Point, first: &Scenario, second: &Scenario) -> Result<Option<u32>, String> {
    let mut trial = Trial::begin(first, None)?;
    let mut owning = trial.ready();
    let mut waiting = trial.ready_as(second);
    point.reach(&mut owning, &mut trial)?;
    wait_until(&mut waiting, &trial, u32::MAX)
}

/// The view after the owner's operation, the other process having died before its own.
fn alone(point: &Point, first: &Scenario, second: &Scenario) -> Result<String, String> {
    let mut trial = Trial::begin(first, None)?;
    let mut owning = trial.ready();
    trial.ready_as(second).tracee.kill();
    point.reach(&mut owning, &mut trial)?;
    owning.tracee.run_to_mark();
    let findings = trial.inquest(None)?;
    Ok(findings.view)
}

/// Steps a waiter through changes of the locks' words and system calls until it has made `steps` of them, or slept
/// [`SLEEPS`] times; returns how many it made, or `None` if its operation is over.
fn wait_until(waiting: &mut Doomed, trial: &Trial<'_>, steps: u32) -> Result<Option<u32>, String> {
    let mut image = Image::new(trial.stage.place.path());
    let mut words = image.locks();
    let (mut done, mut sleeps) = (0, 0);
    while done < steps {
        let call = waiting.tracee.next_system_call();
        match waiting.tracee.step() {
            Stop::Step | Stop::Signal(_) => {}
            Stop::Mark => return Ok(None),
            stop => return Err(format!("{stop:?} while it should wait")),
        }
        let now = image.locks();
        if now != words || call.is_some_and(|call| !changes_nothing(call)) {
            words = now;
            done += 1;
        }
        if call == Some(libc::SYS_futex) {
            sleeps += 1;
            if sleeps == SLEEPS {
                return Ok(Some(done));
            }
        }
    }
    Ok(Some(done))
}

/// The time from an owner's death to the end of the waiter's call, many times.
pub(crate) fn takeover_times(times: usize, seed: u64) -> Result<Vec<Duration>, String> {
    let scenario = named("ipc-set").ok_or("no such owner")?;
    let points = points_of_death("ipc-set", Died::InLock)?;
    let mut random = Random::new(seed);
    let mut taken = Vec::new();
    for _ in 0..times {
        let point = random.one_of(&points);
        let mut trial = Trial::begin(scenario, None)?;
        let mut owning = trial.ready();
        point.reach(&mut owning, &mut trial)?;
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
