//! Playing a case: the driver.

#![allow(unsafe_code)]

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sysv_engine::Errno;
use sysv_engine::abi::{IPC_NOWAIT, IpcPerm};

use super::doing::{Doing, Kind};
use super::fact::{Fact, Names, Outcome};
use super::side::{Phases, Side};
use super::worker::{Call, Half, SIGNALS, SLOTS};
use crate::channel::{Channel, PATIENCE};
use crate::child::{By, readable, watch};
use crate::differential::case::{Case, Step};
use crate::differential::generate::{GROUPS, OWNERS, USERS};
use crate::differential::play::Finding;
use crate::process;
use crate::subject::{Facility, Subject};
use crate::user::{User, effective};

/// How long the sides may take to agree after a step. A dead process's undo is found out within some tens of
/// milliseconds where the machine is not busy.
const AGREEMENT: Duration = Duration::from_secs(3);

/// How long the driver waits between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// A call that has not come back on both sides.
struct Pending {
    calls: [Call; 2],
    outcomes: [Option<Outcome>; 2],
}

/// A running worker.
struct Running {
    processes: [OwnedFd; 2],
    pids: [i32; 2],
    user: User,
    pending: Option<Pending>,
}

/// A set or a queue, with what is known of it: `None` once it is gone.
struct Object {
    kind: Kind,
    ids: [i32; 2],
    perm: Option<IpcPerm>,
    nsems: usize,
    /// Whether somebody has asked for undo.
    undone: bool,
}

impl Object {
    fn is(&self, kind: Kind, ids: [i32; 2]) -> bool {
        self.kind == kind && self.ids == ids
    }
}

/// A case being played by one driver process.
pub(super) struct Play {
    subjects: [Subject; 2],
    sides: [Rc<Side>; 2],
    names: Names,
    phases: Rc<Phases>,
    /// Whether everything on each side is this play's own.
    independent: bool,
    /// Whether the second side is an engine, with the limits that stay.
    engine: bool,
    ends: [Vec<Channel>; 2],
    worker_ends: [Vec<Channel>; 2],
    workers: [Option<Running>; SLOTS],
    objects: Vec<Object>,
    workers_so_far: usize,
    calls: u64,
    /// Who has been sent which signal in this step.
    signalled: Option<(usize, i32)>,
}

impl Play {
    /// A fresh start.
    pub(super) fn new(subjects: [Subject; 2], first_keys: [i32; 2]) -> Play {
        process::disown_children();
        let channels = || (0..SLOTS).map(|_| Channel::pair()).unzip();
        let [(left, left_workers), (right, right_workers)] = [channels(), channels()];
        let engine = subjects[1].facility() != Facility::Kernel;
        Play {
            independent: engine && subjects[0].is_certainly_alone(),
            engine,
            sides: [0, 1].map(|side| Rc::new(Side::of(&subjects[side]))),
            names: Names {
                first_keys,
                processes: Default::default(),
            },
            phases: Rc::new(Phases::new()),
            ends: [left, right],
            worker_ends: [left_workers, right_workers],
            workers: [const { None }; SLOTS],
            objects: Vec::new(),
            workers_so_far: 0,
            calls: 0,
            signalled: None,
            subjects,
        }
    }

    /// Plays the case to its end or to the first difference, and cleans up. Returns how many calls it took.
    pub(super) fn play(&mut self, case: &Case<Doing>) -> Result<u64, Finding> {
        let steps = case.0.iter().enumerate().try_for_each(|(number, step)| {
            let done = self.step(*step).and_then(|()| self.agree());
            done.map_err(|what| Finding { step: number, what })
        });
        let ended = self.living().into_iter().try_for_each(|slot| {
            self.kill(slot)
                .and_then(|()| steps.as_ref().map_or(Ok(()), |()| self.agree()))
        });
        for object in &self.objects {
            for (side, id) in self.sides.iter().zip(object.ids) {
                // Gone already, most often.
                let _ = match object.kind {
                    Kind::Set => side.calls().sem_remove(id),
                    Kind::Queue => side.calls().msg_remove(id),
                };
            }
        }
        steps?;
        ended.map_err(|what| Finding {
            step: case.0.len(),
            what,
        })?;
        Ok(self.calls)
    }

    fn living(&self) -> Vec<usize> {
        (0..SLOTS).filter(|slot| self.workers[*slot].is_some()).collect()
    }

    fn free_slot(&self) -> Option<usize> {
        (0..SLOTS).find(|slot| self.workers[*slot].is_none())
    }

    fn worker(&self, slot: usize) -> &Running {
        self.workers[slot].as_ref().expect("a living worker")
    }

    fn is_waiting(&self, slot: usize) -> bool {
        self.worker(slot).pending.is_some()
    }

    /// The worker of that number among the living of whom `wanted` is true.
    fn chosen(&self, number: i64, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let candidates: Vec<usize> = self.living().into_iter().filter(|slot| wanted(*slot)).collect();
        candidates.get(number as usize % candidates.len().max(1)).copied()
    }

    /// One step, which there may be no reason to take.
    fn step(&mut self, step: Step<Doing>) -> Result<(), String> {
        self.signalled = None;
        match step.action {
            Doing::Spawn { user } => self.free_slot().map_or(Ok(()), |slot| self.spawn(slot, user)),
            Doing::Kill {} => self
                .chosen(step.worker, |_| true)
                .map_or(Ok(()), |slot| self.kill(slot)),
            Doing::Signal { restart } => {
                if let Some(slot) = self.chosen(step.worker, |slot| self.is_waiting(slot)) {
                    let signal = SIGNALS[restart as usize % 2];
                    self.signal(slot, signal);
                    self.signalled = Some((slot, signal));
                }
                Ok(())
            }
            doing => {
                let idle = self.chosen(step.worker, |slot| !self.is_waiting(slot));
                let slot = match (idle, self.free_slot()) {
                    (Some(slot), _) => slot,
                    (None, Some(slot)) => {
                        self.spawn(slot, 0)?;
                        slot
                    }
                    (None, None) => return Ok(()),
                };
                match doing {
                    Doing::Exit { .. } => {
                        self.send(slot, doing, [-1; 2]);
                        self.await_end(slot)
                    }
                    Doing::Fork { .. } => self.fork(slot, doing),
                    _ => {
                        self.call(slot, doing);
                        Ok(())
                    }
                }
            }
        }
    }

    /// Sends a worker what to do.
    fn send(&mut self, slot: usize, doing: Doing, ids: [i32; 2]) -> [Call; 2] {
        let key = match doing {
            Doing::SemGet { key, .. } | Doing::MsgGet { key, .. } => key,
            _ => 0,
        };
        let set = self.objects.iter().find(|object| object.is(Kind::Set, ids));
        let nsems = set.map_or(1, |set| set.nsems);
        self.calls += 1;
        [0, 1].map(|side| {
            let first = self.names.first_keys[side];
            let call = Call {
                doing,
                id: ids[side],
                key: if key == 0 { 0 } else { first.wrapping_add(key as i32) },
                nsems,
                serial: self.calls,
                slot: self.free_slot().unwrap_or(0),
            };
            self.ends[side][slot].send(&call);
            call
        })
    }

    /// Waits for what a worker announces.
    fn greet(&mut self, slot: usize) -> [i32; 2] {
        [0, 1].map(|side| self.ends[side][slot].receive::<u32>() as i32)
    }

    fn enlist(&mut self, slot: usize, user: User) -> Result<(), String> {
        let pids = self.greet(slot);
        let [left, right] = pids.map(|pid| watch(pid).map_err(|error| format!("the new worker: {error}")));
        for (side, pid) in pids.into_iter().enumerate() {
            self.names.processes[side].insert(pid, self.workers_so_far);
        }
        self.workers_so_far += 1;
        self.workers[slot] = Some(Running {
            processes: [left?, right?],
            pids,
            user,
            pending: None,
        });
        Ok(())
    }

    fn spawn(&mut self, slot: usize, user: i64) -> Result<(), String> {
        let root = User::can_be_changed();
        let shared = self
            .subjects
            .iter()
            .all(|subject| subject.facility() != Facility::EnginePrivate);
        let user = USERS[if root && shared { user as usize % USERS.len() } else { 0 }];
        for side in 0..2 {
            if By::Fork.fork() == 0 {
                self.ends = Default::default();
                if root && user != User::ROOT {
                    user.become_for_good();
                    self.subjects.iter().for_each(Subject::credentials_changed);
                }
                Half {
                    side: self.sides[side].clone(),
                    number: side,
                    phases: self.phases.clone(),
                    channels: std::mem::take(&mut self.worker_ends[side]),
                    slot,
                }
                .serve();
            }
        }
        let (uid, gid) = effective();
        self.enlist(slot, if root { user } else { User { uid, gid, groups: &[] } })
    }

    fn fork(&mut self, slot: usize, doing: Doing) -> Result<(), String> {
        let Some(new) = self.free_slot() else { return Ok(()) };
        self.send(slot, doing, [-1; 2]);
        for side in 0..2 {
            self.ends[side][slot].receive::<Outcome>().expect("fork does not fail");
        }
        self.enlist(new, self.worker(slot).user)
    }

    fn signal(&self, slot: usize, signal: i32) {
        for pid in self.worker(slot).pids {
            // SAFETY: no pointers. The process has not ended, or its number has not been used again within the moment.
            unsafe { libc::kill(pid, signal) };
        }
    }

    fn kill(&mut self, slot: usize) -> Result<(), String> {
        self.signal(slot, libc::SIGKILL);
        self.await_end(slot)
    }

    fn await_end(&mut self, slot: usize) -> Result<(), String> {
        let worker = self.workers[slot].take().expect("a living worker");
        for (side, process) in worker.processes.iter().enumerate() {
            // SAFETY: one valid entry.
            if unsafe { libc::poll(&mut readable(process), 1, PATIENCE.as_millis() as i32) } != 1 {
                return Err(format!("the worker does not end on side {side}"));
            }
            // What it may have said last is for nobody.
            while is_readable(&self.ends[side][slot]) {
                drop(self.ends[side][slot].receive::<Outcome>());
            }
            self.phases.leave(side, slot);
        }
        Ok(())
    }

    /// The object of that kind and number, counted from the newest one back.
    fn object(&self, kind: Kind, number: i64) -> Option<&Object> {
        let mine: Vec<&Object> = self.objects.iter().filter(|object| object.kind == kind).collect();
        let back = number as usize % mine.len().max(1);
        mine.into_iter().rev().nth(back)
    }

    /// How many workers wait to receive from the queue, or to send to it.
    fn waiting_at(&self, ids: [i32; 2], wanted: impl Fn(Doing) -> bool) -> usize {
        let pending = self
            .workers
            .iter()
            .flatten()
            .filter_map(|worker| worker.pending.as_ref());
        pending
            .filter(|pending| pending.calls.map(|call| call.id) == ids && wanted(pending.calls[0].doing))
            .count()
    }

    /// A call of the facility by a worker.
    fn call(&mut self, slot: usize, mut doing: Doing) {
        let mut ids = [-1; 2];
        if let Some((kind, number)) = doing.object()
            && let Some(object) = self.object(kind, number)
        {
            ids = object.ids;
            let Some(possible) = self.resolve(doing, object, self.worker(slot).user) else {
                return;
            };
            doing = possible;
        }
        if doing.asks_for_undo()
            && let Some(object) = self.objects.iter_mut().find(|object| object.is(Kind::Set, ids))
        {
            object.undone = true;
        }
        let calls = self.send(slot, doing, ids);
        self.workers[slot].as_mut().expect("a living worker").pending = Some(Pending {
            calls,
            outcomes: [None, None],
        });
    }

    /// What the action comes to where the engine has limits that stay, or the kernel no certain order; `None` if it is left
    /// out.
    fn resolve(&self, mut doing: Doing, object: &Object, user: User) -> Option<Doing> {
        let nowait = i64::from(IPC_NOWAIT);
        let alters = doing.alters();
        match (&mut doing, object.perm) {
            // The index of what is gone may be another one's now, on one side.
            (Doing::SemStat { by, .. } | Doing::MsgStat { by, .. }, None) => *by = 0,
            (Doing::Send { flags, .. }, _)
                if self.waiting_at(object.ids, |doing| matches!(doing, Doing::Send { .. })) > 0 =>
            {
                *flags |= nowait;
            }
            (Doing::MsgSet { .. }, _)
                if self.waiting_at(object.ids, |doing| matches!(doing, Doing::Receive { .. })) > 1 =>
            {
                return None;
            }
            // The creator of what root has given away is not the owner of the file.
            (Doing::SemSet { .. } | Doing::MsgSet { .. }, Some(perm))
                if self.engine && user.uid != 0 && user.uid != perm.uid && user.uid == perm.cuid =>
            {
                return None;
            }
            // Only root can give a file to another owner or group.
            (Doing::SemSet { user: owner, group, .. } | Doing::MsgSet { user: owner, group, .. }, Some(perm))
                if self.engine && user.uid != 0 =>
            {
                if OWNERS[*owner as usize] != u32::MAX {
                    *owner = -1 - i64::from(perm.uid);
                }
                if GROUPS[*group as usize] != u32::MAX {
                    *group = -1 - i64::from(perm.gid);
                }
            }
            // Who may only read a set tests it for zero and waits for that without leaving a trace.
            (Doing::SemOp { .. } | Doing::SemTimedOp { .. }, Some(perm))
                if self.engine && !alters && !may_alter(user, &perm) =>
            {
                return None;
            }
            _ => {}
        }
        Some(doing)
    }

    /// Waits until both sides have come to the same.
    fn agree(&mut self) -> Result<(), String> {
        let end = Instant::now() + AGREEMENT;
        let mut pause = Duration::from_micros(20);
        loop {
            self.collect();
            let differs = match self.unsettled() {
                None => match self.compare() {
                    Ok(()) => return Ok(()),
                    Err(what) => what,
                },
                Some(what) => what,
            };
            if Instant::now() > end {
                return Err(differs);
            }
            if pause >= LONGEST_PAUSE {
                self.signal_again();
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends a signal once more to whom it interrupted on one side only. An engine that is not behind the C ABI looks from time to
    /// time, and a signal that comes in the moment before it sleeps again is handled without waking it.
    fn signal_again(&self) {
        if let Some((slot, signal)) = self.signalled
            && let Some(worker) = &self.workers[slot]
            && let Some(Pending {
                outcomes: [Some(Err(Errno::EINTR)), None],
                ..
            }) = &worker.pending
        {
            // SAFETY: no pointers; the process is waiting.
            unsafe { libc::kill(worker.pids[1], signal) };
        }
    }

    /// Takes in what has come back.
    fn collect(&mut self) {
        for (slot, worker) in self.workers.iter_mut().enumerate() {
            let Some(pending) = worker.as_mut().and_then(|worker| worker.pending.as_mut()) else {
                continue;
            };
            for (side, outcome) in pending.outcomes.iter_mut().enumerate() {
                if outcome.is_none() && is_readable(&self.ends[side][slot]) {
                    *outcome = Some(self.ends[side][slot].receive());
                }
            }
        }
    }

    /// Why the sides are not at rest, if they are not: a call is on its way, or has come back on one side only.
    fn unsettled(&self) -> Option<String> {
        self.workers.iter().enumerate().find_map(|(slot, worker)| {
            let worker = worker.as_ref()?;
            let pending = worker.pending.as_ref()?;
            let doing = pending.calls[0].doing;
            let waits = |side: usize| {
                let (pid, id) = (worker.pids[side], pending.calls[side].id);
                self.phases.is_asleep(side, slot, pid) && self.sides[side].is_waiting(doing, id, pid)
            };
            match &pending.outcomes {
                [Some(_), Some(_)] => None,
                [None, None] if !doing.is_timed() && waits(0) && waits(1) => None,
                outcomes => {
                    let told = [0, 1].map(|side| match &outcomes[side] {
                        Some(outcome) => format!("{outcome:?}"),
                        None if waits(side) => "waiting".into(),
                        None => "on its way".into(),
                    });
                    Some(format!("worker {slot}, {doing}: {} is not {}", told[0], told[1]))
                }
            }
        })
    }

    /// Compares all that has come back, and all that can be seen.
    fn compare(&mut self) -> Result<(), String> {
        for slot in self.living() {
            let Some(pending) = &self.worker(slot).pending else {
                continue;
            };
            if let [Some(left), Some(right)] = &pending.outcomes {
                let doing = pending.calls[0].doing;
                let is_comparable = match doing {
                    Doing::SemUsage {} | Doing::MsgUsage {} => self.independent,
                    Doing::SemAsk { what: 2.., .. } => !self.is_moving(pending.calls.map(|call| call.id)),
                    _ => true,
                };
                if is_comparable && !self.names.same([left, right]) {
                    return Err(format!("worker {slot}, {doing}: {left:?} is not {right:?}"));
                }
                if let (Ok([Fact::Identifier(one)]), Ok([Fact::Identifier(other)])) =
                    (left.as_deref(), right.as_deref())
                {
                    let kind = if matches!(doing, Doing::SemGet { .. }) {
                        Kind::Set
                    } else {
                        Kind::Queue
                    };
                    let ids = [*one, *other];
                    self.found(kind, ids)?;
                }
                self.workers[slot].as_mut().expect("it is living").pending = None;
            }
        }
        (0..self.objects.len()).try_for_each(|number| self.audit(number))
    }

    /// Whether somebody waits for several operations on the set at once. Which of them it waits for is what the facility found
    /// when it last looked: the kernel when a semaphore changed for which it waited, an engine also from time to time.
    fn is_moving(&self, ids: [i32; 2]) -> bool {
        self.waiting_at(
            ids,
            |doing| matches!(doing, Doing::SemOp { count, .. } if count % 4 > 1),
        ) > 0
    }

    /// Takes note of identifiers that have been returned: of an object that was known as the same on both sides, or of a
    /// new one on both.
    fn found(&mut self, kind: Kind, ids: [i32; 2]) -> Result<(), String> {
        let of_kind = |object: &Object| object.kind == kind;
        let known = [0, 1].map(|side| {
            self.objects
                .iter()
                .position(|object| of_kind(object) && object.ids[side] == ids[side])
        });
        match known {
            [None, None] => {
                let count = self.sides[0].calls().sem_count(ids[0]);
                self.objects.push(Object {
                    kind,
                    ids,
                    perm: Some(IpcPerm::default()),
                    undone: false,
                    nsems: if kind == Kind::Set { count.unwrap_or(1) } else { 0 },
                });
                Ok(())
            }
            [Some(one), Some(other)] if one == other && self.objects[one].perm.is_some() => Ok(()),
            _ => Err(format!("identifiers {ids:?} are of objects {known:?}")),
        }
    }

    /// Compares one object that was there at the last look.
    fn audit(&mut self, number: usize) -> Result<(), String> {
        let object = &self.objects[number];
        if object.perm.is_none() {
            return Ok(());
        }
        let exact = !self.is_moving(object.ids);
        let seen = [0, 1].map(|side| self.sides[side].look(object.kind, object.ids[side], object.undone, exact));
        let perm = match &seen {
            [Some((perm, left)), Some((_, right))]
                if left.len() == right.len()
                    && left.iter().zip(right).all(|(one, other)| self.names.same([one, other])) =>
            {
                Some(*perm)
            }
            [None, None] => None,
            [left, right] => {
                let told = format!(
                    "{:?} {number} {:?}: {left:?}\nis not\n{right:?}",
                    object.kind, object.ids
                );
                return Err(told);
            }
        };
        self.objects[number].perm = perm;
        Ok(())
    }
}

fn is_readable(channel: &Channel) -> bool {
    // SAFETY: one valid entry.
    unsafe { libc::poll(&mut readable(channel), 1, 0) == 1 }
}

/// Whether the user may alter an object.
fn may_alter(user: User, perm: &IpcPerm) -> bool {
    let is_in = |gid: u32| user.gid == gid || user.groups.contains(&gid);
    let class = if user.uid == perm.uid || user.uid == perm.cuid {
        0o200
    } else if is_in(perm.gid) || is_in(perm.cgid) {
        0o020
    } else {
        0o002
    };
    user.uid == 0 || perm.mode & class != 0
}
