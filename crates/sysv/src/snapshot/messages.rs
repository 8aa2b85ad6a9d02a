//! What is in a queue, which stays there.

use std::time::SystemTime;

use sysv_engine::Engine;

use crate::backend::Backend;
use crate::report::{own_pid_namespace, process};
use crate::stat::time;
use crate::{Errno, Id, Mechanism, MessageQueue, Process, ReportError};

/// A message that waits in a queue.
///
/// ```
/// use sysv::{Key, MessageQueue, NewMessageQueue};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let queue = MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new())?;
/// for message in queue.waiting_messages(100)? {
///     println!("{}: {} bytes of type {}", message.position, message.size, message.kind);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingMessage {
    /// Its place in the queue, from 0.
    pub position: usize,
    /// Its type.
    #[doc(alias = "mtype")]
    pub kind: i64,
    /// Its bytes.
    pub size: u64,
    /// When it was sent. The kernel does not tell.
    pub sent_at: Option<SystemTime>,
    /// Who sent it, without the name; the kernel does not tell.
    pub sender: Option<Process>,
}

impl MessageQueue {
    /// The first messages that wait in the queue, in the order in which they were sent. They stay there.
    ///
    /// # Errors
    /// [`ReportError`]: `EACCES` if this process may not read the queue; on the kernel's facility also `ENOSYS`, if that was
    /// built without `MSG_COPY`.
    ///
    /// ```
    /// use sysv::{Key, MessageQueue, NewMessageQueue};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let queue = MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new())?;
    /// assert!(queue.waiting_messages(100)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn waiting_messages(&self, most: usize) -> Result<Vec<WaitingMessage>, ReportError> {
        let listed = match self.namespace().backend() {
            Backend::Kernel => self.copied_messages(most),
            Backend::Engine(engine) => messages(engine, self.id(), most),
        };
        listed.map_err(|errno| self.report_error(errno))
    }

    fn copied_messages(&self, most: usize) -> Result<Vec<WaitingMessage>, Errno> {
        let mut found = Vec::new();
        for position in 0..most {
            let Some(message) = self.peek(position).map_err(|error| error.errno())? else {
                break;
            };
            found.push(WaitingMessage {
                position,
                kind: message.kind(),
                size: message.bytes().len() as u64,
                sent_at: None,
                sender: None,
            });
        }
        Ok(found)
    }

    fn report_error(&self, errno: Errno) -> ReportError {
        let object = Some((Mechanism::MessageQueue, self.id()));
        self.namespace().report_error(object, errno)
    }
}

fn messages(engine: &Engine, id: Id, most: usize) -> Result<Vec<WaitingMessage>, Errno> {
    let own = own_pid_namespace();
    let mut found = Vec::new();
    engine.messages(id.get(), most, &mut |message| {
        found.push(WaitingMessage {
            position: found.len(),
            kind: message.kind,
            size: message.size,
            sent_at: time(message.sent_at),
            sender: Some(process(message.sender_pid, message.sender_pid_namespace, b"", own)),
        });
    })?;
    Ok(found)
}
