//! Which message to receive, and how much of it.

use sysv_engine::abi::{MSG_EXCEPT, MSG_NOERROR};

/// Which of the messages in a queue to receive, by their types.
///
/// ```
/// use sysv::{Message, Selection};
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
/// for kind in [3, 1, 2, 3] {
///     queue.send(&Message::new(kind, b""))?;
/// }
/// let mut kinds = Vec::new();
/// for selection in [Selection::Exactly(2), Selection::AtMost(2), Selection::Except(1), Selection::Any] {
///     kinds.push(queue.try_receive(selection)?.kind());
/// }
/// assert_eq!(kinds, [2, 1, 3, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "msgtyp")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Selection {
    /// The first.
    #[default]
    Any,
    /// The first of this type.
    Exactly(i64),
    /// The first of the lowest type there is, if that is at most this: the lower a type, the more urgent.
    AtMost(i64),
    /// The first of any other type.
    #[doc(alias = "MSG_EXCEPT")]
    Except(i64),
}

/// A selection, and how many bytes to receive: a [`Selection`] alone asks for the whole message, however long.
///
/// ```
/// use sysv::{Message, ReceiveError, Selection};
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
/// queue.send(&Message::new(1, b"rather long"))?;
///
/// let refused = queue.receive(Selection::Any.up_to(6));
/// assert!(matches!(refused, Err(ReceiveError::TooLong { limit: 6, .. })));
/// assert_eq!(queue.receive(Selection::Any.cut_to(6))?.bytes(), b"rather"); // The rest is lost.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Request {
    selection: Selection,
    pub(super) limit: Limit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Limit {
    #[default]
    None,
    UpTo(usize),
    CutTo(usize),
}

impl Selection {
    /// Messages of at most so many bytes. If the selected one has more it stays in the queue, and that is an error.
    ///
    /// ```
    /// # use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(1, b"12345678"))?;
    /// assert!(queue.receive(Selection::Any.up_to(7)).is_err());
    /// assert!(queue.receive(Selection::Any.up_to(8)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn up_to(self, bytes: usize) -> Request {
        Request {
            selection: self,
            limit: Limit::UpTo(bytes),
        }
    }

    /// Messages cut to so many bytes: what is beyond is lost.
    ///
    /// ```
    /// # use sysv::{Message, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.send(&Message::new(1, b"12345678"))?;
    /// assert_eq!(queue.receive(Selection::Any.cut_to(3))?.bytes(), b"123");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "MSG_NOERROR")]
    pub const fn cut_to(self, bytes: usize) -> Request {
        Request {
            selection: self,
            limit: Limit::CutTo(bytes),
        }
    }
}

impl From<Selection> for Request {
    fn from(selection: Selection) -> Request {
        Request {
            selection,
            limit: Limit::None,
        }
    }
}

impl Request {
    /// `msgtyp` and `msgflg` of msgrcv(2).
    ///
    /// # Errors
    /// The type, if it is none: 0 and less would mean another selection.
    pub(super) fn encode(&self) -> Result<(i64, i32), i64> {
        let cut = match self.limit {
            Limit::CutTo(_) => MSG_NOERROR,
            Limit::None | Limit::UpTo(_) => 0,
        };
        match self.selection {
            Selection::Any => Ok((0, cut)),
            Selection::Exactly(kind) | Selection::AtMost(kind) | Selection::Except(kind) if kind < 1 => Err(kind),
            Selection::Exactly(kind) => Ok((kind, cut)),
            Selection::AtMost(kind) => Ok((-kind, cut)),
            Selection::Except(kind) => Ok((kind, cut | MSG_EXCEPT)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_the_arguments_of_msgrcv_or_are_refused() {
        let encode = |request: Request| request.encode();
        assert_eq!(encode(Selection::Any.into()), Ok((0, 0)));
        assert_eq!(encode(Selection::Exactly(i64::MAX).into()), Ok((i64::MAX, 0)));
        assert_eq!(encode(Selection::AtMost(i64::MAX).up_to(3)), Ok((-i64::MAX, 0)));
        assert_eq!(encode(Selection::Except(2).cut_to(3)), Ok((2, 0o30000)));
        for kind in [0, -1, i64::MIN] {
            for selection in [
                Selection::Exactly(kind),
                Selection::AtMost(kind),
                Selection::Except(kind),
            ] {
                assert_eq!(encode(selection.into()), Err(kind));
            }
        }
    }
}
