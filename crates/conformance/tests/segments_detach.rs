//! `shmdt`, and what becomes of an attachment that the program unmaps by other means.

use conformance::memory::{Room, free_place, is_mapped};
use conformance::{Child, Ending, Subject, clock};
use sysv_engine::abi::{PAGE_SIZE, SHM_RDONLY};
use sysv_engine::{Errno, Segments};

conformance::on_each_facility! {
    only_the_start_of_an_attachment_is_accepted,
    what_was_never_attached_is_einval,
    ordinary_memory_is_einval_and_stays,
    an_attachment_can_be_detached_once,
    a_detached_range_is_unmapped_to_its_last_page,
    touching_detached_memory_is_sigsegv,
    a_detach_sets_time_and_process,
    a_refused_detach_changes_nothing,
    attachments_are_detached_one_by_one_in_any_order,
    a_detach_by_a_child_leaves_the_parents_attachment,
    a_forked_child_detaches_what_it_inherited,
    read_only_attachments_detach_alike,
    what_one_thread_attached_another_detaches,
    an_unmapped_attachment_does_not_count,
    an_unmapped_attachment_is_einval,
    unmapping_sets_time_and_process,
    without_its_head_an_attachment_counts,
    without_its_head_an_attachment_detaches_at_its_old_start,
    without_its_head_an_attachment_does_not_detach_at_its_new_start,
    without_its_tail_an_attachment_counts_and_detaches,
    without_its_middle_an_attachment_counts_twice,
    without_its_middle_an_attachment_detaches_at_once,
    an_attachment_unmapped_page_by_page_is_gone_with_the_last,
    one_unmapping_can_take_several_attachments,
    unmapping_around_attachments_takes_them_along,
    losing_a_part_counts_as_an_attach_and_a_detach,
    unmapping_nothing_changes_nothing,
    unmapping_off_the_page_boundary_is_einval,
    unmapping_part_of_a_page_takes_the_whole_page,
    unmapping_in_a_child_leaves_the_parents_attachment,
    a_child_that_inherits_pieces_has_them_counted,
    a_new_attachment_in_the_place_of_a_lost_head_detaches_first,
    unmapping_the_last_piece_of_a_removed_segment_is_its_end,
}

fn only_the_start_of_an_attachment_is_accepted(subject: &Subject) {
    let segment = subject.segment(3 * PAGE_SIZE);
    let attachment = segment.attach();
    let start = attachment.address();
    for offset in [1, 8, PAGE_SIZE - 1, PAGE_SIZE, 2 * PAGE_SIZE, 3 * PAGE_SIZE] {
        assert_eq!(subject.detach_at(start + offset), Err(Errno::EINVAL), "offset {offset}");
    }
    assert_eq!(subject.detach_at(start - PAGE_SIZE), Err(Errno::EINVAL));
    assert_eq!(segment.nattch(), 1);
    attachment.detach();
}

fn what_was_never_attached_is_einval(subject: &Subject) {
    for addr in [
        0,
        1,
        PAGE_SIZE,
        free_place(1),
        1 << 47,
        1 << 63,
        usize::MAX & !(PAGE_SIZE - 1),
        usize::MAX,
    ] {
        assert_eq!(subject.detach_at(addr), Err(Errno::EINVAL), "{addr:#x}");
    }
}

fn ordinary_memory_is_einval_and_stays(subject: &Subject) {
    let room = Room::of_pages(2);
    room.store(0, 1);
    assert_eq!(subject.detach_at(room.address()), Err(Errno::EINVAL));
    assert_eq!(room.load(0), 1);
}

fn an_attachment_can_be_detached_once(subject: &Subject) {
    let segment = subject.segment(1);
    let keep = segment.attach();
    let address = segment.attach().leak();
    assert_eq!(subject.detach_at(address), Ok(()));
    assert_eq!(subject.detach_at(address), Err(Errno::EINVAL));
    assert_eq!(segment.nattch(), 1);
    assert_eq!(keep.load(0), 0);
}

fn a_detached_range_is_unmapped_to_its_last_page(subject: &Subject) {
    let place = free_place(2);
    let attachment = subject.segment(PAGE_SIZE + 1).try_attach_at(place, 0).unwrap();
    attachment.store(PAGE_SIZE, 1);
    attachment.detach();
    assert!(!is_mapped(place) && !is_mapped(place + PAGE_SIZE));
}

fn touching_detached_memory_is_sigsegv(subject: &Subject) {
    let segment = subject.segment(1);
    let attachment = segment.attach();
    for write in [false, true] {
        let mut child = Child::fork(|parent| {
            subject.detach_at(attachment.address()).unwrap();
            parent.send(&());
            if write {
                attachment.store(0, 1);
            } else {
                parent.send(&attachment.load(0));
            }
        });
        child.arrived();
        assert_eq!(child.wait(), Ending::Killed(libc::SIGSEGV));
    }
}

fn a_detach_sets_time_and_process(subject: &Subject) {
    let segment = subject.segment(1);
    let attachment = segment.attach();
    let attached = segment.stat();
    assert_eq!(attached.dtime, 0);
    clock::next_second();
    let before = clock::now();
    let child = Child::compute(|| {
        subject.detach_at(attachment.address()).unwrap();
        (
            std::process::id(),
            segment.stat().dtime,
            segment.stat().lpid,
            segment.stat().nattch,
        )
    });
    assert!((before..=clock::now()).contains(&child.1));
    assert_eq!((child.2, child.3), (child.0 as i32, 1));
    let between = segment.stat();
    // The fork itself was an attach: the parent's.
    assert!((before..=clock::now()).contains(&between.atime));
    assert_eq!((between.ctime, between.cpid), (attached.ctime, attached.cpid));
    clock::next_second();
    attachment.detach();
    let ds = segment.stat();
    assert!(ds.dtime > between.dtime);
    assert_eq!((ds.lpid, ds.nattch), (std::process::id() as i32, 0));
    assert_eq!((ds.atime, ds.ctime), (between.atime, between.ctime));
}

fn a_refused_detach_changes_nothing(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachment = segment.attach();
    let before = segment.stat();
    for offset in [1, PAGE_SIZE] {
        assert_eq!(subject.detach_at(attachment.address() + offset), Err(Errno::EINVAL));
    }
    assert_eq!(segment.stat(), before);
}

fn attachments_are_detached_one_by_one_in_any_order(subject: &Subject) {
    let segment = subject.segment(1);
    let mut attachments: Vec<_> = (0..7).map(|_| segment.attach()).collect();
    for (left, index) in [3, 0, 4, 0, 2, 1, 0]
        .into_iter()
        .enumerate()
        .map(|(done, index)| (6 - done as u64, index))
    {
        attachments.remove(index).detach();
        assert_eq!(segment.nattch(), left);
        attachments
            .iter()
            .for_each(|attachment| attachment.store(0, left as u8));
    }
}

fn a_detach_by_a_child_leaves_the_parents_attachment(subject: &Subject) {
    let segment = subject.segment(1);
    let attachment = segment.attach();
    Child::compute(|| subject.detach_at(attachment.address()).unwrap());
    attachment.store(0, 1);
    assert_eq!(segment.nattch(), 1);
    attachment.detach();
}

fn a_forked_child_detaches_what_it_inherited(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachments = [segment.attach(), segment.try_attach(SHM_RDONLY).unwrap()];
    let counts = Child::compute(|| {
        let mut counts = vec![segment.nattch()];
        for attachment in &attachments {
            assert_eq!(subject.detach_at(attachment.address() + PAGE_SIZE), Err(Errno::EINVAL));
            assert_eq!(subject.detach_at(attachment.address()), Ok(()));
            assert_eq!(subject.detach_at(attachment.address()), Err(Errno::EINVAL));
            counts.push(segment.nattch());
        }
        counts
    });
    assert_eq!(counts, [4, 3, 2]);
    assert_eq!(segment.nattch(), 2);
}

fn read_only_attachments_detach_alike(subject: &Subject) {
    let segment = subject.segment(1);
    segment.try_attach(SHM_RDONLY).unwrap().detach();
    assert_eq!(segment.nattch(), 0);
    assert_eq!(segment.stat().lpid, std::process::id() as i32);
}

fn what_one_thread_attached_another_detaches(subject: &Subject) {
    let segment = subject.segment(1);
    let address = segment.attach().leak();
    let result = std::thread::scope(|scope| scope.spawn(|| subject.detach_at(address)).join().unwrap());
    assert_eq!(result, Ok(()));
    assert_eq!(segment.nattch(), 0);
    assert_eq!(segment.stat().lpid, std::process::id() as i32);
}

fn an_unmapped_attachment_does_not_count(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE + 1);
    let (one, other) = (segment.attach(), segment.attach());
    one.unmap(0, 2 * PAGE_SIZE);
    assert_eq!(segment.nattch(), 1);
    assert_eq!(Child::compute(|| segment.nattch()), 2, "the child inherited one");
    other.detach();
    assert_eq!(segment.nattch(), 0);
}

fn an_unmapped_attachment_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    let attachment = segment.attach();
    attachment.unmap(0, PAGE_SIZE);
    assert_eq!(subject.detach_at(attachment.leak()), Err(Errno::EINVAL));
}

fn unmapping_sets_time_and_process(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let attachment = segment.attach();
    clock::next_second();
    let before = clock::now();
    let (pid, ds) = Child::compute(|| {
        attachment.unmap(0, PAGE_SIZE);
        (std::process::id() as i32, segment.stat())
    });
    assert!((before..=clock::now()).contains(&ds.dtime));
    assert_eq!((ds.lpid, ds.nattch), (pid, 1));
}

fn without_its_head_an_attachment_counts(subject: &Subject) {
    let segment = subject.segment(3 * PAGE_SIZE);
    let attachment = segment.attach();
    attachment.store(2 * PAGE_SIZE, 6);
    attachment.unmap(0, PAGE_SIZE);
    assert_eq!(segment.nattch(), 1);
    assert_eq!(attachment.load(2 * PAGE_SIZE), 6);
}

fn without_its_head_an_attachment_detaches_at_its_old_start(subject: &Subject) {
    let segment = subject.segment(3 * PAGE_SIZE);
    let place = free_place(3);
    let attachment = segment.try_attach_at(place, 0).unwrap();
    attachment.unmap(0, PAGE_SIZE);
    attachment.detach();
    assert_eq!(segment.nattch(), 0);
    assert!(!is_mapped(place + PAGE_SIZE) && !is_mapped(place + 2 * PAGE_SIZE));
}

fn without_its_head_an_attachment_does_not_detach_at_its_new_start(subject: &Subject) {
    let segment = subject.segment(3 * PAGE_SIZE);
    let attachment = segment.attach();
    attachment.unmap(0, PAGE_SIZE);
    assert_eq!(subject.detach_at(attachment.address() + PAGE_SIZE), Err(Errno::EINVAL));
    assert_eq!(segment.nattch(), 1);
}

fn without_its_tail_an_attachment_counts_and_detaches(subject: &Subject) {
    let segment = subject.segment(3 * PAGE_SIZE);
    let place = free_place(3);
    let attachment = segment.try_attach_at(place, 0).unwrap();
    attachment.unmap(2 * PAGE_SIZE, PAGE_SIZE);
    assert_eq!(segment.nattch(), 1);
    assert_eq!(attachment.load(2 * PAGE_SIZE - 1), 0);
    attachment.detach();
    assert_eq!(segment.nattch(), 0);
    assert!(!is_mapped(place));
}

fn without_its_middle_an_attachment_counts_twice(subject: &Subject) {
    let segment = subject.segment(5 * PAGE_SIZE);
    let attachment = segment.attach();
    attachment.store(0, 1);
    attachment.store(4 * PAGE_SIZE, 2);
    attachment.unmap(2 * PAGE_SIZE, PAGE_SIZE);
    assert_eq!(segment.nattch(), 2);
    assert_eq!((attachment.load(0), attachment.load(4 * PAGE_SIZE)), (1, 2));
    attachment.unmap(0, 2 * PAGE_SIZE);
    assert_eq!(segment.nattch(), 1);
    attachment.unmap(3 * PAGE_SIZE, PAGE_SIZE);
    assert_eq!((segment.nattch(), attachment.load(4 * PAGE_SIZE)), (1, 2));
    attachment.unmap(4 * PAGE_SIZE, PAGE_SIZE);
    assert_eq!(segment.nattch(), 0);
}

fn without_its_middle_an_attachment_detaches_at_once(subject: &Subject) {
    let segment = subject.segment(5 * PAGE_SIZE);
    let place = free_place(5);
    let attachment = segment.try_attach_at(place, 0).unwrap();
    attachment.unmap(PAGE_SIZE, PAGE_SIZE);
    attachment.unmap(3 * PAGE_SIZE, PAGE_SIZE);
    assert_eq!(segment.nattch(), 3);
    attachment.detach();
    assert_eq!(segment.nattch(), 0);
    assert!((0..5).all(|page| !is_mapped(place + page * PAGE_SIZE)));
}

fn an_attachment_unmapped_page_by_page_is_gone_with_the_last(subject: &Subject) {
    let segment = subject.segment(8 * PAGE_SIZE);
    let attachment = segment.attach();
    // Every other page makes pieces, the rest takes them away.
    for (page, pieces) in [(1, 2), (3, 3), (5, 4), (7, 4), (0, 3), (2, 2), (6, 1), (4, 0)] {
        attachment.unmap(page * PAGE_SIZE, PAGE_SIZE);
        assert_eq!(segment.nattch(), pieces, "after page {page}");
    }
    assert_eq!(subject.detach_at(attachment.leak()), Err(Errno::EINVAL));
}

#[allow(unsafe_code)]
fn unmap(subject: &Subject, addr: usize, len: usize) -> Result<(), Errno> {
    // SAFETY: the callers name places of their own, or what cannot be mapped.
    unsafe { subject.munmap(addr, len) }
}

fn one_unmapping_can_take_several_attachments(subject: &Subject) {
    let (one, other) = (subject.segment(2 * PAGE_SIZE), subject.segment(3 * PAGE_SIZE));
    let place = free_place(7);
    let first = one.try_attach_at(place, 0).unwrap();
    let second = other.try_attach_at(place + 2 * PAGE_SIZE, 0).unwrap();
    let third = one.try_attach_at(place + 5 * PAGE_SIZE, 0).unwrap();
    third.store(PAGE_SIZE, 4);
    // The first one's tail, the second, and the third one's head.
    unmap(subject, place + PAGE_SIZE, 5 * PAGE_SIZE).unwrap();
    assert_eq!((one.nattch(), other.nattch()), (2, 0));
    assert_eq!((first.load(0), third.load(PAGE_SIZE)), (0, 4));
    assert_eq!(subject.detach_at(second.leak()), Err(Errno::EINVAL));
    third.detach();
    first.detach();
    assert_eq!(one.nattch(), 0);
}

fn unmapping_around_attachments_takes_them_along(subject: &Subject) {
    let room = Room::of_pages(6);
    let segment = subject.segment(1);
    let attachments = [1, 3, 4].map(|page| segment.attach_over(&room, page * PAGE_SIZE, 0).unwrap());
    assert_eq!(segment.nattch(), 3);
    unmap(subject, room.address(), room.len()).unwrap();
    assert_eq!(segment.nattch(), 0);
    for attachment in attachments {
        assert_eq!(subject.detach_at(attachment.leak()), Err(Errno::EINVAL));
    }
}

fn losing_a_part_counts_as_an_attach_and_a_detach(subject: &Subject) {
    // The kernel splits the mapping in two and drops one of them.
    for (what, lost, nattch) in [("head", 0, 1), ("middle", 1, 2), ("tail", 2, 1)] {
        let segment = subject.segment(3 * PAGE_SIZE);
        let attachment = segment.attach();
        // Somebody else was the last one.
        Child::compute(|| segment.attach().detach());
        let forked = segment.stat();
        clock::next_second();
        let before = clock::now();
        attachment.unmap(lost * PAGE_SIZE, PAGE_SIZE);
        let ds = segment.stat();
        let now = before..=clock::now();
        assert!(now.contains(&ds.atime) && now.contains(&ds.dtime), "{what}: {ds:?}");
        assert_eq!((ds.lpid, ds.nattch), (std::process::id() as i32, nattch), "{what}");
        assert_eq!((ds.ctime, ds.cpid), (forked.ctime, forked.cpid), "{what}");
    }
}

fn unmapping_nothing_changes_nothing(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let place = free_place(3);
    let attachment = segment.try_attach_at(place + PAGE_SIZE, 0).unwrap();
    let before = segment.stat();
    assert_eq!(unmap(subject, place, PAGE_SIZE), Ok(()));
    assert_eq!(unmap(subject, place + 2 * PAGE_SIZE, PAGE_SIZE), Ok(()));
    assert_eq!(unmap(subject, place + PAGE_SIZE, 0), Err(Errno::EINVAL));
    assert_eq!(unmap(subject, place + PAGE_SIZE, usize::MAX), Err(Errno::EINVAL));
    assert_eq!(segment.stat(), before);
    attachment.detach();
}

fn unmapping_off_the_page_boundary_is_einval(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachment = segment.attach();
    let before = segment.stat();
    assert_eq!(unmap(subject, attachment.address() + 1, PAGE_SIZE), Err(Errno::EINVAL));
    assert_eq!(segment.stat(), before);
    assert_eq!(attachment.load(0), 0);
}

fn unmapping_part_of_a_page_takes_the_whole_page(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachment = segment.attach();
    attachment.unmap(0, 1);
    assert!(!is_mapped(attachment.address()));
    assert_eq!(segment.nattch(), 1);
    attachment.unmap(PAGE_SIZE, 1);
    assert_eq!(segment.nattch(), 0);
    attachment.leak();
}

fn unmapping_in_a_child_leaves_the_parents_attachment(subject: &Subject) {
    let segment = subject.segment(3 * PAGE_SIZE);
    let attachment = segment.attach();
    let mut child = Child::fork(|parent| {
        attachment.unmap(PAGE_SIZE, PAGE_SIZE);
        parent.send(&segment.nattch());
        parent.receive::<()>();
        subject.detach_at(attachment.address()).unwrap();
        parent.send(&segment.nattch());
    });
    assert_eq!(child.receive::<u64>(), 3);
    assert_eq!(segment.nattch(), 3);
    child.proceed();
    assert_eq!(child.receive::<u64>(), 1);
    child.finish();
    attachment.store(PAGE_SIZE, 1);
    attachment.detach();
}

fn a_child_that_inherits_pieces_has_them_counted(subject: &Subject) {
    let segment = subject.segment(3 * PAGE_SIZE);
    let attachment = segment.attach();
    attachment.unmap(PAGE_SIZE, PAGE_SIZE);
    let counts = Child::compute(|| {
        let inherited = segment.nattch();
        subject.detach_at(attachment.address()).unwrap();
        (inherited, segment.nattch())
    });
    assert_eq!(counts, (4, 2));
    assert_eq!(segment.nattch(), 2);
    attachment.detach();
    assert_eq!(segment.nattch(), 0);
}

fn a_new_attachment_in_the_place_of_a_lost_head_detaches_first(subject: &Subject) {
    let (long, short) = (subject.segment(3 * PAGE_SIZE), subject.segment(1));
    let place = free_place(3);
    let headless = long.try_attach_at(place, 0).unwrap();
    headless.unmap(0, PAGE_SIZE);
    let head = short.try_attach_at(place, 0).unwrap();
    // Both answer to the same address, the lower one first.
    head.detach();
    assert_eq!((long.nattch(), short.nattch()), (1, 0));
    headless.detach();
    assert_eq!(long.nattch(), 0);
}

fn unmapping_the_last_piece_of_a_removed_segment_is_its_end(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachment = segment.attach();
    segment.remove();
    attachment.unmap(0, PAGE_SIZE);
    assert_eq!(segment.nattch(), 1);
    attachment.unmap(PAGE_SIZE, PAGE_SIZE);
    segment.assert_gone();
}
