//! `shmat`: what an attachment is and may do.

use conformance::{Child, Ending, Subject, User, clock, memory};
use sysv_engine::abi::{IPC_CREAT, PAGE_SIZE, SHM_EXEC, SHM_RDONLY, SHM_RND};
use sysv_engine::{Errno, Segments, StatBy};

conformance::on_each_facility! {
    the_system_chooses_a_page_boundary_for_a_null_address,
    new_memory_is_zero,
    memory_is_zero_again_in_a_segment_made_after_another_was_removed,
    the_whole_last_page_can_be_used,
    nothing_follows_the_last_page,
    what_one_process_writes_another_reads,
    several_attachments_in_one_process_are_one_memory,
    data_outlives_its_attachments,
    data_outlives_the_process_that_wrote_it,
    each_attachment_counts,
    an_attachment_sets_time_and_process,
    a_refused_attachment_changes_nothing,
    what_a_thread_attaches_belongs_to_the_process,
    an_identifier_that_never_was_is_einval,
    a_removed_identifier_is_einval,
    a_large_segment_is_usable_at_both_ends,
    a_read_only_attachment_reads_what_others_write,
    a_write_to_a_read_only_attachment_is_sigsegv,
    a_read_only_attachment_cannot_be_made_writable,
    a_read_only_attachment_does_not_hinder_a_writable_one,
    code_runs_in_an_executable_attachment,
    code_runs_in_an_executable_attachment_for_reading_only,
    code_does_not_run_in_an_ordinary_attachment,
    an_ordinary_attachment_can_be_made_executable_later,
    flags_that_mean_nothing_to_shmat_are_ignored,
    flags_of_an_attachment_do_not_change_the_segment,
    without_address_space_it_is_enomem,
    a_bad_address_comes_before_a_missing_permission,
}

conformance::on_each_facility_unprivileged! {
    reading_and_writing_needs_both_bits,
    reading_needs_only_the_read_bit,
    executing_needs_the_execute_bit_too,
}

fn the_system_chooses_a_page_boundary_for_a_null_address(subject: &Subject) {
    let segment = subject.segment(1);
    for flags in [0, SHM_RND, SHM_RDONLY] {
        let attachment = segment.try_attach(flags).unwrap();
        assert_ne!(attachment.address(), 0);
        assert_eq!(attachment.address() % PAGE_SIZE, 0);
    }
}

fn new_memory_is_zero(subject: &Subject) {
    assert!(subject.segment(3 * PAGE_SIZE + 1).attach().is_all_zero());
}

fn memory_is_zero_again_in_a_segment_made_after_another_was_removed(subject: &Subject) {
    let key = subject.key();
    for round in 0..40 {
        let segment = subject.guard(subject.shmget(key, 2 * PAGE_SIZE, IPC_CREAT | 0o600).unwrap(), key);
        let attachment = segment.attach();
        assert!(attachment.is_all_zero(), "round {round}");
        (0..2 * PAGE_SIZE).for_each(|offset| attachment.store(offset, 0xa5));
    }
}

fn the_whole_last_page_can_be_used(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE + 1);
    let attachment = segment.attach();
    attachment.store(PAGE_SIZE + 1, 1);
    attachment.store(2 * PAGE_SIZE - 1, 2);
    let seen = Child::compute(|| {
        let attachment = segment.attach();
        (attachment.load(PAGE_SIZE + 1), attachment.load(2 * PAGE_SIZE - 1))
    });
    assert_eq!(seen, (1, 2));
    attachment.detach();
    assert_eq!(
        segment.attach().load(2 * PAGE_SIZE - 1),
        2,
        "kept while nobody is attached"
    );
}

fn nothing_follows_the_last_page(subject: &Subject) {
    let place = memory::free_place(4);
    let attachment = subject.segment(PAGE_SIZE + 1).try_attach_at(place, 0).unwrap();
    assert!(memory::is_mapped(place + PAGE_SIZE));
    assert!(!memory::is_mapped(place + 2 * PAGE_SIZE));
    drop(attachment);
    assert!(!memory::is_mapped(place));
}

fn what_one_process_writes_another_reads(subject: &Subject) {
    let segment = subject.keyed_segment(PAGE_SIZE, 0o600);
    let attachment = segment.attach();
    attachment.write("from the parent");
    let mut child = Child::fork(|parent| {
        let id = subject.shmget(segment.key(), PAGE_SIZE, 0o600).unwrap();
        let segment = subject.guard(id, segment.key());
        let attachment = segment.attach();
        assert!(attachment.reads("from the parent"));
        attachment.write("from the child!");
        std::mem::forget((attachment, segment));
        parent.send(&());
        parent.receive::<()>();
    });
    child.arrived();
    assert!(attachment.reads("from the child!"));
    child.proceed();
    child.finish();
}

fn several_attachments_in_one_process_are_one_memory(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachments: Vec<_> = (0..5).map(|_| segment.attach()).collect();
    let mut addresses: Vec<_> = attachments.iter().map(|attachment| attachment.address()).collect();
    addresses.sort();
    assert!(
        addresses.windows(2).all(|pair| pair[1] - pair[0] >= 2 * PAGE_SIZE),
        "attachments overlap"
    );
    for (n, writer) in attachments.iter().enumerate() {
        writer.store(PAGE_SIZE + n, n as u8 + 1);
        assert!(
            attachments
                .iter()
                .all(|reader| reader.load(PAGE_SIZE + n) == n as u8 + 1)
        );
    }
    assert_eq!(segment.nattch(), 5);
}

fn data_outlives_its_attachments(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let attachment = segment.attach();
    attachment.write("still here");
    attachment.detach();
    assert_eq!(segment.nattch(), 0);
    assert!(segment.attach().reads("still here"));
}

fn data_outlives_the_process_that_wrote_it(subject: &Subject) {
    let key = subject.key();
    let id = Child::compute(|| {
        let id = subject.shmget(key, 100, IPC_CREAT | 0o600).unwrap();
        std::mem::ManuallyDrop::new(subject.guard(id, key))
            .attach()
            .write("an heirloom");
        id
    });
    let segment = subject.guard(id, key);
    assert_eq!(segment.nattch(), 0);
    assert!(segment.attach().reads("an heirloom"));
}

fn each_attachment_counts(subject: &Subject) {
    let segment = subject.segment(1);
    let mut attachments = Vec::new();
    for count in 0..20 {
        assert_eq!(segment.nattch(), count);
        attachments.push(segment.try_attach(if count % 2 == 0 { 0 } else { SHM_RDONLY }).unwrap());
    }
    let seen_by_a_child = Child::compute(|| {
        let _own = segment.attach();
        segment.nattch()
    });
    assert_eq!(seen_by_a_child, 41, "the child inherits twenty and makes one");
    for count in (0..20).rev() {
        attachments.pop();
        assert_eq!(segment.nattch(), count);
    }
}

fn an_attachment_sets_time_and_process(subject: &Subject) {
    let segment = subject.segment(1);
    let created = segment.stat();
    clock::next_second();
    let before = clock::now();
    let _attachment = segment.attach();
    let after = clock::now();
    let ds = segment.stat();
    assert!((before..=after).contains(&ds.atime));
    assert_eq!(ds.lpid, std::process::id() as i32);
    assert_eq!((ds.dtime, ds.ctime, ds.cpid), (0, created.ctime, created.cpid));
    let mut child = Child::fork(|parent| {
        let _attachment = segment.attach();
        parent.send(&());
        parent.receive::<()>();
    });
    child.arrived();
    let ds = segment.stat();
    assert_eq!((ds.lpid, ds.cpid), (child.pid(), std::process::id() as i32));
}

fn a_refused_attachment_changes_nothing(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let room = memory::Room::of_pages(4);
    let before = segment.stat();
    assert_eq!(segment.try_attach_at(room.address(), 0).map(drop), Err(Errno::EINVAL));
    assert_eq!(
        segment.try_attach_at(room.address() + 1, 0).map(drop),
        Err(Errno::EINVAL)
    );
    assert_eq!(segment.try_attach_at(1 << 47, 0).map(drop), Err(Errno::ENOMEM));
    assert_eq!(segment.stat(), before);
}

fn what_a_thread_attaches_belongs_to_the_process(subject: &Subject) {
    let segment = subject.segment(1);
    let address = std::thread::scope(|scope| scope.spawn(|| segment.attach().leak()).join().unwrap());
    assert_eq!(segment.nattch(), 1);
    assert_eq!(segment.stat().lpid, std::process::id() as i32);
    assert!(memory::is_mapped(address));
    assert_eq!(subject.detach_at(address), Ok(()));
    assert_eq!(segment.nattch(), 0);
}

fn an_identifier_that_never_was_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    for id in [
        -1,
        i32::MIN,
        i32::MAX,
        segment.id() ^ (1 << 15),
        segment.id() ^ (1 << 30),
    ] {
        let stray = std::mem::ManuallyDrop::new(subject.guard(id, 0));
        assert_eq!(stray.try_attach(0).map(drop), Err(Errno::EINVAL), "identifier {id}");
        assert_eq!(
            stray.try_attach_at(memory::free_place(1), 0).map(drop),
            Err(Errno::EINVAL),
            "identifier {id}"
        );
    }
}

fn a_removed_identifier_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    segment.remove();
    assert_eq!(segment.try_attach(0).map(drop), Err(Errno::EINVAL));
    assert_eq!(
        Child::compute(|| segment.try_attach(SHM_RDONLY).map(drop)),
        Err(Errno::EINVAL)
    );
}

fn a_large_segment_is_usable_at_both_ends(subject: &Subject) {
    let size = (64 << 20) - 1;
    let segment = subject.segment(size);
    let attachment = segment.attach();
    attachment.store(0, 1);
    attachment.store(size - 1, 2);
    attachment.store(size, 3);
    let seen = Child::compute(|| {
        let attachment = segment.attach();
        vec![
            attachment.load(0),
            attachment.load(size / 2),
            attachment.load(size - 1),
            attachment.load(size),
        ]
    });
    assert_eq!(seen, [1, 0, 2, 3]);
}

fn a_read_only_attachment_reads_what_others_write(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let reader = segment.try_attach(SHM_RDONLY).unwrap();
    assert!(reader.is_all_zero());
    let writer = segment.attach();
    writer.write("first");
    assert!(reader.reads("first"));
    Child::compute(|| segment.attach().write("second"));
    assert!(reader.reads("second"));
}

fn a_write_to_a_read_only_attachment_is_sigsegv(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    segment.attach().write("untouched");
    let attachment = segment.try_attach(SHM_RDONLY).unwrap();
    for inherited in [true, false] {
        let mut child = Child::fork(|parent| {
            let own = segment.try_attach(SHM_RDONLY).unwrap();
            let target = if inherited { &attachment } else { &own };
            parent.send(&target.reads("untouched"));
            target.store(0, 1);
        });
        assert!(child.receive::<bool>());
        assert_eq!(child.wait(), Ending::Killed(libc::SIGSEGV), "inherited: {inherited}");
    }
    assert!(attachment.reads("untouched"));
    assert_eq!(segment.nattch(), 1);
}

fn a_read_only_attachment_cannot_be_made_writable(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let attachment = segment.try_attach(SHM_RDONLY).unwrap();
    let writable = libc::PROT_READ | libc::PROT_WRITE;
    assert_eq!(attachment.protect(0, PAGE_SIZE, writable), Err(Errno::EACCES));
    assert_eq!(
        Child::compute(|| attachment.protect(0, PAGE_SIZE, writable)),
        Err(Errno::EACCES)
    );
    assert_eq!(attachment.protect(0, PAGE_SIZE, libc::PROT_NONE), Ok(()));
    assert_eq!(attachment.protect(0, PAGE_SIZE, libc::PROT_READ), Ok(()));
    let other = segment.attach();
    assert_eq!(other.protect(0, PAGE_SIZE, libc::PROT_READ), Ok(()));
    assert_eq!(other.protect(0, PAGE_SIZE, writable), Ok(()));
    other.store(0, 1);
}

fn a_read_only_attachment_does_not_hinder_a_writable_one(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    // Whatever an implementation keeps of the first attachment must not be what the second one gets.
    let reader = segment.try_attach(SHM_RDONLY).unwrap();
    let writer = segment.attach();
    writer.store(0, 9);
    assert_eq!(reader.load(0), 9);
    drop(writer);
    let another = segment.try_attach(SHM_RDONLY).unwrap();
    let writable = libc::PROT_READ | libc::PROT_WRITE;
    assert_eq!(another.protect(0, PAGE_SIZE, writable), Err(Errno::EACCES));
}

/// `mov eax, 42; ret`
const FUNCTION: [u8; 6] = [0xb8, 42, 0, 0, 0, 0xc3];

fn segment_with_a_function(subject: &Subject, mode: i32) -> conformance::Segment<'_> {
    let segment = subject.segment_with_mode(PAGE_SIZE, mode);
    let attachment = segment.attach();
    FUNCTION
        .iter()
        .enumerate()
        .for_each(|(offset, &byte)| attachment.store(offset, byte));
    drop(attachment);
    segment
}

fn code_runs_in_an_executable_attachment(subject: &Subject) {
    let segment = segment_with_a_function(subject, 0o700);
    let attachment = segment.try_attach(SHM_EXEC).unwrap();
    assert_eq!(attachment.execute(), 42);
    attachment.store(1, 43);
    assert_eq!(attachment.execute(), 43, "writable, too");
}

fn code_runs_in_an_executable_attachment_for_reading_only(subject: &Subject) {
    let segment = segment_with_a_function(subject, 0o700);
    let attachment = segment.try_attach(SHM_EXEC | SHM_RDONLY).unwrap();
    assert_eq!(attachment.execute(), 42);
    let mut child = Child::fork(|_| attachment.store(0, 0));
    assert_eq!(child.wait(), Ending::Killed(libc::SIGSEGV));
}

fn code_does_not_run_in_an_ordinary_attachment(subject: &Subject) {
    let segment = segment_with_a_function(subject, 0o700);
    let attachment = segment.attach();
    let mut child = Child::fork(|parent| parent.send(&attachment.execute()));
    assert_eq!(child.wait(), Ending::Killed(libc::SIGSEGV));
}

fn an_ordinary_attachment_can_be_made_executable_later(subject: &Subject) {
    // mprotect(2) knows nothing of the segment's mode.
    let segment = segment_with_a_function(subject, 0o600);
    let attachment = segment.attach();
    assert_eq!(
        attachment.protect(0, PAGE_SIZE, libc::PROT_READ | libc::PROT_EXEC),
        Ok(())
    );
    assert_eq!(attachment.execute(), 42);
}

fn flags_that_mean_nothing_to_shmat_are_ignored(subject: &Subject) {
    let segment = subject.segment(1);
    for flags in [0o777, 0o1000, 0o2000, 0o4000, 1 << 20, i32::MIN] {
        segment
            .try_attach(flags)
            .unwrap_or_else(|errno| panic!("flags {flags:#o}: {errno}"))
            .store(0, 1);
    }
}

fn flags_of_an_attachment_do_not_change_the_segment(subject: &Subject) {
    let segment = subject.segment_with_mode(1, 0o741);
    for flags in [SHM_RDONLY, SHM_EXEC, SHM_RND, 0] {
        let _attachment = segment.try_attach(flags).unwrap();
        assert_eq!(segment.stat().perm.mode, 0o741);
    }
}

fn without_address_space_it_is_enomem(subject: &Subject) {
    let segment = subject.segment(64 << 20);
    segment.attach().detach();
    let before = segment.stat();
    let result = Child::compute(|| {
        memory::limit_address_space(48 << 20);
        segment.try_attach(0).map(drop)
    });
    assert_eq!(result, Err(Errno::ENOMEM));
    assert_eq!(segment.stat(), before);
}

fn a_bad_address_comes_before_a_missing_permission(subject: &Subject) {
    if !subject.admits_other_users() {
        return;
    }
    let segment = subject.segment_with_mode(PAGE_SIZE, 0o600);
    let room = memory::Room::of_pages(1);
    let results = Child::compute_as(User::ALICE, subject, || {
        vec![
            segment.try_attach(0).map(drop),
            segment.try_attach(SHM_RDONLY).map(drop),
            // Not aligned, or none to replace: refused before the segment is looked at.
            segment.try_attach_at(room.address() + 1, 0).map(drop),
            segment.try_attach(sysv_engine::abi::SHM_REMAP).map(drop),
            // Occupied, or beyond all memory: found out afterwards.
            segment.try_attach_at(room.address(), 0).map(drop),
            segment.try_attach_at(1 << 47, 0).map(drop),
        ]
    });
    let refusals = [
        Errno::EACCES,
        Errno::EACCES,
        Errno::EINVAL,
        Errno::EINVAL,
        Errno::EACCES,
        Errno::EACCES,
    ];
    assert_eq!(results, refusals.map(Err));
    assert_eq!(subject.shm_stat(segment.id(), StatBy::Id).unwrap().1.lpid, 0);
}

fn reading_and_writing_needs_both_bits(subject: &Subject) {
    for (mode, allowed) in [
        (0o600, true),
        (0o400, false),
        (0o200, false),
        (0o066, false),
        (0o677, true),
    ] {
        let segment = subject.segment_with_mode(1, mode);
        let expected = if allowed { Ok(()) } else { Err(Errno::EACCES) };
        assert_eq!(segment.try_attach(0).map(drop), expected, "mode {mode:o}");
    }
}

fn reading_needs_only_the_read_bit(subject: &Subject) {
    for (mode, allowed) in [
        (0o400, true),
        (0o600, true),
        (0o200, false),
        (0o000, false),
        (0o077, false),
    ] {
        let segment = subject.segment_with_mode(1, mode);
        let expected = if allowed { Ok(()) } else { Err(Errno::EACCES) };
        assert_eq!(segment.try_attach(SHM_RDONLY).map(drop), expected, "mode {mode:o}");
    }
}

fn executing_needs_the_execute_bit_too(subject: &Subject) {
    let both = [(0o700, true), (0o500, false), (0o600, false), (0o100, false)];
    let reading = [(0o500, true), (0o700, true), (0o400, false), (0o100, false)];
    for (cases, flags) in [(both, SHM_EXEC), (reading, SHM_EXEC | SHM_RDONLY)] {
        for (mode, allowed) in cases {
            let segment = subject.segment_with_mode(1, mode);
            let expected = if allowed { Ok(()) } else { Err(Errno::EACCES) };
            assert_eq!(
                segment.try_attach(flags).map(drop),
                expected,
                "mode {mode:o}, flags {flags:#o}"
            );
        }
    }
}
