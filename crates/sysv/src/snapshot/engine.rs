//! A namespace's objects.

use std::collections::HashMap;
use std::time::Duration;

use sysv_engine::{
    AttachmentReport, Engine, ProcessReport, QueueReport, SegmentReport, SetPart, SetReport, WaiterReport, Wants,
};

use super::object::segment_flags;
use super::{Contents, Object, Party, Role, Semaphore, Snapshot, State};
use crate::processes::Census;
use crate::report::{own_pid_namespace, process};
use crate::stat::time;
use crate::{Errno, Mechanism, Process};

pub(super) fn take(engine: &Engine, of: &[Mechanism], snapshot: &mut Snapshot) -> Result<(), Errno> {
    let own = own_pid_namespace();
    let objects = &mut snapshot.objects;
    if of.contains(&Mechanism::Segment) {
        let mut parties: HashMap<i32, Vec<Party>> = HashMap::new();
        engine.segments_and_holders(
            &mut |id, holder| parties.entry(id).or_default().push(attached(holder, own)),
            &mut |report| objects.push(segment(report, own)),
        )?;
        for object in &mut *objects {
            object.parties = parties.remove(&object.id.get()).unwrap_or_default();
        }
    }
    if of.contains(&Mechanism::SemaphoreSet) {
        engine.sets(&mut |report| objects.push(set(engine, report, own)))?;
    }
    if of.contains(&Mechanism::MessageQueue) {
        engine.queues(&mut |report| objects.push(queue(engine, report, own)))?;
    }
    let mut census = Census::new();
    for object in &mut *objects {
        object.state = State::of(object, &mut census);
    }
    Ok(())
}

fn attached(holder: &AttachmentReport, own: u32) -> Party {
    Party {
        process: process(holder.pid, holder.pid_namespace, holder.command(), own),
        user: holder.uid,
        role: Role::Attached {
            address: holder.address,
            length: holder.length,
            read_only: holder.read_only,
        },
        waited: None,
    }
}

fn segment(report: &SegmentReport, own: u32) -> Object {
    let ds = &report.ds;
    let (removed, memory_locked) = segment_flags(ds.perm.mode);
    let contents = Contents::Segment {
        size: ds.segsz,
        resident: report.resident,
        attachments: ds.nattch,
        removed,
        memory_locked,
        attached_at: time(ds.atime),
        detached_at: time(ds.dtime),
    };
    let creator = process(report.creator_pid, report.creator_pid_namespace, report.command(), own);
    Object {
        used_at: time(ds.atime.max(ds.dtime)),
        last_pid: ds.lpid as u32,
        ..made_by(
            Object::new(Mechanism::Segment, report.id, &ds.perm, ds.ctime, contents),
            creator,
        )
    }
}

fn made_by(object: Object, creator: Process) -> Object {
    Object {
        creator_pid: if creator.elsewhere { 0 } else { creator.pid },
        created_by: Some(creator),
        ..object
    }
}

fn set(engine: &Engine, report: &SetReport, own: u32) -> Object {
    let ds = &report.ds;
    let contents = Contents::Set {
        count: ds.nsems,
        semaphores: None,
    };
    let creator = process(report.creator_pid, report.creator_pid_namespace, report.command(), own);
    let object = Object::new(Mechanism::SemaphoreSet, report.id, &ds.perm, ds.ctime, contents);
    let mut object = made_by(object, creator);
    object.used_at = time(ds.otime);
    let (mut semaphores, mut parties) = (Vec::new(), Vec::new());
    let listed = engine.set_parts(report.id, &mut |part| match *part {
        SetPart::Semaphore { value, last_pid, .. } => semaphores.push(Semaphore {
            value,
            last_pid: last_pid as u32,
            ..Semaphore::default()
        }),
        SetPart::Waiter {
            ref process,
            semaphore,
            change,
            waited_ms,
            ..
        } => parties.push(Party {
            waited: Some(Duration::from_millis(waited_ms)),
            ..party(
                process,
                Role::WaitsForSemaphore {
                    semaphore: Some(semaphore),
                    change,
                },
                own,
            )
        }),
        SetPart::Undo {
            ref process,
            semaphore,
            adjustment,
            ..
        } => parties.push(party(process, Role::Owes { semaphore, adjustment }, own)),
        _ => {}
    });
    // Whoever may not read a set sees that it is there and no more.
    if listed.is_ok() {
        object.contents = Contents::Set {
            count: ds.nsems,
            semaphores: Some(semaphores),
        };
        for party in &parties {
            object.count_waiter(party);
        }
        object.parties = parties;
        object.note_last();
    }
    object
}

fn party(report: &ProcessReport, role: Role, own: u32) -> Party {
    Party {
        process: process(report.pid, report.pid_namespace, report.command(), own),
        user: report.uid,
        role,
        waited: None,
    }
}

fn queue(engine: &Engine, report: &QueueReport, own: u32) -> Object {
    let creator = process(report.creator_pid, report.creator_pid_namespace, report.command(), own);
    let mut object = made_by(Object::of_queue(report.id, &report.ds), creator);
    let parties = &mut object.parties;
    // Whoever may not read a queue sees that it is there and no more.
    let _ = engine.queue_waiters(report.id, &mut |waiter| parties.push(waits(waiter, own)));
    object
}

fn waits(waiter: &WaiterReport, own: u32) -> Party {
    let receives = |kind, except| Role::Receives { kind, except };
    Party {
        process: process(waiter.pid, waiter.pid_namespace, waiter.command(), own),
        user: waiter.uid,
        role: match waiter.wants {
            Wants::Room => Role::Sends { size: waiter.size },
            Wants::Exactly(kind) => receives(kind, false),
            Wants::AtMost(kind) => receives(kind.checked_neg().unwrap_or(i64::MIN), false),
            Wants::Except(kind) => receives(kind, true),
            _ => receives(0, false),
        },
        waited: None,
    }
}
