//! What is measured, section by section.

mod calls;
mod deaths;
mod growth;
mod loading;
mod locks;
mod postgresql;
mod sizes;
mod streams;
mod stress;
mod turns;

use crate::contest::{Contest, Effort};
use crate::job::{Api, Job, Placement, Work};
use crate::launch::Host;

/// A part of a run, which can be run alone.
pub struct Section {
    /// Its name on the command line and in the results.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What the reader should know.
    pub about: &'static str,
    /// About how long it takes on two processors that have nothing else to do.
    pub seconds: u64,
    /// Its contests.
    pub contests: fn(Effort) -> Vec<Contest<'static>>,
}

/// All sections, in the report's order.
pub const SECTIONS: &[Section] = &[
    calls::SECTION,
    turns::TURNS,
    turns::WAKES,
    streams::SECTION,
    sizes::SECTION,
    locks::SECTION,
    deaths::SECTION,
    growth::SECTION,
    loading::SECTION,
    postgresql::SECTION,
    stress::SECTION,
];

/// The contests of the short form, which takes less than a minute.
pub fn short() -> Vec<Contest<'static>> {
    let mut contests = calls::short();
    contests.extend(turns::short());
    contests.extend(streams::short());
    contests.extend(locks::short());
    contests
}

/// The contests that concern a mechanism (`segments`, `semaphores`, `queues`), or have something in their name.
pub fn concerning(filter: &str, effort: Effort) -> Vec<Contest<'static>> {
    let of_one_object = [
        calls::SECTION,
        turns::TURNS,
        streams::SECTION,
        locks::SECTION,
        deaths::SECTION,
    ];
    let mut contests: Vec<Contest<'static>> = of_one_object
        .iter()
        .flat_map(|section| (section.contests)(effort))
        .collect();
    contests.retain(|contest| {
        let name = &contest.case.name;
        let mechanisms: &[&str] = match name.as_str() {
            "round trip" => &["semaphores", "queues"],
            name if name.contains("shm") || name.contains("segment") || name.contains("touch") => &["segments"],
            name if name.contains("msg") || name.contains("64 bytes") => &["queues"],
            _ => &["semaphores"],
        };
        mechanisms.contains(&filter) || name.contains(filter)
    });
    contests
}

/// Rivals join, each with the same work along its own way.
fn rivals(contest: &mut Contest<'static>, names: &[&str], placement: Placement, work: impl Fn(String) -> Work) {
    for name in names {
        let job = Job {
            work: work((*name).to_owned()),
            placement,
            api: Api::C,
        };
        contest.worker(name, Host::Kernel, job);
    }
}

/// Other people's ways join.
fn peers(contest: &mut Contest<'static>, names: &[&str], placement: Placement, work: impl Fn(String) -> Work) {
    for name in names {
        let job = Job {
            work: work((*name).to_owned()),
            placement,
            api: Api::C,
        };
        contest.worker(name, Host::Peers, job);
    }
}
