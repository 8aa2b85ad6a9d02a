//! Objects and processes in words, for people.

use std::time::{Duration, SystemTime};

use sysv::{Contents, Object, Party, Process, State};

use crate::output;

/// A process by name and id.
pub(crate) fn process(process: &Process) -> String {
    let elsewhere = if process.elsewhere {
        ", in another pid namespace"
    } else {
        ""
    };
    format!(
        "{} (pid {}{elsewhere})",
        output::printable(&process.command),
        process.pid
    )
}

/// What an object is: its name, its key, and how much is in it.
pub(crate) fn title(object: &Object) -> String {
    let key = if object.key.is_private() {
        String::new()
    } else {
        format!(", key {}", object.key)
    };
    let size = match object.contents {
        Contents::Segment { size, .. } => format!("{size} bytes"),
        Contents::Set { count, .. } => counted(count, "semaphore", "semaphores"),
        Contents::Queue { messages, bytes, .. } => {
            format!("{}, {bytes} bytes", counted(messages, "message", "messages"))
        }
        _ => String::new(),
    };
    format!("{}{key}, {size}", object.name())
}

/// Who created it, as far as that is known.
pub(crate) fn creator(object: &Object) -> String {
    match (&object.created_by, object.creator_pid) {
        (Some(creator), _) => process(creator),
        (None, 0) => "unknown".to_owned(),
        (None, pid) => format!("pid {pid}"),
    }
}

/// The processes that have to do with an object, each once. More than `most` are counted.
pub(crate) fn parties(object: &Object, most: usize) -> String {
    let mut known: Vec<&Process> = Vec::new();
    for party in &object.parties {
        if !known.contains(&&party.process) {
            known.push(&party.process);
        }
    }
    let named = known.iter().take(most).map(|known| process(known));
    let mut named: Vec<String> = named.collect();
    match known.len().saturating_sub(most) {
        0 => {}
        more => named.push(format!("{more} more")),
    }
    if named.is_empty() {
        return match unnamed(object) {
            0 => "-".to_owned(),
            n => format!("{n} that only root can see"),
        };
    }
    named.join(", ")
}

/// Users that the facility counts and that this process may not look at.
fn unnamed(object: &Object) -> u64 {
    match &object.contents {
        Contents::Segment { attachments, .. } => *attachments,
        Contents::Set {
            semaphores: Some(semaphores),
            ..
        } => semaphores
            .iter()
            .map(|semaphore| u64::from(semaphore.waiting_for_more) + u64::from(semaphore.waiting_for_zero))
            .sum(),
        _ => 0,
    }
}

/// Whether somebody may have it in use who cannot be seen: more are counted than are seen, or nobody counts.
pub(crate) fn may_have_unseen_users(object: &Object) -> bool {
    let seen = object.parties.len() as u64;
    match &object.contents {
        Contents::Segment { attachments, .. } => *attachments > seen,
        Contents::Set {
            semaphores: Some(_), ..
        } => unnamed(object) > seen,
        _ => true,
    }
}

/// How many wait for it.
pub(crate) fn waiting(object: &Object) -> u64 {
    let seen = object.parties.iter().filter(|party| party.role.waits()).count() as u64;
    match object.contents {
        Contents::Segment { .. } => 0,
        // Those that cannot be seen are counted.
        Contents::Set { .. } => unnamed(object).max(seen),
        _ => seen,
    }
}

/// Its state, as a sentence would put it.
pub(crate) fn state(object: &Object, now: SystemTime) -> String {
    match object.state {
        State::InUse => match (waiting(object), owing(&object.parties)) {
            (0, 0) => "in use".to_owned(),
            (0, n) => format!("in use, undo by {}", processes(n)),
            (n, _) => format!("in use, {n} waiting"),
        },
        State::Idle => format!("idle for {}", span(object.idle(now))),
        State::NeverUsed => format!("never used in {}", span(object.idle(now))),
        State::Left => format!("left by {}, which is dead", last_known(object)),
        State::Removed => match &object.contents {
            Contents::Segment { attachments: 1, .. } => "removed, but still attached once".to_owned(),
            Contents::Segment { attachments, .. } => format!("removed, but still attached {attachments} times"),
            _ => "removed".to_owned(),
        },
    }
}

fn owing(parties: &[Party]) -> u64 {
    let mut owing: Vec<u32> = parties.iter().map(|party| party.process.pid).collect();
    owing.sort_unstable();
    owing.dedup();
    let owes = |party: &Party| matches!(party.role, sysv::Role::Owes { .. });
    if parties.iter().any(owes) {
        owing.len() as u64
    } else {
        0
    }
}

/// The dead process that left it: its maker if that is known, or else who used it last.
fn last_known(object: &Object) -> String {
    let operated = match &object.contents {
        Contents::Set {
            semaphores: Some(semaphores),
            ..
        } => semaphores
            .iter()
            .map(|semaphore| semaphore.last_pid)
            .find(|&pid| pid != 0),
        _ => None,
    };
    let last = match object.last_pid {
        0 => operated,
        pid => Some(pid),
    };
    match (&object.created_by, object.creator_pid, last) {
        (Some(creator), ..) => process(creator),
        (None, 0, None) => "a process".to_owned(),
        (None, 0, Some(last)) => format!("pid {last}"),
        (None, creator, _) => format!("pid {creator}"),
    }
}

/// `1 process`, `2 processes`.
pub(crate) fn processes(n: u64) -> String {
    counted(n, "process", "processes")
}

/// A number of things.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A length of time in the largest unit that fits.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => "less than a second".to_owned(),
        1..60 => counted(seconds, "second", "seconds"),
        60..3600 => counted(seconds / 60, "minute", "minutes"),
        3600..86400 => counted(seconds / 3600, "hour", "hours"),
        _ => counted(seconds / 86400, "day", "days"),
    }
}

/// How long ago.
pub(crate) fn ago(time: Option<SystemTime>) -> String {
    let Some(time) = time else { return "never".to_owned() };
    match SystemTime::now().duration_since(time).unwrap_or_default() {
        age if age.as_secs() == 0 => "just now".to_owned(),
        age => format!("{} ago", span(age)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_largest_unit() {
        let before = |seconds| ago(Some(SystemTime::now() - Duration::from_secs(seconds)));
        assert_eq!(before(1), "1 second ago");
        assert_eq!(before(59), "59 seconds ago");
        assert_eq!(before(119), "1 minute ago");
        assert_eq!(before(7200), "2 hours ago");
        assert_eq!(before(86400 * 400), "400 days ago");
        assert_eq!(ago(None), "never");
        assert_eq!(ago(Some(SystemTime::now() + Duration::from_secs(100))), "just now");
    }
}
