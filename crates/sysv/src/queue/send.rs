//! Sending: msgsnd(2).

use std::time::Duration;

use sysv_engine::Errno;

use super::{Message, MessageQueue};
use crate::SendError;
use crate::handle::Handle;
use crate::patience::Patience;

impl MessageQueue {
    /// Sends a message; waits until there is room for it.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent then.
    ///
    /// ```
    /// use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(1, b"hello"))?;
    /// assert_eq!(queue.receive(Selection::Any)?.bytes(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msgsnd")]
    pub fn send(&self, message: &Message) -> Result<(), SendError> {
        self.send_patiently(message, Patience::Forever)
    }

    /// Sends a message if there is room for it now.
    ///
    /// # Errors
    /// [`SendError::WouldBlock`] if there is not, and what else may forbid it; nothing was sent then.
    ///
    /// ```
    /// use sysv::{Message, SendError};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.set_capacity(10)?;
    /// queue.try_send(&Message::new(1, b"0123456789"))?;
    /// assert!(matches!(queue.try_send(&Message::new(1, b"!")), Err(SendError::WouldBlock { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_NOWAIT")]
    pub fn try_send(&self, message: &Message) -> Result<(), SendError> {
        self.send_patiently(message, Patience::None)
    }

    /// Sends a message; waits for as long as the timeout says until there is room for it.
    ///
    /// The kernel has no such wait. On its facility this tries again and again, after 0.1 ms at first and every 16 ms soon,
    /// and has no place among those who wait.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], and what else may forbid it; nothing was sent then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sysv::{Message, SendError};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.set_capacity(1)?;
    /// let late = queue.send_timeout(&Message::new(1, b"ab"), Duration::from_millis(10));
    /// assert!(matches!(late, Err(SendError::TimedOut { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_timeout(&self, message: &Message, timeout: Duration) -> Result<(), SendError> {
        self.send_patiently(message, Patience::Until(timeout))
    }

    fn send_patiently(&self, message: &Message, patience: Patience) -> Result<(), SendError> {
        let backend = self.namespace.backend();
        backend
            .send(self.id.get(), message.raw(), patience)
            .map_err(|errno| self.explain_send(message, patience, errno))
    }

    #[cold]
    fn explain_send(&self, message: &Message, patience: Patience, errno: Errno) -> SendError {
        let queue = self.name();
        let limit = || self.facility().msg_limits().map_or(0, |(_, info)| info.msgmax as u64);
        match (errno, patience) {
            (Errno::EAGAIN, Patience::Until(timeout)) => SendError::TimedOut { queue, timeout },
            (Errno::EAGAIN, _) => SendError::WouldBlock { queue },
            (Errno::EINTR, _) => SendError::Interrupted { queue },
            (Errno::EACCES, _) => SendError::Denied {
                queue,
                ownership: self.ownership(),
            },
            (Errno::EIDRM, _) => SendError::Gone { queue, errno },
            (Errno::EINVAL, _) if message.kind() < 1 => SendError::Kind {
                queue,
                kind: message.kind(),
            },
            (Errno::EINVAL, _) if message.bytes().len() as u64 > limit() => SendError::TooLong {
                queue,
                length: message.bytes().len(),
                msgmax: limit(),
            },
            (Errno::EINVAL, _) if !self.exists() => SendError::Gone { queue, errno },
            (Errno::ENOMEM, _) => SendError::NoMemory { queue },
            _ => SendError::Other { queue, errno },
        }
    }
}
