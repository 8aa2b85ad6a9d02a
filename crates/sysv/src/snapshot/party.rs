//! Who has to do with an object.

use std::fmt;
use std::time::Duration;

use crate::Process;

/// A process that has an object attached, waits for it, or will change it when it ends.
///
/// ```
/// use sysv::{Key, Mechanism, NewSegment, Role, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let segment = Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
/// let memory = segment.attach_read_only()?;
/// let party = namespace.snapshot(&[Mechanism::Segment])?.objects[0].parties[0].clone();
/// assert!(matches!(party.role, Role::Attached { read_only: true, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Party {
    /// Who.
    pub process: Process,
    /// Effective user of the process.
    pub user: u32,
    /// What it does with the object.
    pub role: Role,
    /// For how long it has been waiting, where that is known.
    pub waited: Option<Duration>,
}

/// What a process does with an object. Displays as the end of a sentence that begins with the process.
///
/// ```
/// let role = sysv::Role::WaitsForSemaphore { semaphore: Some(3), change: -1 };
/// assert_eq!(role.to_string(), "waits to take 1 from semaphore 3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Has a segment attached.
    Attached {
        /// Address in that process.
        address: u64,
        /// Bytes from there on, in whole pages.
        length: u64,
        /// Whether it is for reading only.
        read_only: bool,
    },
    /// Waits in semop(2).
    WaitsForSemaphore {
        /// The semaphore on which the first operation is that cannot be done; `None` if it cannot be told.
        semaphore: Option<u16>,
        /// What that operation adds; 0 waits for zero.
        change: i16,
    },
    /// Will change a semaphore when it ends (`SEM_UNDO`).
    Owes {
        /// Which.
        semaphore: u16,
        /// What is added to its value then.
        adjustment: i16,
    },
    /// Waits in msgsnd(2) for room.
    Sends {
        /// Bytes of its message.
        size: u64,
    },
    /// Waits in msgrcv(2) for a message.
    Receives {
        /// The type that it asks for: as msgrcv(2) has it, 0 for any, below 0 for the lowest up to that.
        kind: i64,
        /// Whether any type will do but that one (`MSG_EXCEPT`).
        except: bool,
    },
}

impl Role {
    /// Whether it waits.
    ///
    /// ```
    /// assert!(sysv::Role::Sends { size: 10 }.waits());
    /// ```
    pub fn waits(&self) -> bool {
        matches!(
            self,
            Role::WaitsForSemaphore { .. } | Role::Sends { .. } | Role::Receives { .. }
        )
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Role::Attached {
                address,
                length,
                read_only,
            } => {
                let how = if read_only { ", read-only" } else { "" };
                write!(f, "has {length} bytes attached at {address:#x}{how}")
            }
            Role::WaitsForSemaphore { semaphore: None, .. } => f.write_str("waits for a semaphore"),
            Role::WaitsForSemaphore {
                semaphore: Some(number),
                change: 0,
            } => write!(f, "waits until semaphore {number} is zero"),
            Role::WaitsForSemaphore {
                semaphore: Some(number),
                change,
            } => write!(f, "waits to take {} from semaphore {number}", change.unsigned_abs()),
            Role::Owes { semaphore, adjustment } => {
                write!(f, "will add {adjustment} to semaphore {semaphore} when it ends")
            }
            Role::Sends { size } => write!(f, "waits to send {size} bytes"),
            Role::Receives { kind: 0, .. } => f.write_str("waits for any message"),
            Role::Receives { kind, except: true } => write!(f, "waits for a message of another type than {kind}"),
            Role::Receives { kind, .. } if kind < 0 => {
                write!(f, "waits for a message of a type up to {}", kind.unsigned_abs())
            }
            Role::Receives { kind, .. } => write!(f, "waits for a message of type {kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_as_the_end_of_a_sentence() {
        let receives = |kind, except| Role::Receives { kind, except }.to_string();
        assert_eq!(receives(0, false), "waits for any message");
        assert_eq!(receives(7, false), "waits for a message of type 7");
        assert_eq!(receives(7, true), "waits for a message of another type than 7");
        assert_eq!(
            receives(i64::MIN, false),
            "waits for a message of a type up to 9223372036854775808"
        );
        let waits = |semaphore, change| Role::WaitsForSemaphore { semaphore, change }.to_string();
        assert_eq!(waits(Some(2), 0), "waits until semaphore 2 is zero");
        assert_eq!(waits(Some(2), i16::MIN), "waits to take 32768 from semaphore 2");
        assert_eq!(waits(None, 0), "waits for a semaphore");
    }
}
