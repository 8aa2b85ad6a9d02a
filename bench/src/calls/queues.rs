//! `msgsnd` and `msgrcv`, by type, making and removing; copying twice, which is what a message costs at least.

use std::hint::black_box;

use super::{Operation, on};
use crate::bystanders::Bystanders;
use crate::c_api::Queue;
use crate::job::Among;
use crate::message::Message;

/// The queue in question, with others around it.
struct Scene {
    /// They go first: whoever waits would fail when what it waits at is removed.
    _bystanders: Bystanders,
    queue: Queue,
    _others: Vec<Queue>,
}

impl Scene {
    fn new(size: usize, among: Among) -> Scene {
        let count = if let Among::Objects(count) = among { count } else { 0 };
        let mut others: Vec<Queue> = (0..count / 2).map(|_| Queue::new()).collect();
        let queue = Queue::with_room_for(size);
        others.extend((count / 2..count.saturating_sub(1)).map(|_| Queue::new()));
        let bystanders = match among {
            // They wait for a type that nobody sends.
            Among::Waiters(count) => Bystanders::new(count, || queue.receive(&mut Message::new(size), 99)),
            Among::Processes(count) => Bystanders::new(count, || _ = black_box(queue.messages())),
            _ => Bystanders::none(),
        };
        Scene {
            queue,
            _others: others,
            _bystanders: bystanders,
        }
    }
}

/// Messages of a burst.
pub(crate) const BURST: usize = 40;

pub(super) fn prepare(call: &str, size: usize, among: Among) -> Option<Operation> {
    Some(match call {
        "msgsnd + msgrcv" => {
            let mut message = Message::new(size);
            on(Scene::new(size, among), move |scene| {
                scene.queue.send(&message);
                scene.queue.receive(&mut message, 0);
            })
        }
        "forty msgsnd + forty msgrcv" => {
            let mut message = Message::new(size);
            on(Scene::new(size, among), move |scene| {
                (0..BURST).for_each(|_| scene.queue.send(&message));
                (0..BURST).for_each(|_| scene.queue.receive(&mut message, 0));
            })
        }
        "msgrcv by type among sixty + msgsnd" => {
            let (scene, mut message, mut turn) = (Scene::new(size, among), Message::new(size), 0);
            for kind in 1..=60 {
                message.set_kind(kind);
                scene.queue.send(&message);
            }
            on(scene, move |scene| {
                turn += 7;
                let kind = 1 + turn % 60;
                scene.queue.receive(&mut message, kind as i64);
                scene.queue.send(&message);
            })
        }
        "msgget + IPC_RMID" => on(Scene::new(size, among), |_| drop(Queue::new())),
        "two copies" => {
            let (from, mut between, mut to) = (vec![1u8; size], vec![0u8; size], vec![0u8; size]);
            Box::new(move || {
                between.copy_from_slice(black_box(&from));
                to.copy_from_slice(black_box(&between));
                black_box(&mut to);
            })
        }
        _ => return None,
    })
}
