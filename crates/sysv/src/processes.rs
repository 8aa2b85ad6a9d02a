//! What `/proc` tells of processes: whether they live, what they are called, and what the kernel's own facility has to do
//! with them.

mod census;
mod mappings;
mod sleepers;
mod whereabouts;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(crate) use census::Census;
pub(crate) use mappings::mappings_of;
pub(crate) use sleepers::{Sleeps, sleepers_of};
pub use whereabouts::Whereabouts;

use crate::report::Process;
use crate::{Errno, kernel_proc};

/// A process of this one's IPC namespace that may be looked at.
pub(crate) struct Seen {
    pub(crate) pid: u32,
    pub(crate) path: PathBuf,
}

impl Seen {
    /// Its effective user.
    pub(crate) fn user(&self) -> u32 {
        fs::metadata(&self.path).map_or(u32::MAX, |meta| meta.uid())
    }

    pub(crate) fn process(&self) -> Option<Process> {
        living(self.pid)
    }
}

/// Every process of this one's IPC namespace that may be looked at, and how many others there are that may be in it, too.
pub(crate) fn seen() -> Result<(Vec<Seen>, usize), Errno> {
    let own = fs::read_link("/proc/self/ns/ipc").map_err(kernel_proc::errno)?;
    let (mut seen, mut unseen) = (Vec::new(), 0);
    for entry in fs::read_dir("/proc").map_err(kernel_proc::errno)?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let path = entry.path();
        match fs::read_link(path.join("ns/ipc")) {
            Ok(theirs) if theirs == own => seen.push(Seen { pid, path }),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => unseen += 1,
            // It is elsewhere, or has ended.
            Ok(_) | Err(_) => {}
        }
    }
    Ok((seen, unseen))
}

/// The living process with this id.
pub(crate) fn living(pid: u32) -> Option<Process> {
    Some(Process {
        pid,
        pid_namespace: 0,
        elsewhere: false,
        command: command(&Path::new("/proc").join(pid.to_string()))?,
    })
}

fn command(path: &Path) -> Option<String> {
    let command = fs::read(path.join("comm")).ok()?;
    Some(String::from_utf8_lossy(command.strip_suffix(b"\n").unwrap_or(&command)).into_owned())
}
