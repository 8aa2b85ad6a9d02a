//! System V message queues.

use super::{End, Way};
use crate::c_api::Queue;
use crate::job::Api;
use crate::message::Message;

/// A queue for messages of that size.
pub(super) fn queue(size: usize, api: Api) -> Result<Box<dyn Way>, String> {
    match api {
        Api::C if size > Queue::longest() => {
            let longest = Queue::longest();
            Err(format!("messages of more than {longest} bytes are not allowed here"))
        }
        Api::C => Ok(Box::new(Queue::with_room_for(size))),
        Api::Rust => crate::rust_api::queue_way(size),
    }
}

impl Way for Queue {
    fn sender(&self) -> End<'_> {
        self.messages();
        Box::new(|message: &mut Message| self.send(message))
    }

    fn receiver(&self) -> End<'_> {
        self.messages();
        Box::new(|message: &mut Message| self.receive(message, 0))
    }
}
