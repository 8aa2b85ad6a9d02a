//! What shmget(2) is asked for: an existing segment, a new one, or either.

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, SHM_HUGETLB, SHM_NORESERVE};

use crate::Mode;

/// Which segment [`Segment::get`](crate::Segment::get) should come by.
///
/// ```
/// use sysv::{Intent, Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// // Whoever comes first creates it.
/// let intent = Intent::OpenOrCreate(NewSegment::of_size(4096));
/// let one = Segment::get(&namespace, Key::new(42), intent)?;
/// let two = Segment::get(&namespace, Key::new(42), intent)?;
/// assert_eq!(one.id(), two.id());
///
/// // Existing, and of this size at least.
/// assert!(Segment::get(&namespace, Key::new(42), Intent::Open { at_least: 4097 }).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Intent {
    /// One that exists. With [`Key::PRIVATE`](crate::Key::PRIVATE), which never names an existing one, it makes a
    /// new segment of this size that nobody may use, as shmget(2) does.
    Open {
        /// Bytes that it must have at least.
        at_least: usize,
    },
    /// A new one; it is an error if the key is taken.
    #[doc(alias = "IPC_EXCL")]
    Create(NewSegment),
    /// The one that exists, which must be at least as large, or else a new one.
    #[doc(alias = "IPC_CREAT")]
    OpenOrCreate(NewSegment),
}

impl Intent {
    /// The size and the flags of shmget(2).
    pub(crate) fn arguments(&self) -> (usize, i32) {
        match self {
            Intent::Open { at_least } => (*at_least, 0),
            Intent::Create(new) => (new.size, IPC_CREAT | IPC_EXCL | new.flags()),
            Intent::OpenOrCreate(new) => (new.size, IPC_CREAT | new.flags()),
        }
    }

    /// Bytes that are asked for.
    pub(crate) fn size(&self) -> usize {
        self.arguments().0
    }

    /// Whether huge pages are asked for.
    pub(crate) fn huge_pages(&self) -> bool {
        self.arguments().1 & SHM_HUGETLB != 0
    }
}

/// What a new segment is like: its size and mode and where its memory comes from.
///
/// ```
/// use sysv::{Key, Mode, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let new = NewSegment::of_size(1 << 20).mode(Mode::new(0o640));
/// let segment = Segment::create(&namespace, Key::PRIVATE, new)?;
/// assert_eq!(segment.stat()?.permissions.mode, Mode::new(0o640));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSegment {
    size: usize,
    mode: Mode,
    huge_pages: bool,
    reserve: bool,
}

impl NewSegment {
    /// One of so many bytes, at least one, which only its owner may use.
    ///
    /// ```
    /// use sysv::NewSegment;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, NewSegment::of_size(100))?;
    /// assert_eq!(segment.stat()?.size, 100); // Not rounded to pages.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn of_size(size: usize) -> NewSegment {
        NewSegment {
            size,
            mode: Mode::OWNER,
            huge_pages: false,
            reserve: true,
        }
    }

    /// With this mode, to which no umask applies.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let new = sysv::NewSegment::of_size(100).mode(sysv::Mode::new(0o666));
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// # assert_eq!(segment.stat()?.permissions.mode.bits(), 0o666);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn mode(self, mode: Mode) -> NewSegment {
        NewSegment { mode, ..self }
    }

    /// With memory in huge pages, or not at all.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// use sysv::{GetError, Key, NewSegment, Segment};
    ///
    /// match Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(2 << 20).huge_pages()) {
    ///     Ok(_) => println!("got them"),
    ///     Err(error @ GetError::HugePages { .. }) => eprintln!("{error}"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SHM_HUGETLB")]
    pub const fn huge_pages(self) -> NewSegment {
        NewSegment {
            huge_pages: true,
            ..self
        }
    }

    /// Without a promise that memory will be there when the segment's bytes are touched.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// use sysv::{Key, NewSegment, Segment};
    ///
    /// let sparse = NewSegment::of_size(1 << 30).no_reserve();
    /// Segment::create(&namespace, Key::PRIVATE, sparse)?.attach()?.write(1 << 29, &1u8)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SHM_NORESERVE")]
    pub const fn no_reserve(self) -> NewSegment {
        NewSegment { reserve: false, ..self }
    }

    fn flags(&self) -> i32 {
        let huge_pages = if self.huge_pages { SHM_HUGETLB } else { 0 };
        let no_reserve = if self.reserve { 0 } else { SHM_NORESERVE };
        self.mode.bits() as i32 | huge_pages | no_reserve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intents_become_the_flags_of_shmget() {
        let new = NewSegment::of_size(7).mode(Mode::new(0o641));
        assert_eq!(Intent::Open { at_least: 9 }.arguments(), (9, 0));
        assert_eq!(Intent::Create(new).arguments(), (7, 0o3641));
        assert_eq!(Intent::OpenOrCreate(new.huge_pages()).arguments(), (7, 0o5641));
        assert_eq!(Intent::OpenOrCreate(new.no_reserve()).arguments(), (7, 0o11641));
    }
}
