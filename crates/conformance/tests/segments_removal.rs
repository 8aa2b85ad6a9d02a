//! `IPC_RMID`: what goes at once, and what stays for as long as somebody is attached.

use conformance::memory::is_mapped;
use conformance::process::{adopt_orphans, await_orphan, exit_at_once, idle, outlive_parent};
use conformance::program::{Executable, Program};
use conformance::{Child, Ending, Segment, Subject, clock};
use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPCMNI, PAGE_SIZE, SHM_DEST, SHM_RDONLY};
use sysv_engine::{Errno, PermChange, Segments, StatBy};

conformance::on_each_facility! {
    without_attachments_everything_goes_at_once,
    what_was_attached_once_goes_at_once_too,
    an_identifier_can_be_removed_once_without_attachments,
    the_key_is_free_at_once,
    a_removed_segment_shows_its_fate_in_the_mode,
    a_removed_segment_has_no_key,
    removal_changes_no_time_and_no_process,
    a_removed_segment_can_be_attached_by_its_identifier,
    a_removed_segment_can_be_attached_by_a_program_that_had_no_part_in_it,
    a_removed_segment_can_be_removed_again,
    a_removed_segment_can_be_changed,
    a_removed_segment_can_be_locked,
    a_removed_segment_is_found_by_index,
    the_memory_of_a_removed_segment_is_still_shared,
    the_last_detach_is_the_end,
    any_attachment_keeps_it,
    a_read_only_attachment_keeps_it,
    an_inherited_attachment_keeps_it,
    the_last_exit_is_the_end,
    the_last_death_is_the_end,
    the_last_execve_is_the_end,
    nobody_attaches_after_the_last_death,
    a_segment_that_only_a_dead_process_held_goes_with_its_removal,
    a_stopped_process_keeps_it,
    an_orphan_keeps_it,
    without_removal_the_last_detach_is_not_the_end,
    a_new_segment_with_the_key_is_another_one,
    many_removed_segments_live_side_by_side,
    the_memory_comes_back,
    a_segment_removed_by_a_child_is_removed_for_all,
    attaching_and_removing_by_turns_leaves_nothing,
}

fn assert_removed_but_alive(segment: &Segment<'_>) {
    let perm = segment.stat().perm;
    assert_eq!((perm.key, perm.mode & SHM_DEST), (0, SHM_DEST));
}

fn without_attachments_everything_goes_at_once(subject: &Subject) {
    let segment = subject.keyed_segment(PAGE_SIZE, 0o600);
    segment.remove();
    segment.assert_gone();
    assert_eq!(segment.try_attach(0).map(drop), Err(Errno::EINVAL));
    assert_eq!(subject.shmget(segment.key(), 0, 0), Err(Errno::ENOENT));
    let by_index = subject.shm_stat(segment.id() % IPCMNI, StatBy::IndexAny);
    assert_ne!(by_index.map(|(id, _)| id), Ok(segment.id()));
}

fn what_was_attached_once_goes_at_once_too(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    segment.attach().store(0, 1);
    Child::compute(|| segment.attach().leak());
    segment.remove();
    segment.assert_gone();
}

fn an_identifier_can_be_removed_once_without_attachments(subject: &Subject) {
    let segment = subject.segment(1);
    assert_eq!(segment.try_remove(), Ok(()));
    assert_eq!(segment.try_remove(), Err(Errno::EINVAL));
    assert_eq!(Child::compute(|| segment.try_remove()), Err(Errno::EINVAL));
}

fn the_key_is_free_at_once(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    let _attachment = segment.attach();
    assert_eq!(subject.shmget(segment.key(), 0, 0), Ok(segment.id()));
    segment.remove();
    assert_eq!(subject.shmget(segment.key(), 0, 0), Err(Errno::ENOENT));
    assert_eq!(
        Child::compute(|| subject.shmget(segment.key(), 0, 0)),
        Err(Errno::ENOENT)
    );
}

fn a_removed_segment_shows_its_fate_in_the_mode(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o640);
    let _attachment = segment.attach();
    assert_eq!(segment.stat().perm.mode, 0o640);
    segment.remove();
    assert_eq!(segment.stat().perm.mode, SHM_DEST | 0o640);
    assert_eq!(Child::compute(|| segment.stat().perm.mode), SHM_DEST | 0o640);
}

fn a_removed_segment_has_no_key(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    let _attachment = segment.attach();
    assert_eq!(segment.stat().perm.key, segment.key());
    segment.remove();
    assert_eq!(segment.stat().perm.key, 0);
}

fn removal_changes_no_time_and_no_process(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    let _attachment = segment.attach();
    segment.attach().detach();
    let mut before = segment.stat();
    clock::next_second();
    segment.remove();
    before.perm.key = 0;
    before.perm.mode |= SHM_DEST;
    assert_eq!(segment.stat(), before);
}

fn a_removed_segment_can_be_attached_by_its_identifier(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let first = segment.attach();
    first.write("before");
    segment.remove();
    let second = segment.attach();
    assert!(second.reads("before"));
    assert_eq!(segment.nattch(), 2);
    assert!(Child::compute(|| segment
        .try_attach(SHM_RDONLY)
        .unwrap()
        .reads("before")));
    assert_eq!((segment.nattch(), segment.stat().perm.mode & SHM_DEST), (2, SHM_DEST));
}

fn a_removed_segment_can_be_attached_by_a_program_that_had_no_part_in_it(subject: &Subject) {
    let executable = Executable::open(env!("CARGO_BIN_EXE_conformance-peer"));
    let mut program = Program::start(subject, &executable, || ());
    let segment = subject.segment(1);
    let attachment = segment.attach();
    attachment.store(0, 77);
    segment.remove();
    let address = program.attach(segment.id()).unwrap();
    assert_eq!(program.load(address), 77);
    attachment.detach();
    assert_eq!(segment.nattch(), 1);
    program.store(address);
    assert_eq!(segment.attach().load(0), 1);
    assert_eq!(program.detach(address), Ok(()));
    segment.assert_gone();
    assert_eq!(program.attach(segment.id()), Err(Errno::EINVAL));
    program.finish();
}

fn a_removed_segment_can_be_removed_again(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    let attachment = segment.attach();
    for _ in 0..3 {
        assert_eq!(segment.try_remove(), Ok(()));
        assert_eq!(Child::compute(|| segment.try_remove()), Ok(()));
    }
    assert_removed_but_alive(&segment);
    attachment.detach();
    assert_eq!(segment.try_remove(), Err(Errno::EINVAL));
}

fn a_removed_segment_can_be_changed(subject: &Subject) {
    let segment = subject.segment(1);
    let _attachment = segment.attach();
    segment.remove();
    let (uid, gid) = conformance::user::effective();
    assert_eq!(
        subject.shm_set(segment.id(), PermChange { uid, gid, mode: 0o444 }),
        Ok(())
    );
    assert_eq!(segment.stat().perm.mode, SHM_DEST | 0o444);
}

fn a_removed_segment_can_be_locked(subject: &Subject) {
    let segment = subject.segment(1);
    let attachment = segment.attach();
    segment.remove();
    assert_eq!(subject.shm_lock(segment.id(), true), Ok(()));
    assert_eq!(segment.stat().perm.mode, 0o3600);
    attachment.detach();
    segment.assert_gone();
}

fn a_removed_segment_is_found_by_index(subject: &Subject) {
    let segment = subject.keyed_segment(5, 0o600);
    let _attachment = segment.attach();
    segment.remove();
    let by_id = subject.shm_stat(segment.id(), StatBy::Id);
    for by in [StatBy::Index, StatBy::IndexAny] {
        assert_eq!(subject.shm_stat(segment.id() % IPCMNI, by), by_id);
    }
}

fn the_memory_of_a_removed_segment_is_still_shared(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let attachment = segment.attach();
    let mut child = Child::fork(|parent| {
        let own = segment.attach();
        parent.send(&());
        parent.receive::<()>();
        assert!(own.reads("after the removal"));
        attachment.write("from the child as well");
    });
    child.arrived();
    segment.remove();
    attachment.write("after the removal");
    child.proceed();
    child.finish();
    assert!(attachment.reads("from the child as well"));
}

fn the_last_detach_is_the_end(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let (first, second) = (segment.attach(), segment.attach());
    let address = first.address();
    segment.remove();
    first.detach();
    assert_removed_but_alive(&segment);
    second.detach();
    segment.assert_gone();
    assert!(!is_mapped(address));
    assert_eq!(segment.try_attach(0).map(drop), Err(Errno::EINVAL));
    assert_eq!(segment.try_remove(), Err(Errno::EINVAL));
}

fn any_attachment_keeps_it(subject: &Subject) {
    let segment = subject.segment(1);
    let own = segment.attach();
    let mut children: Vec<Child> = (0..3)
        .map(|_| {
            let mut child = Child::fork(|parent| {
                subject.detach_at(own.address()).unwrap();
                let _own = segment.attach();
                idle(parent);
            });
            child.arrived();
            child
        })
        .collect();
    segment.remove();
    own.detach();
    for left in (1..=3).rev() {
        assert_eq!(segment.nattch(), left);
        assert_removed_but_alive(&segment);
        children.pop().unwrap().kill();
    }
    segment.assert_gone();
}

fn a_read_only_attachment_keeps_it(subject: &Subject) {
    let segment = subject.segment(1);
    let reader = segment.try_attach(SHM_RDONLY).unwrap();
    segment.remove();
    segment.attach().store(0, 5);
    assert_eq!(reader.load(0), 5);
    reader.detach();
    segment.assert_gone();
}

fn an_inherited_attachment_keeps_it(subject: &Subject) {
    let segment = subject.segment(1);
    let attachment = segment.attach();
    let mut child = Child::fork(|parent| {
        idle(parent);
        attachment.store(0, 1);
        parent.send(&segment.nattch());
        parent.receive::<()>();
    });
    child.arrived();
    segment.remove();
    attachment.detach();
    assert_removed_but_alive(&segment);
    child.proceed();
    assert_eq!(child.receive::<u64>(), 1);
    child.proceed();
    child.finish();
    segment.assert_gone();
}

/// Removes a segment that only a child has attached, and then lets the child end.
fn last_holder(subject: &Subject, end: impl FnOnce(&mut Child)) {
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let _own = [segment.attach(), segment.attach()];
        idle(parent);
    });
    child.arrived();
    segment.remove();
    assert_eq!(segment.nattch(), 2);
    end(&mut child);
    segment.assert_gone();
    assert_eq!(segment.try_attach(0).map(drop), Err(Errno::EINVAL));
}

fn the_last_exit_is_the_end(subject: &Subject) {
    last_holder(subject, |child| {
        child.proceed();
        assert_eq!(child.wait(), Ending::Exited(0));
    });
}

fn the_last_death_is_the_end(subject: &Subject) {
    last_holder(subject, Child::kill);
    last_holder(subject, Child::kill_to_zombie);
}

fn the_last_execve_is_the_end(subject: &Subject) {
    let executable = Executable::open(env!("CARGO_BIN_EXE_conformance-peer"));
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        segment.attach().leak();
        idle(parent);
        executable.run(subject, parent);
    });
    child.arrived();
    segment.remove();
    assert_eq!(segment.nattch(), 1);
    child.proceed();
    let mut program = Program::in_place_of(child);
    segment.assert_gone();
    assert_eq!(program.attach(segment.id()), Err(Errno::EINVAL));
    program.finish();
}

fn nobody_attaches_after_the_last_death(subject: &Subject) {
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let _own = segment.attach();
        idle(parent);
    });
    child.arrived();
    segment.remove();
    child.kill();
    // The first to look must not find it either, whatever the look.
    assert_eq!(segment.try_attach(0).map(drop), Err(Errno::EINVAL));
    segment.assert_gone();
    for command in [false, true] {
        assert_eq!(subject.shm_lock(segment.id(), command), Err(Errno::EINVAL));
    }
    assert_eq!(segment.try_remove(), Err(Errno::EINVAL));
}

fn a_segment_that_only_a_dead_process_held_goes_with_its_removal(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    let mut child = Child::fork(|parent| {
        let _own = segment.attach();
        idle(parent);
    });
    child.arrived();
    child.kill();
    segment.remove();
    segment.assert_gone();
    assert_eq!(segment.try_attach(0).map(drop), Err(Errno::EINVAL));
}

fn a_stopped_process_keeps_it(subject: &Subject) {
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let _own = segment.attach();
        idle(parent);
    });
    child.arrived();
    child.stop();
    segment.remove();
    assert_removed_but_alive(&segment);
    segment.attach().store(0, 1);
    assert_removed_but_alive(&segment);
    child.kill();
    segment.assert_gone();
}

fn an_orphan_keeps_it(subject: &Subject) {
    adopt_orphans();
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let attachment = segment.attach();
        let mut grandchild = Child::fork(|middle| {
            outlive_parent();
            middle.send(&());
            parent.receive::<()>();
            parent.send(&attachment.load(0));
        });
        grandchild.arrived();
        parent.send(&grandchild.pid());
        std::mem::forget(grandchild);
        exit_at_once(0);
    });
    let orphan = child.receive();
    assert_eq!(child.wait(), Ending::Exited(0));
    segment.remove();
    assert_removed_but_alive(&segment);
    segment.attach().store(0, 9);
    child.proceed();
    assert_eq!(child.receive::<u8>(), 9);
    await_orphan(orphan);
    segment.assert_gone();
}

fn without_removal_the_last_detach_is_not_the_end(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    segment.attach().store(0, 3);
    let mut child = Child::fork(|parent| {
        segment.attach().leak();
        idle(parent);
    });
    child.arrived();
    child.kill();
    assert_eq!(segment.nattch(), 0);
    assert_eq!(subject.shmget(segment.key(), 1, 0), Ok(segment.id()));
    assert_eq!(segment.attach().load(0), 3);
}

fn a_new_segment_with_the_key_is_another_one(subject: &Subject) {
    let old = subject.keyed_segment(PAGE_SIZE, 0o600);
    let to_old = old.attach();
    to_old.write("old");
    old.remove();
    let id = subject
        .shmget(old.key(), 2 * PAGE_SIZE, IPC_CREAT | IPC_EXCL | 0o640)
        .unwrap();
    let new = subject.guard(id, old.key());
    let to_new = new.attach();
    assert!(to_new.is_all_zero());
    to_new.write("new");
    assert!(to_old.reads("old"));
    assert_eq!((old.stat().segsz, new.stat().segsz), (4096, 8192));
    assert_eq!((old.stat().perm.mode, new.stat().perm.mode), (SHM_DEST | 0o600, 0o640));
    new.remove();
    assert_removed_but_alive(&old);
    assert_removed_but_alive(&new);
    to_old.detach();
    old.assert_gone();
    assert!(new.attach().reads("new"));
    to_new.detach();
    new.assert_gone();
}

fn many_removed_segments_live_side_by_side(subject: &Subject) {
    let key = subject.key();
    let generations: Vec<_> = (0..50u8)
        .map(|generation| {
            let segment = subject.guard(subject.shmget(key, 1, IPC_CREAT | IPC_EXCL | 0o600).unwrap(), key);
            let attachment = segment.attach();
            attachment.store(0, generation);
            segment.remove();
            (segment, attachment)
        })
        .collect();
    for (generation, (segment, attachment)) in generations.iter().enumerate() {
        assert_eq!(attachment.load(0), generation as u8);
        assert_eq!(segment.attach().load(0), generation as u8);
        assert_removed_but_alive(segment);
    }
    for (segment, attachment) in generations {
        attachment.detach();
        segment.assert_gone();
    }
}

fn the_memory_comes_back(subject: &Subject) {
    if !subject.is_alone() {
        return;
    }
    let resident = || {
        subject
            .shm_usage()
            .map(|(_, usage)| usage.shm_rss + usage.shm_swp)
            .unwrap()
    };
    for end_by_death in [false, true] {
        let segment = subject.segment(100 * PAGE_SIZE);
        let mut child = Child::fork(|parent| {
            let attachment = segment.attach();
            (0..100).for_each(|page| attachment.store(page * PAGE_SIZE, 1));
            idle(parent);
            attachment.detach();
            idle(parent);
        });
        child.arrived();
        segment.remove();
        assert_eq!(resident(), 100);
        if end_by_death {
            child.kill();
        } else {
            child.proceed();
            child.arrived();
        }
        assert_eq!(resident(), 0);
        assert_eq!(subject.shm_usage().unwrap().1.used_ids, 0);
    }
}

fn a_segment_removed_by_a_child_is_removed_for_all(subject: &Subject) {
    let segment = subject.keyed_segment(1, 0o600);
    let attachment = segment.attach();
    Child::compute(|| segment.remove());
    assert_removed_but_alive(&segment);
    assert_eq!(subject.shmget(segment.key(), 0, 0), Err(Errno::ENOENT));
    attachment.detach();
    segment.assert_gone();
}

fn attaching_and_removing_by_turns_leaves_nothing(subject: &Subject) {
    for round in 0..100 {
        let segment = subject.keyed_segment(PAGE_SIZE, 0o600);
        let attachment = segment.attach();
        assert!(attachment.is_all_zero(), "round {round}");
        attachment.write("something");
        segment.remove();
        attachment.detach();
        segment.assert_gone();
    }
}
