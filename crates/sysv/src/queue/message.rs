//! A message outside of its queue.

use std::fmt;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::PayloadError;
use crate::backend::MESSAGE_TYPE;

/// A message: its type, a positive number that receivers select by, and bytes.
///
/// It can be received into again, which then needs no new memory.
///
/// ```
/// use sysv::{Key, Message, MessageQueue, NewMessageQueue, Selection};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let queue = MessageQueue::create(&namespace, Key::PRIVATE, NewMessageQueue::new())?;
/// queue.send(&Message::new(1, b"hello"))?;
/// queue.send(&Message::of(2, &[1.5f64, 2.5]))?;
///
/// let hello = queue.receive(Selection::Any)?;
/// assert_eq!((hello.kind(), hello.bytes()), (1, &b"hello"[..]));
/// let numbers: [f64; 2] = queue.receive(Selection::Any)?.value()?;
/// assert_eq!(numbers, [1.5, 2.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "msgbuf")]
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// As the system calls want it: the type, in the machine's order, and the bytes. Never shorter than the type.
    raw: Vec<u8>,
}

impl Message {
    /// One of this type with a copy of these bytes.
    ///
    /// ```
    /// let message = sysv::Message::new(7, b"bytes");
    /// assert_eq!((message.kind(), message.bytes()), (7, &b"bytes"[..]));
    /// ```
    pub fn new(kind: i64, bytes: &[u8]) -> Message {
        let mut raw = Vec::with_capacity(MESSAGE_TYPE + bytes.len());
        raw.extend_from_slice(&kind.to_ne_bytes());
        raw.extend_from_slice(bytes);
        Message { raw }
    }

    /// One of this type with a value's bytes, as they are in memory.
    ///
    /// ```
    /// let message = sysv::Message::of(7, &0x0102u16);
    /// assert_eq!(message.bytes(), [2, 1]);
    /// ```
    pub fn of<T: NoUninit>(kind: i64, value: &T) -> Message {
        Message::new(kind, bytemuck::bytes_of(value))
    }

    /// One without bytes and of no type yet, to be [received into](crate::MessageQueue::receive_into): with memory for so
    /// many bytes.
    ///
    /// ```
    /// use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// # queue.send(&Message::new(1, b"hello"))?;
    /// let mut message = Message::with_capacity(1000);
    /// queue.receive_into(&mut message, Selection::Any)?;
    /// # assert_eq!(message.bytes(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_capacity(bytes: usize) -> Message {
        let mut raw = Vec::with_capacity(MESSAGE_TYPE.saturating_add(bytes));
        raw.extend_from_slice(&0i64.to_ne_bytes());
        Message { raw }
    }

    /// The message's type.
    ///
    /// ```
    /// assert_eq!(sysv::Message::new(7, b"").kind(), 7);
    /// ```
    #[doc(alias = "mtype")]
    pub fn kind(&self) -> i64 {
        self.raw.first_chunk().map_or(0, |kind| i64::from_ne_bytes(*kind))
    }

    /// The message's bytes.
    ///
    /// ```
    /// assert_eq!(sysv::Message::new(7, b"bytes").bytes(), b"bytes");
    /// ```
    #[doc(alias = "mtext")]
    pub fn bytes(&self) -> &[u8] {
        &self.raw[MESSAGE_TYPE..]
    }

    /// The value whose bytes these are.
    ///
    /// # Errors
    /// [`PayloadError::Size`] unless there are as many bytes as such a value has.
    ///
    /// ```
    /// use sysv::Message;
    ///
    /// let message = Message::of(1, &7u32);
    /// assert_eq!(message.value::<u32>()?, 7);
    /// assert!(message.value::<u64>().is_err());
    /// # Ok::<(), sysv::PayloadError>(())
    /// ```
    pub fn value<T: AnyBitPattern>(&self) -> Result<T, PayloadError> {
        bytemuck::try_pod_read_unaligned(self.bytes()).map_err(|_| PayloadError::Size {
            kind: self.kind(),
            expected: size_of::<T>(),
            found: self.bytes().len(),
        })
    }

    /// One of this type with a value in serialised form: [postcard](https://postcard.jamesmunns.com)'s, which is compact, the
    /// same on every machine, and says nothing about the value's own type. Sender and receiver agree on that, as by the
    /// message's type.
    ///
    /// # Errors
    /// [`PayloadError::Encode`] for values that it has no form for, such as a sequence of unknown length.
    ///
    /// ```
    /// use sysv::Message;
    ///
    /// let message = Message::serialize(1, &("order", vec![3, 1, 2]))?;
    /// let (what, numbers): (&str, Vec<i32>) = message.deserialize()?;
    /// assert_eq!((what, &numbers[..]), ("order", &[3, 1, 2][..]));
    /// # Ok::<(), sysv::PayloadError>(())
    /// ```
    #[cfg(feature = "serde")]
    pub fn serialize<T: serde::Serialize + ?Sized>(kind: i64, value: &T) -> Result<Message, PayloadError> {
        let raw = kind.to_ne_bytes().to_vec();
        match postcard::to_extend(value, raw) {
            Ok(raw) => Ok(Message { raw }),
            Err(error) => Err(PayloadError::Encode {
                kind,
                reason: error.to_string(),
            }),
        }
    }

    /// The value that was [serialised](Message::serialize) into this message. It may borrow from the message.
    ///
    /// # Errors
    /// [`PayloadError::Decode`] if the bytes are not one such value and nothing else.
    ///
    /// ```
    /// use sysv::Message;
    ///
    /// let message = Message::serialize(1, &Some(7u8))?;
    /// assert_eq!(message.deserialize::<Option<u8>>()?, Some(7));
    /// assert!(Message::new(1, b"!").deserialize::<Option<u8>>().is_err());
    /// # Ok::<(), sysv::PayloadError>(())
    /// ```
    #[cfg(feature = "serde")]
    pub fn deserialize<'m, T: serde::Deserialize<'m>>(&'m self) -> Result<T, PayloadError> {
        let refused = |reason| PayloadError::Decode {
            kind: self.kind(),
            reason,
        };
        match postcard::take_from_bytes(self.bytes()) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(refused(format!("{} bytes too many", rest.len()))),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// The type and the bytes, as the system calls want them.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Memory to receive a message of so many bytes into.
    pub(super) fn room(&mut self, bytes: usize) -> &mut [u8] {
        self.raw.resize(MESSAGE_TYPE.saturating_add(bytes), 0);
        &mut self.raw
    }

    /// So many bytes have been received.
    pub(super) fn filled(&mut self, bytes: usize) {
        self.raw.truncate(MESSAGE_TYPE.saturating_add(bytes));
    }

    /// How many bytes can be received without new memory.
    pub(super) fn capacity(&self) -> usize {
        self.raw.capacity().saturating_sub(MESSAGE_TYPE)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.kind())
            .field("bytes", &self.bytes())
            .finish()
    }
}
