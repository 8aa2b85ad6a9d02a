//! Giving memory back at once: a removed segment is in nobody's way until its last user dies, and then nobody else may
//! call for long.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sysv::Namespace;

/// How often to look whether removed segments wait for their last user, which takes two loads from memory, and whether
/// somebody lives who cannot be watched otherwise.
const TICK: Duration = Duration::from_millis(100);

/// Frees the memory of removed segments when the last process dies that has them attached, until `end` is ready to be
/// read; without `end`, for ever.
pub(super) fn watch(namespace: &Namespace, end: Option<BorrowedFd<'_>>) {
    let mut watched = Watched::default();
    let mut seen = None;
    loop {
        let now = namespace.removed_waiting();
        if now.is_none() {
            watched = Watched::default();
        } else if now != seen || watched.blind {
            watched = Watched::find(namespace);
        }
        seen = now;
        match watched.wait(end) {
            Woken::End => return,
            // Looked at anew: this one's death is seen by whoever asks for the holders.
            Woken::Death => watched.blind = true,
            Woken::Tick => {}
        }
    }
}

enum Woken {
    End,
    Death,
    Tick,
}

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

    fn wait(&self, end: Option<BorrowedFd<'_>>) -> Woken {
        let watched = self.processes.iter().map(AsFd::as_fd);
        let mut fds: Vec<PollFd<'_>> = end
            .into_iter()
            .chain(watched)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let tick = Timespec::try_from(TICK).ok();
        match poll(&mut fds, tick.as_ref()) {
            Ok(0) | Err(_) => Woken::Tick,
            Ok(_) if end.is_some() && !fds[0].revents().is_empty() => Woken::End,
            Ok(_) => Woken::Death,
        }
    }
}
