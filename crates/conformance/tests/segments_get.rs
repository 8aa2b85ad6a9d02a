//! `shmget`: keys, flags, sizes, modes, and the order of its checks.

use std::collections::BTreeSet;

use conformance::{Child, Subject, User, clock, trial};
use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_PRIVATE, IPCMNI, PAGE_SIZE, SHM_HUGETLB, SHM_NORESERVE};
use sysv_engine::{Errno, Segments};

conformance::on_each_facility! {
    ipc_private_makes_a_new_segment_every_time,
    a_key_names_the_same_segment_in_every_process,
    any_number_but_zero_is_a_key,
    an_unknown_key_is_enoent_whatever_the_size,
    ipc_excl_alone_does_not_create,
    ipc_creat_opens_what_exists,
    ipc_creat_with_ipc_excl_on_an_existing_key_is_eexist,
    eexist_comes_before_a_size_that_is_too_large,
    an_existing_segment_opens_with_any_size_up_to_its_own,
    a_size_larger_than_the_existing_segment_is_einval,
    the_last_page_of_a_segment_does_not_count_as_its_size,
    size_zero_cannot_be_created,
    a_refused_creation_leaves_no_key_behind,
    the_size_is_kept_as_it_was_asked_for,
    a_new_segment_has_every_field_set,
    a_creators_group_is_its_effective_one,
    nine_mode_bits_are_kept_and_umask_does_not_count,
    flags_that_mean_nothing_to_shmget_are_ignored,
    huge_pages_that_cannot_be_had_are_refused,
    a_huge_page_size_that_does_not_exist_is_einval,
    huge_page_flags_do_not_matter_for_an_existing_segment,
    no_reservation_does_not_show,
    an_identifier_is_sequence_times_ipcmni_plus_index,
    a_removed_segments_identifier_stays_dead_when_its_index_is_used_again,
    a_removed_key_is_free_at_once,
    other_users_are_refused_the_bits_they_lack,
    eexist_and_einval_come_before_eacces,
}

conformance::on_the_kernel_and_beyond_the_engine! {
    huge_pages_that_cannot_be_had_are_promised_without_reservation,
}

conformance::on_each_facility_unprivileged! {
    the_owner_is_refused_the_bits_that_its_class_lacks,
    asking_for_no_bits_opens_any_segment,
    the_three_classes_of_requested_bits_are_added_up,
    only_permission_bits_of_the_flags_are_checked,
    huge_pages_without_the_right_to_them_are_refused,
}

fn ipc_private_makes_a_new_segment_every_time(subject: &Subject) {
    let one = subject.segment(PAGE_SIZE);
    let other = subject.segment(PAGE_SIZE);
    assert_ne!(one.id(), other.id());
    // IPC_CREAT is implied, IPC_EXCL means nothing.
    for flags in [0o600, IPC_EXCL | 0o600, IPC_CREAT | IPC_EXCL | 0o600] {
        let id = subject.shmget(IPC_PRIVATE, 1, flags).unwrap();
        let new = subject.guard(id, IPC_PRIVATE);
        assert!(![one.id(), other.id()].contains(&new.id()));
        assert_eq!(new.stat().perm.key, IPC_PRIVATE);
    }
}

fn a_key_names_the_same_segment_in_every_process(subject: &Subject) {
    let segment = subject.keyed_segment(PAGE_SIZE, 0o600);
    assert_eq!(subject.shmget(segment.key(), PAGE_SIZE, 0), Ok(segment.id()));
    assert_eq!(
        Child::compute(|| subject.shmget(segment.key(), PAGE_SIZE, 0o600)),
        Ok(segment.id())
    );
    let key = subject.key();
    let id = Child::compute(|| subject.shmget(key, 10, IPC_CREAT | 0o600)).unwrap();
    let made_by_the_child = subject.guard(id, key);
    assert_eq!(subject.shmget(key, 0, 0), Ok(made_by_the_child.id()));
    assert_ne!(id, segment.id());
}

fn any_number_but_zero_is_a_key(subject: &Subject) {
    if !subject.is_alone() {
        return;
    }
    let keys = [1, -1, i32::MAX, i32::MIN, 0x5359_5356];
    let segments = keys.map(|key| {
        let segment = subject.guard(subject.shmget(key, 1, IPC_CREAT | IPC_EXCL | 0o600).unwrap(), key);
        assert_eq!(segment.stat().perm.key, key);
        segment
    });
    assert_eq!(
        segments
            .iter()
            .map(|segment| segment.id())
            .collect::<BTreeSet<_>>()
            .len(),
        keys.len()
    );
    for segment in &segments {
        assert_eq!(subject.shmget(segment.key(), 0, 0), Ok(segment.id()));
    }
}

fn an_unknown_key_is_enoent_whatever_the_size(subject: &Subject) {
    let key = subject.key();
    for size in [0, 1, PAGE_SIZE, usize::MAX] {
        for flags in [0, 0o600, 0o777, SHM_HUGETLB, SHM_NORESERVE] {
            assert_eq!(
                subject.shmget(key, size, flags),
                Err(Errno::ENOENT),
                "size {size}, flags {flags:o}"
            );
        }
    }
}

fn ipc_excl_alone_does_not_create(subject: &Subject) {
    assert_eq!(subject.shmget(subject.key(), 1, IPC_EXCL | 0o600), Err(Errno::ENOENT));
    let segment = subject.keyed_segment(1, 0o600);
    assert_eq!(subject.shmget(segment.key(), 1, IPC_EXCL | 0o600), Ok(segment.id()));
}

fn ipc_creat_opens_what_exists(subject: &Subject) {
    let segment = subject.keyed_segment(100, 0o600);
    let before = segment.stat();
    assert_eq!(subject.shmget(segment.key(), 50, IPC_CREAT | 0o644), Ok(segment.id()));
    assert_eq!(segment.stat(), before, "opening must change nothing");
}

fn ipc_creat_with_ipc_excl_on_an_existing_key_is_eexist(subject: &Subject) {
    let segment = subject.keyed_segment(100, 0o600);
    assert_eq!(
        subject.shmget(segment.key(), 100, IPC_CREAT | IPC_EXCL | 0o600),
        Err(Errno::EEXIST)
    );
}

fn eexist_comes_before_a_size_that_is_too_large(subject: &Subject) {
    let segment = subject.keyed_segment(100, 0o600);
    for size in [0, 101, usize::MAX] {
        assert_eq!(
            subject.shmget(segment.key(), size, IPC_CREAT | IPC_EXCL | 0o600),
            Err(Errno::EEXIST)
        );
    }
}

fn an_existing_segment_opens_with_any_size_up_to_its_own(subject: &Subject) {
    let segment = subject.keyed_segment(5000, 0o600);
    for size in [0, 1, 4999, 5000] {
        assert_eq!(subject.shmget(segment.key(), size, 0), Ok(segment.id()), "size {size}");
        assert_eq!(
            subject.shmget(segment.key(), size, IPC_CREAT),
            Ok(segment.id()),
            "size {size}, IPC_CREAT"
        );
    }
}

fn a_size_larger_than_the_existing_segment_is_einval(subject: &Subject) {
    let segment = subject.keyed_segment(5000, 0o600);
    for size in [5001, 8192, 8193, usize::MAX] {
        assert_eq!(
            subject.shmget(segment.key(), size, 0),
            Err(Errno::EINVAL),
            "size {size}"
        );
        assert_eq!(
            subject.shmget(segment.key(), size, IPC_CREAT | 0o600),
            Err(Errno::EINVAL),
            "size {size}, IPC_CREAT"
        );
    }
}

fn the_last_page_of_a_segment_does_not_count_as_its_size(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    assert_eq!(subject.shmget(segment.key(), 2, 0), Err(Errno::EINVAL));
}

fn size_zero_cannot_be_created(subject: &Subject) {
    assert_eq!(subject.shmget(IPC_PRIVATE, 0, IPC_CREAT | 0o600), Err(Errno::EINVAL));
    assert_eq!(subject.shmget(subject.key(), 0, IPC_CREAT | 0o600), Err(Errno::EINVAL));
    assert_eq!(
        subject.shmget(subject.key(), 0, IPC_CREAT | IPC_EXCL | SHM_HUGETLB | 0o600),
        Err(Errno::EINVAL)
    );
}

fn a_refused_creation_leaves_no_key_behind(subject: &Subject) {
    let key = subject.key();
    for size in [0, usize::MAX, 1 << 50] {
        assert!(subject.shmget(key, size, IPC_CREAT | 0o600).is_err());
        assert_eq!(subject.shmget(key, 0, 0), Err(Errno::ENOENT), "after size {size:#x}");
    }
}

fn the_size_is_kept_as_it_was_asked_for(subject: &Subject) {
    for size in [1, 7, 4095, 4096, 4097, 1_000_001] {
        assert_eq!(subject.segment(size).stat().segsz, size as u64);
    }
}

fn a_new_segment_has_every_field_set(subject: &Subject) {
    let before = clock::now();
    let segment = subject.keyed_segment(12345, 0o640);
    let after = clock::now();
    let ds = segment.stat();
    let (uid, gid) = conformance::user::effective();
    assert_eq!(ds.perm.key, segment.key());
    assert_eq!((ds.perm.uid, ds.perm.gid), (uid, gid));
    assert_eq!((ds.perm.cuid, ds.perm.cgid), (uid, gid));
    assert_eq!(ds.perm.mode, 0o640);
    assert_eq!(i32::from(ds.perm.seq), segment.id() / IPCMNI);
    assert_eq!(ds.segsz, 12345);
    assert_eq!((ds.atime, ds.dtime), (0, 0));
    assert!(
        (before..=after).contains(&ds.ctime),
        "{before} <= {} <= {after}",
        ds.ctime
    );
    assert_eq!(ds.cpid, std::process::id() as i32);
    assert_eq!(ds.lpid, 0);
    assert_eq!(ds.nattch, 0);
}

fn a_creators_group_is_its_effective_one(subject: &Subject) {
    if !subject.admits_other_users() {
        return;
    }
    let id = Child::compute_as(User::DAVE, subject, || subject.shmget(IPC_PRIVATE, 1, 0o600)).unwrap();
    let perm = subject.guard(id, IPC_PRIVATE).stat().perm;
    let User { uid, gid, .. } = User::DAVE;
    assert_eq!((perm.uid, perm.gid, perm.cuid, perm.cgid), (uid, gid, uid, gid));
}

fn nine_mode_bits_are_kept_and_umask_does_not_count(subject: &Subject) {
    for mode in [0, 0o7, 0o70, 0o700, 0o111, 0o222, 0o444, 0o640, 0o777] {
        let seen = Child::compute(|| {
            conformance::user::set_umask(0o777);
            let segment = subject.segment_with_mode(1, mode);
            // A descriptor of one's own segment may be unreadable; SHM_STAT_ANY shows it anyway.
            subject
                .shm_stat(segment.id() % IPCMNI, sysv_engine::StatBy::IndexAny)
                .map(|(_, ds)| ds.perm.mode)
        });
        assert_eq!(seen, Ok(mode as u32));
    }
}

fn flags_that_mean_nothing_to_shmget_are_ignored(subject: &Subject) {
    // The bits that choose a huge page's size count only with SHM_HUGETLB.
    for flag in [0o20000, 0o40000, 0o100000, 1 << 20, 21 << 26, 63 << 26, i32::MIN] {
        let id = subject.shmget(IPC_PRIVATE, 1, IPC_CREAT | flag | 0o600).unwrap();
        assert_eq!(subject.guard(id, IPC_PRIVATE).stat().perm.mode, 0o600, "flag {flag:#o}");
    }
    assert_eq!(
        IPC_NOWAIT, SHM_HUGETLB,
        "the one flag of the others that shmget reads in its own way"
    );
}

fn no_huge_pages() -> bool {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let overcommit = std::fs::read_to_string("/proc/sys/vm/nr_overcommit_hugepages").unwrap_or_default();
    let none = meminfo
        .lines()
        .filter_map(|line| line.strip_prefix("HugePages_Total:"))
        .all(|total| total.trim() == "0")
        && (overcommit.is_empty() || overcommit.trim() == "0");
    if !none {
        trial::skip("this machine has huge pages");
    }
    none
}

fn huge_pages_that_cannot_be_had_are_refused(subject: &Subject) {
    if !no_huge_pages() || conformance::user::effective().0 != 0 {
        return;
    }
    let key = subject.key();
    for size in [1, PAGE_SIZE, 2 << 20] {
        assert_eq!(
            subject.shmget(key, size, IPC_CREAT | SHM_HUGETLB | 0o600),
            Err(Errno::ENOMEM),
            "size {size}"
        );
        assert_eq!(
            subject.shmget(IPC_PRIVATE, size, SHM_HUGETLB | 0o600),
            Err(Errno::ENOMEM),
            "size {size}"
        );
        // The default size, named.
        assert_eq!(
            subject.shmget(key, size, IPC_CREAT | SHM_HUGETLB | 21 << 26 | 0o600),
            Err(Errno::ENOMEM)
        );
    }
    assert_eq!(subject.shmget(key, 0, 0), Err(Errno::ENOENT));
}

fn huge_pages_that_cannot_be_had_are_promised_without_reservation(subject: &Subject) {
    // Whoever touches them dies of SIGBUS.
    if conformance::user::effective().0 != 0 {
        return trial::skip("needs root, whom nobody forbids huge pages");
    }
    if no_huge_pages() {
        let made = subject.shmget(IPC_PRIVATE, 1, IPC_CREAT | SHM_HUGETLB | SHM_NORESERVE | 0o600);
        assert_eq!(made.map(|id| subject.guard(id, IPC_PRIVATE).stat().segsz), Ok(1));
    }
}

fn huge_pages_without_the_right_to_them_are_refused(subject: &Subject) {
    if no_huge_pages() {
        assert_eq!(
            subject.shmget(subject.key(), 1, IPC_CREAT | SHM_HUGETLB | 0o600),
            Err(Errno::EPERM)
        );
    }
}

fn a_huge_page_size_that_does_not_exist_is_einval(subject: &Subject) {
    for exponent in [1, 12, 22, 63] {
        let flags = IPC_CREAT | SHM_HUGETLB | exponent << 26 | 0o600;
        assert_eq!(
            subject.shmget(IPC_PRIVATE, 1, flags),
            Err(Errno::EINVAL),
            "pages of 2^{exponent} bytes"
        );
    }
}

fn huge_page_flags_do_not_matter_for_an_existing_segment(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    for flags in [SHM_HUGETLB, SHM_HUGETLB | IPC_CREAT | 22 << 26] {
        assert_eq!(subject.shmget(segment.key(), 1, flags), Ok(segment.id()));
    }
}

fn no_reservation_does_not_show(subject: &Subject) {
    let id = subject
        .shmget(IPC_PRIVATE, 100, IPC_CREAT | SHM_NORESERVE | 0o600)
        .unwrap();
    let segment = subject.guard(id, IPC_PRIVATE);
    assert_eq!((segment.stat().perm.mode, segment.stat().segsz), (0o600, 100));
    assert!(segment.attach().is_all_zero());
}

fn an_identifier_is_sequence_times_ipcmni_plus_index(subject: &Subject) {
    let segments: Vec<_> = (0..10).map(|_| subject.segment(1)).collect();
    for segment in &segments {
        assert!(segment.id() >= 0);
        let (id, ds) = subject
            .shm_stat(segment.id() % IPCMNI, sysv_engine::StatBy::Index)
            .unwrap();
        assert_eq!(id, segment.id());
        assert_eq!(i32::from(ds.perm.seq), id / IPCMNI);
    }
}

fn a_removed_segments_identifier_stays_dead_when_its_index_is_used_again(subject: &Subject) {
    let first = subject.segment(1).id();
    let mut seen = BTreeSet::from([first]);
    // An index comes back at the latest when all others have had their turn.
    for _ in 0..300 {
        let segment = subject.segment(1);
        assert!(
            seen.insert(segment.id()),
            "identifier {} was given out twice",
            segment.id()
        );
        for stale in [first, *seen.iter().next_back().unwrap()] {
            if stale != segment.id() {
                assert_eq!(
                    subject.shm_stat(stale, sysv_engine::StatBy::Id).map(drop),
                    Err(Errno::EINVAL)
                );
            }
        }
    }
    let indexes: BTreeSet<i32> = seen.iter().map(|id| id % IPCMNI).collect();
    assert!(indexes.len() < seen.len(), "no index was ever used again");
}

fn a_removed_key_is_free_at_once(subject: &Subject) {
    let segment = subject.keyed_segment(PAGE_SIZE, 0o600);
    let attachment = segment.attach();
    segment.remove();
    assert_eq!(subject.shmget(segment.key(), 0, 0), Err(Errno::ENOENT));
    let id = subject.shmget(segment.key(), 1, IPC_CREAT | IPC_EXCL | 0o600).unwrap();
    let successor = subject.guard(id, segment.key());
    assert_ne!(successor.id(), segment.id());
    assert_eq!(successor.stat().perm.key, segment.key());
    assert_eq!(segment.stat().perm.key, 0);
    // The last detach of the old one must not take the new one's key along.
    attachment.detach();
    assert_eq!(subject.shmget(segment.key(), 1, 0), Ok(successor.id()));
}

fn other_users_are_refused_the_bits_they_lack(subject: &Subject) {
    if !subject.admits_other_users() {
        return;
    }
    let segment = subject.keyed_segment(1, 0o604);
    let results = Child::compute_as(User::ALICE, subject, || {
        [0, 0o004, 0o400, 0o040, 0o002, 0o006, 0o600]
            .map(|bits| subject.shmget(segment.key(), 1, IPC_CREAT | bits))
            .to_vec()
    });
    let opened = Ok(segment.id());
    let refused = Err(Errno::EACCES);
    assert_eq!(results, [opened, opened, opened, opened, refused, refused, refused]);
}

fn eexist_and_einval_come_before_eacces(subject: &Subject) {
    if !subject.admits_other_users() {
        return;
    }
    let segment = subject.keyed_segment(100, 0o600);
    let results = Child::compute_as(User::ALICE, subject, || {
        vec![
            subject.shmget(segment.key(), 100, IPC_CREAT | IPC_EXCL | 0o600),
            subject.shmget(segment.key(), 101, IPC_CREAT | IPC_EXCL | 0o600),
            subject.shmget(segment.key(), 101, 0o600),
            subject.shmget(segment.key(), 100, 0o600),
            subject.shmget(segment.key(), 0, 0o600),
        ]
    });
    let refusals = [
        Errno::EEXIST,
        Errno::EEXIST,
        Errno::EINVAL,
        Errno::EACCES,
        Errno::EACCES,
    ];
    assert_eq!(results, refusals.map(Err));
}

fn the_owner_is_refused_the_bits_that_its_class_lacks(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o466);
    assert_eq!(subject.shmget(segment.key(), 1, 0o400), Ok(segment.id()));
    assert_eq!(subject.shmget(segment.key(), 1, 0o200), Err(Errno::EACCES));
    assert_eq!(subject.shmget(segment.key(), 1, 0o600), Err(Errno::EACCES));
    assert_eq!(subject.shmget(segment.key(), 1, 0o100), Err(Errno::EACCES));
}

fn asking_for_no_bits_opens_any_segment(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0);
    assert_eq!(subject.shmget(segment.key(), 1, 0), Ok(segment.id()));
    assert_eq!(subject.shmget(segment.key(), 1, IPC_CREAT), Ok(segment.id()));
    assert_eq!(subject.shmget(segment.key(), 1, 0o400), Err(Errno::EACCES));
}

fn the_three_classes_of_requested_bits_are_added_up(subject: &Subject) {
    // Asking for others' write access asks for write access.
    let segment = subject.keyed_segment(1, 0o400);
    for bits in [0o400, 0o040, 0o004, 0o444] {
        assert_eq!(
            subject.shmget(segment.key(), 1, bits),
            Ok(segment.id()),
            "bits {bits:o}"
        );
    }
    for bits in [0o200, 0o020, 0o002, 0o001, 0o442] {
        assert_eq!(
            subject.shmget(segment.key(), 1, bits),
            Err(Errno::EACCES),
            "bits {bits:o}"
        );
    }
}

fn only_permission_bits_of_the_flags_are_checked(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0);
    for flags in [
        IPC_EXCL,
        IPC_NOWAIT,
        SHM_NORESERVE,
        0o20000,
        0o40000,
        0o100000,
        1 << 20,
        i32::MIN,
    ] {
        assert_eq!(
            subject.shmget(segment.key(), 1, flags),
            Ok(segment.id()),
            "flags {flags:#o}"
        );
    }
}
