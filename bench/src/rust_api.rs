//! The facility as Rust programs call it: the crate `sysv`.

use std::hint::black_box;

use sysv::{
    Key, MessageQueue, Namespace, NewMessageQueue, NewSegment, NewSemaphoreSet, Operation, Segment, Selection,
    SemaphoreSet, TemporaryMessageQueue, TemporarySegment, TemporarySemaphoreSet,
};

use crate::locks::Lock;
use crate::message::Message;
use crate::ways::{End, Way};

const PAGE: usize = 4096;

/// A new segment with the key, removed at the end.
fn segment(namespace: &Namespace, key: Key, size: usize) -> TemporarySegment {
    let segment = Segment::create(namespace, key, NewSegment::of_size(size));
    segment.unwrap_or_else(|e| panic!("{e}")).into_temporary()
}

/// A new set of so many semaphores of that value, removed at the end.
fn set(namespace: &Namespace, semaphores: usize, units: u16) -> TemporarySemaphoreSet {
    let new = NewSemaphoreSet::with_units(vec![units; semaphores]);
    let set = SemaphoreSet::create(namespace, Key::PRIVATE, new);
    set.unwrap_or_else(|e| panic!("{e}")).into_temporary()
}

/// A new queue, removed at the end.
fn queue(namespace: &Namespace) -> TemporaryMessageQueue {
    let queue = MessageQueue::create(namespace, Key::PRIVATE, NewMessageQueue::new());
    queue.unwrap_or_else(|e| panic!("{e}")).into_temporary()
}

fn current() -> Result<Namespace, String> {
    Namespace::current().map_err(|e| e.to_string())
}

/// Makes the operation of that name ready, or says why it cannot be had.
pub(crate) fn prepare(call: &str, size: usize) -> Result<crate::calls::Operation, String> {
    let namespace = current()?;
    let of_segments = segments(call, size, &namespace);
    let found = of_segments
        .or_else(|| semaphores(call, &namespace))
        .or_else(|| queues(call, size, &namespace));
    found.ok_or_else(|| format!("{call} is measured from C only"))
}

fn segments(call: &str, size: usize, namespace: &Namespace) -> Option<crate::calls::Operation> {
    let (namespace, key) = (namespace.clone(), Key::new(0x5359_5356));
    Some(match call {
        "shmget" => {
            let segment = segment(&namespace, key, PAGE);
            Box::new(move || {
                let found = Segment::open(&namespace, key).expect("it is there");
                assert_eq!(found.id(), segment.id());
            })
        }
        "shmctl IPC_STAT" => {
            let segment = segment(&namespace, key, PAGE);
            Box::new(move || _ = black_box(segment.stat().expect("it is there")))
        }
        "shmctl IPC_STAT, attached" => {
            let segment = segment(&namespace, key, PAGE);
            let attachment = segment.attach().expect("attaching");
            Box::new(move || {
                let _kept = &attachment;
                black_box(segment.stat().expect("it is there"));
            })
        }
        "shmat + shmdt, again" => {
            let segment = segment(&namespace, key, PAGE);
            let attachment = segment.attach().expect("attaching");
            Box::new(move || {
                let _kept = &attachment;
                drop(segment.attach().expect("attaching"));
            })
        }
        "shmat + shmdt, first" => {
            let segment = segment(&namespace, key, PAGE);
            Box::new(move || drop(segment.attach().expect("attaching")))
        }
        "shmget + IPC_RMID" => Box::new(move || drop(segment(&namespace, Key::PRIVATE, PAGE))),
        "shmget + shmat + shmdt + IPC_RMID" => Box::new(move || {
            let segment = segment(&namespace, Key::PRIVATE, PAGE);
            drop(segment.attach().expect("attaching"));
        }),
        "copy into a segment" => {
            let segment = segment(&namespace, Key::PRIVATE, size);
            let attachment = segment.attach().expect("attaching");
            let source = vec![7u8; size];
            attachment.copy_in(0, &source).expect("its size");
            Box::new(move || {
                let _kept = &segment;
                attachment.copy_in(0, black_box(&source)).expect("its size");
            })
        }
        _ => return None,
    })
}

fn semaphores(call: &str, namespace: &Namespace) -> Option<crate::calls::Operation> {
    let (take, give) = (Operation::acquire(0, 1), Operation::release(0, 1));
    let (take_other, give_other) = (Operation::acquire(1, 1), Operation::release(1, 1));
    let repeated = |take: Vec<Operation>, give: Vec<Operation>| -> crate::calls::Operation {
        let set = set(namespace, 2, 1);
        Box::new(move || {
            set.operate(&take).expect("one is there");
            set.operate(&give).expect("there is room");
        })
    };
    Some(match call {
        "semop, take and give" => repeated(vec![take], vec![give]),
        "semop with SEM_UNDO, take and give" => repeated(vec![take.undo()], vec![give.undo()]),
        "semop of two semaphores, take and give" => repeated(vec![take, take_other], vec![give, give_other]),
        "semop of two with SEM_UNDO, take and give" => repeated(
            vec![take.undo(), take_other.undo()],
            vec![give.undo(), give_other.undo()],
        ),
        "semctl GETVAL" => {
            let set = set(namespace, 1, 1);
            Box::new(move || assert_eq!(set.value(0).expect("it is there"), 1))
        }
        "semget + IPC_RMID" => {
            let namespace = namespace.clone();
            Box::new(move || drop(set(&namespace, 1, 0)))
        }
        _ => return None,
    })
}

fn queues(call: &str, size: usize, namespace: &Namespace) -> Option<crate::calls::Operation> {
    let sent = |kind| sysv::Message::new(kind, &vec![1; size]);
    Some(match call {
        "msgsnd + msgrcv" => {
            let (queue, sent) = (queue(namespace), sent(1));
            let mut received = sysv::Message::with_capacity(size);
            Box::new(move || {
                queue.send(&sent).expect("there is room");
                queue.receive_into(&mut received, Selection::Any).expect("it is there");
            })
        }
        "forty msgsnd + forty msgrcv" => {
            let (queue, sent) = (queue(namespace), sent(1));
            let mut received = sysv::Message::with_capacity(size);
            Box::new(move || {
                for _ in 0..crate::calls::BURST {
                    queue.send(&sent).expect("there is room");
                }
                for _ in 0..crate::calls::BURST {
                    queue.receive_into(&mut received, Selection::Any).expect("it is there");
                }
            })
        }
        "msgrcv by type among sixty + msgsnd" => {
            let (queue, mut turn) = (queue(namespace), 0);
            let mut message = sysv::Message::with_capacity(size);
            for kind in 1..=60 {
                queue.send(&sent(kind)).expect("there is room");
            }
            Box::new(move || {
                turn += 7;
                let kind = Selection::Exactly(1 + turn % 60);
                queue.receive_into(&mut message, kind).expect("it is there");
                queue.send(&message).expect("there is room");
            })
        }
        "msgget + IPC_RMID" => {
            let namespace = namespace.clone();
            Box::new(move || drop(queue(&namespace)))
        }
        _ => return None,
    })
}

/// The way of that name for messages of that size.
pub(crate) fn semaphore_way() -> Result<Box<dyn Way>, String> {
    Ok(Box::new(set(&current()?, 1, 0)))
}

/// A queue for messages of that size.
pub(crate) fn queue_way(size: usize) -> Result<Box<dyn Way>, String> {
    let queue = queue(&current()?);
    Ok(Box::new(Queue { queue, size }))
}

struct Queue {
    queue: TemporaryMessageQueue,
    size: usize,
}

impl Way for TemporarySemaphoreSet {
    fn sender(&self) -> End<'_> {
        self.value(0).expect("it is there");
        Box::new(|_| self.operate(&[Operation::release(0, 1)]).expect("there is room"))
    }

    fn receiver(&self) -> End<'_> {
        self.value(0).expect("it is there");
        Box::new(|_| self.operate(&[Operation::acquire(0, 1)]).expect("one comes"))
    }
}

impl Way for Queue {
    fn sender(&self) -> End<'_> {
        self.queue.stat().expect("it is there");
        let sent = sysv::Message::new(1, &vec![1; self.size]);
        Box::new(move |_: &mut Message| self.queue.send(&sent).expect("there is room"))
    }

    fn receiver(&self) -> End<'_> {
        self.queue.stat().expect("it is there");
        let mut received = sysv::Message::with_capacity(self.size);
        Box::new(move |_| {
            self.queue
                .receive_into(&mut received, Selection::Any)
                .expect("one comes")
        })
    }
}

/// Makes the lock of that name, or says why it cannot be had.
pub(crate) fn lock(name: &str) -> Result<Box<dyn Lock>, String> {
    let undo = name == "semaphore with undo";
    let set = set(&current()?, 1, 1);
    Ok(Box::new(Semaphore { set, undo }))
}

struct Semaphore {
    set: TemporarySemaphoreSet,
    undo: bool,
}

impl Semaphore {
    fn operate(&self, operation: Operation) {
        let operation = if self.undo { operation.undo() } else { operation };
        self.set.operate(&[operation]).expect("a semaphore");
    }
}

impl Lock for Semaphore {
    fn lock(&self) {
        self.operate(Operation::acquire(0, 1));
    }

    fn unlock(&self) {
        self.operate(Operation::release(0, 1));
    }
}
