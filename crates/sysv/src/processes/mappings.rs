//! Which of the kernel's segments a process has mapped.

use std::fs;

use super::Seen;
use crate::Id;

/// A mapping of one of the kernel's segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) read_only: bool,
    pub(crate) id: Id,
}

/// All of them in a process; none if its maps may not be read.
pub(crate) fn mappings_of(process: &Seen) -> Vec<Mapping> {
    // Names of files need not be text.
    let maps = fs::read(process.path.join("maps")).unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps);
    maps.lines().filter_map(mapping).collect()
}

/// A line of `/proc/<pid>/maps`, if it is a segment's: `start-end rw-s offset device inode /SYSVkey (deleted)`, where the
/// inode's number is the segment's identifier.
fn mapping(line: &str) -> Option<Mapping> {
    if !line.ends_with("(deleted)") {
        return None;
    }
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let protection = words.next()?;
    let inode = words.nth(2)?;
    let name = words.next()?.strip_prefix("/SYSV")?;
    if name.len() != 8 || words.next() != Some("(deleted)") || !protection.ends_with('s') {
        return None;
    }
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    (start <= end).then_some(())?;
    Some(Mapping {
        start,
        end,
        read_only: !protection.contains('w'),
        id: inode.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_mappings_are_no_segments() {
        let line = "7f0000000000-7f0000002000 rw-s 00000000 00:01 65538                      /SYSV0000002a (deleted)";
        let expected = Mapping {
            start: 0x7f00_0000_0000,
            end: 0x7f00_0000_2000,
            read_only: false,
            id: Id::new(65538),
        };
        assert_eq!(mapping(line), Some(expected));
        for other in [
            "7f0000000000-7f0000002000 rw-s 00000000 00:01 65538 /SYSV0000002a",
            "7f0000000000-7f0000002000 rw-p 00000000 00:01 65538 /SYSV0000002a (deleted)",
            "7f0000000000-7f0000002000 rw-s 00000000 00:01 65538 /dev/zero (deleted)",
            "7f0000000000-7f0000002000 rw-p 00000000 00:00 0",
            "7f0000002000-7f0000000000 rw-s 00000000 00:01 65538 /SYSV0000002a (deleted)",
            "",
        ] {
            assert_eq!(mapping(other), None, "{other}");
        }
    }
}
