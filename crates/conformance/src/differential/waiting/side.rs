//! A facility's calls for semaphore sets and message queues, and where its workers are in them.

#![allow(unsafe_code)]

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use sysv_engine::abi::{IPCMNI, IpcPerm};
use sysv_engine::{Engine, Errno, Join, Kernel, Queues, Semaphores, StatBy};

use super::doing::{Doing, Kind};
use super::fact::{self, Fact, Outcome};
use super::worker::{SLOTS, ask};
use crate::subject::{Facility, Subject};

/// Both mechanisms' calls.
pub(super) trait Calls: Semaphores + Queues {}

impl<T: Semaphores + Queues> Calls for T {}

/// A facility.
pub(super) struct Side {
    calls: Box<dyn Calls>,
    /// The engine, if that is what it is.
    engine: Option<Engine>,
}

impl Side {
    /// The facility of `subject`.
    pub(super) fn of(subject: &Subject) -> Side {
        if subject.facility() == Facility::Kernel {
            return Side {
                calls: Box::new(Kernel),
                engine: None,
            };
        }
        let [_, directory] = subject.address();
        let engine = Engine::join(&directory, Join::Existing).unwrap_or_else(|e| panic!("{}", e.describe(&directory)));
        Side {
            calls: Box::new(engine.clone()),
            engine: Some(engine),
        }
    }

    /// The calls.
    pub(super) fn calls(&self) -> &dyn Calls {
        &*self.calls
    }

    /// Everything that can be seen of an object without regard to permissions, and of its first semaphores with regard
    /// to them; `None` if it is gone. The time of a set's last operation only if nobody has asked for undo. Unless `exact`, only
    /// how many wait for the set's semaphores together.
    pub(super) fn look(&self, kind: Kind, id: i32, undone: bool, exact: bool) -> Option<(IpcPerm, Vec<Outcome>)> {
        let index = id % IPCMNI;
        let found = match kind {
            Kind::Set => {
                let found = self.calls.sem_stat(index, StatBy::IndexAny);
                found.map(|(found, ds)| {
                    let mut facts = fact::of_set(id, (found, ds));
                    facts.extend((!undone).then_some(Fact::Time(ds.otime)));
                    (found, ds.perm, facts)
                })
            }
            Kind::Queue => {
                let found = self.calls.msg_stat(index, StatBy::IndexAny);
                found.map(|(found, ds)| (found, ds.perm, fact::of_queue(id, (found, ds))))
            }
        };
        let (perm, facts) = match found {
            // Another object may have the index now.
            Ok((found, perm, facts)) if found == id => (perm, Ok(facts)),
            Ok(_) | Err(Errno::EINVAL | Errno::EIDRM) => return None,
            Err(errno) => (IpcPerm::default(), Err(errno)),
        };
        let mut seen = vec![facts];
        if kind == Kind::Set {
            let numbers = 0..self.calls.sem_count(id).unwrap_or(0) as i32;
            let all = |what: [i64; 2]| {
                let asked = numbers.clone().flat_map(move |num| what.map(|what| (num, what)));
                asked.map(|(num, what)| ask(self.calls(), id, num, what))
            };
            seen.extend(all([0, 1]));
            if exact {
                seen.extend(all([2, 3]));
            } else {
                let number = |fact: &Fact| if let Fact::Number(number) = fact { *number } else { 0 };
                let waiting = all([2, 3]).flatten().flatten().map(|fact| number(&fact)).sum();
                seen.push(Ok(vec![Fact::Number(waiting)]));
            }
        }
        Some((perm, seen))
    }

    /// Whether a process that sleeps in this call is known to the facility as one that waits. Only the engine can say so of a
    /// queue; of a set both do, by numbers that are compared.
    pub(super) fn is_waiting(&self, doing: Doing, id: i32, pid: i32) -> bool {
        let (Some(engine), Some((Kind::Queue, _))) = (&self.engine, doing.object()) else {
            return true;
        };
        let mut found = false;
        let asked = engine.queue_waiters(id, &mut |waiter| found |= waiter.pid == pid as u32);
        // Whoever may not ask believes what the process's sleep says.
        found || asked == Err(Errno::EACCES)
    }
}

/// Which processes are in a call now, in memory that they share with the driver; each sets and clears its own.
pub(super) struct Phases(&'static [[AtomicBool; SLOTS]; 2]);

impl Phases {
    /// Nobody is.
    pub(super) fn new() -> Phases {
        // SAFETY: a new mapping of zeros, which are booleans; it stays as long as the process.
        let words = unsafe {
            let memory = libc::mmap(
                std::ptr::null_mut(),
                size_of::<[[AtomicBool; SLOTS]; 2]>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(memory, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
            &*memory.cast()
        };
        Phases(words)
    }

    pub(super) fn enter(&self, side: usize, slot: usize) {
        self.0[side][slot].store(true, Release);
    }

    pub(super) fn leave(&self, side: usize, slot: usize) {
        self.0[side][slot].store(false, Release);
    }

    /// Whether the process of that slot sleeps in its call.
    pub(super) fn is_asleep(&self, side: usize, slot: usize, pid: i32) -> bool {
        let is_inside = || self.0[side][slot].load(Acquire);
        if !is_inside() {
            return false;
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('S'))
            && is_inside()
    }
}
