//! All instructions of an operation, and those between which nothing that outlives the process changed.
//!
//! A killed process leaves behind the files it shared with others and what the kernel did for it. Its own memory and
//! registers die with it. So two deaths are the same death if between them neither a byte of the table changed nor a system
//! call was made that changes anything: every instruction counts as tried when the *point* it belongs to has been tried.
//! The survey steps through the operation once and compares every page of the table after every instruction, so that this
//! is seen and not assumed.

use std::collections::BTreeSet;

use sysv_engine::inspect::LAYOUT;

use super::image::Image;
use super::trace::{Stop, Tracee, changes_nothing};
use super::trial::{Doomed, Trial};

/// A state in which the process can be killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// System calls completed before it.
    pub system_calls: u32,
    /// Changes of the table since the last of them.
    pub changes: u32,
    /// The first instruction of the operation after which this is the state.
    pub instruction: u64,
    /// Whether the segments' lock is taken.
    pub in_lock: bool,
    /// The pages of the table that the operation changes.
    pub pages: BTreeSet<usize>,
}

/// An operation, stepped through once.
pub(crate) struct Survey {
    pub instructions: u64,
    pub points: Vec<Point>,
}

impl Survey {
    /// Steps through the trial's operation from the first instruction to the last.
    pub(crate) fn take(trial: &Trial<'_>) -> Result<Survey, String> {
        let mut victim = trial.ready();
        let mut image = Image::new(trial.stage.place.path());
        image.watch_all();
        let mut survey = Survey {
            instructions: 0,
            points: Vec::new(),
        };
        let mut pages = BTreeSet::new();
        let (mut system_calls, mut changes) = (0, 0);
        survey.add(system_calls, changes, &mut image);
        loop {
            let call = victim.tracee.next_system_call();
            match victim.step()? {
                Stop::Mark => break,
                Stop::Step => {}
                stop => return Err(format!("{}: {stop:?} while stepping", trial.scenario.name)),
            }
            survey.instructions += 1;
            let changed = image.changed();
            pages.extend(&changed);
            if let Some(call) = call {
                system_calls += 1;
                changes = 0;
                image.watch_all();
                if !changes_nothing(call) || !changed.is_empty() {
                    survey.add(system_calls, changes, &mut image);
                }
            } else if !changed.is_empty() {
                changes += 1;
                survey.add(system_calls, changes, &mut image);
            }
        }
        for point in &mut survey.points {
            point.pages.clone_from(&pages);
        }
        Ok(survey)
    }

    fn add(&mut self, system_calls: u32, changes: u32, image: &mut Image) {
        self.points.push(Point {
            system_calls,
            changes,
            instruction: self.instructions,
            in_lock: image.word(LAYOUT.segments_lock) != 0,
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
    pub(crate) fn reach(&self, victim: &mut Doomed, image: &mut Image) -> Result<bool, String> {
        let mut stops = self.system_calls * 2;
        while stops > 0 {
            match victim.tracee.run_to_system_call() {
                Stop::SystemCall => stops -= 1,
                Stop::Forked(pid) => victim.other = Some(Tracee::child(pid)),
                Stop::Mark => return Ok(false),
                Stop::Dead => return Err("the process died by itself".to_owned()),
                _ => {}
            }
        }
        if self.changes == 0 {
            return Ok(true);
        }
        image.watch(self.pages.clone());
        let mut changes = 0;
        while changes < self.changes {
            if victim.step()? == Stop::Mark {
                return Ok(false);
            }
            if !image.changed().is_empty() {
                changes += 1;
            }
        }
        Ok(true)
    }
}
