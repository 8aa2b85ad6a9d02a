//! `shmctl`: what it reports and what it changes.

use std::collections::BTreeSet;

use conformance::{Child, Subject, clock};
use sysv_engine::abi::{IPCMNI, PAGE_SIZE, SHM_RDONLY, SHMMIN};
use sysv_engine::{Errno, PermChange, Segments, StatBy};

conformance::on_each_facility! {
    stat_of_what_never_was_is_einval,
    stat_of_what_was_removed_is_einval,
    stat_changes_nothing,
    every_process_sees_the_same_structure,
    fields_that_the_abi_reserves_are_zero,
    set_changes_owner_group_and_mode,
    set_stamps_the_change_time_and_nothing_else,
    set_takes_the_nine_mode_bits_only,
    set_keeps_the_flags_in_the_mode,
    set_does_not_change_the_creator,
    set_to_the_invalid_user_or_group_is_einval_and_changes_nothing,
    set_of_what_does_not_exist_is_einval,
    a_mode_that_was_set_counts_at_the_next_call,
    the_limits_are_linuxs_defaults_in_a_fresh_namespace,
    the_highest_index_is_that_of_the_newest_segment_here,
    usage_counts_segments_and_pages,
    usage_counts_what_is_removed_and_still_attached,
    usage_counts_pages_that_were_touched,
    stat_by_index_finds_what_stat_by_id_finds,
    stat_by_index_takes_a_whole_identifier_for_its_index,
    stat_by_index_of_an_unused_index_is_einval,
    stat_by_a_negative_number_is_einval,
    walking_the_indexes_finds_every_segment_once,
    an_empty_namespace_has_nothing_to_find,
    changed_limits_are_reported_to_every_process,
}

conformance::on_each_facility_unprivileged! {
    stat_needs_the_read_bit,
    stat_any_needs_no_bit,
    set_and_removal_need_no_bits_of_the_owner,
}

fn stat_of_what_never_was_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    for id in [
        -1,
        i32::MIN,
        i32::MAX,
        segment.id() ^ (1 << 15),
        segment.id() ^ (1 << 30),
        segment.id() + IPCMNI,
    ] {
        assert_eq!(
            subject.shm_stat(id, StatBy::Id).map(drop),
            Err(Errno::EINVAL),
            "identifier {id}"
        );
    }
}

fn stat_of_what_was_removed_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    segment.remove();
    segment.assert_gone();
    Child::compute(|| segment.assert_gone());
}

fn stat_changes_nothing(subject: &Subject) {
    let segment = subject.keyed_segment(100, 0o600);
    let _attachment = segment.attach();
    let before = segment.stat();
    clock::next_second();
    for by in [StatBy::Index, StatBy::IndexAny] {
        subject.shm_stat(segment.id() % IPCMNI, by).unwrap();
    }
    subject.shm_limits().unwrap();
    subject.shm_usage().unwrap();
    assert_eq!(subject.shmget(segment.key(), 0, 0), Ok(segment.id()));
    assert_eq!(segment.stat(), before);
}

fn every_process_sees_the_same_structure(subject: &Subject) {
    let segment = subject.keyed_segment(1000, 0o640);
    let mut child = Child::fork(|parent| {
        let _attachment = segment.attach();
        parent.send(&segment.stat());
        parent.receive::<()>();
    });
    let seen_by_the_child = child.receive::<sysv_engine::abi::ShmidDs>();
    assert_eq!(segment.stat(), seen_by_the_child);
    assert_eq!((seen_by_the_child.nattch, seen_by_the_child.lpid), (1, child.pid()));
}

fn fields_that_the_abi_reserves_are_zero(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    let ds = segment.stat();
    let reserved = (
        ds.perm.pad2,
        ds.perm.reserved1,
        ds.perm.reserved2,
        ds.reserved4,
        ds.reserved5,
    );
    assert_eq!(reserved, (0, 0, 0, 0, 0));
    assert_eq!(subject.shm_limits().unwrap().1.reserved, [0; 4]);
}

fn own(mode: u32) -> PermChange {
    let (uid, gid) = conformance::user::effective();
    PermChange { uid, gid, mode }
}

fn set_changes_owner_group_and_mode(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    let change = if subject.may_give_away() {
        PermChange {
            uid: 54321,
            gid: 54322,
            mode: 0o642,
        }
    } else {
        own(0o642)
    };
    assert_eq!(subject.shm_set(segment.id(), change), Ok(()));
    let perm = segment.stat().perm;
    assert_eq!((perm.uid, perm.gid, perm.mode), (change.uid, change.gid, change.mode));
}

fn set_stamps_the_change_time_and_nothing_else(subject: &Subject) {
    let segment = subject.keyed_segment(10, 0o600);
    segment.attach().detach();
    let created = segment.stat();
    clock::next_second();
    let before = clock::now();
    // Even if nothing changes.
    subject.shm_set(segment.id(), own(0o600)).unwrap();
    let set = segment.stat();
    assert!((before..=clock::now()).contains(&set.ctime));
    assert_eq!(
        sysv_engine::abi::ShmidDs {
            ctime: created.ctime,
            ..set
        },
        created
    );
}

fn set_takes_the_nine_mode_bits_only(subject: &Subject) {
    let segment = subject.segment(1);
    for (asked, kept) in [
        (0o7777, 0o777),
        (u32::MAX, 0o777),
        (0o1000, 0),
        (0o2600, 0o600),
        (1 << 31, 0),
        (0, 0),
    ] {
        subject.shm_set(segment.id(), own(asked)).unwrap();
        let (_, ds) = subject.shm_stat(segment.id() % IPCMNI, StatBy::IndexAny).unwrap();
        assert_eq!(ds.perm.mode, kept, "asked for {asked:o}");
    }
}

fn set_keeps_the_flags_in_the_mode(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    let _attachment = segment.attach();
    subject.shm_lock(segment.id(), true).unwrap();
    segment.remove();
    assert_eq!(segment.stat().perm.mode, 0o3600);
    subject.shm_set(segment.id(), own(0o444)).unwrap();
    assert_eq!(segment.stat().perm.mode, 0o3444);
    subject.shm_lock(segment.id(), false).unwrap();
    assert_eq!(segment.stat().perm.mode, 0o1444);
}

fn set_does_not_change_the_creator(subject: &Subject) {
    let segment = subject.segment(1);
    let before = segment.stat().perm;
    let change = if subject.may_give_away() {
        PermChange {
            uid: 54321,
            gid: 54322,
            mode: 0o600,
        }
    } else {
        own(0o600)
    };
    subject.shm_set(segment.id(), change).unwrap();
    let after = segment.stat().perm;
    assert_eq!(
        (after.cuid, after.cgid, after.seq, after.key),
        (before.cuid, before.cgid, before.seq, before.key)
    );
}

fn set_to_the_invalid_user_or_group_is_einval_and_changes_nothing(subject: &Subject) {
    let segment = subject.segment(1);
    let before = segment.stat();
    for change in [
        PermChange {
            uid: u32::MAX,
            ..own(0o644)
        },
        PermChange {
            gid: u32::MAX,
            ..own(0o644)
        },
        PermChange {
            uid: u32::MAX,
            gid: u32::MAX,
            mode: 0o644,
        },
    ] {
        assert_eq!(subject.shm_set(segment.id(), change), Err(Errno::EINVAL));
    }
    assert_eq!(segment.stat(), before);
}

fn set_of_what_does_not_exist_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    segment.remove();
    for id in [-1, i32::MIN, i32::MAX, segment.id()] {
        assert_eq!(subject.shm_set(id, own(0o600)), Err(Errno::EINVAL));
        assert_eq!(subject.shm_remove(id), Err(Errno::EINVAL));
    }
}

fn a_mode_that_was_set_counts_at_the_next_call(subject: &Subject) {
    if !subject.admits_other_users() {
        return;
    }
    let segment = subject.segment_with_mode(1, 0o600);
    let mut child = Child::fork_as(conformance::User::ALICE, subject, |parent| {
        while parent.receive() {
            parent.send(&segment.try_stat().map(drop));
            parent.send(&segment.try_attach(SHM_RDONLY).map(drop));
            parent.send(&segment.try_attach(0).map(drop));
        }
    });
    let refused = Err(Errno::EACCES);
    for (mode, expected) in [
        (0o600, [refused, refused, refused]),
        (0o606, [Ok(()), Ok(()), Ok(())]),
        (0o604, [Ok(()), Ok(()), refused]),
        (0o602, [refused, refused, refused]),
        (0o666, [Ok(()), Ok(()), Ok(())]),
        (0o660, [refused, refused, refused]),
    ] {
        subject.shm_set(segment.id(), own(mode)).unwrap();
        child.send(&true);
        assert_eq!(
            [(); 3].map(|()| child.receive::<Result<(), Errno>>()),
            expected,
            "mode {mode:o}"
        );
    }
    child.send(&false);
    child.finish();
}

fn the_limits_are_linuxs_defaults_in_a_fresh_namespace(subject: &Subject) {
    if !subject.is_alone() {
        return;
    }
    let (highest, limits) = subject.shm_limits().unwrap();
    assert_eq!(highest, 0);
    assert_eq!(limits.shmmin, SHMMIN);
    assert_eq!(limits.shmmax, sysv_engine::abi::SHMMAX_DEFAULT);
    assert_eq!(limits.shmall, sysv_engine::abi::SHMALL_DEFAULT);
    assert_eq!(limits.shmmni, sysv_engine::abi::SHMMNI_DEFAULT);
    assert_eq!(limits.shmseg, limits.shmmni, "Linux reports one for the other");
}

fn the_highest_index_is_that_of_the_newest_segment_here(subject: &Subject) {
    if !subject.is_alone() {
        return;
    }
    let mut segments: Vec<_> = (0..5).map(|_| subject.segment(1)).collect();
    while !segments.is_empty() {
        let highest = segments.iter().map(|segment| segment.id() % IPCMNI).max().unwrap();
        assert_eq!(subject.shm_limits().unwrap().0, highest);
        assert_eq!(subject.shm_usage().unwrap().0, highest);
        segments.pop();
    }
    assert_eq!(
        (subject.shm_limits().unwrap().0, subject.shm_usage().unwrap().0),
        (0, 0)
    );
}

fn usage(subject: &Subject) -> (i32, u64) {
    let usage = subject.shm_usage().unwrap().1;
    assert_eq!((usage.swap_attempts, usage.swap_successes), (0, 0));
    (usage.used_ids, usage.shm_tot)
}

fn usage_counts_segments_and_pages(subject: &Subject) {
    if !subject.is_alone() {
        return;
    }
    assert_eq!(usage(subject), (0, 0));
    let small = subject.segment(1);
    assert_eq!(usage(subject), (1, 1));
    let large = subject.segment(10 * PAGE_SIZE + 1);
    assert_eq!(usage(subject), (2, 12));
    assert_eq!(Child::compute(|| usage(subject)), (2, 12));
    small.remove();
    assert_eq!(usage(subject), (1, 11));
    large.remove();
    assert_eq!(usage(subject), (0, 0));
}

fn usage_counts_what_is_removed_and_still_attached(subject: &Subject) {
    if !subject.is_alone() {
        return;
    }
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachment = segment.attach();
    segment.remove();
    assert_eq!(usage(subject), (1, 2));
    attachment.detach();
    assert_eq!(usage(subject), (0, 0));
}

fn usage_counts_pages_that_were_touched(subject: &Subject) {
    if !subject.is_alone() {
        return;
    }
    let segment = subject.segment(10 * PAGE_SIZE);
    let resident = || {
        subject
            .shm_usage()
            .map(|(_, usage)| usage.shm_rss + usage.shm_swp)
            .unwrap()
    };
    assert_eq!(resident(), 0);
    let attachment = segment.attach();
    assert_eq!(resident(), 0);
    for page in [0, 3, 9] {
        attachment.store(page * PAGE_SIZE, 1);
    }
    assert_eq!(resident(), 3);
    attachment.detach();
    assert_eq!(resident(), 3, "memory stays with the segment");
    segment.remove();
    assert_eq!(resident(), 0);
}

fn stat_by_index_finds_what_stat_by_id_finds(subject: &Subject) {
    let segment = subject.keyed_segment(321, 0o640);
    let by_id = subject.shm_stat(segment.id(), StatBy::Id).unwrap();
    assert_eq!(by_id.0, segment.id());
    for by in [StatBy::Index, StatBy::IndexAny] {
        assert_eq!(subject.shm_stat(segment.id() % IPCMNI, by), Ok(by_id));
    }
}

fn stat_by_index_takes_a_whole_identifier_for_its_index(subject: &Subject) {
    let segment = subject.segment(1);
    let index = segment.id() % IPCMNI;
    // The sequence part is cut off, right or wrong.
    for number in [
        segment.id(),
        index + IPCMNI,
        index + 77 * IPCMNI,
        index + (i32::MAX & !(IPCMNI - 1)),
    ] {
        for by in [StatBy::Index, StatBy::IndexAny] {
            assert_eq!(
                subject.shm_stat(number, by).map(|(id, _)| id),
                Ok(segment.id()),
                "number {number}"
            );
        }
    }
}

fn stat_by_index_of_an_unused_index_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    let index = segment.id() % IPCMNI;
    segment.remove();
    if !subject.is_alone() {
        return;
    }
    for by in [StatBy::Index, StatBy::IndexAny] {
        for number in [index, 0, IPCMNI - 1, i32::MAX] {
            assert_eq!(
                subject.shm_stat(number, by).map(drop),
                Err(Errno::EINVAL),
                "index {number}"
            );
        }
    }
}

fn stat_by_a_negative_number_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    for by in [StatBy::Id, StatBy::Index, StatBy::IndexAny] {
        for number in [-1, i32::MIN, segment.id() | i32::MIN] {
            assert_eq!(subject.shm_stat(number, by).map(drop), Err(Errno::EINVAL));
        }
    }
}

fn walking_the_indexes_finds_every_segment_once(subject: &Subject) {
    if !subject.is_alone() {
        return;
    }
    let mut segments: Vec<_> = (0..30).map(|_| subject.segment(1)).collect();
    let mut position = 0;
    segments.retain(|_| {
        position += 1;
        position % 3 != 0
    });
    let attachment = segments[4].attach();
    segments[4].remove();
    for by in [StatBy::Index, StatBy::IndexAny] {
        let (highest, _) = subject.shm_limits().unwrap();
        let found: Vec<i32> = (0..=highest)
            .filter_map(|index| subject.shm_stat(index, by).ok().map(|(id, _)| id))
            .collect();
        assert_eq!(found.len(), segments.len());
        let unique: BTreeSet<i32> = found.into_iter().collect();
        assert_eq!(unique, segments.iter().map(|segment| segment.id()).collect());
    }
    drop(attachment);
}

fn an_empty_namespace_has_nothing_to_find(subject: &Subject) {
    if !subject.is_alone() {
        return;
    }
    assert_eq!(subject.shm_limits().unwrap().0, 0);
    for by in [StatBy::Id, StatBy::Index, StatBy::IndexAny] {
        assert_eq!(subject.shm_stat(0, by).map(drop), Err(Errno::EINVAL));
    }
    assert_eq!(usage(subject), (0, 0));
}

fn changed_limits_are_reported_to_every_process(subject: &Subject) {
    let mut limits = subject.shm_limits().unwrap().1;
    (limits.shmmax, limits.shmall, limits.shmmni) = (123_456, 7890, 55);
    let mut child = Child::fork(|parent| {
        parent.send(&subject.shm_limits().unwrap().1.shmmni);
        parent.receive::<()>();
        let limits = subject.shm_limits().unwrap().1;
        parent.send(&(limits.shmmax, limits.shmall, limits.shmmni, limits.shmseg));
    });
    child.receive::<u64>();
    if subject.set_limits(&limits) {
        child.proceed();
        assert_eq!(child.receive::<(u64, u64, u64, u64)>(), (123_456, 7890, 55, 55));
        child.finish();
        limits.shmseg = 55;
        assert_eq!(subject.shm_limits().unwrap().1, limits);
    }
}

fn stat_needs_the_read_bit(subject: &Subject) {
    for (mode, expected) in [(0o400, Ok(())), (0o377, Err(Errno::EACCES)), (0, Err(Errno::EACCES))] {
        let segment = subject.segment_with_mode(1, mode);
        assert_eq!(segment.try_stat().map(drop), expected, "mode {mode:o}");
        let by_index = subject.shm_stat(segment.id() % IPCMNI, StatBy::Index);
        assert_eq!(by_index.map(drop), expected, "mode {mode:o} by index");
    }
}

fn stat_any_needs_no_bit(subject: &Subject) {
    let segment = subject.segment_with_mode(77, 0);
    let (id, ds) = subject.shm_stat(segment.id() % IPCMNI, StatBy::IndexAny).unwrap();
    assert_eq!((id, ds.segsz, ds.perm.mode), (segment.id(), 77, 0));
}

fn set_and_removal_need_no_bits_of_the_owner(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0);
    assert_eq!(subject.shm_set(segment.id(), own(0o200)), Ok(()));
    assert_eq!(segment.try_stat().map(drop), Err(Errno::EACCES));
    assert_eq!(subject.shm_lock(segment.id(), true), Ok(()));
    assert_eq!(subject.shm_remove(segment.id()), Ok(()));
    assert_eq!(subject.shmget(segment.key(), 0, 0), Err(Errno::ENOENT));
}
