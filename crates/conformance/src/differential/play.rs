//! Playing a case: the driver, who says whose turn it is and compares.

#![allow(unsafe_code)]

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use sysv_engine::Segments;
use sysv_engine::abi::ShmidDs;

use super::action::Action;
use super::audit::Sides;
use super::case::{Case, Step};
use super::generate::{GROUPS, OWNERS, USERS};
use super::worker::{Call, Outcome, Reply, SLOTS, Worker};
use crate::channel::{Channel, PATIENCE};
use crate::child::{By, readable, watch};
use crate::process;
use crate::program::Executable;
use crate::subject::{Facility, Subject};
use crate::user::{User, effective};
use crate::wire::Wire;

/// A difference: after which step, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The number of the step, from 0.
    pub step: usize,
    /// What differs, for a person.
    pub what: String,
}

impl Wire for Finding {
    fn put(&self, out: &mut Vec<u8>) {
        self.step.put(out);
        self.what.put(out);
    }
    fn take(input: &mut &[u8]) -> Self {
        Finding {
            step: usize::take(input),
            what: String::take(input),
        }
    }
}

/// A running worker.
struct Running {
    process: OwnedFd,
    pid: i32,
    /// Whom it acts as now, and whether it can become somebody else.
    user: User,
    versatile: bool,
}

/// A segment, as it was at the last look; `None` once it is gone.
struct Object {
    ids: [i32; 2],
    ds: Option<ShmidDs>,
}

/// A case being played by one driver process.
pub struct Play {
    sides: Sides,
    /// Whether everything on each side is this play's own.
    independent: bool,
    /// Whether the second side is an engine, with the limits that stay.
    engine: bool,
    ends: Vec<Channel>,
    worker_ends: Vec<Channel>,
    workers: [Option<Running>; SLOTS],
    executable: Option<Executable>,
    objects: Vec<Object>,
}

impl Play {
    /// A fresh start.
    pub(crate) fn new(subjects: [Subject; 2], first_keys: [i32; 2], executable: Option<Executable>) -> Play {
        process::disown_children();
        let (ends, worker_ends) = (0..SLOTS).map(|_| Channel::pair()).unzip();
        let used = subjects[0].shm_usage().map_or(1, |(_, usage)| usage.used_ids);
        let engine = subjects[1].facility() != Facility::Kernel;
        Play {
            independent: engine && subjects[0].is_certainly_alone() && used == 0,
            engine,
            sides: Sides {
                subjects: Rc::new(subjects),
                first_keys,
            },
            ends,
            worker_ends,
            workers: [const { None }; SLOTS],
            executable,
            objects: Vec::new(),
        }
    }

    /// Plays the case to its end or to the first difference, and cleans up. Returns how many calls it took.
    pub(crate) fn play(&mut self, case: &Case) -> Result<u64, Finding> {
        let mut calls = 0;
        let outcome = case.0.iter().enumerate().try_for_each(|(number, step)| {
            let done = self.step(*step).and_then(|counted| self.audit().map(|()| counted));
            calls += u64::from(done.clone().map_err(|what| Finding { step: number, what })?);
            Ok(())
        });
        // One by one: the order of deaths that nobody saw is told by nobody.
        let ended = self
            .living()
            .into_iter()
            .try_for_each(|slot| self.kill(slot).and_then(|()| self.audit()));
        for object in &self.objects {
            for (side, subject) in self.sides.subjects.iter().enumerate() {
                // Gone already, most often.
                let _ = subject.shm_remove(object.ids[side]);
            }
        }
        outcome?;
        ended.map_err(|what| Finding {
            step: case.0.len(),
            what,
        })?;
        Ok(calls)
    }

    fn living(&self) -> Vec<usize> {
        (0..SLOTS).filter(|slot| self.workers[*slot].is_some()).collect()
    }

    fn free_slot(&self) -> Option<usize> {
        (0..SLOTS).find(|slot| self.workers[*slot].is_none())
    }

    /// One step; `Ok(false)` if there was nothing to do.
    fn step(&mut self, step: Step) -> Result<bool, String> {
        if let Action::Spawn { user } = step.action {
            let Some(slot) = self.free_slot() else { return Ok(false) };
            return self.spawn(slot, user).map(|()| true);
        }
        if let Action::Limit { which, value } = step.action {
            return Ok(self.independent && self.limit(which, value));
        }
        if self.living().is_empty() {
            self.spawn(0, 0)?;
        }
        let living = self.living();
        let slot = living[step.worker as usize % living.len()];
        match step.action {
            Action::Kill {} => self.kill(slot).map(|()| true),
            Action::Exit { .. } => {
                self.send(slot, step.action);
                self.await_end(slot).map(|()| true)
            }
            Action::Exec {} if self.executable.is_none() => Ok(false),
            Action::Exec {} => {
                self.send(slot, step.action);
                self.greet(slot).map(|_| true)
            }
            Action::Fork { .. } => self.fork(slot, step.action),
            Action::Become { user } => self.turn_into(slot, user),
            action => self.call(slot, action),
        }
    }

    /// Sends an action that has nothing to do with any segment.
    fn send(&mut self, slot: usize, action: Action) {
        let free = self.free_slot().unwrap_or(0);
        self.ends[slot].send(&Call {
            action,
            ids: [-1; 2],
            keys: [0; 2],
            size: 0,
            slot: free,
        });
    }

    /// Waits for what a worker sends.
    fn receive<T: Wire>(&mut self, slot: usize) -> Result<T, String> {
        let mut questions = vec![readable(&self.ends[slot])];
        questions.extend(self.workers[slot].iter().map(|worker| readable(&worker.process)));
        // SAFETY: valid entries.
        let ready = unsafe {
            libc::poll(
                questions.as_mut_ptr(),
                questions.len() as libc::nfds_t,
                PATIENCE.as_millis() as i32,
            )
        };
        if questions[0].revents & libc::POLLIN != 0 {
            return Ok(self.ends[slot].receive());
        }
        self.workers[slot] = None;
        Err(if ready > 0 {
            "the worker died".into()
        } else {
            format!("the worker did not answer in {PATIENCE:?}")
        })
    }

    /// Waits until a worker that is new, or new in its program, has announced itself.
    fn greet(&mut self, slot: usize) -> Result<i32, String> {
        self.receive::<u32>(slot).map(|pid| pid as i32)
    }

    fn enlist(&mut self, slot: usize, user: User, versatile: bool) -> Result<(), String> {
        let pid = self.greet(slot)?;
        let process = watch(pid).map_err(|error| format!("the new worker: {error}"))?;
        self.workers[slot] = Some(Running {
            process,
            pid,
            user,
            versatile,
        });
        Ok(())
    }

    fn spawn(&mut self, slot: usize, user: i64) -> Result<(), String> {
        let root = User::can_be_changed();
        let shared = self
            .sides
            .subjects
            .iter()
            .all(|subject| subject.facility() != Facility::EnginePrivate);
        let user = USERS[if root && shared { user as usize % USERS.len() } else { 0 }];
        if By::Fork.fork() == 0 {
            self.ends.clear();
            if root && user != User::ROOT {
                user.become_for_good();
                self.sides.subjects.iter().for_each(Subject::credentials_changed);
            }
            let (channels, executable) = (std::mem::take(&mut self.worker_ends), self.executable.take());
            Worker::new(self.sides.subjects.clone(), channels, slot, executable).serve();
        }
        let (uid, gid) = effective();
        let acting = if root { user } else { User { uid, gid, groups: &[] } };
        self.enlist(slot, acting, root && user == User::ROOT)
    }

    fn fork(&mut self, slot: usize, action: Action) -> Result<bool, String> {
        let Some(new) = self.free_slot() else { return Ok(false) };
        self.send(slot, action);
        let reply = self.receive(slot)?;
        self.judge(action, [-1; 2], reply)?;
        let worker = self.workers[slot].as_ref().expect("it just answered");
        let (user, versatile) = (worker.user, worker.versatile);
        self.enlist(new, user, versatile).map(|()| true)
    }

    fn turn_into(&mut self, slot: usize, user: i64) -> Result<bool, String> {
        let worker = self.workers[slot].as_mut().expect("a living worker");
        let shared = self
            .sides
            .subjects
            .iter()
            .all(|subject| subject.facility() != Facility::EnginePrivate);
        if !worker.versatile || !shared {
            return Ok(false);
        }
        let user = user % USERS.len() as i64;
        worker.user = USERS[user as usize];
        let action = Action::Become { user };
        self.send(slot, action);
        let reply = self.receive(slot)?;
        self.judge(action, [-1; 2], reply).map(|()| true)
    }

    fn kill(&mut self, slot: usize) -> Result<(), String> {
        let worker = self.workers[slot].as_ref().expect("a living worker");
        // SAFETY: the process was alive when it last answered and has had no reason to end since; should it have
        // died nevertheless, nobody reuses its number within the moment.
        unsafe { libc::kill(worker.pid, libc::SIGKILL) };
        self.await_end(slot)
    }

    fn await_end(&mut self, slot: usize) -> Result<(), String> {
        let worker = self.workers[slot].take().expect("a living worker");
        // SAFETY: one valid entry.
        let ready = unsafe { libc::poll(&mut readable(&worker.process), 1, PATIENCE.as_millis() as i32) };
        if ready == 1 {
            Ok(())
        } else {
            Err(format!("the worker does not end in {PATIENCE:?}"))
        }
    }

    fn limit(&mut self, which: i64, value: i64) -> bool {
        let defaults = sysv_engine::Limits::default();
        let chosen = |default: u64| if value < 0 { default } else { value as u64 };
        self.sides.subjects.iter().all(|subject| {
            let mut limits = subject.shm_limits().expect("IPC_INFO").1;
            match which {
                0 => limits.shmmax = chosen(defaults.shmmax),
                1 => limits.shmall = chosen(defaults.shmall),
                _ => limits.shmmni = chosen(defaults.shmmni),
            }
            subject.set_limits(&limits)
        })
    }

    /// The segment of that number, counted from the newest one back.
    fn object(&self, number: i64) -> Option<&Object> {
        let back = number as usize % self.objects.len().max(1);
        self.objects.iter().rev().nth(back)
    }

    /// A call of the facility by a worker.
    fn call(&mut self, slot: usize, action: Action) -> Result<bool, String> {
        let user = self.workers[slot].as_ref().expect("a living worker").user;
        let Some((call, action)) = self.resolve(action, user) else {
            return Ok(false);
        };
        self.ends[slot].send(&call);
        let reply = self.receive(slot)?;
        self.judge(action, call.ids, reply).map(|()| true)
    }

    /// What the action's numbers stand for now. What an engine cannot do as the kernel does is replaced by something
    /// near it, or `None`: limits that stay, because files have them.
    fn resolve(&self, action: Action, user: User) -> Option<(Call, Action)> {
        let mut call = Call {
            action,
            ids: [-1; 2],
            keys: [0; 2],
            size: 0,
            slot: 0,
        };
        if let Action::Get { key, .. } = action {
            call.keys = self.sides.keys(key);
        }
        let number = match action {
            Action::Attach { object, .. }
            | Action::Stat { object, .. }
            | Action::Set { object, .. }
            | Action::Remove { object }
            | Action::Lock { object, .. } => object,
            _ => return Some((call, action)),
        };
        let Some(object) = self.object(number) else {
            return Some((call, action));
        };
        call.ids = object.ids;
        call.size = object.ds.map_or(0, |ds| ds.segsz as usize);
        match (&mut call.action, object.ds) {
            // The index of what is gone may be another one's now, on one side.
            (Action::Stat { by, .. }, None) => *by = 0,
            // The creator of what root has given away is not the owner of the file.
            (Action::Set { .. }, Some(ds))
                if self.engine && user.uid != 0 && user.uid != ds.perm.uid && user.uid == ds.perm.cuid =>
            {
                return None;
            }
            // Only root can give a file to another owner or group.
            (Action::Set { user: owner, group, .. }, Some(ds)) if self.engine && user.uid != 0 => {
                if OWNERS[*owner as usize] != u32::MAX {
                    *owner = -1 - i64::from(ds.perm.uid);
                }
                if GROUPS[*group as usize] != u32::MAX {
                    *group = -1 - i64::from(ds.perm.gid);
                }
            }
            _ => {}
        }
        Some((call, call.action))
    }

    /// Compares what a call came to.
    fn judge(&mut self, action: Action, ids: [i32; 2], (left, right, survey): Reply) -> Result<(), String> {
        let told = |outcome: &Outcome| format!("{outcome:?}");
        let differ = || Err(format!("{} is not {}", told(&left), told(&right)));
        match (&left, &right) {
            (Err(one), Err(other)) if one == other => {}
            (Ok((one, one_ds)), Ok((other, other_ds))) => match action {
                Action::Get { .. } => self.found([one[0] as i32, other[0] as i32])?,
                Action::Stat { .. } => {
                    if [one[0] as i32, other[0] as i32] != ids {
                        return differ();
                    }
                    let both = [one_ds, other_ds].map(|ds| ds.expect("a structure"));
                    self.sides.compare(ids, both)?;
                }
                Action::Usage {} if !self.independent => {}
                _ if one == other => {}
                _ => return differ(),
            },
            _ => return differ(),
        }
        survey.map_or(Ok(()), Err)
    }

    /// Takes note of identifiers that `shmget` returned: of a segment that was known as the same on both sides,
    /// or of a new one on both.
    fn found(&mut self, ids: [i32; 2]) -> Result<(), String> {
        let known = [0, 1].map(|side| self.objects.iter().position(|object| object.ids[side] == ids[side]));
        match known {
            [None, None] => {
                self.objects.push(Object { ids, ds: None });
                let ds = self.sides.inspect(ids)?;
                self.objects.last_mut().expect("just pushed").ds = ds;
                Ok(())
            }
            [Some(one), Some(other)] if one == other && self.objects[one].ds.is_some() => Ok(()),
            _ => Err(format!("identifiers {ids:?} are of segments {known:?}")),
        }
    }

    /// Compares every segment that was there at the last look.
    fn audit(&mut self) -> Result<(), String> {
        let mut seen = HashSet::new();
        for (number, object) in self
            .objects
            .iter_mut()
            .enumerate()
            .filter(|(_, object)| object.ds.is_some())
        {
            assert!(seen.insert(object.ids), "a segment is known twice");
            object.ds = self
                .sides
                .inspect(object.ids)
                .map_err(|what| format!("segment {number} {:?}: {what}", object.ids))?;
        }
        Ok(())
    }
}
