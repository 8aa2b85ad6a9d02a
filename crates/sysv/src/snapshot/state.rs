//! What may be said of an object in a word.

use std::fmt;
use std::str::FromStr;

use super::{Contents, Object};
use crate::processes::Census;

/// What may be said of an object in a word.
///
/// ```
/// use sysv::State;
///
/// assert_eq!("left".parse(), Ok(State::Left));
/// assert_eq!(State::InUse.to_string(), "in use");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Somebody has it attached, waits for it, or owes it something.
    InUse,
    /// It was used and nobody has it in use now.
    Idle,
    /// Nobody has ever used it.
    NeverUsed,
    /// Nobody has it in use, and every process that is known to have made or used it is dead. Whether it is meant to be
    /// used again, as the data of a service that is started anew, only its users know.
    Left,
    /// It is removed and goes with its last attachment.
    Removed,
}

impl State {
    /// All of them.
    ///
    /// ```
    /// assert_eq!(sysv::State::ALL.len(), 5);
    /// ```
    pub const ALL: [State; 5] = [State::InUse, State::Idle, State::NeverUsed, State::Left, State::Removed];

    /// Its name in one word.
    ///
    /// ```
    /// assert_eq!(sysv::State::NeverUsed.word(), "never-used");
    /// ```
    pub const fn word(self) -> &'static str {
        match self {
            State::InUse => "in-use",
            State::Idle => "idle",
            State::NeverUsed => "never-used",
            State::Left => "left",
            State::Removed => "removed",
        }
    }

    /// What is to be said of an object when everything else of it is known.
    pub(super) fn of(object: &Object, census: &mut Census) -> State {
        if matches!(object.contents, Contents::Segment { removed: true, .. }) {
            return State::Removed;
        }
        if object.is_in_use() {
            return State::InUse;
        }
        if is_left(object, census) {
            return State::Left;
        }
        match object.used_at {
            Some(_) => State::Idle,
            None => State::NeverUsed,
        }
    }
}

/// Whether every process is dead that is known to have made or used it, and one is known.
fn is_left(object: &Object, census: &mut Census) -> bool {
    // Where processes have other ids, nothing can be told.
    if object.created_by.as_ref().is_some_and(|creator| creator.elsewhere) {
        return false;
    }
    let mut known = vec![(object.creator_pid, object.changed_at)];
    let used_at = object.used_at.unwrap_or(object.changed_at).max(object.changed_at);
    known.push((object.last_pid, used_at));
    match &object.contents {
        Contents::Segment { .. } => {}
        Contents::Set { semaphores, .. } => {
            known.extend(
                semaphores
                    .iter()
                    .flatten()
                    .map(|semaphore| (semaphore.last_pid, used_at)),
            );
        }
        Contents::Queue { sender, receiver, .. } => known.extend([(*sender, used_at), (*receiver, used_at)]),
    }
    known.retain(|&(pid, _)| pid != 0);
    known.sort_unstable();
    known.dedup();
    !known.is_empty() && known.iter().all(|&(pid, at)| census.is_dead(pid, at))
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::InUse => "in use",
            State::NeverUsed => "never used",
            State::Left => "left by the dead",
            State::Idle | State::Removed => self.word(),
        })
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<State, String> {
        let found = State::ALL.into_iter().find(|state| state.word() == text);
        found.ok_or_else(|| format!("`{text}` is none of {}", State::ALL.map(State::word).join(", ")))
    }
}
