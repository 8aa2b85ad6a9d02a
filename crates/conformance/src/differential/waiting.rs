//! Semaphore sets and message queues on two facilities, waiters included.
//!
//! A worker is two processes, one on each side, so that the same call can wait on both at once. After every step the
//! driver waits until the sides agree on who waits and who has gone on, then compares what has come back and each set and
//! queue as they can be seen: values, last processes, numbers of waiters, messages and bytes. The kernel hands on what is
//! released before the releasing call returns; the engine has [`play::PATIENCE`] to find a dead process's undo out.
//!
//! What the kernel itself does in no certain order is not asked for: two senders that wait at one queue, and `IPC_SET` of a
//! queue at which several receivers wait.

mod doing;
mod fact;
mod generate;
mod play;
mod side;
mod worker;

pub use doing::Doing;

use super::campaign::Matter;
use super::case::Case;
use super::generate::Cast;
use super::play::Finding;
use super::random::Random;
use crate::program::Executable;
use crate::subject::Subject;

/// Campaigns about semaphore sets and message queues.
pub struct Waiting;

impl Matter for Waiting {
    type Action = Doing;
    const SUFFIX: &str = "waits";

    fn generate(random: &mut Random, length: usize, cast: &Cast) -> Case<Doing> {
        generate::generate(random, length, cast)
    }

    fn play(
        subjects: [Subject; 2],
        first_keys: [i32; 2],
        _: Option<Executable>,
        case: &Case<Doing>,
    ) -> Result<u64, Finding> {
        play::Play::new(subjects, first_keys).play(case)
    }
}
