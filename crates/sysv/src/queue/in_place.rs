//! Reading a message where it lies.

#![allow(unsafe_code)]

use std::fmt;
use std::time::Duration;

use bytemuck::AnyBitPattern;
use sysv_engine::InPlace;
use sysv_engine::abi::IPC_NOWAIT;

use super::selection::Limit;
use super::{Message, MessageQueue, Request};
use crate::backend::Backend;
use crate::patience::Patience;
use crate::{AccessError, ReceiveError, memory};

/// A message that has been received and is read where it lies, in the queue's memory, which gets it back when this is
/// dropped.
///
/// It is this process's: nobody else receives it, and if the process is killed meanwhile it is gone as any received message.
/// But the memory is shared with all who may use the queue, and while honest ones leave it alone, nobody can make them. So
/// there is no `&[u8]` over it: what is needed of it is copied out, once, checked, and then believed.
///
/// On the kernel's facility a message cannot be reached where it lies, and is copied as a whole.
///
/// ```
/// use sysv::{Message, Selection};
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
/// # queue.set_capacity(16384)?;
/// queue.send(&Message::new(1, &[7; 8000]))?;
///
/// let message = queue.receive_in_place(Selection::Any)?;
/// assert_eq!((message.kind(), message.len()), (1, 8000));
/// let header: u32 = message.read(0)?;
/// assert_eq!(header, 0x07070707);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the message is received, and lost if this is dropped unread"]
pub struct MessageInPlace<'q> {
    place: Place<'q>,
}

enum Place<'q> {
    Queue(InPlace<'q>),
    Copy(Message),
}

impl MessageQueue {
    /// Receives the first message that the request selects without copying it; waits until there is one.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing was received then.
    ///
    /// ```
    /// use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(1, b"hello"))?;
    /// assert_eq!(queue.receive_in_place(Selection::Any)?.to_vec(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msgrcv")]
    pub fn receive_in_place(&self, request: impl Into<Request>) -> Result<MessageInPlace<'_>, ReceiveError> {
        self.leave(request.into(), Patience::Forever)
    }

    /// Receives the first message that the request selects without copying it, if there is one now.
    ///
    /// # Errors
    /// [`ReceiveError::NoMessage`] if there is none, and what else may forbid it; nothing was received then.
    ///
    /// ```
    /// use sysv::{ReceiveError, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// assert!(matches!(queue.try_receive_in_place(Selection::Any), Err(ReceiveError::NoMessage { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_receive_in_place(&self, request: impl Into<Request>) -> Result<MessageInPlace<'_>, ReceiveError> {
        self.leave(request.into(), Patience::None)
    }

    /// Receives the first message that the request selects without copying it; waits for as long as the timeout says until
    /// there is one.
    ///
    /// # Errors
    /// [`ReceiveError::TimedOut`], and what else may forbid it; nothing was received then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sysv::{ReceiveError, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// let late = queue.receive_in_place_timeout(Selection::Any, Duration::from_millis(10));
    /// assert!(matches!(late, Err(ReceiveError::TimedOut { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_in_place_timeout(
        &self,
        request: impl Into<Request>,
        timeout: Duration,
    ) -> Result<MessageInPlace<'_>, ReceiveError> {
        self.leave(request.into(), Patience::Until(timeout))
    }

    fn leave(&self, request: Request, patience: Patience) -> Result<MessageInPlace<'_>, ReceiveError> {
        let Backend::Engine(engine) = self.namespace.backend() else {
            let place = Place::Copy(self.receive_new(request, patience)?);
            return Ok(MessageInPlace { place });
        };
        let (kind, flags) = self.encode(&request)?;
        let limit = match request.limit {
            Limit::None => isize::MAX as usize,
            Limit::UpTo(bytes) | Limit::CutTo(bytes) => bytes.min(isize::MAX as usize),
        };
        let (wait, timeout) = match patience {
            Patience::None => (IPC_NOWAIT, None),
            Patience::Until(timeout) => (0, Some(timeout)),
            Patience::Forever => (0, None),
        };
        match engine.receive_in_place(self.id.get(), limit, kind, flags | wait, timeout) {
            Ok(message) => Ok(MessageInPlace {
                place: Place::Queue(message),
            }),
            Err(errno) => Err(self.explain_receive(limit, flags, patience, errno)),
        }
    }
}

impl MessageInPlace<'_> {
    /// The message's type.
    ///
    /// ```
    /// # use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(7, b""))?;
    /// assert_eq!(queue.receive_in_place(Selection::Any)?.kind(), 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kind(&self) -> i64 {
        match &self.place {
            Place::Queue(message) => message.kind(),
            Place::Copy(message) => message.kind(),
        }
    }

    /// How many bytes it has.
    ///
    /// ```
    /// # use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(7, b"bytes"))?;
    /// assert_eq!(queue.receive_in_place(Selection::Any)?.len(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> usize {
        match &self.place {
            Place::Queue(message) => message.len(),
            Place::Copy(message) => message.bytes().len(),
        }
    }

    /// Whether it has none.
    ///
    /// ```
    /// # use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(7, b""))?;
    /// assert!(queue.receive_in_place(Selection::Any)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes of the message into `buffer`, beginning at `offset`.
    ///
    /// # Errors
    /// [`AccessError::BeyondMessage`].
    ///
    /// ```
    /// # use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(7, b"bytes"))?;
    /// let message = queue.receive_in_place(Selection::Any)?;
    /// let mut buffer = [0; 3];
    /// message.copy_out(2, &mut buffer)?;
    /// assert_eq!(&buffer, b"tes");
    /// assert!(message.copy_out(3, &mut buffer).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_out(&self, offset: usize, buffer: &mut [u8]) -> Result<(), AccessError> {
        let src = self.at(offset, buffer.len())?;
        // SAFETY: `at` keeps the range within the message, which can be read as long as `self` lives; the buffer is ours
        // alone, and cannot lie within the message, over which no slice that can be written is ever made.
        unsafe { memory::copy(src, buffer.as_mut_ptr(), buffer.len()) };
        Ok(())
    }

    /// Reads a value at `offset`, which need not be aligned.
    ///
    /// # Errors
    /// [`AccessError::BeyondMessage`].
    ///
    /// ```
    /// # use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::of(7, &[1u32, 2, 3]))?;
    /// assert_eq!(queue.receive_in_place(Selection::Any)?.read::<u32>(8)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read<T: AnyBitPattern>(&self, offset: usize) -> Result<T, AccessError> {
        let src = self.at(offset, size_of::<T>())?;
        // SAFETY: `at` keeps the range within the message, which can be read as long as `self` lives.
        Ok(unsafe { memory::read(src) })
    }

    /// A copy of all bytes.
    ///
    /// ```
    /// # use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(7, b"bytes"))?;
    /// assert_eq!(queue.receive_in_place(Selection::Any)?.to_vec(), b"bytes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        // SAFETY: the whole message, which can be read as long as `self` lives; the bytes are ours alone.
        unsafe { memory::copy(self.start(), bytes.as_mut_ptr(), bytes.len()) };
        bytes
    }

    fn start(&self) -> *const u8 {
        match &self.place {
            Place::Queue(message) => message.as_ptr(),
            Place::Copy(message) => message.bytes().as_ptr(),
        }
    }

    /// The address of `length` bytes at `offset`, all within the message.
    fn at(&self, offset: usize, length: usize) -> Result<*const u8, AccessError> {
        match offset.checked_add(length) {
            // SAFETY: at most one past the message's end.
            Some(end) if end <= self.len() => Ok(unsafe { self.start().add(offset) }),
            _ => Err(AccessError::BeyondMessage {
                offset,
                length,
                size: self.len(),
            }),
        }
    }
}

impl fmt::Debug for MessageInPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageInPlace")
            .field("kind", &self.kind())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
