//! Ways from one process to another: the facility's and its rivals', behind one interface.

mod descriptors;
mod memory;
mod posix;
mod queue;
mod semaphore;

pub(crate) use posix::Semaphore;

use crate::job::Api;
use crate::message::Message;

/// One direction. The ends are opened in the processes that use them.
pub trait Way {
    /// The end that sends. What a process's first use costs is paid here.
    fn sender(&self) -> End<'_>;
    /// The end that receives; it waits until there is something.
    fn receiver(&self) -> End<'_>;
}

/// Sends the message, or receives into it.
pub type End<'a> = Box<dyn FnMut(&mut Message) + 'a>;

/// Makes the way of that name for messages of that size, or says why it cannot be had.
pub fn way(name: &str, size: usize, api: Api) -> Result<Box<dyn Way>, String> {
    Ok(match name {
        "semaphore" => semaphore::semaphore(api)?,
        "queue" => queue::queue(size, api)?,
        "segment" => Box::new(memory::Memory::segment(size)),
        "POSIX shared memory" => Box::new(memory::Memory::posix(size)?),
        "POSIX semaphore" => Box::new(posix::Semaphore::new()),
        "POSIX message queue" => Box::new(posix::Queue::new(size)?),
        "pipe" => Box::new(descriptors::Descriptors::pipe(size)?),
        "Unix socket" => Box::new(descriptors::Descriptors::sockets()?),
        "futex" => Box::new(memory::Futex::new()),
        "cache line" => Box::new(memory::Line::new()),
        _ => return Err(format!("there is no way called {name:?}")),
    })
}
