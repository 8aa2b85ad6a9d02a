//! Identifiers: what the system calls an object by once it exists.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The number of one object in its namespace, until it is removed; then it fails instead of naming a successor.
///
/// ```
/// use sysv::{Id, Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1))?;
/// let told: Id = segment.id().to_string().parse()?;
/// assert_eq!(Segment::from_id(&namespace, told).stat()?.size, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "shmid")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(i32);

impl Id {
    /// The identifier with this number.
    ///
    /// ```
    /// assert_eq!(sysv::Id::new(16384).get(), 16384);
    /// ```
    pub const fn new(number: i32) -> Id {
        Id(number)
    }

    /// The identifier's number.
    ///
    /// ```
    /// assert_eq!(sysv::Id::new(3).get(), 3);
    /// ```
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Id {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Id, ParseIntError> {
        text.parse().map(Id)
    }
}
