//! What `/proc` tells about the kernel's own segments, and the limits that are set there.
//!
//! Under `sysv run` the C library's `open` shows a namespace's values in the files that are about System V IPC. Those
//! are opened by system calls of our own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use sysv_engine::abi::{IpcPerm, ShmidDs};

use crate::report::{AttachmentReport, Process, SegmentReport};
use crate::{Errno, Id, Stat};

/// The kernel's list of all segments, with process ids as the reader sees them.
const SEGMENTS: &str = "/proc/sysvipc/shm";

pub(crate) fn segments() -> Result<Vec<SegmentReport>, Errno> {
    let text = read(SEGMENTS)?;
    let boot = boot_time();
    Ok(text.lines().skip(1).filter_map(|line| segment(line, boot)).collect())
}

/// The value of a limit under `/proc/sys/kernel`.
pub(crate) fn limit(name: &str) -> Result<u64, Errno> {
    read(&format!("/proc/sys/kernel/{name}"))?
        .trim()
        .parse()
        .map_err(|_| Errno::EIO)
}

/// Sets it. Only root can.
pub(crate) fn set_limit(name: &str, value: u64) -> Result<(), Errno> {
    let mut file = open(&format!("/proc/sys/kernel/{name}"), OFlags::WRONLY)?;
    file.write_all(value.to_string().as_bytes()).map_err(errno)
}

fn read(path: &str) -> Result<String, Errno> {
    let mut text = String::new();
    open(path, OFlags::RDONLY)?.read_to_string(&mut text).map_err(errno)?;
    Ok(text)
}

fn open(path: &str, flags: OFlags) -> Result<File, Errno> {
    let file = rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    file.map(File::from).map_err(|e| Errno::from_raw(e.raw_os_error()))
}

/// One line: `key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap`.
fn segment(line: &str, boot: Option<i64>) -> Option<SegmentReport> {
    let mut words = line.split_ascii_whitespace();
    let mut number = || words.next()?.parse::<i64>().ok();
    let (key, id) = (number()? as i32, number()? as i32);
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let segsz = words.next()?.parse().ok()?;
    let mut number = || words.next()?.parse::<i64>().ok();
    let (cpid, lpid, nattch) = (number()? as i32, number()? as i32, number()? as u64);
    let (uid, gid, cuid, cgid) = (number()? as u32, number()? as u32, number()? as u32, number()? as u32);
    let (atime, dtime, ctime) = (number()?, number()?, number()?);
    let (resident, swapped) = (number()? as u64, number()? as u64);
    let perm = IpcPerm {
        key,
        uid,
        gid,
        cuid,
        cgid,
        mode,
        ..IpcPerm::default()
    };
    let ds = ShmidDs {
        perm,
        segsz,
        atime,
        dtime,
        ctime,
        cpid,
        lpid,
        nattch,
        ..ShmidDs::default()
    };
    let creator = process(cpid as u32).filter(|_| boot.is_some_and(|boot| started(cpid, boot) <= Some(ctime)));
    Some(SegmentReport {
        stat: Stat::new(id, &ds),
        resident: resident.saturating_add(swapped),
        creator,
    })
}

/// The living process with this id.
fn process(pid: u32) -> Option<Process> {
    let command = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let command = String::from_utf8_lossy(command.strip_suffix(b"\n").unwrap_or(&command)).into_owned();
    Some(Process {
        pid,
        elsewhere: false,
        command,
    })
}

/// Clock ticks in a second, as `/proc` counts them on every Linux.
const TICKS: i64 = 100;

/// When a process began, in seconds since the Epoch: one that is younger than a segment did not create it.
fn started(pid: i32, boot: i64) -> Option<i64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name, in parentheses, may contain anything. The start is the twentieth word behind it.
    let ticks: i64 = stat
        .rsplit_once(')')?
        .1
        .split_ascii_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    Some(boot + ticks / TICKS)
}

/// When the system was started, in seconds since the Epoch.
fn boot_time() -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

/// Every mapping of the segment in processes of this IPC namespace whose maps may be read.
pub(crate) fn attachments(id: Id) -> Result<Vec<AttachmentReport>, Errno> {
    let own = fs::read_link("/proc/self/ns/ipc").map_err(errno)?;
    let mut reports = Vec::new();
    for entry in fs::read_dir("/proc").map_err(errno)?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let path = entry.path();
        // Processes that end meanwhile or are not ours to read hold nothing that can be told.
        if fs::read_link(path.join("ns/ipc")).is_ok_and(|theirs| theirs == own) {
            reports.extend(attachments_of(pid, &path, id).unwrap_or_default());
        }
    }
    reports.sort_by_key(|report| (report.process.pid, report.address));
    Ok(reports)
}

fn attachments_of(pid: u32, path: &Path, id: Id) -> Option<Vec<AttachmentReport>> {
    let maps = fs::read_to_string(path.join("maps")).ok()?;
    let mappings: Vec<Mapping> = maps.lines().filter_map(mapping).filter(|m| m.id == id).collect();
    if mappings.is_empty() {
        return None;
    }
    let (process, user) = (process(pid)?, fs::metadata(path).ok()?.uid());
    let report = |m: Mapping| AttachmentReport {
        process: process.clone(),
        user,
        address: m.start,
        length: m.end - m.start,
        read_only: m.read_only,
    };
    Some(mappings.into_iter().map(report).collect())
}

#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    read_only: bool,
    id: Id,
}

/// A line of `/proc/<pid>/maps`, if it is a segment's: `start-end rw-s offset device inode /SYSVkey (deleted)`, where the
/// inode's number is the segment's identifier.
fn mapping(line: &str) -> Option<Mapping> {
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

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Namespace, NewSegment, Segment};

    #[test]
    fn a_segment_of_the_kernel_is_listed_as_stat_describes_it() {
        let kernel = Namespace::kernel();
        let segment = Segment::create(&kernel, Key::PRIVATE, NewSegment::of_size(12345))
            .unwrap()
            .into_temporary();
        let memory = segment.attach().unwrap();
        memory.fill(0..12345, 1).unwrap();

        let reports = kernel.report().unwrap();
        let report = reports.iter().find(|r| r.stat.id == segment.id()).unwrap();
        assert_eq!(report.stat, segment.stat().unwrap());
        assert_eq!(report.resident, 4 * 4096);
        assert_eq!(report.creator.as_ref().unwrap().pid, std::process::id());
    }

    #[test]
    fn attachments_to_a_segment_of_the_kernel_are_found_in_maps() {
        let kernel = Namespace::kernel();
        let segment = Segment::create(&kernel, Key::PRIVATE, NewSegment::of_size(5000))
            .unwrap()
            .into_temporary();
        let one = segment.attach().unwrap();
        let two = segment.attach_read_only().unwrap();

        let mut found = segment.attachments().unwrap();
        found.sort_by_key(|a| a.read_only);
        let addresses: Vec<u64> = found.iter().map(|a| a.address).collect();
        assert_eq!(addresses, [one.as_ptr(), two.as_ptr()].map(|p| p.addr().get() as u64));
        assert!(
            found
                .iter()
                .all(|a| a.length == 8192 && a.process.pid == std::process::id())
        );
        assert_eq!(found.iter().map(|a| a.read_only).collect::<Vec<_>>(), [false, true]);
    }

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
