//! Giving memory back at once: a removed segment is in nobody's way until its last user dies, and then nobody else may
//! call for long.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sysv::Namespace;

/// How often to look whether removed segments wait for their last user, which takes two loads from memory, and whether
/// somebody lives who cannot be watched otherwise.
const TICK: Duration = Duration::from_millis(100);

/// Frees the memory of removed segments when the last process dies that has them attached, for ever.
pub(super) fn for_ever(namespace: &Namespace) {
    loop {
        if namespace.removed_waiting().is_some() {
            while_somebody_has_any(namespace);
        }
        thread::sleep(TICK);
    }
}

/// As [`for_ever`], until no process is left that has a removed segment attached.
pub(super) fn while_somebody_has_any(namespace: &Namespace) {
    loop {
        let watched = Watched::find(namespace);
        if watched.processes.is_empty() && !watched.blind {
            return;
        }
        let seen = namespace.removed_waiting();
        let mut ticks = 0..LONGEST;
        while ticks.next().is_some() {
            // A death is looked at anew: this one is seen by whoever asks for the holders.
            if watched.death_within(TICK) || watched.blind || namespace.removed_waiting() != seen {
                break;
            }
        }
    }
}

/// After so many ticks who has them is asked anyway: somebody may have attached one between that question and the next.
const LONGEST: u32 = 10;

/// The processes that have removed segments attached.
#[derive(Default)]
struct Watched {
    processes: Vec<OwnedFd>,
    /// Somebody is among them of whose death we are not told.
    blind: bool,
}

impl Watched {
    fn find(namespace: &Namespace) -> Watched {
        let mut watched = Watched::default();
        // This frees what only the dead had.
        for holder in namespace.holders_of_removed().unwrap_or_default() {
            let pid = holder.and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
            match pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
                Some(process) => watched.processes.push(process),
                // In another pid namespace, or dead by now, or we have no descriptors left.
                None => watched.blind = true,
            }
        }
        watched.leave_the_dead();
        watched
    }

    /// Leaves those to the next look who are dead already and still count: somebody else may keep a dead process's memory
    /// for a moment, and to wait for its death again would be no waiting.
    fn leave_the_dead(&mut self) {
        let mut fds: Vec<PollFd<'_>> = self.processes.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        if !matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..)) {
            return;
        }
        let lives: Vec<bool> = fds.iter().map(|fd| fd.revents().is_empty()).collect();
        let mut lives = lives.into_iter();
        self.processes.retain(|_| lives.next().unwrap_or(false));
        self.blind = true;
    }

    /// Waits so long for one of them to die.
    fn death_within(&self, patience: Duration) -> bool {
        let watched = self.processes.iter();
        let mut fds: Vec<PollFd<'_>> = watched.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let patience = Timespec::try_from(patience).ok();
        matches!(poll(&mut fds, patience.as_ref()), Ok(1..))
    }
}
