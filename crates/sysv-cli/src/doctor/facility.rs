//! What a facility tells of itself: limits, queues, orphans.

use std::path::Path;

use sysv::{Contents, Limits, Location, Mechanism, Namespace, Object, Remains, State};

use super::Finding;
use crate::limits::meaning;
use crate::{crowd, wording};

/// A limit of which so much is used, in percent, is nearly exhausted.
const NEARLY: u64 = 90;
/// The most objects that one finding names.
const NAMED: usize = 5;

pub(super) fn check(namespace: &Namespace) -> Vec<Finding> {
    let mut findings = limits(namespace);
    let snapshot = match namespace.snapshot(&Mechanism::ALL) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            findings.push(Finding::problem(
                "objects",
                error.to_string(),
                "the kernel must have System V IPC, and /proc must be mounted",
            ));
            return findings;
        }
    };
    findings.extend(full_queues(&snapshot.objects));
    findings.push(left(&snapshot.objects, namespace.location()));
    if snapshot.unseen > 0 && snapshot.objects.iter().any(wording::may_have_unseen_users) {
        findings.push(Finding::notice(
            "permissions",
            format!(
                "{} may not be looked at by this user: who uses what is not known wholly",
                wording::processes(snapshot.unseen as u64)
            ),
            "run it as root to see them",
        ));
    }
    findings
}

/// Limits that are nearly exhausted, and by whom.
fn limits(namespace: &Namespace) -> Vec<Finding> {
    let (mut limits, usage) = match (namespace.limits(), namespace.usage()) {
        (Ok(limits), Ok(usage)) => (limits, usage),
        (Err(error), _) | (_, Err(error)) => {
            return vec![Finding::problem(
                "limits",
                error.to_string(),
                "the kernel must have System V IPC",
            )];
        }
    };
    let mut findings = Vec::new();
    for name in Limits::NAMES {
        let (Some(limit), Some(used)) = (limits.by_name(name).copied(), usage.of_limit(name)) else {
            continue;
        };
        if !is_nearly(used, limit) {
            continue;
        }
        let whose = crowd::sentence(namespace, mechanism(name)).map(|sentence| format!("; {sentence}"));
        findings.push(Finding::problem(
            "limits",
            format!(
                "the limit {name} ({}) is nearly exhausted: {used} of {limit}{}",
                meaning(name),
                whose.unwrap_or_default()
            ),
            format!("remove what nobody needs, or {}", raise(namespace.location(), name)),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::good("limits", "no limit is nearly exhausted"));
    }
    findings
}

/// Whether so much of a limit is used that little is left.
pub(super) fn is_nearly(used: u64, limit: u64) -> bool {
    u128::from(used) * 100 >= u128::from(limit) * u128::from(NEARLY) && used > 0
}

fn mechanism(limit: &str) -> Mechanism {
    match &limit[..3] {
        "shm" => Mechanism::Segment,
        "sem" => Mechanism::SemaphoreSet,
        _ => Mechanism::MessageQueue,
    }
}

/// How to raise a limit.
fn raise(location: &Location, name: &str) -> String {
    match location.directory() {
        Some(directory) => format!(
            "have the namespace's owner raise it: sysv limits --namespace {} {name}=NUMBER",
            directory.display()
        ),
        None => format!("have root raise it: sysv limits --kernel {name}=NUMBER"),
    }
}

fn full_queues(objects: &[Object]) -> Vec<Finding> {
    let full: Vec<String> = objects.iter().filter_map(full_queue).collect();
    if full.is_empty() {
        return Vec::new();
    }
    let more = match full.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    let named = full[..full.len().min(NAMED)].join(", ");
    vec![Finding::problem(
        "queues",
        format!("nearly full: {named}{more}; senders wait or fail with EAGAIN"),
        "look whether its receiver lives (sysv show --queue ID), or let it hold more (sysv set --queue ID --capacity N)",
    )]
}

fn full_queue(object: &Object) -> Option<String> {
    match object.contents {
        Contents::Queue {
            bytes,
            messages,
            capacity,
            ..
        } if is_nearly(bytes, capacity) || is_nearly(messages, capacity) => Some(format!(
            "{} with {} and {bytes} of {capacity} bytes",
            object.name(),
            wording::counted(messages, "message", "messages")
        )),
        _ => None,
    }
}

/// Objects that the dead left.
fn left(objects: &[Object], location: &Location) -> Finding {
    let left: Vec<&Object> = objects.iter().filter(|object| object.state == State::Left).collect();
    if left.is_empty() {
        return Finding::good("orphans", "no object is left by the dead alone");
    }
    let resident: u64 = left.iter().map(|object| object.resident()).sum();
    let counts = Mechanism::ALL.into_iter().filter_map(|mechanism| {
        let count = left.iter().filter(|object| object.mechanism == mechanism).count() as u64;
        (count > 0).then(|| wording::counted(count, &mechanism.to_string(), &format!("{mechanism}s")))
    });
    let counts: Vec<String> = counts.collect();
    let option = match location.directory() {
        Some(directory) => format!("--namespace {}", directory.display()),
        None => "--kernel".to_owned(),
    };
    Finding::notice(
        "orphans",
        format!(
            "every process that is known to have used them is dead: {}, with {resident} bytes",
            counts.join(", ")
        ),
        format!(
            "see them with `sysv ls {option} --state left`; if no service will want them again: sysv rm {option} --state left"
        ),
    )
}

/// What only dead members hold.
pub(super) fn remains(remains: &Remains, directory: &Path) -> Finding {
    match remains.dead.len() {
        0 => Finding::good(
            "remains",
            format!(
                "nothing waits to be cleared away; {} alive in it",
                match remains.living {
                    1 => "1 process is".to_owned(),
                    n => format!("{n} processes are"),
                }
            ),
        ),
        n => Finding::notice(
            "remains",
            format!(
                "{} of dead processes to be cleared away, which the next calls that come upon them do, too",
                wording::counted(n as u64, "thing", "things")
            ),
            format!("sysv gc --namespace {}", directory.display()),
        ),
    }
}

/// Whether the kernel destroys segments that nobody has attached.
pub(super) fn removes_unattached() -> Vec<Finding> {
    match std::fs::read_to_string("/proc/sys/kernel/shm_rmid_forced") {
        Ok(text) if text.trim() == "1" => vec![Finding::notice(
            "rmid-forced",
            "the kernel removes each segment with its last attachment (kernel.shm_rmid_forced is 1)",
            "programs that leave segments for later fail; if there are such, have root set it to 0 with sysctl",
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_tenths_are_nearly_all() {
        assert!(!is_nearly(0, 0) && is_nearly(1, 0));
        assert!(!is_nearly(89, 100) && is_nearly(90, 100) && is_nearly(200, 100));
        assert!(!is_nearly(1 << 30, u64::MAX) && is_nearly(u64::MAX, u64::MAX));
    }
}
