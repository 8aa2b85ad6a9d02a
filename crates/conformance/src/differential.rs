//! Two facilities, one random play: they must not be told apart.
//!
//! A *case* is a sequence of [`Step`]s by several processes, some of them other users, that create, attach,
//! write, stat, change and remove segments, fork, execute, exit and are killed. A driver gives each step to the
//! worker process whose turn it is; the worker does it on both facilities and compares the memory it sees; the
//! driver compares results, errnos, and after every step each field of each segment. Identifiers and addresses may
//! differ, so that they are mapped: the first segment here is the first segment there. Times may differ by a second.
//!
//! Steps name things by small numbers that are taken modulo what exists, so that a case stays playable
//! when steps are left out. A case that finds a difference is shrunk that way and written down as text.
//!
//! That is the play about segments ([`Memory`]); `waiting` tells of the one about semaphore sets and message queues.

mod action;
mod audit;
mod campaign;
mod case;
#[cfg(test)]
mod distortions;
mod generate;
mod play;
mod random;
mod shrink;
mod waiting;
mod worker;

pub use action::{Act, Action};
pub use campaign::{Campaign, Matter, Memory, kept_cases};
pub use case::{Case, Step};
pub use generate::Cast;
pub use play::{Finding, Play};
pub use random::Random;
pub use waiting::{Doing, Waiting};
pub use worker::serve as serve_as_worker;
