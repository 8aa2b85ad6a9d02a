//! `shmat`: where an attachment lands, and over what.

use conformance::memory::{Room, free_place, is_mapped};
use conformance::{Child, Subject};
use sysv_engine::abi::{IPC_CREAT, IPC_PRIVATE, PAGE_SIZE, SHM_NORESERVE, SHM_RDONLY, SHM_REMAP, SHM_RND};
use sysv_engine::{Errno, Segments};

conformance::on_each_facility! {
    a_free_address_is_taken_exactly,
    two_segments_can_be_neighbours,
    an_occupied_address_is_einval,
    an_address_whose_range_reaches_into_something_is_einval,
    an_attachment_occupies_its_range,
    an_address_becomes_free_with_the_detach,
    an_address_off_the_page_boundary_is_einval,
    shm_rnd_rounds_down_to_the_page_boundary,
    shm_rnd_rounds_before_the_range_is_looked_at,
    shm_rnd_below_the_first_page_with_shm_remap_is_einval,
    shm_remap_needs_an_address,
    shm_remap_replaces_ordinary_memory,
    shm_remap_takes_a_free_range_too,
    shm_remap_with_shm_rnd_rounds_first,
    shm_remap_off_the_page_boundary_is_einval,
    shm_remap_over_part_of_a_room_leaves_the_rest,
    shm_remap_over_another_attachment_detaches_it,
    shm_remap_over_an_attachment_of_the_same_segment_counts_once,
    shm_remap_over_the_middle_of_an_attachment_splits_it,
    a_range_that_wraps_around_is_einval,
    a_range_beyond_all_memory_is_enomem,
    with_shm_remap_a_range_that_wraps_around_is_enomem,
    an_occupied_place_comes_before_the_end_of_all_memory,
    the_last_pages_of_the_address_space_can_be_used,
    processes_attach_one_segment_at_different_addresses,
}

conformance::on_each_facility_unprivileged! {
    the_first_page_is_forbidden_ground,
}

/// The end of what a process can map on x86-64 with four-level page tables, guard page excluded.
const END: usize = (1 << 47) - PAGE_SIZE;

fn a_free_address_is_taken_exactly(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    for flags in [0, SHM_RDONLY, SHM_RND] {
        let place = free_place(2);
        let attachment = segment.try_attach_at(place, flags).unwrap();
        assert_eq!(attachment.address(), place);
        assert_eq!(attachment.load(2 * PAGE_SIZE - 1), 0);
    }
}

fn two_segments_can_be_neighbours(subject: &Subject) {
    let place = free_place(3);
    let [left, right] = [PAGE_SIZE, PAGE_SIZE + 1].map(|size| subject.segment(size));
    let at_right = right.try_attach_at(place + PAGE_SIZE, 0).unwrap();
    let at_left = left.try_attach_at(place, 0).unwrap();
    at_left.store(PAGE_SIZE - 1, 1);
    at_right.store(0, 2);
    assert_eq!((at_left.load(PAGE_SIZE - 1), at_right.load(0)), (1, 2));
    at_left.detach();
    assert_eq!(at_right.load(0), 2);
    assert_eq!((left.nattch(), right.nattch()), (0, 1));
}

fn an_occupied_address_is_einval(subject: &Subject) {
    let room = Room::of_pages(3);
    room.store(PAGE_SIZE, 77);
    let segment = subject.segment(1);
    for offset in [0, PAGE_SIZE, 2 * PAGE_SIZE] {
        for flags in [0, SHM_RDONLY, SHM_RND] {
            assert_eq!(
                segment.try_attach_at(room.address() + offset, flags).map(drop),
                Err(Errno::EINVAL)
            );
        }
    }
    assert_eq!(room.load(PAGE_SIZE), 77);
    assert_eq!(segment.nattch(), 0);
}

fn an_address_whose_range_reaches_into_something_is_einval(subject: &Subject) {
    let room = Room::of_pages(1);
    let (one, two) = (subject.segment(PAGE_SIZE), subject.segment(PAGE_SIZE + 1));
    let before = room.address() - PAGE_SIZE;
    assert_eq!(two.try_attach_at(before, 0).map(drop), Err(Errno::EINVAL));
    assert_eq!(
        one.try_attach_at(before, 0).map(|attachment| attachment.address()),
        Ok(before)
    );
}

fn an_attachment_occupies_its_range(subject: &Subject) {
    let place = free_place(4);
    let segment = subject.segment(PAGE_SIZE + 1);
    let _attachment = segment.try_attach_at(place + PAGE_SIZE, 0).unwrap();
    for page in 0..3 {
        assert_eq!(
            segment.try_attach_at(place + page * PAGE_SIZE, 0).map(drop),
            Err(Errno::EINVAL),
            "page {page}"
        );
    }
    assert_eq!(segment.nattch(), 1);
}

fn an_address_becomes_free_with_the_detach(subject: &Subject) {
    let place = free_place(1);
    for round in 0..5 {
        let segment = subject.segment(1);
        let attachment = segment.try_attach_at(place, 0).unwrap();
        assert_eq!(attachment.load(0), 0, "round {round}");
        attachment.store(0, 1);
    }
    assert!(!is_mapped(place));
}

fn an_address_off_the_page_boundary_is_einval(subject: &Subject) {
    let place = free_place(2);
    let segment = subject.segment(1);
    for offset in [1, 8, 512, PAGE_SIZE - 1] {
        assert_eq!(segment.try_attach_at(place + offset, 0).map(drop), Err(Errno::EINVAL));
        assert_eq!(segment.try_attach_at(offset, 0).map(drop), Err(Errno::EINVAL));
    }
}

fn shm_rnd_rounds_down_to_the_page_boundary(subject: &Subject) {
    let place = free_place(2);
    let segment = subject.segment(1);
    for offset in [0, 1, 100, PAGE_SIZE - 1] {
        let attachment = segment.try_attach_at(place + offset, SHM_RND).unwrap();
        assert_eq!(attachment.address(), place);
    }
    // An odd number of pages: nothing coarser than a page counts.
    let attachment = segment.try_attach_at(place + PAGE_SIZE + 1, SHM_RND).unwrap();
    assert_eq!(attachment.address(), place + PAGE_SIZE);
}

fn shm_rnd_rounds_before_the_range_is_looked_at(subject: &Subject) {
    let room = Room::of_pages(1);
    let segment = subject.segment(1);
    assert_eq!(
        segment.try_attach_at(room.address() + PAGE_SIZE - 1, SHM_RND).map(drop),
        Err(Errno::EINVAL)
    );
    let before = segment.try_attach_at(room.address() - 1, SHM_RND).unwrap();
    assert_eq!(before.address(), room.address() - PAGE_SIZE);
}

fn shm_rnd_below_the_first_page_with_shm_remap_is_einval(subject: &Subject) {
    let segment = subject.segment(1);
    for addr in [1, PAGE_SIZE - 1] {
        assert_eq!(
            attach_wherever(subject, segment.id(), addr, SHM_RND | SHM_REMAP),
            Err(Errno::EINVAL)
        );
    }
}

fn shm_remap_needs_an_address(subject: &Subject) {
    let segment = subject.segment(1);
    for flags in [SHM_REMAP, SHM_REMAP | SHM_RND, SHM_REMAP | SHM_RDONLY] {
        assert_eq!(segment.try_attach(flags).map(drop), Err(Errno::EINVAL));
    }
}

fn shm_remap_replaces_ordinary_memory(subject: &Subject) {
    let room = Room::of_pages(2);
    room.store(0, 1);
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachment = segment.attach_over(&room, 0, 0).unwrap();
    assert_eq!(attachment.address(), room.address());
    assert_eq!(room.load(0), 0);
    room.store(PAGE_SIZE, 5);
    assert_eq!(Child::compute(|| segment.attach().load(PAGE_SIZE)), 5);
    attachment.detach();
    assert!(!is_mapped(room.address()), "what was replaced does not come back");
    assert_eq!(segment.nattch(), 0);
}

fn shm_remap_takes_a_free_range_too(subject: &Subject) {
    let segment = subject.segment(1);
    let place = free_place(1);
    assert_eq!(attach_wherever(subject, segment.id(), place, SHM_REMAP), Ok(place));
    assert_eq!(segment.nattch(), 1);
    assert_eq!(subject.detach_at(place), Ok(()));
}

fn shm_remap_with_shm_rnd_rounds_first(subject: &Subject) {
    let room = Room::of_pages(2);
    let segment = subject.segment(1);
    let attached = attach_wherever(
        subject,
        segment.id(),
        room.address() + PAGE_SIZE + 9,
        SHM_REMAP | SHM_RND,
    );
    assert_eq!(attached, Ok(room.address() + PAGE_SIZE));
    assert_eq!(subject.detach_at(room.address() + PAGE_SIZE), Ok(()));
}

fn shm_remap_off_the_page_boundary_is_einval(subject: &Subject) {
    let room = Room::of_pages(2);
    room.store(0, 3);
    let segment = subject.segment(1);
    assert_eq!(
        attach_wherever(subject, segment.id(), room.address() + 1, SHM_REMAP),
        Err(Errno::EINVAL)
    );
    assert_eq!(room.load(0), 3);
}

fn shm_remap_over_part_of_a_room_leaves_the_rest(subject: &Subject) {
    let room = Room::of_pages(3);
    (0..3).for_each(|page| room.store(page * PAGE_SIZE, page as u8 + 1));
    let segment = subject.segment(1);
    let attachment = segment.attach_over(&room, PAGE_SIZE, 0).unwrap();
    assert_eq!([0, 1, 2].map(|page| room.load(page * PAGE_SIZE)), [1, 0, 3]);
    attachment.detach();
    assert_eq!([0, 2].map(|page| room.load(page * PAGE_SIZE)), [1, 3]);
}

fn shm_remap_over_another_attachment_detaches_it(subject: &Subject) {
    let room = Room::of_pages(1);
    let (first, second) = (subject.segment(1), subject.segment(1));
    let below = first.attach_over(&room, 0, 0).unwrap();
    below.store(0, 1);
    let above = second.attach_over(&room, 0, 0).unwrap();
    assert_eq!((first.nattch(), second.nattch()), (0, 1));
    assert_eq!(above.load(0), 0);
    assert_ne!(first.stat().dtime, 0);
    above.detach();
    assert_eq!(second.nattch(), 0);
    assert_eq!(subject.detach_at(below.leak()), Err(Errno::EINVAL));
}

fn shm_remap_over_an_attachment_of_the_same_segment_counts_once(subject: &Subject) {
    let room = Room::of_pages(1);
    let segment = subject.segment(1);
    let below = segment.attach_over(&room, 0, 0).unwrap();
    below.store(0, 1);
    let above = segment.attach_over(&room, 0, 0).unwrap();
    assert_eq!((segment.nattch(), above.load(0)), (1, 1));
    above.detach();
    assert_eq!(segment.nattch(), 0);
    below.leak();
}

fn shm_remap_over_the_middle_of_an_attachment_splits_it(subject: &Subject) {
    let room = Room::of_pages(3);
    let (large, small) = (subject.segment(3 * PAGE_SIZE), subject.segment(1));
    let outer = large.attach_over(&room, 0, 0).unwrap();
    (0..3).for_each(|page| outer.store(page * PAGE_SIZE, page as u8 + 1));
    let inner = small.attach_over(&room, PAGE_SIZE, 0).unwrap();
    assert_eq!(
        (large.nattch(), small.nattch()),
        (2, 1),
        "two pieces of the outer one are left"
    );
    assert_eq!([0, 1, 2].map(|page| room.load(page * PAGE_SIZE)), [1, 0, 3]);
    // One detach takes both pieces and leaves what lies between them.
    outer.detach();
    assert_eq!((large.nattch(), small.nattch()), (0, 1));
    assert_eq!(
        [0, 1, 2].map(|page| is_mapped(room.address() + page * PAGE_SIZE)),
        [false, true, false]
    );
    inner.detach();
}

fn a_range_that_wraps_around_is_einval(subject: &Subject) {
    let last_page = usize::MAX - (PAGE_SIZE - 1);
    let (one, two) = (subject.segment(PAGE_SIZE), subject.segment(PAGE_SIZE + 1));
    assert_eq!(one.try_attach_at(last_page, 0).map(drop), Err(Errno::EINVAL));
    assert_eq!(two.try_attach_at(last_page, 0).map(drop), Err(Errno::EINVAL));
    assert_eq!(two.try_attach_at(usize::MAX, SHM_RND).map(drop), Err(Errno::EINVAL));
    // The end counts in bytes of the segment, not of its pages.
    assert_eq!(
        subject.segment(1).try_attach_at(last_page, 0).map(drop),
        Err(Errno::ENOMEM)
    );
    assert_eq!(
        two.try_attach_at(last_page - PAGE_SIZE, 0).map(drop),
        Err(Errno::ENOMEM)
    );
}

fn a_range_beyond_all_memory_is_enomem(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    for addr in [1 << 63, usize::MAX & !0xf_ffff, 1 << 56] {
        assert_eq!(
            segment.try_attach_at(addr, 0).map(drop),
            Err(Errno::ENOMEM),
            "{addr:#x}"
        );
        assert_eq!(
            segment.try_attach_at(addr + 1, SHM_RND).map(drop),
            Err(Errno::ENOMEM),
            "{addr:#x} rounded"
        );
        let replaced = attach_wherever(subject, segment.id(), addr, SHM_REMAP);
        assert_eq!(replaced, Err(Errno::ENOMEM), "{addr:#x} with SHM_REMAP");
    }
    assert_eq!(segment.try_attach_at(END - PAGE_SIZE, 0).map(drop), Err(Errno::ENOMEM));
    assert_eq!(segment.try_attach_at(END, 0).map(drop), Err(Errno::ENOMEM));
    assert_eq!(segment.nattch(), 0);
}

fn with_shm_remap_a_range_that_wraps_around_is_enomem(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE + 1);
    let last_page = usize::MAX - (PAGE_SIZE - 1);
    assert_eq!(
        attach_wherever(subject, segment.id(), last_page, SHM_REMAP),
        Err(Errno::ENOMEM)
    );
}

fn an_occupied_place_comes_before_the_end_of_all_memory(subject: &Subject) {
    let Ok(id) = subject.shmget(IPC_PRIVATE, 1 << 50, IPC_CREAT | SHM_NORESERVE | 0o600) else {
        return conformance::trial::skip("this machine never overcommits");
    };
    let segment = subject.guard(id, IPC_PRIVATE);
    // The range holds this program, its libraries and its stack, and ends beyond the last address.
    assert_eq!(segment.try_attach_at(free_place(1), 0).map(drop), Err(Errno::EINVAL));
    assert_eq!(segment.try_attach_at(END - PAGE_SIZE, 0).map(drop), Err(Errno::ENOMEM));
    assert_eq!(segment.try_attach(0).map(drop), Err(Errno::ENOMEM));
    assert_eq!(
        attach_wherever(subject, id, END - PAGE_SIZE, SHM_REMAP),
        Err(Errno::ENOMEM)
    );
}

fn the_last_pages_of_the_address_space_can_be_used(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachment = segment.try_attach_at(END - 2 * PAGE_SIZE, 0).unwrap();
    attachment.store(2 * PAGE_SIZE - 1, 1);
    attachment.detach();
    assert_eq!(segment.nattch(), 0);
}

fn processes_attach_one_segment_at_different_addresses(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let (here, there) = (free_place(1), free_place(1));
    let attachment = segment.try_attach_at(here, 0).unwrap();
    attachment.store(0, 8);
    let result = Child::compute(|| {
        let occupied = segment.try_attach_at(here, 0).map(drop);
        subject.detach_at(here).unwrap();
        let own = segment.try_attach_at(here, 0).unwrap().load(0);
        let other = segment.try_attach_at(there, 0).unwrap().load(0);
        (occupied, own, other)
    });
    assert_eq!(result, (Err(Errno::EINVAL), 8, 8));
    assert_eq!(segment.nattch(), 1);
}

fn the_first_page_is_forbidden_ground(subject: &Subject) {
    let segment = subject.segment(1);
    assert_eq!(segment.try_attach_at(1, SHM_RND).map(drop), Err(Errno::EPERM));
    assert_eq!(segment.nattch(), 0);
}

/// `shmat` with any flags at addresses where nothing is that could be missed.
#[allow(unsafe_code)]
fn attach_wherever(subject: &Subject, id: i32, addr: usize, flags: i32) -> Result<usize, Errno> {
    // SAFETY: the callers name free places, rooms of their own, or places that cannot be mapped.
    unsafe { subject.shmat(id, addr, flags) }.map(|address| address as usize)
}
