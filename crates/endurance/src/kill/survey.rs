//! All instructions of an operation, and those between which nothing that outlives the process changed.
//!
//! A killed process leaves behind the files it shared with others and what the kernel did for it. Its own memory and
//! registers die with it. So two deaths are the same death if between them neither a byte of these files changed nor a system
//! call was made that changes anything: every instruction counts as tried when the *point* it belongs to has been tried.
//! The survey steps through the operation once and compares every page of the table, and of sets' and queues' files, after
//! every instruction, so that this is seen and not assumed. A segment's memory is the programs' own.
//!
//! An operation that waits is stopped when it is about to sleep, and released by the survivor before it sleeps: to another
//! process that is the same as a sleeper.

use std::collections::BTreeSet;

use super::image::{Image, Page};
use super::scenario::Waits;
use super::trace::{Stop, Tracee, changes_nothing};
use super::trial::{Doomed, Trial};

/// A state in which the process can be killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// System calls completed before it.
    pub system_calls: u32,
    /// Changes of the files since the last of them.
    pub changes: u32,
    /// The first instruction of the operation after which this is the state.
    pub instruction: u64,
    /// Whether a lock is taken.
    pub in_lock: bool,
    /// Whether the process is about to sleep until it is released.
    pub asleep: bool,
    /// Whether it has been released.
    pub released: bool,
    /// The pages that the operation changes.
    pub pages: BTreeSet<Page>,
}

/// An operation, stepped through once.
pub(crate) struct Survey {
    pub instructions: u64,
    pub points: Vec<Point>,
}

impl Survey {
    /// Steps through the trial's operation from the first instruction to the last.
    pub(crate) fn take(trial: &mut Trial<'_>) -> Result<Survey, String> {
        let mut victim = trial.ready();
        let mut image = Image::new(trial.stage.place.path());
        image.watch_all();
        let mut survey = Survey {
            instructions: 0,
            points: Vec::new(),
        };
        let mut pages = BTreeSet::new();
        let mut waits = matches!(trial.scenario.waits, Waits::Victim);
        let (mut system_calls, mut changes, mut released) = (0, 0, false);
        survey.add(system_calls, changes, released, &mut image);
        loop {
            if waits && victim.tracee.falls_asleep(false) {
                if let Some(point) = survey.points.last_mut() {
                    point.asleep = true;
                }
                trial.release()?;
                (waits, released) = (false, true);
                pages.extend(image.changed());
                image.watch_all();
                survey.add(system_calls, changes, released, &mut image);
            }
            let call = victim.tracee.next_system_call();
            match victim.step()? {
                Stop::Mark => break,
                Stop::Step => {}
                stop => return Err(format!("{}: {stop:?} while stepping", trial.scenario.name)),
            }
            survey.instructions += 1;
            let changed = image.changed();
            let any = !changed.is_empty();
            pages.extend(changed);
            if let Some(call) = call {
                system_calls += 1;
                changes = 0;
                image.watch_all();
                if !changes_nothing(call) || any {
                    survey.add(system_calls, changes, released, &mut image);
                }
            } else if any {
                changes += 1;
                survey.add(system_calls, changes, released, &mut image);
            }
        }
        if waits {
            return Err(format!("{} does not wait", trial.scenario.name));
        }
        for point in &mut survey.points {
            point.pages.clone_from(&pages);
        }
        Ok(survey)
    }

    fn add(&mut self, system_calls: u32, changes: u32, released: bool, image: &mut Image) {
        self.points.push(Point {
            system_calls,
            changes,
            instruction: self.instructions,
            in_lock: !image.locks().is_empty(),
            asleep: false,
            released,
            pages: BTreeSet::new(),
        });
    }
}

impl Doomed {
    /// One instruction; a child that it forks stays at its first.
    fn step(&mut self) -> Result<Stop, String> {
        loop {
            match self.tracee.step() {
                Stop::Forked(pid) => self.other = Some(Tracee::child(pid)),
                Stop::Signal(_) => {}
                Stop::Dead => return Err("the process died by itself".to_owned()),
                stop => return Ok(stop),
            }
        }
    }
}

impl Point {
    /// Brings a victim that is ready to this point: freely over the system calls, then instruction by instruction.
    ///
    /// `false` if the operation was over before: it took another course than when it was surveyed.
    pub(crate) fn reach(&self, victim: &mut Doomed, trial: &mut Trial<'_>) -> Result<bool, String> {
        let mut stops = self.system_calls * 2;
        let mut to_release = self.released;
        while stops > 0 {
            match victim.tracee.run_to_system_call() {
                Stop::SystemCall => stops -= 1,
                Stop::Forked(pid) => victim.other = Some(Tracee::child(pid)),
                Stop::Mark => return Ok(false),
                Stop::Dead => return Err("the process died by itself".to_owned()),
                _ => continue,
            }
            if to_release && stops % 2 == 1 && victim.tracee.falls_asleep(true) {
                trial.release()?;
                to_release = false;
            }
        }
        if self.changes > 0 {
            let mut image = Image::new(trial.stage.place.path());
            image.watch(&self.pages);
            let mut changes = 0;
            while changes < self.changes {
                // A change fewer than in the survey, as where the same millisecond is stored again: this is the point.
                if victim.tracee.next_system_call().is_some() {
                    break;
                }
                if victim.step()? == Stop::Mark {
                    return Ok(false);
                }
                if !image.changed().is_empty() {
                    changes += 1;
                }
            }
        }
        if to_release {
            trial.release()?;
        }
        Ok(true)
    }
}
