//! What a new message queue is like.

use crate::Mode;

/// What a new message queue is like: who may use it. It may hold as many bytes as the limit `msgmnb` says;
/// [`set_capacity`](crate::MessageQueue::set_capacity) changes that.
///
/// ```
/// use sysv::{Key, MessageQueue, Mode, NewMessageQueue};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let new = NewMessageQueue::new().mode(Mode::new(0o620)); // Others of the group may send.
/// let queue = MessageQueue::create(&namespace, Key::PRIVATE, new)?;
/// assert_eq!(queue.stat()?.permissions.mode, Mode::new(0o620));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewMessageQueue {
    pub(super) mode: Mode,
}

impl NewMessageQueue {
    /// One that only its owner may use.
    ///
    /// ```
    /// use sysv::NewMessageQueue;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, NewMessageQueue::new())?;
    /// assert_eq!(queue.stat()?.permissions.mode, sysv::Mode::OWNER);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn new() -> NewMessageQueue {
        NewMessageQueue { mode: Mode::OWNER }
    }

    /// With this mode, to which no umask applies. Write permission is for sending, read permission for receiving and looking.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let new = sysv::NewMessageQueue::new().mode(sysv::Mode::new(0o666));
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// # assert_eq!(queue.stat()?.permissions.mode.bits(), 0o666);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn mode(self, mode: Mode) -> NewMessageQueue {
        NewMessageQueue { mode }
    }
}

impl Default for NewMessageQueue {
    fn default() -> NewMessageQueue {
        NewMessageQueue::new()
    }
}
