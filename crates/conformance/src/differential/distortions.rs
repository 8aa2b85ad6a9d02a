//! Facilities that are wrong on purpose: the campaign must find each of them out.

#![allow(unsafe_code)]

use sysv_engine::abi::{PAGE_SIZE, SHM_DEST, SHM_RDONLY, ShmInfoLimits, ShmInfoUsage, ShmidDs};
use sysv_engine::{Errno, PermChange, Result, Segments, StatBy};

use super::campaign::{Campaign, Memory};
use super::case::Case;
use crate::subject::{Calls, Facility, Subject};
use crate::trial;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ExistingKeyIsInvalid,
    ChildrenDoNotCount,
    RemovalDoesNotShow,
    LastProcessIsTheCreator,
    DetachesAreNotTimed,
    SizesAreWholePages,
    NewMemoryIsDirty,
    AnyAddressDetaches,
    AttachedSegmentsStay,
    ReadersMayWrite,
    RemapsAreRefused,
    LocksAreForgotten,
    OwnersStay,
    ForbiddenIsInvalid,
}

/// The kernel with a fault.
struct Distorted {
    inner: Calls,
    fault: Fault,
}

impl Distorted {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn distort(&self, ds: &mut ShmidDs) {
        match self.fault {
            Fault::ChildrenDoNotCount => ds.nattch = ds.nattch.min(1),
            Fault::RemovalDoesNotShow => ds.perm.mode &= !SHM_DEST,
            Fault::LastProcessIsTheCreator if ds.lpid != 0 => ds.lpid = ds.cpid,
            Fault::DetachesAreNotTimed => ds.dtime = 0,
            Fault::SizesAreWholePages => ds.segsz = ds.segsz.next_multiple_of(PAGE_SIZE as u64),
            _ => {}
        }
    }
}

impl Segments for Distorted {
    fn shmget(&self, key: i32, size: usize, flags: i32) -> Result<i32> {
        match self.inner.shmget(key, size, flags) {
            Err(Errno::EEXIST) if self.has(Fault::ExistingKeyIsInvalid) => Err(Errno::EINVAL),
            result => result,
        }
    }

    unsafe fn shmat(&self, id: i32, addr: usize, mut flags: i32) -> Result<*mut u8> {
        if self.has(Fault::ReadersMayWrite) {
            flags &= !SHM_RDONLY;
        }
        if self.has(Fault::RemapsAreRefused) {
            flags &= !sysv_engine::abi::SHM_REMAP;
        }
        if self.has(Fault::ForbiddenIsInvalid) && self.inner.shm_stat(id, StatBy::Id) == Err(Errno::EACCES) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the caller's promise.
        let at = unsafe { self.inner.shmat(id, addr, flags) }?;
        if self.has(Fault::NewMemoryIsDirty) && flags & SHM_RDONLY == 0 {
            // SAFETY: the start of an attachment that was just made for reading and writing.
            unsafe { at.write_volatile(1) };
        }
        Ok(at)
    }

    unsafe fn shmdt(&self, mut addr: usize) -> Result<()> {
        if self.has(Fault::AnyAddressDetaches) {
            addr &= !(PAGE_SIZE - 1);
        }
        // SAFETY: the caller's promise.
        unsafe { self.inner.shmdt(addr) }
    }

    fn shm_stat(&self, id: i32, by: StatBy) -> Result<(i32, ShmidDs)> {
        let (id, mut ds) = self.inner.shm_stat(id, by)?;
        self.distort(&mut ds);
        Ok((id, ds))
    }

    fn shm_set(&self, id: i32, change: PermChange) -> Result<()> {
        if self.has(Fault::OwnersStay) {
            let (_, ds) = self.inner.shm_stat(id, StatBy::Id)?;
            return self.inner.shm_set(
                id,
                PermChange {
                    uid: ds.perm.uid,
                    ..change
                },
            );
        }
        self.inner.shm_set(id, change)
    }

    fn shm_remove(&self, id: i32) -> Result<()> {
        if self.has(Fault::AttachedSegmentsStay) && self.inner.shm_stat(id, StatBy::Id)?.1.nattch > 0 {
            return Ok(());
        }
        self.inner.shm_remove(id)
    }

    fn shm_lock(&self, id: i32, lock: bool) -> Result<()> {
        self.inner.shm_lock(id, lock && !self.has(Fault::LocksAreForgotten))
    }

    fn shm_limits(&self) -> Result<(i32, ShmInfoLimits)> {
        self.inner.shm_limits()
    }

    fn shm_usage(&self) -> Result<(i32, ShmInfoUsage)> {
        self.inner.shm_usage()
    }

    unsafe fn munmap(&self, addr: usize, len: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.inner.munmap(addr, len) }
    }
}

/// The smallest case that tells the kernel with a fault from the kernel without, if one is found.
fn smallest(fault: Option<Fault>) -> Option<Case> {
    let (mut reader, mut writer) = std::io::pipe().expect("pipe");
    trial::run_within(
        std::time::Duration::from_secs(300),
        Facility::Kernel,
        |subject: &Subject| {
            let campaign = Campaign::<Memory>::against_distorted(
                subject,
                fault.map(|fault| {
                    move |subjects: &mut [Subject; 2]| {
                        subjects[1].distort(|inner| Box::new(Distorted { inner, fault }));
                    }
                }),
            );
            if let Some(case) = campaign.smallest(1, 12) {
                std::io::Write::write_all(&mut writer, case.to_string().as_bytes()).expect("a pipe with room");
            }
        },
    );
    drop(writer);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).expect("text");
    (!text.is_empty()).then(|| text.parse().expect("a case"))
}

/// Asserts that the fault is found, and that no more than `steps` steps are left of the case.
fn is_found(fault: Fault, steps: usize) {
    let case = smallest(Some(fault)).unwrap_or_else(|| panic!("{fault:?} was not found"));
    assert!(case.0.len() <= steps, "{fault:?} was not shrunk enough:\n{case}");
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(smallest(None), None);
}

macro_rules! faults_are_found {
    ($($name:ident: $fault:ident in $steps:literal)*) => {$(
        #[test]
        fn $name() {
            is_found(Fault::$fault, $steps);
        }
    )*};
}

faults_are_found! {
    a_wrong_errno_is_found: ExistingKeyIsInvalid in 2
    a_count_without_children_is_found: ChildrenDoNotCount in 3
    a_missing_flag_is_found: RemovalDoesNotShow in 3
    a_wrong_process_is_found: LastProcessIsTheCreator in 4
    a_missing_time_is_found: DetachesAreNotTimed in 3
    a_wrong_size_is_found: SizesAreWholePages in 1
    memory_that_is_not_zero_is_found: NewMemoryIsDirty in 2
    a_detach_that_should_fail_is_found: AnyAddressDetaches in 3
    a_removal_that_does_nothing_is_found: AttachedSegmentsStay in 3
    a_missing_protection_is_found: ReadersMayWrite in 3
    a_flag_that_is_ignored_is_found: RemapsAreRefused in 2
    a_lock_that_is_not_taken_is_found: LocksAreForgotten in 2
}

#[test]
fn faults_that_only_several_users_see_are_found() {
    if crate::user::User::can_be_changed() {
        is_found(Fault::OwnersStay, 2);
        is_found(Fault::ForbiddenIsInvalid, 3);
    }
}
