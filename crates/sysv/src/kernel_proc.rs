//! What `/proc` tells about the kernel's own segments, and the limits that are set there.
//!
//! Under `sysv run` the C library's `open` shows a namespace's values in the files that are about System V IPC. Those
//! are opened by system calls of our own.

use std::fs::File;
use std::io::{Read, Write};

use rustix::fs::{Mode, OFlags};
use sysv_engine::abi::{IpcPerm, ShmidDs};

use crate::processes::{self, Census};
use crate::report::{AttachmentReport, SegmentReport};
use crate::{Errno, Id, Stat};

/// The kernel's list of all segments, with process ids as the reader sees them.
const SEGMENTS: &str = "/proc/sysvipc/shm";

pub(crate) fn segments() -> Result<Vec<SegmentReport>, Errno> {
    let mut census = Census::new();
    let report = |(id, ds, resident): (i32, ShmidDs, u64)| {
        let stat = Stat::new(id, &ds);
        SegmentReport {
            stat,
            resident,
            creator: census.living(ds.cpid as u32, stat.changed_at),
        }
    };
    Ok(listed_segments()?.into_iter().map(report).collect())
}

/// Identifier, description, and bytes that take memory or swap, of each.
pub(crate) fn listed_segments() -> Result<Vec<(i32, ShmidDs, u64)>, Errno> {
    Ok(read(SEGMENTS)?.lines().skip(1).filter_map(segment).collect())
}

/// What stands in a limit's file under `/proc/sys/kernel`.
pub(crate) fn limit(name: &str) -> Result<String, Errno> {
    Ok(read(&format!("/proc/sys/kernel/{name}"))?.trim().to_owned())
}

/// Writes it. Only root can.
pub(crate) fn set_limit(name: &str, value: &str) -> Result<(), Errno> {
    let mut file = open(&format!("/proc/sys/kernel/{name}"), OFlags::WRONLY)?;
    file.write_all(value.as_bytes()).map_err(errno)
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
fn segment(line: &str) -> Option<(i32, ShmidDs, u64)> {
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
    Some((id, ds, resident.saturating_add(swapped)))
}

/// Every mapping of the segment in processes of this IPC namespace whose maps may be read.
pub(crate) fn attachments(id: Id) -> Result<Vec<AttachmentReport>, Errno> {
    let mut reports = Vec::new();
    for seen in processes::seen()?.0 {
        let mappings = processes::mappings_of(&seen);
        // Processes that end meanwhile hold nothing that can be told.
        if let Some(process) = seen.process() {
            reports.extend(
                mappings
                    .iter()
                    .filter(|mapping| mapping.id == id)
                    .map(|mapping| AttachmentReport {
                        process: process.clone(),
                        user: seen.user(),
                        address: mapping.start,
                        length: mapping.end - mapping.start,
                        read_only: mapping.read_only,
                    }),
            );
        }
    }
    reports.sort_by_key(|report| (report.process.pid, report.address));
    Ok(reports)
}

pub(crate) fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
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
}
