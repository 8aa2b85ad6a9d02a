//! Where a process is: which id it has here, which pid namespace, which container.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::report::Process;

/// Where a process is, as far as it can be told.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
/// let memory = segment.attach()?;
/// let whereabouts = segment.attachments()?[0].process.whereabouts();
/// assert_eq!(whereabouts.pid_here, Some(std::process::id()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Whereabouts {
    /// The id that it has in the reader's pid namespace; `None` if that cannot see it, or if it has ended.
    pub pid_here: Option<u32>,
    /// Inode number of its pid namespace (`/proc/<pid>/ns/pid`).
    pub pid_namespace: Option<u32>,
    /// The container that its control group names, where one of the usual runtimes made it.
    pub container: Option<String>,
}

impl Process {
    /// Where it is. This looks through `/proc` for a process that is in another pid namespace.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// # let memory = segment.attach()?;
    /// for attachment in segment.attachments()? {
    ///     if let Some(container) = attachment.process.whereabouts().container {
    ///         println!("{} is in container {container}", attachment.process.pid);
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn whereabouts(&self) -> Whereabouts {
        let pid_here = if self.elsewhere {
            find(self.pid, self.pid_namespace)
        } else {
            Some(self.pid)
        };
        let path = pid_here.map(|pid| Path::new("/proc").join(pid.to_string()));
        let known = (self.pid_namespace != 0).then_some(self.pid_namespace);
        let container = |path: &Path| container(&fs::read_to_string(path.join("cgroup")).ok()?);
        Whereabouts {
            pid_here,
            pid_namespace: known.or_else(|| pid_namespace(path.as_deref()?)),
            container: path.and_then(|path| container(&path)),
        }
    }
}

fn pid_namespace(path: &Path) -> Option<u32> {
    Some(fs::metadata(path.join("ns/pid")).ok()?.ino() as u32)
}

/// The process that has this id in another pid namespace.
fn find(pid: u32, namespace: u32) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let here = entry.file_name().to_str()?.parse().ok()?;
        let path = entry.path();
        let there = innermost_pid(&fs::read_to_string(path.join("status")).ok()?)?;
        (there == pid && pid_namespace(&path)? == namespace).then_some(here)
    })
}

/// The id that a process has for itself, from `/proc/<pid>/status`.
fn innermost_pid(status: &str) -> Option<u32> {
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    pids.split_ascii_whitespace().last()?.parse().ok()
}

/// The first twelve digits of the container's name that stands in a control group's path, as runtimes print it.
fn container(cgroup: &str) -> Option<String> {
    const DIGITS: usize = 64;
    cgroup.split(['/', '-', '.', ':', '\n']).find_map(|word| {
        let named = word.len() == DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        named.then(|| word[..12].to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_by_its_control_group() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("12:memory:/docker/{id}\n0::/\n"),
            format!("0::/kubepods.slice/kubepods-pod12.slice/cri-containerd-{id}.scope\n"),
            format!("0::/machine.slice/libpod-{id}.scope/container\n"),
        ] {
            assert_eq!(container(&path).as_deref(), Some("0123456789ab"), "{path}");
        }
        assert_eq!(container("0::/user.slice/user-0.slice/session-1.scope\n"), None);
        assert_eq!(container(""), None);
    }

    #[test]
    fn the_innermost_id_is_the_last() {
        assert_eq!(innermost_pid("Name:\tx\nNSpid:\t4711\t12\t1\nNSsid:\t0\n"), Some(1));
        assert_eq!(innermost_pid("Name:\tx\n"), None);
    }
}
