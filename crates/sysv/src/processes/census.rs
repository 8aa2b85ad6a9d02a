//! Who lives: asked once for each process.

use std::collections::HashMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::living;
use crate::report::Process;

/// Clock ticks in a second, as `/proc` counts them on every Linux.
const TICKS: i64 = 100;
/// Seconds by which the beginning of a process may be told too late: both the system's and the process's are rounded.
const SLACK: i64 = 2;

/// What is known of a process id.
#[derive(Clone, Copy)]
enum Life {
    /// Nobody has it.
    Dead,
    /// Its owner began at this time, in seconds since the Epoch.
    Since(i64),
    /// Somebody has it.
    Unknown,
}

/// Who lives. What it has found out it does not ask again.
pub(crate) struct Census {
    boot: Option<i64>,
    lives: HashMap<u32, Life>,
    names: HashMap<u32, Option<Process>>,
}

impl Census {
    pub(crate) fn new() -> Census {
        Census {
            boot: boot_time(),
            lives: HashMap::new(),
            names: HashMap::new(),
        }
    }

    /// Whether the process is dead that had this id at this time.
    pub(crate) fn is_dead(&mut self, pid: u32, at: SystemTime) -> bool {
        match self.life(pid) {
            Life::Dead => true,
            Life::Since(began) => began > seconds(at) + SLACK,
            Life::Unknown => false,
        }
    }

    /// The process that had this id at this time, if it lives.
    pub(crate) fn living(&mut self, pid: u32, at: SystemTime) -> Option<Process> {
        if !matches!(self.life(pid), Life::Since(began) if began <= seconds(at)) {
            return None;
        }
        self.names.entry(pid).or_insert_with(|| living(pid)).clone()
    }

    fn life(&mut self, pid: u32) -> Life {
        let boot = self.boot;
        *self.lives.entry(pid).or_insert_with(|| life(pid, boot))
    }
}

fn life(pid: u32, boot: Option<i64>) -> Life {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Life::Unknown;
    };
    // Not by /proc, which may be mounted so that it hides others' processes.
    if test_kill_process(process) == Err(Errno::SRCH) {
        return Life::Dead;
    }
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return Life::Unknown;
    };
    match (state_and_start(&stat), boot) {
        // Only its parent has not asked yet how it ended.
        (Some(("Z" | "X", _)), _) => Life::Dead,
        (Some((_, ticks)), Some(boot)) => Life::Since(boot + ticks / TICKS),
        _ => Life::Unknown,
    }
}

/// A process's state, and when it began, in clock ticks since the system did: of `/proc/<pid>/stat`.
fn state_and_start(stat: &str) -> Option<(&str, i64)> {
    // The command's name, in parentheses, may contain anything. The start is the twentieth word behind it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_ascii_whitespace();
    let state = words.next()?;
    Some((state, words.nth(18)?.parse().ok()?))
}

/// When the system was started, in seconds since the Epoch.
fn boot_time() -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio, id};
    use std::time::Duration;

    #[test]
    fn this_process_lives_and_had_not_begun_an_hour_before_the_system_did() {
        let mut census = Census::new();
        let now = SystemTime::now();
        assert!(!census.is_dead(id(), now));
        assert_eq!(census.living(id(), now).unwrap().pid, id());
        let before = UNIX_EPOCH + Duration::from_secs(1);
        assert!(
            census.is_dead(id(), before),
            "whoever had the id then is dead: somebody younger has it"
        );
        assert_eq!(census.living(id(), before), None);
    }

    #[test]
    fn a_process_that_has_ended_is_dead_waited_for_or_not() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let now = SystemTime::now() + Duration::from_secs(1);
        assert!(!Census::new().is_dead(child.id(), now));
        child.kill().unwrap();
        // Dead before its parent has asked how it ended, and afterwards.
        let begun = std::time::Instant::now();
        while !Census::new().is_dead(child.id(), now) {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(Census::new().is_dead(child.id(), now));
    }
}
