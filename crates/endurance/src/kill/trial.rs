//! One trial: a namespace, a process that survives, one that is killed at a chosen point, and the inquest.

use std::path::Path;

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use sysv_engine::abi::IPC_PRIVATE;
use sysv_engine::{Engine, Join, Segments, inspect};

use super::image::Image;
use super::scenario::{Actor, Died, Scenario, Stage, Victim, Waits, all, named};
use super::survey::{Point, Survey};
use super::trace::{Stop, Tracee};
use crate::board::Board;
use crate::inquest::{self, Findings};
use crate::process::{Process, Servant, become_user, effective_ids, end_unless_called_within};

/// A companion's status while it is in its call.
const IN_CALL: i32 = 1;

/// Seconds: no trial takes that long, not even the longest operation's survey on a loaded machine, unless somebody hangs.
const LONGEST: u32 = 600;

/// A namespace with a survivor in it, and perhaps somebody who waits.
pub(crate) struct Trial<'s> {
    pub scenario: &'s Scenario,
    pub stage: Stage,
    survivor: Servant,
    companion: Option<Process>,
    victim: Option<Doomed>,
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
    pub(crate) fn begin(scenario: &'s Scenario, predecessor: Option<&Point>) -> Result<Trial<'s>, String> {
        end_unless_called_within(LONGEST);
        let stage = Stage::new(scenario);
        let mut survivor = servant(&stage, scenario, true);
        if !scenario.fresh {
            expect_empty(&survivor.ask(b'r')?)?;
        }
        let mut trial = Trial {
            scenario,
            stage,
            survivor,
            companion: None,
            victim: None,
        };
        if let Waits::Companion(call) = scenario.waits {
            trial.let_wait(call)?;
        }
        // Before the predecessor dies: nothing that makes the victim ready shall find its remains.
        trial.victim = Some(trial.ready_as(scenario));
        if let Some((name, died)) = scenario.predecessor {
            let first = named(name).ok_or("no such predecessor")?;
            let mut victim = trial.ready_as(first);
            if died != Died::Before {
                let point = predecessor.ok_or("the predecessor's point is missing")?;
                // It is released as its own operation says.
                let own = std::mem::replace(&mut trial.scenario, first);
                let reached = point.reach(&mut victim, &mut trial);
                trial.scenario = own;
                reached?;
            }
            victim.tracee.kill();
        }
        Ok(trial)
    }

    /// Has another process wait in a call, and stops it there.
    fn let_wait(&mut self, call: fn(&Engine, &Board) -> sysv_engine::Result<()>) -> Result<(), String> {
        let (stage, scenario) = (&self.stage, self.scenario);
        let companion = Process::fork(|| {
            if let Some(uid) = scenario.user {
                become_user(uid);
            }
            let engine = stage.join();
            stage.board.companion.store(IN_CALL, SeqCst);
            let status = match call(&engine, stage.board) {
                Ok(()) => 2,
                Err(errno) => -errno.raw(),
            };
            stage.board.companion.store(status, SeqCst);
            // What it owes it goes on owing.
            loop {
                std::thread::park();
            }
        });
        let mut image = Image::new(self.stage.place.path());
        loop {
            expect_empty(&self.survivor.ask(b'w')?)?;
            companion.stop();
            image.watch_all();
            // Not in the middle of a look around.
            if image.locks().is_empty() && self.survivor.ask(b'w')?.is_empty() {
                break;
            }
            companion.signal(libc::SIGCONT);
        }
        self.companion = Some(companion);
        Ok(())
    }

    /// A process that is ready for the operation.
    pub(crate) fn ready(&mut self) -> Doomed {
        match self.victim.take() {
            Some(victim) => victim,
            None => self.ready_as(self.scenario),
        }
    }

    /// Has the survivor do what the sleeper waits for.
    pub(crate) fn release(&mut self) -> Result<(), String> {
        let number = all().position(|scenario| scenario.name == self.scenario.name);
        self.stage.board.ids[7].store(number.map_or(-1, |n| n as i32), SeqCst);
        expect_empty(&self.survivor.ask(b'l')?)
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

    /// After the death: the survivor looks first, then a new process, and then whoever still waits is released.
    pub(crate) fn inquest(mut self, mut other: Option<Tracee>) -> Result<Findings, String> {
        if let Some(companion) = &self.companion {
            companion.signal(libc::SIGCONT);
        }
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
        if self.stage.board.companion.load(SeqCst) == IN_CALL {
            self.release()?;
            let patience = Instant::now() + Duration::from_secs(20);
            while self.stage.board.companion.load(SeqCst) == IN_CALL && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(1));
            }
            match self.stage.board.companion.load(SeqCst) {
                2 => {}
                status => findings
                    .complaints
                    .push(format!("who waited is not let go on: {status}")),
            }
        }
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
        b'r' => match stage.survivor(scenario, engine) {
            Ok(()) => String::new(),
            Err(errno) => format!("what the survivor makes: {errno:?}"),
        },
        // Until somebody waits.
        b'w' => {
            let patience = Instant::now() + Duration::from_secs(20);
            while inspect::waiters(engine).asleep == 0 {
                if Instant::now() > patience {
                    return "nobody waits".to_owned();
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            String::new()
        }
        // Whoever waits is let go on.
        b'l' => {
            let number = stage.board.ids[7].load(SeqCst) as usize;
            let Some(scenario) = all().nth(number) else {
                return "no such scenario".to_owned();
            };
            match (scenario.release)(engine, stage.board) {
                Ok(()) => String::new(),
                Err(errno) => format!("releasing who waits: {errno:?}"),
            }
        }
        // A call that needs the lock.
        b'g' => match engine.shmget(IPC_PRIVATE, 1, 0o600) {
            Ok(_) => String::new(),
            Err(errno) => format!("a call after the takeover: {errno:?}"),
        },
        _ => {
            if scenario.naps {
                std::thread::sleep(Duration::from_millis(500));
            }
            let in_call = || usize::from(stage.board.companion.load(SeqCst) == IN_CALL);
            let mut findings = inquest::hold(engine, path, &in_call);
            findings.view += &match stage.board.companion.load(SeqCst) {
                0 => String::new(),
                IN_CALL => "; somebody waits".to_owned(),
                status => format!("; somebody waited and got {status}"),
            };
            findings.to_text()
        }
    }
}

/// The points of a predecessor's operation at which it dies so.
pub(crate) fn points_of_death(name: &str, died: Died) -> Result<Vec<Point>, String> {
    let scenario = named(name).ok_or("no such predecessor")?;
    let mut survey = Survey::take(&mut Trial::begin(scenario, None)?)?;
    match died {
        Died::InLock => survey.points.retain(|point| point.in_lock),
        Died::Waiting => survey.points.retain(|point| point.asleep),
        Died::Served => {
            survey.points.retain(|point| point.released);
            survey.points.truncate(1);
        }
        Died::Before => survey.points.clear(),
    }
    Ok(survey.points)
}
