//! Removing an object of any kind.

use sysv::{Mechanism, MessageQueue, Namespace, Object, RemoveError, Segment, SemaphoreSet};

/// Removes it. A segment's memory goes when the last process has detached; whoever waits for a set or a queue is told.
pub(crate) fn remove(namespace: &Namespace, object: &Object) -> Result<(), RemoveError> {
    match object.mechanism {
        Mechanism::Segment => Segment::from_id(namespace, object.id).remove(),
        Mechanism::SemaphoreSet => SemaphoreSet::from_id(namespace, object.id).remove(),
        Mechanism::MessageQueue => MessageQueue::from_id(namespace, object.id).remove(),
    }
}

/// Whether nobody has used it since it was looked at, and nobody has it in use now.
pub(crate) fn is_unused_since(namespace: &Namespace, object: &Object) -> bool {
    let id = object.id;
    let seen = (object.used_at, object.changed_at);
    let now = match object.mechanism {
        Mechanism::Segment => Segment::from_id(namespace, id).stat().map(|stat| {
            (
                stat.attachments,
                stat.attached_at.max(stat.detached_at),
                stat.changed_at,
            )
        }),
        Mechanism::SemaphoreSet => SemaphoreSet::from_id(namespace, id)
            .stat()
            .map(|stat| (0, stat.operated_at, stat.changed_at)),
        Mechanism::MessageQueue => MessageQueue::from_id(namespace, id)
            .stat()
            .map(|stat| (0, stat.sent_at.max(stat.received_at), stat.changed_at)),
    };
    match now {
        Ok((attachments, used_at, changed_at)) => attachments == 0 && (used_at, changed_at) == seen,
        // Who may not read it must look at everything.
        Err(_) => namespace.snapshot(&[object.mechanism]).is_ok_and(|now| {
            let mut same = now.objects.iter().filter(|other| other.id == id);
            same.any(|now| !now.is_in_use() && (now.used_at, now.changed_at) == seen)
        }),
    }
}
