//! Looking at a facility as an operator does: everything in it, and who holds it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::backend::Backend;
use crate::handle::Handle;
use crate::{Errno, Id, Mechanism, Namespace, ObjectName, ReportError, Segment, Stat, kernel_proc};

/// A segment as an operator sees it.
///
/// ```
/// use sysv::{Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let segment = Segment::create(&namespace, Key::new(42), NewSegment::of_size(1 << 20))?;
/// segment.attach()?.write(0, &1u8)?;
/// let report = &namespace.report()?[0];
/// assert_eq!(report.stat.id, segment.id());
/// assert!(report.resident >= 4096 && report.resident < 1 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentReport {
    /// What [`Segment::stat`] says.
    pub stat: Stat,
    /// Bytes of the segment that take memory or swap.
    pub resident: u64,
    /// Who created it. None if the kernel did not keep that and no process with the creator's id is as old as the
    /// segment.
    pub creator: Option<Process>,
}

/// A process, as far as it can be told from here.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
/// let creator = namespace.report()?[0].creator.clone().unwrap();
/// println!("{} (pid {})", creator.command, creator.pid);
/// assert!(!creator.elsewhere);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Process id, as the process itself sees it.
    pub pid: u32,
    /// Inode number of the pid namespace that the id counts in; 0 if it is not known.
    pub pid_namespace: u32,
    /// Whether it is in another pid namespace, where the same id means another process.
    pub elsewhere: bool,
    /// The command's name (`/proc/<pid>/comm`), at most fifteen bytes of it.
    pub command: String,
}

/// One attachment of a segment, as an operator sees it.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
/// let memory = segment.attach_read_only()?;
/// let report = &segment.attachments()?[0];
/// assert_eq!(report.process.pid, std::process::id());
/// assert_eq!(report.address, memory.as_ptr().addr().get() as u64);
/// assert!(report.read_only);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachmentReport {
    /// Who has it.
    pub process: Process,
    /// Effective user of the process.
    pub user: u32,
    /// Address in that process.
    pub address: u64,
    /// Bytes from there on, in whole pages.
    pub length: u64,
    /// Whether it is for reading only.
    pub read_only: bool,
}

impl Namespace {
    /// Every segment, whatever its permissions. What only dead processes held is gone from it.
    ///
    /// # Errors
    /// [`ReportError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// for segment in namespace.report()? {
    ///     println!("{} {} {} bytes", segment.stat.id, segment.stat.key, segment.stat.size);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SHM_STAT_ANY")]
    pub fn report(&self) -> Result<Vec<SegmentReport>, ReportError> {
        match self.backend() {
            Backend::Kernel => kernel_proc::segments().map_err(|errno| self.report_error(None, errno)),
            Backend::Engine(engine) => {
                let own = own_pid_namespace();
                let mut reports = Vec::new();
                let listed = engine.segments(&mut |segment| {
                    let process = process(
                        segment.creator_pid,
                        segment.creator_pid_namespace,
                        segment.command(),
                        own,
                    );
                    reports.push(SegmentReport {
                        stat: Stat::new(segment.id, &segment.ds),
                        resident: segment.resident,
                        creator: Some(process),
                    });
                });
                listed.map_err(|errno| self.report_error(None, errno))?;
                Ok(reports)
            }
        }
    }

    pub(crate) fn report_error(&self, object: Option<(Mechanism, Id)>, errno: Errno) -> ReportError {
        let location = self.location();
        ReportError {
            location: location.clone(),
            object: object.map(|(mechanism, id)| ObjectName::by_id(mechanism, id, location)),
            errno,
        }
    }
}

impl Segment {
    /// Every attachment of the segment. On the kernel's facility, those of processes whose `/proc/<pid>/maps` this
    /// process may read.
    ///
    /// # Errors
    /// [`ReportError`], also if the segment does not exist.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// let memory = segment.attach()?;
    /// for attachment in segment.attachments()? {
    ///     println!("{} at {:#x}", attachment.process.command, attachment.address);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attachments(&self) -> Result<Vec<AttachmentReport>, ReportError> {
        let failed = |errno| {
            self.namespace()
                .report_error(Some((Mechanism::Segment, self.id())), errno)
        };
        match self.namespace().backend() {
            Backend::Kernel => {
                // The kernel keeps no list that it could refuse.
                if !self.exists() {
                    return Err(failed(Errno::EINVAL));
                }
                kernel_proc::attachments(self.id()).map_err(failed)
            }
            Backend::Engine(engine) => {
                let own = own_pid_namespace();
                let mut reports = Vec::new();
                let listed = engine.attachments(self.id().get(), &mut |attachment| {
                    let process = process(attachment.pid, attachment.pid_namespace, attachment.command(), own);
                    reports.push(AttachmentReport {
                        process,
                        user: attachment.uid,
                        address: attachment.address,
                        length: attachment.length,
                        read_only: attachment.read_only,
                    });
                });
                listed.map_err(failed)?;
                Ok(reports)
            }
        }
    }
}

pub(crate) fn process(pid: u32, namespace: u32, command: &[u8], own: u32) -> Process {
    Process {
        pid,
        pid_namespace: namespace,
        elsewhere: namespace != own,
        command: String::from_utf8_lossy(command).into_owned(),
    }
}

/// The inode number of this process's pid namespace, 0 if it cannot be told.
pub(crate) fn own_pid_namespace() -> u32 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino() as u32)
}
