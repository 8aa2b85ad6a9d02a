//! Receiving: msgrcv(2).

use std::time::Duration;

use sysv_engine::Errno;
use sysv_engine::abi::MSG_COPY;

use super::selection::Limit;
use super::{Message, MessageQueue, Request};
use crate::ReceiveError;
use crate::handle::Handle;
use crate::patience::Patience;

/// Room for a message's bytes at first; messages are seldom longer.
const ROOM: usize = 1024;

impl MessageQueue {
    /// Receives the first message that the request selects; waits until there is one.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing was received then.
    ///
    /// ```
    /// use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(1, b"one"))?;
    /// queue.send(&Message::new(2, b"two"))?;
    /// assert_eq!(queue.receive(Selection::Exactly(2))?.bytes(), b"two");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msgrcv")]
    pub fn receive(&self, request: impl Into<Request>) -> Result<Message, ReceiveError> {
        self.receive_new(request.into(), Patience::Forever)
    }

    /// Receives the first message that the request selects, if there is one now.
    ///
    /// # Errors
    /// [`ReceiveError::NoMessage`] if there is none, and what else may forbid it; nothing was received then.
    ///
    /// ```
    /// use sysv::{ReceiveError, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// assert!(matches!(queue.try_receive(Selection::Any), Err(ReceiveError::NoMessage { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_NOWAIT")]
    pub fn try_receive(&self, request: impl Into<Request>) -> Result<Message, ReceiveError> {
        self.receive_new(request.into(), Patience::None)
    }

    /// Receives the first message that the request selects; waits for as long as the timeout says until there is one.
    ///
    /// The kernel has no such wait. On its facility this tries again and again, after 0.1 ms at first and every 16 ms soon,
    /// and has no place among those who wait.
    ///
    /// # Errors
    /// [`ReceiveError::TimedOut`], and what else may forbid it; nothing was received then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sysv::{ReceiveError, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// let late = queue.receive_timeout(Selection::Any, Duration::from_millis(10));
    /// assert!(matches!(late, Err(ReceiveError::TimedOut { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_timeout(&self, request: impl Into<Request>, timeout: Duration) -> Result<Message, ReceiveError> {
        self.receive_new(request.into(), Patience::Until(timeout))
    }

    /// As [`receive`](MessageQueue::receive), into the memory of an earlier message as far as that suffices.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing was received then, and the message that was in `message` is gone.
    ///
    /// ```
    /// use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// # queue.send(&Message::new(1, b"one"))?;
    /// # queue.send(&Message::new(2, b"two"))?;
    /// let mut message = Message::with_capacity(100);
    /// for _ in 0..2 {
    ///     queue.receive_into(&mut message, Selection::Any)?;
    ///     println!("{:?}", message.bytes());
    /// }
    /// # assert_eq!(message.bytes(), b"two");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_into(&self, message: &mut Message, request: impl Into<Request>) -> Result<(), ReceiveError> {
        self.fill(message, request.into(), Patience::Forever)
    }

    /// A copy of the message at a position, counted from 0, which stays in the queue; none if there are not so many. The
    /// position of a message changes whenever somebody receives one before it.
    ///
    /// # Errors
    /// [`ReceiveError::Unsupported`] on a kernel without this ability, and what else may forbid it.
    ///
    /// ```
    /// use sysv::Message;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(1, b"one"))?;
    /// queue.send(&Message::new(2, b"two"))?;
    /// assert_eq!(queue.peek(1)?.unwrap().bytes(), b"two");
    /// assert_eq!(queue.peek(2)?, None);
    /// assert_eq!(queue.stat()?.messages, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "MSG_COPY")]
    pub fn peek(&self, position: usize) -> Result<Option<Message>, ReceiveError> {
        let Ok(position) = i64::try_from(position) else {
            return Ok(None);
        };
        let mut message = Message::with_capacity(ROOM);
        match self.fill_as(&mut message, Limit::None, (position, MSG_COPY), Patience::None) {
            Ok(()) => Ok(Some(message)),
            Err(ReceiveError::NoMessage { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Receives what the request selects until there is nothing more for now.
    ///
    /// ```
    /// use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// for number in 0..3u8 {
    ///     queue.send(&Message::of(1, &number))?;
    /// }
    /// let numbers = queue.drain(Selection::Any).map(|message| message?.value().map_err(Into::into));
    /// assert_eq!(numbers.collect::<Result<Vec<u8>, Box<dyn std::error::Error>>>()?, [0, 1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&self, request: impl Into<Request>) -> Messages<'_> {
        Messages::new(self, request.into(), Patience::None)
    }

    /// Receives what the request selects, one message after the other, and waits for each: until the queue is removed, which
    /// ends the iteration.
    ///
    /// ```
    /// use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(1, b"work"))?;
    /// queue.send(&Message::new(2, b"the end"))?;
    /// for message in queue.incoming(Selection::Any) {
    ///     if message?.kind() == 2 {
    ///         queue.remove()?; // Nothing comes any more.
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn incoming(&self, request: impl Into<Request>) -> Messages<'_> {
        Messages::new(self, request.into(), Patience::Forever)
    }

    pub(super) fn receive_new(&self, request: Request, patience: Patience) -> Result<Message, ReceiveError> {
        let room = match request.limit {
            Limit::None => ROOM,
            Limit::UpTo(bytes) | Limit::CutTo(bytes) => bytes.min(ROOM),
        };
        let mut message = Message::with_capacity(room);
        self.fill(&mut message, request, patience)?;
        Ok(message)
    }

    fn fill(&self, message: &mut Message, request: Request, patience: Patience) -> Result<(), ReceiveError> {
        let what = self.encode(&request)?;
        self.fill_as(message, request.limit, what, patience)
    }

    pub(super) fn encode(&self, request: &Request) -> Result<(i64, i32), ReceiveError> {
        request.encode().map_err(|kind| ReceiveError::Kind {
            queue: self.name(),
            kind,
        })
    }

    /// Asks with more and more room until the message fits, or is longer than it may be. Who has waited and finds a message
    /// too long has not lost it, but another receiver may be quicker to get it.
    fn fill_as(
        &self,
        message: &mut Message,
        limit: Limit,
        what: (i64, i32),
        patience: Patience,
    ) -> Result<(), ReceiveError> {
        let mut room = match limit {
            Limit::None => message.capacity().max(ROOM),
            Limit::UpTo(bytes) => message.capacity().min(bytes),
            Limit::CutTo(bytes) => bytes,
        };
        let most = match limit {
            Limit::None => i32::MAX as usize,
            Limit::UpTo(bytes) | Limit::CutTo(bytes) => bytes,
        };
        loop {
            let backend = self.namespace.backend();
            match backend.receive(self.id.get(), message.room(room), what, patience) {
                Ok(bytes) => {
                    message.filled(bytes);
                    return Ok(());
                }
                Err(Errno::E2BIG) if room < most => room = room.saturating_mul(4).clamp(ROOM, most),
                Err(errno) => {
                    message.filled(0);
                    return Err(self.explain_receive(most, what.1, patience, errno));
                }
            }
        }
    }

    #[cold]
    pub(super) fn explain_receive(&self, limit: usize, flags: i32, patience: Patience, errno: Errno) -> ReceiveError {
        let queue = self.name();
        match (errno, patience) {
            (Errno::ENOMSG, Patience::Until(timeout)) => ReceiveError::TimedOut { queue, timeout },
            (Errno::ENOMSG, _) => ReceiveError::NoMessage { queue },
            (Errno::EINTR, _) => ReceiveError::Interrupted { queue },
            (Errno::EACCES, _) => ReceiveError::Denied {
                queue,
                ownership: self.ownership(),
            },
            (Errno::EIDRM, _) => ReceiveError::Gone { queue, errno },
            (Errno::E2BIG, _) => ReceiveError::TooLong { queue, limit },
            (Errno::ENOSYS, _) if flags & MSG_COPY != 0 => ReceiveError::Unsupported { queue },
            (Errno::EINVAL, _) if !self.exists() => ReceiveError::Gone { queue, errno },
            _ => ReceiveError::Other { queue, errno },
        }
    }
}

/// Messages, one after the other: [`MessageQueue::drain`], [`MessageQueue::incoming`].
///
/// Ends after an error.
///
/// ```
/// use sysv::Selection;
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
/// assert_eq!(queue.drain(Selection::Any).count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is received until the iterator is asked for it"]
pub struct Messages<'q> {
    queue: &'q MessageQueue,
    request: Request,
    patience: Patience,
    ended: bool,
}

impl Messages<'_> {
    fn new(queue: &MessageQueue, request: Request, patience: Patience) -> Messages<'_> {
        Messages {
            queue,
            request,
            patience,
            ended: false,
        }
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, ReceiveError>;

    fn next(&mut self) -> Option<Result<Message, ReceiveError>> {
        if self.ended {
            return None;
        }
        let received = self.queue.receive_new(self.request, self.patience);
        match received {
            Ok(_) => {}
            // A signal's handler has run; whoever asks again goes on.
            Err(ReceiveError::Interrupted { .. }) => {}
            Err(ReceiveError::NoMessage { .. }) => {
                self.ended = true;
                return None;
            }
            Err(ReceiveError::Gone { .. }) if self.patience == Patience::Forever => {
                self.ended = true;
                return None;
            }
            Err(_) => self.ended = true,
        }
        Some(received)
    }
}
