//! The kernel's objects: what its calls and `/proc` tell of them, and of the processes that have to do with them.

use std::collections::HashMap;

use sysv_engine::abi::{MsqidDs, SemidDs, ShmidDs};
use sysv_engine::{Asked, Kernel, Queues, Semaphores, StatBy};

use super::object::segment_flags;
use super::{Contents, Object, Party, Role, Semaphore, Snapshot, State};
use crate::processes::{Census, Seen, Sleeps, mappings_of, seen, sleepers_of};
use crate::stat::time;
use crate::{Errno, Mechanism, kernel_proc};

pub(super) fn take(of: &[Mechanism], snapshot: &mut Snapshot) -> Result<(), Errno> {
    let mut census = Census::new();
    let objects = &mut snapshot.objects;
    if of.contains(&Mechanism::Segment) {
        let listed = kernel_proc::listed_segments()?;
        objects.extend(listed.iter().map(|(id, ds, resident)| segment(*id, ds, *resident)));
    }
    if of.contains(&Mechanism::SemaphoreSet) {
        let (highest, _) = Kernel.sem_limits()?;
        let sets = (0..=highest).filter_map(|index| Kernel.sem_stat(index, StatBy::IndexAny).ok());
        objects.extend(sets.map(|(id, ds)| set(id, &ds)));
    }
    if of.contains(&Mechanism::MessageQueue) {
        let (highest, _) = Kernel.msg_limits()?;
        let queues = (0..=highest).filter_map(|index| Kernel.msg_stat(index, StatBy::IndexAny).ok());
        objects.extend(queues.map(|(id, ds)| Object::of_queue(id, &ds)));
    }
    let (attached, waited_for) = (objects.iter().any(is_attached), objects.iter().any(may_be_waited_for));
    if attached || waited_for {
        let (processes, unseen) = seen()?;
        snapshot.unseen = unseen;
        let mut found = Found::new(objects);
        for process in &processes {
            if attached {
                found.add_attachments(process);
            }
            if waited_for {
                found.add_sleepers(process);
            }
        }
    }
    for object in &mut *objects {
        object.created_by = census.living(object.creator_pid, object.changed_at);
        object.parties.sort_by_key(|party| party.process.pid);
        object.state = State::of(object, &mut census);
    }
    Ok(())
}

fn segment(id: i32, ds: &ShmidDs, resident: u64) -> Object {
    let (removed, memory_locked) = segment_flags(ds.perm.mode);
    let contents = Contents::Segment {
        size: ds.segsz,
        resident,
        attachments: ds.nattch,
        removed,
        memory_locked,
        attached_at: time(ds.atime),
        detached_at: time(ds.dtime),
    };
    Object {
        used_at: time(ds.atime.max(ds.dtime)),
        creator_pid: ds.cpid as u32,
        last_pid: ds.lpid as u32,
        ..Object::new(Mechanism::Segment, id, &ds.perm, ds.ctime, contents)
    }
}

fn set(id: i32, ds: &SemidDs) -> Object {
    let contents = Contents::Set {
        count: ds.nsems,
        semaphores: semaphores(id, ds.nsems as usize).ok(),
    };
    let mut object = Object::new(Mechanism::SemaphoreSet, id, &ds.perm, ds.ctime, contents);
    object.used_at = time(ds.otime);
    object.note_last();
    object
}

fn semaphores(id: i32, count: usize) -> Result<Vec<Semaphore>, Errno> {
    let mut values = vec![0; count];
    Kernel.sem_values(id, &mut values)?;
    let describe = |(number, value)| {
        let ask = |what| Kernel.sem_ask(id, number, what).map(|answer| answer as u32);
        Ok(Semaphore {
            value,
            last_pid: ask(Asked::Pid)?,
            waiting_for_more: ask(Asked::WaitingForMore)?,
            waiting_for_zero: ask(Asked::WaitingForZero)?,
        })
    };
    (0..).zip(values).map(describe).collect()
}

impl Object {
    /// A queue, on either facility.
    pub(super) fn of_queue(id: i32, ds: &MsqidDs) -> Object {
        let (sent_at, received_at) = (time(ds.stime), time(ds.rtime));
        let contents = Contents::Queue {
            bytes: ds.cbytes,
            messages: ds.qnum,
            capacity: ds.qbytes,
            sent_at,
            received_at,
            sender: ds.lspid as u32,
            receiver: ds.lrpid as u32,
        };
        Object {
            used_at: sent_at.max(received_at),
            last_pid: if received_at > sent_at { ds.lrpid } else { ds.lspid } as u32,
            ..Object::new(Mechanism::MessageQueue, id, &ds.perm, ds.ctime, contents)
        }
    }
}

fn is_attached(object: &Object) -> bool {
    object.mechanism == Mechanism::Segment && object.is_in_use()
}

/// Sets tell how many wait, whoever may read them; queues do not.
fn may_be_waited_for(object: &Object) -> bool {
    match object.contents {
        Contents::Segment { .. } => false,
        Contents::Set { semaphores: None, .. } | Contents::Queue { .. } => true,
        Contents::Set { .. } => object.is_in_use(),
    }
}

/// Objects by mechanism and identifier.
struct Found<'o> {
    objects: &'o mut [Object],
    index: HashMap<(Mechanism, i32), usize>,
}

impl Found<'_> {
    fn new(objects: &mut [Object]) -> Found<'_> {
        let index = objects.iter().enumerate();
        let index = index
            .map(|(at, object)| ((object.mechanism, object.id.get()), at))
            .collect();
        Found { objects, index }
    }

    fn add_attachments(&mut self, process: &Seen) {
        for mapping in mappings_of(process) {
            self.add(process, (Mechanism::Segment, mapping.id.get()), |_| Role::Attached {
                address: mapping.start,
                length: mapping.end - mapping.start,
                read_only: mapping.read_only,
            });
        }
    }

    fn add_sleepers(&mut self, process: &Seen) {
        for sleeper in sleepers_of(process) {
            let mechanism = match sleeper.sleeps {
                Sleeps::Operating(_) => Mechanism::SemaphoreSet,
                Sleeps::Sending { .. } | Sleeps::Receiving { .. } => Mechanism::MessageQueue,
            };
            self.add(process, (mechanism, sleeper.id), |object| match &sleeper.sleeps {
                Sleeps::Operating(operations) => blocked(object, operations),
                Sleeps::Sending { size } => Role::Sends { size: *size },
                Sleeps::Receiving { kind, except } => Role::Receives {
                    kind: *kind,
                    except: *except,
                },
            });
        }
    }

    fn add(&mut self, process: &Seen, name: (Mechanism, i32), role: impl FnOnce(&Object) -> Role) {
        let found = self.index.get(&name).and_then(|&at| self.objects.get_mut(at));
        if let (Some(object), Some(named)) = (found, process.process()) {
            let role = role(object);
            object.parties.push(Party {
                process: named,
                user: process.user(),
                role,
                waited: None,
            });
        }
    }
}

/// What a sleeper waits for: the first of its operations that cannot be done, with the values that the set has now.
fn blocked(object: &Object, operations: &[(u16, i16)]) -> Role {
    let values = match &object.contents {
        Contents::Set {
            semaphores: Some(semaphores),
            ..
        } => semaphores.as_slice(),
        _ => &[],
    };
    let cannot_be_done = |&(at, &(number, change)): &(usize, &(u16, i16))| {
        let before = operations[..at].iter().filter(|operation| operation.0 == number);
        let before: i64 = before.map(|operation| i64::from(operation.1)).sum();
        let value = values
            .get(usize::from(number))
            .map(|semaphore| i64::from(semaphore.value));
        value.is_some_and(|value| match change {
            0 => value + before != 0,
            _ => value + before + i64::from(change) < 0,
        })
    };
    let found = operations.iter().enumerate().find(cannot_be_done);
    // One operation is the one, whatever has happened since.
    let found = found.map(|(_, operation)| operation).or(match operations {
        [only] => Some(only),
        _ => None,
    });
    Role::WaitsForSemaphore {
        semaphore: found.map(|operation| operation.0),
        change: found.map_or(0, |operation| operation.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysv_engine::abi::IpcPerm;

    fn set_of(values: &[u16]) -> Object {
        let semaphore = |&value| Semaphore {
            value,
            ..Semaphore::default()
        };
        let contents = Contents::Set {
            count: values.len() as u64,
            semaphores: Some(values.iter().map(semaphore).collect()),
        };
        Object::new(Mechanism::SemaphoreSet, 0, &IpcPerm::default(), 0, contents)
    }

    #[test]
    fn a_sleeper_waits_for_its_first_operation_that_cannot_be_done() {
        let set = set_of(&[1, 0, 5]);
        let waits = |operations: &[(u16, i16)]| match blocked(&set, operations) {
            Role::WaitsForSemaphore { semaphore, change } => (semaphore, change),
            other => panic!("{other:?}"),
        };
        assert_eq!(waits(&[(0, -1), (1, -1)]), (Some(1), -1));
        assert_eq!(waits(&[(0, -1), (0, -1), (1, -1)]), (Some(0), -1));
        assert_eq!(waits(&[(1, 0), (2, 0)]), (Some(2), 0));
        assert_eq!(waits(&[(1, 2), (1, -3)]), (Some(1), -3));
        // Woken already.
        assert_eq!(waits(&[(2, -1)]), (Some(2), -1));
        assert_eq!(waits(&[(2, -1), (0, -1)]), (None, 0));
        assert_eq!(waits(&[]), (None, 0));
        assert_eq!(waits(&[(9, -1)]), (Some(9), -1));
    }
}
