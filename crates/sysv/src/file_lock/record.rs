//! Record locks of an open file description: fcntl(2) with `F_OFD_SETLK` and `F_OFD_SETLKW`.

#![allow(unsafe_code)]

use std::fs::File;
use std::ops::{Bound, RangeBounds};
use std::os::fd::AsRawFd;

use crate::{Errno, LockKind};

/// Bytes of a file, as the system counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    start: i64,
    /// 0 for all that follow, however many there will be.
    length: i64,
}

impl Record {
    /// The bytes of a range; none if there are none, or if they begin beyond the largest offset of a file.
    pub(super) fn of(range: &impl RangeBounds<u64>) -> Option<Record> {
        let start = match range.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(&start) => i64::try_from(start).ok()?,
            Bound::Excluded(&before) => i64::try_from(before.checked_add(1)?).ok()?,
        };
        let end = match range.end_bound() {
            Bound::Unbounded => None,
            Bound::Included(&last) => last.checked_add(1),
            Bound::Excluded(&end) => Some(end),
        };
        // What ends beyond the largest offset ends nowhere.
        let Some(end) = end.and_then(|end| i64::try_from(end).ok()) else {
            return Some(Record { start, length: 0 });
        };
        let length = end.checked_sub(start).filter(|&length| length > 0)?;
        Some(Record { start, length })
    }

    /// Takes the lock; waits for it if `wait` says so.
    pub(super) fn lock(self, file: &File, kind: LockKind, wait: bool) -> Result<(), Errno> {
        let how = match kind {
            LockKind::Shared => libc::F_RDLCK,
            LockKind::Exclusive => libc::F_WRLCK,
        };
        self.set(file, how, wait)
    }

    pub(super) fn unlock(self, file: &File) -> Result<(), Errno> {
        self.set(file, libc::F_UNLCK, false)
    }

    fn set(self, file: &File, how: libc::c_int, wait: bool) -> Result<(), Errno> {
        let command = if wait { libc::F_OFD_SETLKW } else { libc::F_OFD_SETLK };
        let record = libc::flock {
            l_type: how as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: self.start,
            l_len: self.length,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open as long as `file` lives, and these commands only read `record`.
        match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const record) } {
            -1 => Err(std::io::Error::last_os_error()
                .raw_os_error()
                .map_or(Errno::EIO, Errno::from_raw)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "what must be refused")]
    fn ranges_become_records() {
        let record = |start, length| Some(Record { start, length });
        assert_eq!(Record::of(&..), record(0, 0));
        assert_eq!(Record::of(&(5..)), record(5, 0));
        assert_eq!(Record::of(&(5..8)), record(5, 3));
        assert_eq!(Record::of(&(5..=8)), record(5, 4));
        assert_eq!(Record::of(&(..1)), record(0, 1));
        assert_eq!(Record::of(&(Bound::Excluded(4), Bound::Unbounded)), record(5, 0));
        assert_eq!(Record::of(&(7..=u64::MAX)), record(7, 0));
        assert_eq!(Record::of(&(7..1 << 63)), record(7, 0));
        let most = i64::MAX as u64;
        assert_eq!(Record::of(&(most - 1..most)), record(i64::MAX - 1, 1));
        for range in [5..5, 8..5, 0..0] {
            assert_eq!(Record::of(&range), None);
        }
        assert_eq!(Record::of(&(1 << 63..)), None);
        assert_eq!(Record::of(&(Bound::Excluded(u64::MAX), Bound::Unbounded)), None);
    }
}
