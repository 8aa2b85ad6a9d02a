//! Which message a receiver wants.

use crate::abi::{IPC_NOWAIT, MSG_COPY, MSG_EXCEPT};
use crate::errno::{Errno, Result};

/// Which message a receiver wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The first.
    Any,
    /// The first of this type.
    Exactly(i64),
    /// The first of the lowest type, if that is not above this.
    AtMost(i64),
    /// The first of any other type.
    Except(i64),
    /// The one at this position, to be copied.
    Position(i64),
}

/// [`Waiter::mode`](super::layout::Waiter::mode) of a sender; selections follow.
pub(crate) const SENDER: u32 = 0;

impl Selection {
    /// What the arguments of `msgrcv` mean.
    ///
    /// # Errors
    /// `EINVAL`: "MSG_COPY was specified in msgflg, but IPC_NOWAIT was not", or with `MSG_EXCEPT`.
    pub(crate) fn decode(kind: i64, flags: i32) -> Result<Selection> {
        if flags & MSG_COPY != 0 {
            return if flags & MSG_EXCEPT != 0 || flags & IPC_NOWAIT == 0 {
                Err(Errno::EINVAL)
            } else {
                Ok(Selection::Position(kind))
            };
        }
        Ok(match kind {
            0 => Selection::Any,
            // The most negative number has no positive counterpart: no type is above the bound.
            ..0 => Selection::AtMost(kind.checked_neg().unwrap_or(i64::MAX)),
            _ if flags & MSG_EXCEPT != 0 => Selection::Except(kind),
            _ => Selection::Exactly(kind),
        })
    }

    /// Whether a message of this type may be given to one who waits.
    pub(crate) fn admits(self, kind: i64) -> bool {
        match self {
            Selection::Any => true,
            Selection::Exactly(wanted) => kind == wanted,
            Selection::AtMost(bound) => kind <= bound,
            Selection::Except(unwanted) => kind != unwanted,
            // Nobody waits for a position.
            Selection::Position(_) => false,
        }
    }

    /// Whether the first message that is admitted is the one, whatever comes after it.
    #[inline(always)]
    pub(crate) fn is_of_the_first(self) -> bool {
        !matches!(self, Selection::AtMost(_) | Selection::Position(_))
    }

    /// As two words of a waiter record.
    pub(crate) fn words(self) -> (u32, i64) {
        match self {
            Selection::Any => (1, 0),
            Selection::Exactly(kind) => (2, kind),
            Selection::AtMost(bound) => (3, bound),
            Selection::Except(kind) => (4, kind),
            Selection::Position(position) => (5, position),
        }
    }

    /// What two words of a waiter record say; `None` for a sender's, and for what nobody honest writes.
    pub(crate) fn from_words(mode: u32, kind: i64) -> Option<Selection> {
        match mode {
            1 => Some(Selection::Any),
            2 => Some(Selection::Exactly(kind)),
            3 => Some(Selection::AtMost(kind)),
            4 => Some(Selection::Except(kind)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_mean_what_linux_takes_them_for() {
        let decode = Selection::decode;
        assert_eq!(decode(0, 0), Ok(Selection::Any));
        assert_eq!(decode(0, MSG_EXCEPT), Ok(Selection::Any));
        assert_eq!(decode(7, 0), Ok(Selection::Exactly(7)));
        assert_eq!(decode(7, MSG_EXCEPT), Ok(Selection::Except(7)));
        assert_eq!(decode(-7, MSG_EXCEPT), Ok(Selection::AtMost(7)));
        assert_eq!(decode(i64::MIN, 0), Ok(Selection::AtMost(i64::MAX)));
        assert_eq!(decode(-1, MSG_COPY | IPC_NOWAIT), Ok(Selection::Position(-1)));
        assert_eq!(decode(1, MSG_COPY), Err(Errno::EINVAL));
        assert_eq!(decode(1, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT), Err(Errno::EINVAL));
    }

    #[test]
    fn a_selection_comes_back_from_its_words() {
        for selection in [
            Selection::Any,
            Selection::Exactly(3),
            Selection::AtMost(9),
            Selection::Except(4),
        ] {
            let (mode, kind) = selection.words();
            assert_eq!(Selection::from_words(mode, kind), Some(selection));
        }
        assert_eq!(Selection::from_words(SENDER, 1), None);
    }
}
