//! Storms: many processes, every operation at random, and one killed every millisecond or so.
//!
//! Some workers have threads, some live in a pid namespace of their own, some fork (also past the C library) and let the
//! child work on, exit, or execute another program; some are stopped for a while. After each gust all are killed, and
//! a new process looks at what is left.

#![allow(unsafe_code)]

mod ledger;
mod worker;

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use sysv_engine::{Engine, Join, Queues, Segments, Semaphores};

use crate::board::Board;
use crate::inquest::{self, Findings};
use crate::place::Place;
use crate::process::{self, Process, Servant};
use crate::random::Random;
use ledger::Ledger;

/// What kind of weather.
pub(crate) struct Plan {
    pub seconds: u64,
    pub seed: u64,
    /// Workers at a time.
    pub workers: usize,
}

/// The time between two inquests.
const GUST: Duration = Duration::from_secs(3);
/// With so much of it without a call finished by anybody, everybody hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the storm; `false` if something was lost.
pub(crate) fn run(plan: &Plan) -> bool {
    println!(
        "storm: {} s with {} workers, seed {:#x}",
        plan.seconds, plan.workers, plan.seed
    );
    process::adopt_orphans();
    if !worker::may_unshare() {
        println!("  pid namespaces: skipped, they are not permitted here");
    }
    let place = Place::new();
    let board = Board::new();
    let ledger = Ledger::new();
    let mut random = Random::new(plan.seed);
    let started = Instant::now();
    let (mut kills, mut stops, mut gusts) = (0u64, 0u64, 0u64);
    let mut lost = Vec::from_iter(open_ledger(&place, ledger).err());
    while started.elapsed() < Duration::from_secs(plan.seconds) && lost.is_empty() {
        let left = Duration::from_secs(plan.seconds).saturating_sub(started.elapsed());
        match gust(&place, board, ledger, plan, &mut random, left.min(GUST)) {
            Ok((killed, stopped)) => {
                kills += killed;
                stops += stopped;
            }
            Err(error) => lost.push(error),
        }
        gusts += 1;
        lost.extend(look_around(&place, ledger));
        if gusts % 20 == 0 {
            println!("  {:.0} s, {kills} kills", started.elapsed().as_secs_f64());
        }
    }
    lost.iter().for_each(|error| println!("  LOST: {error}"));
    println!(
        "{:.0} s: {kills} kills, {stops} stops, {} calls, {gusts} inquests, {} of them found something",
        started.elapsed().as_secs_f64(),
        board.progress.load(SeqCst),
        lost.len()
    );
    lost.is_empty()
}

/// Workers at work; one of them is killed every millisecond.
fn gust(
    place: &Place,
    board: &'static Board,
    ledger: &'static Ledger,
    plan: &Plan,
    random: &mut Random,
    time: Duration,
) -> Result<(u64, u64), String> {
    let directory = place.c_path();
    let hire = |random: &mut Random| {
        let seed = random.next();
        Process::fork(|| worker::life(&directory, seed, board, ledger))
    };
    let mut workers: Vec<Process> = (0..plan.workers).map(|_| hire(random)).collect();
    let (mut kills, mut stops) = (0, 0);
    let mut stopped: Option<usize> = None;
    let started = Instant::now();
    let mut seen = (board.progress.load(SeqCst), Instant::now());
    while started.elapsed() < time {
        std::thread::sleep(Duration::from_micros(500 + random.below(1000)));
        let chosen = random.below(workers.len() as u64) as usize;
        if let Some(one) = stopped.take() {
            workers[one].signal(libc::SIGCONT);
        }
        if random.below(8) == 0 {
            workers[chosen].signal(libc::SIGSTOP);
            stopped = Some(chosen);
            stops += 1;
        } else {
            workers[chosen].signal(libc::SIGKILL);
            let status = std::mem::replace(&mut workers[chosen], hire(random)).wait();
            kills += 1;
            judge(status)?;
        }
        let progress = board.progress.load(SeqCst);
        if progress != seen.0 {
            seen = (progress, Instant::now());
        } else if seen.1.elapsed() > PATIENCE {
            return Err(format!("nobody has finished a call for {PATIENCE:?}"));
        }
        process::reap_orphans_of(&workers);
    }
    drop(workers);
    // Those in other pid namespaces and the forked ones die a little later than their parents.
    process::await_orphans();
    Ok((kills, stops))
}

/// A worker may be killed by us, or have ended in order; anything else is a complaint of its own.
fn judge(status: i32) -> Result<(), String> {
    if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL || status == 0 {
        return Ok(());
    }
    Err(format!("a worker ended with wait status {status:#x}"))
}

/// Makes what is audited.
fn open_ledger(place: &Place, ledger: &'static Ledger) -> Result<(), String> {
    let directory = place.c_path();
    let status = Process::fork(|| match Engine::join(&directory, Join::Create) {
        Ok(engine) => i32::from(ledger.open(&engine).is_err()),
        Err(_) => 1,
    })
    .wait();
    if status == 0 {
        Ok(())
    } else {
        Err("what is audited cannot be made".to_owned())
    }
}

/// What a new process sees when everybody is dead.
fn look_around(place: &Place, ledger: &'static Ledger) -> Vec<String> {
    let directory = place.c_path();
    let mut newcomer = Servant::fork(|serve| {
        serve(&mut |_| match Engine::join(&directory, Join::Create) {
            Ok(engine) => {
                let mut findings = inquest::hold(&engine, place.path(), &|| 0);
                if let Err(errno) = ledger.audit(&engine, &mut findings.complaints) {
                    findings.complaints.push(format!("the audit: {errno:?}"));
                }
                tidy(&engine, place, &mut findings);
                if let Err(errno) = ledger.open(&engine) {
                    findings.complaints.push(format!("making what is audited: {errno:?}"));
                }
                findings.to_text()
            }
            Err(error) => format!("\0joining: {}", error.describe(&directory)),
        });
    });
    match newcomer.ask(b'i') {
        Ok(text) => {
            let findings = Findings::from_text(&text);
            let mut complaints = findings.complaints;
            if findings
                .view
                .split("; ")
                .skip(1)
                .any(|object| object.starts_with("id ") && !object.ends_with("nattch 0"))
            {
                complaints.push(format!("the dead have segments attached: [{}]", findings.view));
            }
            complaints
        }
        Err(error) => vec![format!("the newcomer: {error}")],
    }
}

/// Removes everything, after which nothing may be left.
fn tidy(engine: &Engine, place: &Place, findings: &mut Findings) {
    let mut ids = Vec::new();
    let _ = engine.segments(&mut |s| ids.push(s.id));
    for id in ids {
        if let Err(errno) = engine.shm_remove(id) {
            findings.complaints.push(format!("removing {id}: {errno:?}"));
        }
    }
    let (mut sets, mut queues) = (Vec::new(), Vec::new());
    let _ = engine.sets(&mut |set| sets.push(set.id));
    let _ = engine.queues(&mut |queue| queues.push(queue.id));
    let removed = sets.into_iter().try_for_each(|id| engine.sem_remove(id));
    let removed = removed.and_then(|()| queues.into_iter().try_for_each(|id| engine.msg_remove(id)));
    if let Err(errno) = removed {
        findings.complaints.push(format!("removing sets and queues: {errno:?}"));
    }
    let left = ["shm", "sem", "msg"].map(|directory| place.names(directory)).concat();
    if !left.is_empty() {
        findings
            .complaints
            .push(format!("files of removed objects are left: {left:?}"));
    }
}
