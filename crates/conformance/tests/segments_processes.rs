//! What fork, exec, exit and death do to attachments.

use conformance::process::{
    adopt_orphans, await_orphan, die_of, exit_at_once, exit_in_order, idle, new_pid_namespace_for_children,
    outlive_parent, raise,
};
use conformance::{By, Channel, Child, Ending, Subject, clock};
use sysv_engine::abi::{PAGE_SIZE, SHM_RDONLY};

conformance::on_each_facility! {
    a_fork_doubles_every_attachment_at_once,
    a_fork_counts_as_an_attach_by_the_parent,
    a_forked_child_shares_the_memory,
    a_childs_end_counts_as_a_detach_by_the_child,
    an_orderly_exit_detaches,
    an_exit_without_destructors_detaches,
    sigkill_detaches,
    a_fatal_signal_detaches,
    a_zombie_is_not_attached,
    a_stopped_process_is_attached,
    an_orphan_stays_attached,
    a_parents_death_leaves_the_childs_attachments,
    descendants_of_every_generation_count,
    a_child_that_detaches_leaves_the_others_alone,
    a_child_made_by_the_bare_system_call_may_use_the_facility,
    a_child_made_by_the_bare_system_call_dies_and_is_not_counted,
    a_bare_fork_counts_as_an_attach_by_the_parent,
    a_process_in_another_pid_namespace_counts,
    a_process_in_another_pid_namespace_sees_the_count,
    a_process_in_another_pid_namespace_is_not_counted_once_dead,
}

conformance::on_the_kernel_and_beyond_the_engine! {
    a_child_made_by_the_bare_system_call_counts_while_it_only_sleeps,
    process_ids_are_those_of_whoever_asks,
}

fn a_fork_doubles_every_attachment_at_once(subject: &Subject) {
    let (one, other) = (subject.segment(1), subject.segment(1));
    let attachments = [one.attach(), one.attach(), other.try_attach(SHM_RDONLY).unwrap()];
    let mut children = Vec::new();
    for generation in 2..6 {
        children.push(Child::fork(|parent| parent.receive::<()>()));
        // Without waiting for any sign of life from the child.
        assert_eq!((one.nattch(), other.nattch()), (2 * generation, generation));
    }
    for left in (1..5).rev() {
        children.pop().unwrap().kill();
        assert_eq!((one.nattch(), other.nattch()), (2 * left, left));
    }
    drop(attachments);
    assert_eq!((one.nattch(), other.nattch()), (0, 0));
}

fn a_fork_counts_as_an_attach_by_the_parent(subject: &Subject) {
    let segment = subject.segment(1);
    let attachment = Child::fork(|parent| {
        let _attachment = segment.attach();
        let attached = segment.stat();
        clock::next_second();
        let before = clock::now();
        let mut child = Child::fork(idle);
        child.arrived();
        let forked = segment.stat();
        assert!((before..=clock::now()).contains(&forked.atime));
        assert_eq!((forked.lpid, forked.nattch), (std::process::id() as i32, 2));
        assert_eq!(
            (forked.dtime, forked.ctime, forked.cpid),
            (attached.dtime, attached.ctime, attached.cpid)
        );
        child.proceed();
        child.finish();
        parent.send(&());
    });
    attachment.finish();
}

fn a_forked_child_shares_the_memory(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let attachment = segment.attach();
    let reader = segment.try_attach(SHM_RDONLY).unwrap();
    let mut child = Child::fork(|parent| {
        attachment.store(PAGE_SIZE, 1);
        parent.send(&());
        parent.receive::<()>();
        parent.send(&(attachment.load(0), reader.load(0)));
        parent.receive::<()>();
    });
    child.arrived();
    assert_eq!((attachment.load(PAGE_SIZE), reader.load(PAGE_SIZE)), (1, 1));
    attachment.store(0, 2);
    child.proceed();
    assert_eq!(child.receive::<(u8, u8)>(), (2, 2));
    child.proceed();
    child.finish();
    assert_eq!(segment.nattch(), 2);
}

fn a_childs_end_counts_as_a_detach_by_the_child(subject: &Subject) {
    let segment = subject.segment(1);
    let _attachment = segment.attach();
    for ending in ["exit", "death"] {
        let mut child = Child::fork(idle);
        child.arrived();
        let forked = segment.stat();
        assert_eq!(forked.lpid, std::process::id() as i32);
        clock::next_second();
        let before = clock::now();
        if ending == "exit" {
            child.proceed();
            assert_eq!(child.wait(), Ending::Exited(0));
        } else {
            child.kill();
        }
        let ended = segment.stat();
        assert!((before..=clock::now()).contains(&ended.dtime), "{ending}");
        assert_eq!((ended.lpid, ended.nattch), (child.pid(), 1), "{ending}");
        assert_eq!((ended.atime, ended.ctime), (forked.atime, forked.ctime), "{ending}");
    }
}

/// A child inherits one attachment and makes two; after its end only the parent's is left.
fn ends_with(subject: &Subject, end: impl FnOnce(), expected: Ending) {
    let segment = subject.segment(1);
    let _inherited = segment.attach();
    let mut child = Child::fork(|parent| {
        let _own = [segment.attach(), segment.try_attach(SHM_RDONLY).unwrap()];
        idle(parent);
        end();
    });
    child.arrived();
    assert_eq!(segment.nattch(), 4);
    child.proceed();
    assert_eq!(child.wait(), expected);
    assert_eq!(segment.nattch(), 1);
    assert_eq!(segment.stat().lpid, child.pid());
    assert_eq!(Child::compute(|| segment.nattch()), 2);
}

fn an_orderly_exit_detaches(subject: &Subject) {
    ends_with(subject, || exit_in_order(), Ending::Exited(0));
}

fn an_exit_without_destructors_detaches(subject: &Subject) {
    ends_with(subject, || exit_at_once(7), Ending::Exited(7));
}

fn sigkill_detaches(subject: &Subject) {
    ends_with(subject, || raise(libc::SIGKILL), Ending::Killed(libc::SIGKILL));
}

fn a_fatal_signal_detaches(subject: &Subject) {
    for signal in [libc::SIGTERM, libc::SIGABRT, libc::SIGSEGV, libc::SIGPIPE] {
        ends_with(subject, || die_of(signal), Ending::Killed(signal));
    }
}

fn a_zombie_is_not_attached(subject: &Subject) {
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let _attachment = segment.attach();
        idle(parent);
    });
    child.arrived();
    assert_eq!(segment.nattch(), 1);
    child.kill_to_zombie();
    assert_eq!(segment.nattch(), 0);
    assert_eq!(segment.stat().lpid, child.pid());
    assert_eq!(child.wait(), Ending::Killed(libc::SIGKILL));
}

fn a_stopped_process_is_attached(subject: &Subject) {
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let _attachment = segment.attach();
        idle(parent);
    });
    child.arrived();
    child.stop();
    assert_eq!(segment.nattch(), 1);
    let own = segment.attach();
    assert_eq!(segment.nattch(), 2);
    segment.remove();
    drop(own);
    assert_eq!(segment.nattch(), 1);
    child.signal(libc::SIGCONT);
    child.proceed();
    child.finish();
    segment.assert_gone();
}

fn an_orphan_stays_attached(subject: &Subject) {
    adopt_orphans();
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let attachment = segment.attach();
        // The grandchild keeps the channel, and with it the test's hold on it.
        let mut grandchild = Child::fork(|middle| {
            outlive_parent();
            middle.send(&());
            parent.receive::<()>();
            attachment.write("by the orphan");
            parent.send(&segment.nattch());
            parent.receive::<()>();
        });
        grandchild.arrived();
        parent.send(&grandchild.pid());
        std::mem::forget(grandchild);
        exit_at_once(0);
    });
    let orphan = child.receive();
    assert_eq!(child.wait(), Ending::Exited(0));
    assert_eq!(segment.nattch(), 1);
    child.proceed();
    assert_eq!(child.receive::<u64>(), 1);
    assert!(segment.attach().reads("by the orphan"));
    child.proceed();
    await_orphan(orphan);
    assert_eq!(segment.nattch(), 0);
}

fn a_parents_death_leaves_the_childs_attachments(subject: &Subject) {
    adopt_orphans();
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let _attachments = [segment.attach(), segment.attach()];
        let mut grandchild = Child::fork(|middle| {
            outlive_parent();
            middle.send(&());
            parent.receive::<()>();
        });
        grandchild.arrived();
        parent.send(&grandchild.pid());
        raise(libc::SIGKILL);
    });
    let orphan = child.receive();
    assert_eq!(child.wait(), Ending::Killed(libc::SIGKILL));
    assert_eq!(segment.nattch(), 2);
    segment.remove();
    assert_eq!(segment.nattch(), 2);
    child.proceed();
    await_orphan(orphan);
    segment.assert_gone();
}

fn descendants_of_every_generation_count(subject: &Subject) {
    let segment = subject.segment(1);
    let _attachment = segment.attach();
    let counts = Child::compute(|| {
        let _own = segment.attach();
        let inner = Child::compute(|| {
            let _own = segment.attach();
            let innermost = Child::compute(|| segment.nattch());
            vec![innermost, segment.nattch()]
        });
        [inner, vec![segment.nattch()]].concat()
    });
    // One here; two in the child; three in each of the next generations.
    assert_eq!(counts, [9, 6, 3]);
    assert_eq!(segment.nattch(), 1);
}

fn a_child_that_detaches_leaves_the_others_alone(subject: &Subject) {
    let segment = subject.segment(1);
    let attachments = [segment.attach(), segment.attach()];
    let mut sibling = Child::fork(idle);
    sibling.arrived();
    let counts = Child::compute(|| {
        subject.detach_at(attachments[0].address()).unwrap();
        let after_one = segment.nattch();
        subject.detach_at(attachments[1].address()).unwrap();
        (after_one, segment.nattch())
    });
    assert_eq!(counts, (5, 4));
    sibling.kill();
    assert_eq!(segment.nattch(), 2);
}

fn a_child_made_by_the_bare_system_call_counts_while_it_only_sleeps(subject: &Subject) {
    let segment = subject.segment(1);
    let _attachment = segment.attach();
    let mut child = Child::fork_by(By::BareFork, idle);
    child.arrived();
    assert_eq!(segment.nattch(), 2);
    child.proceed();
    child.finish();
    assert_eq!(segment.nattch(), 1);
}

fn a_child_made_by_the_bare_system_call_may_use_the_facility(subject: &Subject) {
    let segment = subject.segment(1);
    let attachment = segment.attach();
    let mut child = Child::fork_by(By::BareFork, |parent| {
        let inherited = segment.nattch();
        let _own = segment.attach();
        let with_own = segment.nattch();
        subject.detach_at(attachment.address()).unwrap();
        parent.send(&(inherited, with_own, segment.nattch(), segment.stat().lpid));
        parent.receive::<()>();
    });
    assert_eq!(child.receive::<(u64, u64, u64, i32)>(), (2, 3, 2, child.pid()));
    assert_eq!(segment.nattch(), 2);
    child.proceed();
    child.finish();
    assert_eq!(segment.nattch(), 1);
    attachment.store(0, 1);
}

fn a_child_made_by_the_bare_system_call_dies_and_is_not_counted(subject: &Subject) {
    let segment = subject.segment(1);
    let _attachment = segment.attach();
    let mut child = Child::fork_by(By::BareFork, |parent| {
        let _own = segment.attach();
        idle(parent);
    });
    child.arrived();
    assert_eq!(segment.nattch(), 3);
    child.kill();
    assert_eq!(segment.nattch(), 1);
}

fn a_bare_fork_counts_as_an_attach_by_the_parent(subject: &Subject) {
    let segment = subject.segment(1);
    let mut child = Child::fork(|parent| {
        let _attachment = segment.attach();
        idle(parent);
        let mut grandchild = Child::fork_by(By::BareFork, |parent| {
            parent.send(&segment.nattch());
            parent.receive::<()>();
        });
        parent.send(&grandchild.receive::<u64>());
        parent.receive::<()>();
        grandchild.proceed();
        grandchild.finish();
    });
    child.arrived();
    // Now the last one is somebody else.
    let _attachment = segment.attach();
    clock::next_second();
    let before = clock::now();
    child.proceed();
    assert_eq!(child.receive::<u64>(), 3);
    let ds = segment.stat();
    assert_eq!((ds.lpid, ds.nattch), (child.pid(), 3));
    assert!((before..=clock::now()).contains(&ds.atime));
    child.proceed();
    child.finish();
}

/// A child that is the first process of a pid namespace of its own, if we may make one.
fn fork_into_pid_namespace(body: impl FnOnce(&mut Channel)) -> Option<Child> {
    new_pid_namespace_for_children().then(|| Child::fork(body))
}

fn a_process_in_another_pid_namespace_counts(subject: &Subject) {
    let segment = subject.segment(1);
    let inherited = segment.attach();
    let child = fork_into_pid_namespace(|parent| {
        assert_eq!(std::process::id(), 1);
        idle(parent);
        subject.detach_at(inherited.address()).unwrap();
        let _own = [segment.attach(), segment.attach()];
        idle(parent);
    });
    if let Some(mut child) = child {
        child.arrived();
        assert_eq!(segment.nattch(), 2);
        child.proceed();
        child.arrived();
        assert_eq!(segment.nattch(), 3);
        child.proceed();
        child.finish();
        assert_eq!(segment.nattch(), 1);
    }
}

fn a_process_in_another_pid_namespace_sees_the_count(subject: &Subject) {
    let segment = subject.segment(1);
    let inherited = segment.attach();
    let child = fork_into_pid_namespace(|parent| {
        // Process 1 here, and one of process 1's number out there: not the same.
        let mut counts = vec![segment.nattch()];
        subject.detach_at(inherited.address()).unwrap();
        counts.push(segment.nattch());
        let mut grandchild = Child::fork(|child| {
            let _own = segment.attach();
            idle(child);
        });
        grandchild.arrived();
        counts.push(segment.nattch());
        grandchild.kill();
        counts.push(segment.nattch());
        parent.send(&counts);
        parent.receive::<()>();
        parent.send(&segment.nattch());
    });
    if let Some(mut child) = child {
        assert_eq!(child.receive::<Vec<u64>>(), [2, 1, 2, 1]);
        inherited.detach();
        child.proceed();
        assert_eq!(child.receive::<u64>(), 0);
        child.finish();
    }
}

fn a_process_in_another_pid_namespace_is_not_counted_once_dead(subject: &Subject) {
    let segment = subject.segment(1);
    let child = fork_into_pid_namespace(|parent| {
        let _own = segment.attach();
        let mut grandchild = Child::fork(idle);
        grandchild.arrived();
        idle(parent);
    });
    if let Some(mut child) = child {
        child.arrived();
        assert_eq!(segment.nattch(), 2);
        segment.remove();
        // The namespace's first process takes all others with it.
        child.kill();
        segment.assert_gone();
    }
}

fn process_ids_are_those_of_whoever_asks(subject: &Subject) {
    let segment = subject.segment(1);
    segment.attach().detach();
    let child = fork_into_pid_namespace(|parent| {
        let outside = segment.stat();
        segment.attach().detach();
        parent.send(&(outside.cpid, outside.lpid, segment.stat().lpid));
        parent.receive::<()>();
    });
    if let Some(mut child) = child {
        assert_eq!(
            child.receive::<(i32, i32, i32)>(),
            (0, 0, 1),
            "nobody from outside has a number in there"
        );
        assert_eq!(segment.stat().lpid, child.pid());
        assert_eq!(segment.stat().cpid, std::process::id() as i32);
    }
}
