//! Kill points: every operation is killed at every instruction, and whoever is left looks at what it left.

mod image;
mod pairs;
mod scenario;
mod survey;
mod trace;
mod trial;

use std::fmt::Write as _;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use crate::board::Board;
use crate::process::Process;
use crate::random::Random;
use scenario::{Died, Scenario, all};
pub(crate) use scenario::{SUCCESSOR, succeed};
use survey::{Point, Survey};
use trial::Trial;

/// What shall be tried.
pub(crate) struct Plan {
    /// Names of operations; all if there are none.
    pub names: Vec<String>,
    /// At most so many points of each operation, chosen by the seed; all if `None`.
    pub sample: Option<usize>,
    pub seed: u64,
    /// Operations at a time.
    pub jobs: usize,
    /// Without the operations that take hundreds of thousands of instructions more than once.
    pub quick: bool,
    /// At most so many operations, chosen by the seed; all if `None`.
    pub operations: Option<usize>,
}

/// Figures of one operation or of all.
#[derive(Clone, Copy, Default)]
struct Tally {
    instructions: u64,
    points: u64,
    kills: u64,
    covered: u64,
}

/// Runs the plan; `false` if something was lost.
pub(crate) fn run(plan: &Plan) -> bool {
    let wanted = |s: &&Scenario| {
        let named = plan.names.is_empty() || plan.names.iter().any(|name| name == s.name);
        named && !(plan.quick && s.takes_long)
    };
    let mut queue: Vec<&Scenario> = all().filter(wanted).collect();
    let mut random = Random::new(plan.seed);
    while plan.operations.is_some_and(|most| queue.len() > most) {
        queue.remove(random.below(queue.len() as u64) as usize);
    }
    if queue.is_empty() {
        eprintln!("no such operation; there are:");
        all().for_each(|scenario| eprintln!("  {}", scenario.name));
        return false;
    }
    println!("kill points: {} operations, seed {:#x}", queue.len(), plan.seed);
    let board = Board::new();
    let operations = queue.len();
    let lost = in_processes(
        plan.jobs,
        &queue,
        |scenario| scenario.name.to_owned(),
        |scenario| one(scenario, plan, board),
    );
    let [instructions, points, kills, covered] = [0, 1, 2, 3].map(|i| board.figures[i].load(SeqCst));
    println!(
        "{operations} operations, {instructions} instructions at {points} points: {kills} kills stand for {covered} instructions; {lost} operations failed"
    );
    lost == 0
}

/// Runs the pairs whose owner or waiter the plan names; `false` if something was lost.
pub(crate) fn run_pairs(plan: &Plan) -> bool {
    let named = |name: &str| plan.names.is_empty() || plan.names.iter().any(|wanted| wanted == name);
    let pairs: Vec<_> = pairs::PAIRS
        .iter()
        .filter(|pair| named(pair.0) || named(pair.1))
        .collect();
    println!("{} pairs, seed {:#x}", pairs.len(), plan.seed);
    let board = Board::new();
    let name = |(owner, waiter): &&(&str, &str)| format!("{owner}, and {waiter} waiting for it");
    let lost = in_processes(plan.jobs, &pairs, name, |(owner, waiter)| {
        crate::process::adopt_orphans();
        match pairs::try_pair(owner, waiter, plan.sample, plan.seed) {
            Ok(kills) => {
                board.figures[2].fetch_add(kills.waiters + kills.owners, SeqCst);
                println!(
                    "{owner}, and {waiter} waiting for it: {} kills of the waiter, {} of the owner",
                    kills.waiters, kills.owners
                );
                true
            }
            Err(error) => {
                println!("  LOST: {error}");
                false
            }
        }
    });
    println!("{} kills; {lost} pairs failed", board.figures[2].load(SeqCst));
    lost == 0
}

/// Does each piece of work in a process of its own, so many at a time; returns how many said `false`, or died.
fn in_processes<T>(jobs: usize, work: &[T], name: impl Fn(&T) -> String, act: impl Fn(&T) -> bool) -> u32 {
    let mut queue = work.iter();
    let mut running: Vec<(Process, &T)> = Vec::new();
    let mut lost = 0;
    loop {
        if running.len() < jobs
            && let Some(next) = queue.next()
        {
            running.push((Process::fork(|| i32::from(!act(next))), next));
            continue;
        }
        if running.is_empty() {
            return lost;
        }
        let before = running.len();
        running.retain_mut(|(process, work)| match process.ended() {
            Some(status) => {
                lost += u32::from(status != 0);
                match libc::WTERMSIG(status) {
                    0 => {}
                    libc::SIGALRM => println!("  LOST: {}: a trial hangs", name(work)),
                    signal => println!("  LOST: {}: ended by signal {signal}", name(work)),
                }
                false
            }
            None => true,
        });
        if running.len() == before {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Measures how long a waiter takes from the death of the lock's owner to the end of its call; `false` if it failed.
pub(crate) fn measure_takeover(times: usize, seed: u64) -> bool {
    match pairs::takeover_times(times.max(1), seed) {
        Ok(taken) => {
            let (median, worst) = (taken[taken.len() / 2], taken[taken.len() - 1]);
            println!("takeover, {} times: median {median:?}, worst {worst:?}", taken.len());
            true
        }
        Err(error) => {
            println!("takeover: {error}");
            false
        }
    }
}

fn one(scenario: &Scenario, plan: &Plan, board: &Board) -> bool {
    // The children of the killed come to this process, which reaps them.
    crate::process::adopt_orphans();
    let started = Instant::now();
    let mut tally = Tally::default();
    let result = predecessors(scenario, plan).and_then(|predecessors| {
        predecessors
            .iter()
            .try_for_each(|predecessor| every_point(scenario, predecessor.as_ref(), plan, &mut tally))
    });
    let figures = [tally.instructions, tally.points, tally.kills, tally.covered];
    for (sum, figure) in board.figures.iter().zip(figures) {
        sum.fetch_add(figure, SeqCst);
    }
    let mut line = format!(
        "{:26} {:7} instructions {:5} points {:5} kills {:5.1} s",
        scenario.name,
        tally.instructions,
        tally.points,
        tally.kills,
        started.elapsed().as_secs_f64()
    );
    if let Err(error) = &result {
        let _ = write!(line, "\n  LOST: {error}");
    }
    println!("{line}");
    result.is_ok()
}

/// Deaths of the victim's predecessor, where no sample is asked for.
const MOST_DEATHS: usize = 48;
/// Instructions from which on a victim with a predecessor is killed at [`MOST_POINTS`] and not at all of its own.
const LONG: u64 = 100_000;
/// Points of a long victim after each of those deaths, and of a pair's owner, where no sample is asked for.
const MOST_POINTS: usize = 64;

/// Where the victim's predecessor dies: at its points that are such a death, or at a random part of them.
fn predecessors(scenario: &Scenario, plan: &Plan) -> Result<Vec<Option<Point>>, String> {
    match scenario.predecessor {
        None | Some((_, Died::Before)) => Ok(vec![None]),
        Some((name, died)) => {
            let most = plan.sample.map_or(MOST_DEATHS, |sample| sample.div_ceil(8));
            let points = choose(trial::points_of_death(name, died)?, most, plan.seed);
            Ok(points.into_iter().map(Some).collect())
        }
    }
}

/// A random part of the points, in their order, with the first and the last.
fn choose<T>(points: Vec<T>, most: usize, seed: u64) -> Vec<T> {
    let mut random = Random::new(seed);
    let (mut wanted, mut left) = (most.max(2) as u64, points.len() as u64);
    let last = points.len().saturating_sub(1);
    points
        .into_iter()
        .enumerate()
        .filter(|(i, _)| {
            let taken = *i == 0 || *i == last || random.below(left) < wanted;
            wanted -= u64::from(taken && wanted > 0);
            left -= 1;
            taken
        })
        .map(|(_, point)| point)
        .collect()
}

/// Kills the operation at each of its points. The namespace must be as before it or as after it, and once it was as after,
/// never again as before.
fn every_point(scenario: &Scenario, predecessor: Option<&Point>, plan: &Plan, tally: &mut Tally) -> Result<(), String> {
    let begin = || Trial::begin(scenario, predecessor);
    let survey = Survey::take(&mut begin()?)?;
    tally.instructions += survey.instructions;
    tally.points += survey.points.len() as u64;
    let ends: Vec<u64> = survey
        .points
        .iter()
        .skip(1)
        .map(|p| p.instruction)
        .chain([survey.instructions + 1])
        .collect();
    let lengths: Vec<(u64, u64)> = survey
        .points
        .iter()
        .zip(ends)
        .map(|(p, end)| (p.instruction, end))
        .collect();
    let many = predecessor.is_some() && survey.instructions > LONG;
    let points = match plan.sample.or(many.then_some(MOST_POINTS)) {
        Some(sample) => choose(survey.points, sample, plan.seed),
        None => survey.points,
    };
    let (mut before, mut after): (Option<String>, Option<String>) = (None, None);
    let mut released = false;
    for point in &points {
        let what = |error: String| {
            format!(
                "killed after instruction {} ({} system calls, {} changes{}{}){}: {error}",
                point.instruction,
                point.system_calls,
                point.changes,
                if point.in_lock { ", in the lock" } else { "" },
                if point.released { ", released" } else { "" },
                predecessor.map_or_else(String::new, |p| format!(
                    ", after a death at instruction {}",
                    p.instruction
                )),
            )
        };
        if point.released && !released {
            // What the survivor did is to be seen from here on.
            (released, before, after) = (true, None, None);
        }
        let mut trial = begin()?;
        let mut victim = trial.ready();
        point.reach(&mut victim, &mut trial).map_err(what)?;
        victim.tracee.kill();
        tally.kills += 1;
        let length = lengths
            .iter()
            .find(|l| l.0 == point.instruction)
            .map_or(0, |l| l.1 - l.0);
        tally.covered += length;
        let findings = trial.inquest(victim.other).map_err(what)?;
        if !findings.complaints.is_empty() {
            return Err(what(findings.complaints.join("\n    ")));
        }
        match (&before, &after) {
            (None, _) => before = Some(findings.view),
            (Some(was), None) if *was == findings.view => {}
            (Some(was), None) if scenario.keeps => {
                return Err(what(format!("not [{was}] any more, but [{}]", findings.view)));
            }
            (_, None) => after = Some(findings.view),
            (_, Some(is)) if *is == findings.view => {}
            (Some(was), Some(is)) => {
                return Err(what(format!("neither [{was}] nor [{is}], but [{}]", findings.view)));
            }
        }
        crate::process::reap_orphans();
    }
    Ok(())
}
