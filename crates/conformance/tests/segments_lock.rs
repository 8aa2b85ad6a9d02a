//! `SHM_LOCK` and `SHM_UNLOCK`.

use conformance::{Child, Subject, User, clock};
use sysv_engine::abi::{PAGE_SIZE, SHM_LOCKED};
use sysv_engine::{Errno, Segments};

conformance::on_each_facility! {
    locking_shows_in_the_mode,
    locking_twice_is_one_lock,
    unlocking_what_is_not_locked_is_nothing,
    locking_leaves_times_alone,
    locking_what_does_not_exist_is_einval,
    a_locked_segment_works_as_any_other,
    locking_survives_the_process_that_did_it,
}

conformance::on_the_kernel_and_beyond_the_shared_engine! {
    the_limit_is_for_all_segments_of_a_user_together,
}

conformance::on_each_facility_unprivileged! {
    the_owner_may_lock_within_its_limit,
    the_owner_may_not_lock_beyond_its_limit,
    the_owner_may_not_lock_at_all_with_a_limit_of_zero,
    the_owner_may_unlock_whatever_its_limit,
    the_owner_may_lock_again_what_is_beyond_its_limit,
}

fn locking_shows_in_the_mode(subject: &Subject) {
    let segment = subject.segment_with_mode(PAGE_SIZE, 0o640);
    assert_eq!(subject.shm_lock(segment.id(), true), Ok(()));
    assert_eq!(segment.stat().perm.mode, SHM_LOCKED | 0o640);
    assert_eq!(Child::compute(|| segment.stat().perm.mode), SHM_LOCKED | 0o640);
    assert_eq!(subject.shm_lock(segment.id(), false), Ok(()));
    assert_eq!(segment.stat().perm.mode, 0o640);
}

fn locking_twice_is_one_lock(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    for _ in 0..3 {
        assert_eq!(subject.shm_lock(segment.id(), true), Ok(()));
    }
    assert_eq!(subject.shm_lock(segment.id(), false), Ok(()));
    assert_eq!(segment.stat().perm.mode, 0o600);
}

fn unlocking_what_is_not_locked_is_nothing(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let before = segment.stat();
    assert_eq!(subject.shm_lock(segment.id(), false), Ok(()));
    assert_eq!(segment.stat(), before);
}

fn locking_leaves_times_alone(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let before = segment.stat();
    clock::next_second();
    subject.shm_lock(segment.id(), true).unwrap();
    subject.shm_lock(segment.id(), false).unwrap();
    assert_eq!(segment.stat(), before);
}

fn locking_what_does_not_exist_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    segment.remove();
    for id in [-1, i32::MAX, segment.id()] {
        for lock in [true, false] {
            assert_eq!(subject.shm_lock(id, lock), Err(Errno::EINVAL));
        }
    }
}

fn a_locked_segment_works_as_any_other(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachment = segment.attach();
    attachment.write("before");
    subject.shm_lock(segment.id(), true).unwrap();
    assert!(attachment.reads("before"));
    attachment.store(PAGE_SIZE, 3);
    assert_eq!(Child::compute(|| segment.attach().load(PAGE_SIZE)), 3);
    segment.remove();
    attachment.detach();
    segment.assert_gone();
}

fn locking_survives_the_process_that_did_it(subject: &Subject) {
    let segment = subject.segment(1);
    Child::compute(|| subject.shm_lock(segment.id(), true)).unwrap();
    assert_eq!(segment.stat().perm.mode, SHM_LOCKED | 0o600);
}

fn the_owner_may_lock_within_its_limit(subject: &Subject) {
    let segment = subject.segment(4 * PAGE_SIZE);
    Child::compute(|| {
        conformance::user::limit_locked_memory(64 * PAGE_SIZE);
        assert_eq!(subject.shm_lock(segment.id(), true), Ok(()));
        assert_eq!(segment.stat().perm.mode, SHM_LOCKED | 0o600);
        assert_eq!(subject.shm_lock(segment.id(), false), Ok(()));
    });
}

fn the_owner_may_not_lock_beyond_its_limit(subject: &Subject) {
    let segment = subject.segment(65 * PAGE_SIZE);
    Child::compute(|| {
        conformance::user::limit_locked_memory(64 * PAGE_SIZE);
        assert_eq!(subject.shm_lock(segment.id(), true), Err(Errno::ENOMEM));
        assert_eq!(segment.stat().perm.mode, 0o600);
    });
}

fn the_owner_may_not_lock_at_all_with_a_limit_of_zero(subject: &Subject) {
    let segment = subject.segment(1);
    Child::compute(|| {
        conformance::user::limit_locked_memory(0);
        assert_eq!(subject.shm_lock(segment.id(), true), Err(Errno::EPERM));
        assert_eq!(segment.stat().perm.mode, 0o600);
    });
}

fn the_owner_may_unlock_whatever_its_limit(subject: &Subject) {
    let segment = subject.segment(1);
    assert_eq!(subject.shm_lock(segment.id(), true), Ok(()));
    Child::compute(|| {
        conformance::user::limit_locked_memory(0);
        assert_eq!(subject.shm_lock(segment.id(), false), Ok(()));
    });
    assert_eq!(segment.stat().perm.mode, 0o600);
}

fn the_owner_may_lock_again_what_is_beyond_its_limit(subject: &Subject) {
    let segment = subject.segment(4 * PAGE_SIZE);
    assert_eq!(subject.shm_lock(segment.id(), true), Ok(()));
    Child::compute(|| {
        conformance::user::limit_locked_memory(PAGE_SIZE);
        assert_eq!(subject.shm_lock(segment.id(), true), Ok(()));
        // But not with none at all.
        conformance::user::limit_locked_memory(0);
        assert_eq!(subject.shm_lock(segment.id(), true), Err(Errno::EPERM));
    });
    assert_eq!(segment.stat().perm.mode, SHM_LOCKED | 0o600);
}

fn the_limit_is_for_all_segments_of_a_user_together(subject: &Subject) {
    // Somebody who locks nothing in other tests.
    let locker = User {
        uid: 54340,
        gid: 54340,
        groups: &[],
    };
    Child::compute_as(locker, subject, || {
        conformance::user::limit_locked_memory(8 * PAGE_SIZE);
        let [one, other] = [(); 2].map(|()| subject.segment(5 * PAGE_SIZE));
        assert_eq!(subject.shm_lock(one.id(), true), Ok(()));
        assert_eq!(subject.shm_lock(other.id(), true), Err(Errno::ENOMEM));
        assert_eq!(subject.shm_lock(one.id(), false), Ok(()));
        assert_eq!(subject.shm_lock(other.id(), true), Ok(()));
        assert_eq!(subject.shm_lock(one.id(), true), Err(Errno::ENOMEM));
        // A removed segment gives its share back.
        other.remove();
        assert_eq!(subject.shm_lock(one.id(), true), Ok(()));
        assert_eq!(subject.shm_lock(one.id(), false), Ok(()));
    });
}
