//! The file system that carries a namespace.

use std::path::Path;

use rustix::fs::statvfs;
use sysv::AbandonedNamespace;

use super::Finding;
use super::facility::is_nearly;
use crate::wording;

/// What container runtimes give if nobody asks for more.
const SMALL: u64 = 64 << 20;

pub(super) fn check(directory: &Path) -> Vec<Finding> {
    let status = match statvfs(directory) {
        Ok(status) => status,
        Err(error) => {
            return vec![Finding::problem(
                "storage",
                format!("the file system cannot be asked: {error}"),
                "look at the directory's permissions",
            )];
        }
    };
    let block = status.f_frsize;
    let (size, free) = (
        status.f_blocks.saturating_mul(block),
        status.f_bavail.saturating_mul(block),
    );
    let used = size.saturating_sub(free);
    let room = format!("{} of {} are free", bytes(free), bytes(size));
    let remedy = "free some; in a container start it with more (docker run --shm-size=1g), elsewhere have root enlarge it \
                  (mount -o remount,size=2G /dev/shm)";
    // Without a bound of its own a tmpfs reports none.
    if size == 0 {
        return vec![Finding::good("storage", "its file system is bounded by memory alone")];
    }
    let finding = if is_nearly(used, size) {
        Finding::problem("storage", format!("its file system is nearly full: {room}"), remedy)
    } else if size <= SMALL {
        Finding::notice("storage", format!("its file system is small: {room}"), remedy)
    } else {
        Finding::good("storage", format!("its file system has room: {room}"))
    };
    let mut findings = vec![finding];
    if status.f_files > 0 && is_nearly(status.f_files - status.f_ffree.min(status.f_files), status.f_files) {
        findings.push(Finding::problem(
            "storage",
            "its file system has nearly no room for more files",
            "remove some, or have root mount it with more (nr_inodes)",
        ));
    }
    findings
}

/// Bytes in the largest unit that leaves a number.
fn bytes(count: u64) -> String {
    match count {
        0..0x400 => format!("{count} bytes"),
        0x400..0x10_0000 => format!("{} KiB", count >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", count >> 20),
        _ => format!("{} GiB", count >> 30),
    }
}

/// Namespaces of runs that were killed.
pub(super) fn abandoned() -> Vec<Finding> {
    match AbandonedNamespace::find() {
        Ok(found) if found.is_empty() => Vec::new(),
        Ok(found) => vec![Finding::notice(
            "abandoned",
            format!(
                "{} of killed runs with `sysv run --ephemeral`, as {}",
                wording::counted(found.len() as u64, "namespace", "namespaces"),
                found[0].directory().display()
            ),
            "sysv gc",
        )],
        Err(error) => vec![Finding::notice(
            "abandoned",
            format!("whether killed runs left namespaces cannot be seen: {error}"),
            "look at the permissions of /dev/shm",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_largest_unit() {
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(64 << 20), "64 MiB");
        assert_eq!(bytes(u64::MAX), "17179869183 GiB");
    }
}
