//! One trial: a namespace, a process that survives, one that is killed at a chosen point, and the inquest.

use std::path::Path;

use sysv_engine::abi::IPC_PRIVATE;
use sysv_engine::{Engine, Join, Segments};

use super::image::Image;
use super::scenario::{Actor, Died, Scenario, Stage, Victim, named};
use super::survey::{Point, Survey};
use super::trace::{Stop, Tracee};
use crate::inquest::{self, Findings};
use crate::process::{Servant, become_user, effective_ids};

/// A namespace with a survivor in it.
pub(crate) struct Trial<'s> {
    pub scenario: &'s Scenario,
    pub stage: Stage,
    survivor: Servant,
}

/// A victim that is ready, stopped before its operation's first instruction.
pub(crate) struct Doomed {
    /// What is traced, and will be killed.
    pub tracee: Tracee,
    /// The other process of a `fork`: the child, kept at its first instruction, or the parent.
    pub other: Option<Tracee>,
}

impl<'s> Trial<'s> {
    /// Sets the stage. `predecessor` says where the process died that the victim comes after.
    pub(crate) fn begin(scenario: &'s Scenario, predecessor: Option<Point>) -> Result<Trial<'s>, String> {
        let stage = Stage::new(scenario);
        let mut survivor = servant(&stage, scenario, true);
        if !scenario.fresh {
            expect_empty(&survivor.ask(b'r')?)?;
        }
        let trial = Trial {
            scenario,
            stage,
            survivor,
        };
        if let Some((name, died)) = scenario.predecessor {
            let first = named(name).ok_or("no such predecessor")?;
            let mut victim = trial.ready_as(first);
            if died == Died::InLock {
                let point = predecessor.ok_or("the predecessor's point is missing")?;
                point.reach(&mut victim, &mut Image::new(trial.stage.place.path()))?;
            }
            victim.tracee.kill();
        }
        Ok(trial)
    }

    /// A process that is ready for the operation.
    pub(crate) fn ready(&self) -> Doomed {
        self.ready_as(self.scenario)
    }

    /// A process that is ready for another operation in the same namespace.
    pub(super) fn ready_as(&self, scenario: &Scenario) -> Doomed {
        let stage = &self.stage;
        let mut actor = Tracee::fork(
            scenario.user,
            || Actor::new(stage, scenario),
            |actor| actor.act(scenario),
        );
        actor.trace_forks();
        if scenario.victim == Victim::Actor {
            return Doomed {
                tracee: actor,
                other: None,
            };
        }
        let child = loop {
            match actor.run_to_system_call() {
                Stop::Forked(pid) => break Tracee::child(pid),
                Stop::Dead | Stop::Mark => panic!("{}: there was no fork", scenario.name),
                _ => {}
            }
        };
        actor.run_to_mark();
        Doomed {
            tracee: child,
            other: Some(actor),
        }
    }

    /// After the death: the survivor looks first, then a new process.
    pub(crate) fn inquest(mut self, mut other: Option<Tracee>) -> Result<Findings, String> {
        let seen = self.ask_survivor(b'i')?;
        if let Some(other) = &mut other
            && self.scenario.victim == Victim::Actor
        {
            // The child that the victim forked goes on from its first instruction.
            other.run_to_mark();
        }
        let mut newcomer = servant(&self.stage, self.scenario, false);
        let again = Findings::from_text(&newcomer.ask(b'i').map_err(|e| format!("a new process: {e}"))?);
        let mut findings = seen;
        if findings.view != again.view {
            let complaint = format!("a new process sees [{}]", again.view);
            findings.complaints.push(complaint);
        }
        let said_by_newcomer = again.complaints.into_iter().map(|c| format!("a new process: {c}"));
        findings.complaints.extend(said_by_newcomer);
        Ok(findings)
    }

    /// Asks the survivor something without waiting for the answer.
    pub(super) fn send_survivor(&mut self, question: u8) -> Result<(), String> {
        self.survivor.send(question)
    }

    pub(super) fn survivor_answers(&mut self) -> Result<String, String> {
        self.survivor.answer()
    }

    fn ask_survivor(&mut self, question: u8) -> Result<Findings, String> {
        let text = self.survivor.ask(question).map_err(|e| format!("the survivor: {e}"))?;
        Ok(Findings::from_text(&text))
    }
}

fn expect_empty(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { Err(text.to_owned()) }
}

/// A process that looks at the namespace when asked; the survivor has something in it from the start.
fn servant(stage: &Stage, scenario: &Scenario, survivor: bool) -> Servant {
    Servant::fork(|serve| {
        if let Some(uid) = scenario.user {
            become_user(uid);
        }
        let mut engine = None;
        serve(&mut |question| answer(stage, scenario, &mut engine, question, survivor));
    })
}

fn answer(stage: &Stage, scenario: &Scenario, engine: &mut Option<Engine>, question: u8, survivor: bool) -> String {
    // Where the victim was to make the namespace, whoever comes next must be able to.
    let how = if survivor || scenario.fresh {
        stage.how
    } else {
        Join::Existing
    };
    let engine = match engine {
        Some(engine) => engine,
        None => match Engine::join(&stage.directory, how) {
            Ok(joined) => engine.insert(joined),
            Err(error) => {
                return format!(
                    "\0joining as {:?}: {}",
                    effective_ids(),
                    error.describe(&stage.directory)
                );
            }
        },
    };
    let path: &Path = stage.place.path();
    match question {
        b'r' => match stage.survivor(engine) {
            Ok(()) => String::new(),
            Err(errno) => format!("the survivor's own segment: {errno:?}"),
        },
        // A call that needs the lock.
        b'g' => match engine.shmget(IPC_PRIVATE, 1, 0o600) {
            Ok(_) => String::new(),
            Err(errno) => format!("a call after the takeover: {errno:?}"),
        },
        _ => inquest::hold(engine, path).to_text(),
    }
}

/// The points of a predecessor's operation at which it holds the lock.
pub(crate) fn points_in_lock(name: &str) -> Result<Vec<Point>, String> {
    let scenario = named(name).ok_or("no such predecessor")?;
    let trial = Trial::begin(scenario, None)?;
    let survey = Survey::take(&trial)?;
    Ok(survey.points.into_iter().filter(|point| point.in_lock).collect())
}
