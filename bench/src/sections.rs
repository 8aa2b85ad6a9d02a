//! What is measured, section by section.

mod calls;
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
