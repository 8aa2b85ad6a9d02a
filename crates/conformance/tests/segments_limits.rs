//! What there is not enough of: the limits, memory, and numbers that are too large.

use conformance::{Child, Subject, trial};
use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, PAGE_SIZE, SHM_NORESERVE, ShmInfoLimits};
use sysv_engine::{Errno, Segments};

conformance::on_each_facility! {
    a_size_that_no_address_can_have_is_einval,
    more_memory_than_there_is_is_enomem,
    without_reservation_more_memory_than_there_is_can_be_promised,
    the_largest_file_can_be_promised_without_reservation,
    a_size_beyond_shmmax_is_einval,
    shmmax_does_not_touch_what_exists,
    more_pages_than_shmall_are_enospc,
    more_segments_than_shmmni_are_enospc,
    a_bad_size_is_einval_even_where_nothing_more_can_be_created,
    a_full_namespace_still_opens_what_exists,
}

fn a_size_that_no_address_can_have_is_einval(subject: &Subject) {
    // Above the default SHMMAX, or negative as a file's length.
    for size in [usize::MAX, usize::MAX - (1 << 24) + 1, 1 << 63] {
        assert_eq!(
            subject.shmget(IPC_PRIVATE, size, IPC_CREAT | 0o600),
            Err(Errno::EINVAL),
            "size {size:#x}"
        );
        assert_eq!(
            subject.shmget(IPC_PRIVATE, size, IPC_CREAT | SHM_NORESERVE | 0o600),
            Err(Errno::EINVAL),
            "size {size:#x} without reservation"
        );
    }
}

fn more_memory_than_there_is_is_enomem(subject: &Subject) {
    for size in [1 << 46, 1 << 50, 1 << 62, (1 << 63) - 1] {
        assert_eq!(
            subject.shmget(IPC_PRIVATE, size, IPC_CREAT | 0o600),
            Err(Errno::ENOMEM),
            "size {size:#x}"
        );
    }
}

fn without_reservation_more_memory_than_there_is_can_be_promised(subject: &Subject) {
    let overcommit = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    if overcommit.trim() == "2" {
        return trial::skip("this machine never overcommits");
    }
    let id = subject
        .shmget(IPC_PRIVATE, 1 << 42, IPC_CREAT | SHM_NORESERVE | 0o600)
        .unwrap();
    let segment = subject.guard(id, IPC_PRIVATE);
    let attachment = segment.attach();
    attachment.store((1 << 42) - 1, 7);
    assert_eq!(attachment.load((1 << 42) - 1), 7);
    assert_eq!(attachment.load(1 << 41), 0);
}

fn the_largest_file_can_be_promised_without_reservation(subject: &Subject) {
    let overcommit = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    if overcommit.trim() == "2" {
        return trial::skip("this machine never overcommits");
    }
    for size in [1 << 50, 1 << 62, (1 << 63) - PAGE_SIZE, (1 << 63) - 1] {
        let made = subject.shmget(IPC_PRIVATE, size, IPC_CREAT | SHM_NORESERVE | 0o600);
        let segment = subject.guard(
            made.unwrap_or_else(|errno| panic!("size {size:#x}: {errno}")),
            IPC_PRIVATE,
        );
        assert_eq!(segment.stat().segsz, size as u64);
        assert_eq!(segment.try_attach(0).map(drop), Err(Errno::ENOMEM), "size {size:#x}");
    }
}

fn with_limits(subject: &Subject, change: impl FnOnce(&mut ShmInfoLimits)) -> bool {
    let mut limits = subject.shm_limits().unwrap().1;
    change(&mut limits);
    subject.set_limits(&limits)
}

fn a_size_beyond_shmmax_is_einval(subject: &Subject) {
    if with_limits(subject, |limits| limits.shmmax = 10_000) {
        assert_eq!(subject.shm_limits().unwrap().1.shmmax, 10_000);
        assert_eq!(
            subject.shmget(IPC_PRIVATE, 10_001, IPC_CREAT | 0o600),
            Err(Errno::EINVAL)
        );
        subject.segment(10_000);
        assert_eq!(
            Child::compute(|| subject.shmget(IPC_PRIVATE, 10_001, 0o600)),
            Err(Errno::EINVAL)
        );
    }
}

fn shmmax_does_not_touch_what_exists(subject: &Subject) {
    let segment = subject.keyed_segment(50_000, 0o600);
    if with_limits(subject, |limits| limits.shmmax = 10_000) {
        assert_eq!(subject.shmget(segment.key(), 50_000, IPC_CREAT), Ok(segment.id()));
        segment.attach().store(49_999, 1);
    }
}

fn more_pages_than_shmall_are_enospc(subject: &Subject) {
    if with_limits(subject, |limits| limits.shmall = 5) {
        let three = subject.segment(2 * PAGE_SIZE + 1);
        assert_eq!(
            subject.shmget(IPC_PRIVATE, 2 * PAGE_SIZE + 1, IPC_CREAT | 0o600),
            Err(Errno::ENOSPC)
        );
        let two = subject.segment(2 * PAGE_SIZE);
        assert_eq!(subject.shmget(IPC_PRIVATE, 1, IPC_CREAT | 0o600), Err(Errno::ENOSPC));
        // What is removed and still attached counts until it goes.
        let attachment = three.attach();
        three.remove();
        assert_eq!(subject.shmget(IPC_PRIVATE, 1, IPC_CREAT | 0o600), Err(Errno::ENOSPC));
        attachment.detach();
        subject.segment(3 * PAGE_SIZE);
        drop(two);
    }
}

fn more_segments_than_shmmni_are_enospc(subject: &Subject) {
    if with_limits(subject, |limits| limits.shmmni = 3) {
        let mut segments: Vec<_> = (0..3).map(|_| subject.segment(1)).collect();
        assert_eq!(subject.shmget(IPC_PRIVATE, 1, IPC_CREAT | 0o600), Err(Errno::ENOSPC));
        let attachment = segments[0].attach();
        segments[0].remove();
        assert_eq!(subject.shmget(IPC_PRIVATE, 1, IPC_CREAT | 0o600), Err(Errno::ENOSPC));
        attachment.detach();
        segments.push(subject.segment(1));
        assert_eq!(subject.shmget(subject.key(), 1, IPC_CREAT | 0o600), Err(Errno::ENOSPC));
    }
}

fn a_bad_size_is_einval_even_where_nothing_more_can_be_created(subject: &Subject) {
    let lower = |limits: &mut ShmInfoLimits| (limits.shmmni, limits.shmall, limits.shmmax) = (1, 1, 10_000);
    let segment = subject.keyed_segment(1, 0o600);
    if with_limits(subject, lower) {
        for size in [0, 10_001] {
            assert_eq!(subject.shmget(IPC_PRIVATE, size, IPC_CREAT | 0o600), Err(Errno::EINVAL));
        }
        assert_eq!(subject.shmget(subject.key(), 1, 0o600), Err(Errno::ENOENT));
        assert_eq!(
            subject.shmget(segment.key(), 1, IPC_CREAT | IPC_EXCL | 0o600),
            Err(Errno::EEXIST)
        );
    }
}

fn a_full_namespace_still_opens_what_exists(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    if with_limits(subject, |limits| limits.shmmni = 0) {
        assert_eq!(subject.shmget(segment.key(), 1, IPC_CREAT | 0o600), Ok(segment.id()));
        assert_eq!(subject.shmget(subject.key(), 1, IPC_CREAT | 0o600), Err(Errno::ENOSPC));
    }
}
