//! Random plays by several processes and users on the kernel and on the engine, which must not be told apart.
//!
//! Together the campaigns make 110 000 calls on segments, and four thousand on semaphore sets and queues, which wait.
//! `SYSV_DIFFERENTIAL_CALLS` sets another number for each of them, `SYSV_DIFFERENTIAL_SEED` the seed; without it every run plays other cases. What finds a difference is shrunk,
//! printed and kept in `regressions/`, from where it is played again by every later run.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conformance::differential::{Campaign, Matter, Memory, Waiting, kept_cases};
use conformance::{Facility, Subject, User, trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_conformance-peer");

/// How long one campaign may take. Whoever asks for millions of calls has the time.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Whose turn it is among the campaigns on segments: the kernel has one account of locked memory for each user.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn campaign<M: Matter>(other: Facility, calls: u64) -> impl Fn(&Subject) {
    let calls = match std::env::var("SYSV_DIFFERENTIAL_CALLS") {
        Ok(calls) => calls.parse().expect("SYSV_DIFFERENTIAL_CALLS is a number"),
        Err(_) => calls,
    };
    // By an open descriptor: an ordinary user need not be able to enter the directories above.
    let program = File::open(PROGRAM).unwrap_or_else(|error| panic!("{PROGRAM}: {error}"));
    move |subject| {
        let program = format!("/proc/self/fd/{}", program.as_raw_fd());
        Campaign::<M>::new(subject, other, &program).run(calls);
    }
}

#[test]
fn the_kernel_is_the_kernel() {
    let _turn = turn();
    trial::run_within(LIMIT, Facility::Kernel, campaign::<Memory>(Facility::Kernel, 10_000));
}

#[test]
fn the_engine_for_several_users_is_the_kernel() {
    let _turn = turn();
    trial::run_within(
        LIMIT,
        Facility::Kernel,
        campaign::<Memory>(Facility::EngineShared, 25_000),
    );
}

#[test]
fn the_engine_that_is_told_of_credentials_is_the_kernel() {
    let _turn = turn();
    trial::run_within(
        LIMIT,
        Facility::Kernel,
        campaign::<Memory>(Facility::EngineAnnounced, 15_000),
    );
}

#[test]
fn the_engine_for_one_user_is_the_kernel() {
    let _turn = turn();
    trial::run_within(
        LIMIT,
        Facility::Kernel,
        campaign::<Memory>(Facility::EnginePrivate, 30_000),
    );
}

#[test]
fn the_engine_for_an_ordinary_user_is_the_kernel() {
    let _turn = turn();
    trial::run_unprivileged_within(
        LIMIT,
        Facility::Kernel,
        campaign::<Memory>(Facility::EnginePrivate, 30_000),
    );
}

#[test]
fn the_kernel_waits_as_the_kernel() {
    trial::run_within(LIMIT, Facility::Kernel, campaign::<Waiting>(Facility::Kernel, 1_000));
}

#[test]
fn the_engine_for_several_users_waits_as_the_kernel() {
    trial::run_within(
        LIMIT,
        Facility::Kernel,
        campaign::<Waiting>(Facility::EngineShared, 1_000),
    );
}

#[test]
fn the_engine_for_one_user_waits_as_the_kernel() {
    if !User::can_be_changed() {
        return trial::note("skipped: for an ordinary user on demand only, as the next");
    }
    trial::run_within(
        LIMIT,
        Facility::Kernel,
        campaign::<Waiting>(Facility::EnginePrivate, 1_000),
    );
}

#[test]
fn the_engine_for_an_ordinary_user_waits_as_the_kernel() {
    trial::run_unprivileged_within(
        LIMIT,
        Facility::Kernel,
        campaign::<Waiting>(Facility::EnginePrivate, 1_000),
    );
}

#[test]
fn cases_that_once_found_a_difference_find_none() {
    let _turn = turn();
    play_again::<Memory>();
}

#[test]
fn cases_of_waiting_that_once_found_a_difference_find_none() {
    play_again::<Waiting>();
}

fn play_again<M: Matter>() {
    for other in [
        Facility::Kernel,
        Facility::EnginePrivate,
        Facility::EngineShared,
        Facility::EngineAnnounced,
    ] {
        trial::run_within(LIMIT, Facility::Kernel, |subject| {
            let campaign = Campaign::<M>::new(subject, other, PROGRAM);
            for (name, case) in kept_cases::<M>() {
                if let Err(finding) = campaign.play(&case) {
                    panic!("{name}, {other:?}, step {}: {}", finding.step, finding.what);
                }
            }
        });
    }
}
