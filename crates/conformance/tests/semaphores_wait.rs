//! Waiting for semaphores, by several processes.

use std::time::{Duration, Instant};

use conformance::process::pause;
use conformance::semaphores::{Set, Sets, handle, processor_time, sembuf};
use conformance::{Child, Subject};
use sysv_engine::abi::{IPC_NOWAIT, SEM_UNDO, SEMVMX, Sembuf};
use sysv_engine::{Errno, Result};

conformance::on_each_facility! {
    a_release_lets_a_waiter_go,
    a_waiters_operations_are_done_by_the_time_the_release_returns,
    waiters_are_served_in_order_of_arrival,
    many_waiters_are_served_in_order_of_arrival,
    waiters_of_different_semaphores_are_served_in_order_of_arrival,
    a_stopped_waiter_does_not_hold_up_the_next,
    waiters_that_watch_for_others_may_be_killed,
    a_small_request_passes_a_big_one,
    one_release_lets_all_go_who_can,
    waiters_for_zero_go_together,
    zero_is_seen_before_somebody_raises_it_again,
    a_waiter_waits_for_all_its_semaphores,
    a_waiter_is_counted_where_it_is_blocked,
    one_waiters_operation_lets_another_go,
    setval_and_setall_let_waiters_go,
    a_waiter_whose_operations_overflow_fails,
    a_waiter_fails_once_it_would_wait_where_it_must_not,
    a_waiter_fails_at_once_when_an_earlier_operation_can_not_be_done_any_more,
    a_waiter_that_only_reads_learns_it_when_something_comes_to_zero,
    removal_ends_every_wait,
    a_handler_interrupts_with_and_without_sa_restart,
    a_signal_without_a_handler_does_not_interrupt,
    a_killed_waiter_is_not_counted_and_takes_nothing,
    a_killed_waiter_in_front_does_not_hold_up_the_next,
    a_killed_waiter_that_would_give_and_take_takes_nothing,
    a_waiter_gives_up_after_its_timeout,
    no_timeout_ends_early,
    large_requests_wait_and_are_served,
    units_are_conserved_among_many_processes,
    transfers_between_semaphores_are_seen_whole,
    idle_waiting_costs_no_processor_time,
    a_mutex_among_many_excludes,
}

/// A child that operates and reports the result.
fn operating(set: &Set<'_>, operations: &[Sembuf]) -> Child {
    Child::fork(|parent| parent.send(&set.op(operations)))
}

fn result(child: &mut Child) -> Result<()> {
    child.receive()
}

fn a_release_lets_a_waiter_go(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [1, 30] {
        let set = sets.set(nsems);
        for _ in 0..20 {
            let mut child = operating(&set, &[sembuf(0, -2, 0)]);
            set.await_waiting(0, (1, 0));
            set.add(0, 1).unwrap();
            assert_eq!((set.value(0), set.waiting(0)), (1, (1, 0)));
            set.add(0, 1).unwrap();
            assert_eq!(result(&mut child), Ok(()));
            assert_eq!((set.value(0), set.waiting(0), set.pid(0)), (0, (0, 0), child.pid()));
            child.finish();
        }
    }
}

fn a_waiters_operations_are_done_by_the_time_the_release_returns(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut children: Vec<Child> = (0..5).map(|_| operating(&set, &[sembuf(0, -1, 0)])).collect();
    set.await_waiting(0, (5, 0));
    for left in (0..5).rev() {
        set.add(0, 1).unwrap();
        assert_eq!((set.value(0), set.waiting(0)), (0, (left, 0)));
    }
    for child in &mut children {
        assert_eq!(result(child), Ok(()));
    }
}

fn waiters_are_served_in_order_of_arrival(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    let mut children = Vec::new();
    for n in 0..8 {
        children.push(operating(&set, &[sembuf(0, -1, 0), sembuf(1, 1, 0)]));
        set.await_waiting(0, (n + 1, 0));
    }
    for child in &mut children {
        set.add(0, 1).unwrap();
        assert_eq!(result(child), Ok(()));
        assert_eq!(set.pid(1), child.pid());
    }
}

fn many_waiters_are_served_in_order_of_arrival(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut children = Vec::new();
    for n in 0..60 {
        children.push(operating(&set, &[sembuf(0, -1, 0)]));
        set.await_waiting(0, (n + 1, 0));
    }
    for child in &mut children {
        set.add(0, 1).unwrap();
        assert_eq!(result(child), Ok(()));
        assert_eq!(set.pid(0), child.pid());
    }
    assert_eq!((set.value(0), set.waiting(0)), (0, (0, 0)));
}

fn waiters_of_different_semaphores_are_served_in_order_of_arrival(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(3);
    for (first, second) in [(0, 1), (1, 0)] {
        let mut early = operating(&set, &[sembuf(first, -1, 0), sembuf(second, -1, 0), sembuf(2, 1, 0)]);
        set.await_waiting(i32::from(first), (1, 0));
        let mut late = operating(&set, &[sembuf(second, -1, 0), sembuf(first, -1, 0), sembuf(2, 1, 0)]);
        set.await_waiting(i32::from(second), (1, 0));
        set.op(&[sembuf(0, 1, 0), sembuf(1, 1, 0)]).unwrap();
        assert_eq!(result(&mut early), Ok(()));
        assert_eq!((set.values(), set.pid(2)), (vec![0, 0, 1], early.pid()));
        set.op(&[sembuf(0, 1, 0), sembuf(1, 1, 0)]).unwrap();
        assert_eq!(result(&mut late), Ok(()));
        set.add(2, -2).unwrap();
    }
}

fn a_stopped_waiter_does_not_hold_up_the_next(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut stopped = operating(&set, &[sembuf(0, -1, 0)]);
    set.await_waiting(0, (1, 0));
    let mut next = operating(&set, &[sembuf(0, -1, 0)]);
    set.await_waiting(0, (2, 0));
    stopped.stop();
    set.add(0, 2).unwrap();
    assert_eq!(result(&mut next), Ok(()));
    stopped.kill();
}

fn waiters_that_watch_for_others_may_be_killed(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.set_value(0, 1).unwrap();
    let mut holder = Child::fork(|parent| {
        parent.send(&set.add_with(0, -1, SEM_UNDO));
        parent.receive::<()>();
    });
    assert_eq!(result(&mut holder), Ok(()));
    let mut children = Vec::new();
    for n in 0..6 {
        children.push(operating(&set, &[sembuf(0, -1, SEM_UNDO)]));
        set.await_waiting(0, (n + 1, 0));
    }
    // Long enough for them to divide the work.
    pause(300_000);
    for child in &mut children[..4] {
        child.kill();
    }
    holder.kill();
    // The others go on one after the other, each when the one before has ended.
    for child in &mut children[4..] {
        assert_eq!(result(child), Ok(()));
        child.wait();
    }
    assert_eq!((set.value(0), set.waiting(0)), (1, (0, 0)));
}

fn a_small_request_passes_a_big_one(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut big = operating(&set, &[sembuf(0, -3, 0)]);
    set.await_waiting(0, (1, 0));
    let mut small = operating(&set, &[sembuf(0, -1, 0)]);
    set.await_waiting(0, (2, 0));
    set.add(0, 1).unwrap();
    assert_eq!(result(&mut small), Ok(()));
    assert_eq!((set.value(0), set.waiting(0)), (0, (1, 0)));
    set.add(0, 3).unwrap();
    assert_eq!(result(&mut big), Ok(()));
}

fn one_release_lets_all_go_who_can(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut children: Vec<Child> = (0..6).map(|_| operating(&set, &[sembuf(0, -1, 0)])).collect();
    set.await_waiting(0, (6, 0));
    set.add(0, 4).unwrap();
    assert_eq!((set.value(0), set.waiting(0)), (0, (2, 0)));
    set.add(0, 2).unwrap();
    for child in &mut children {
        assert_eq!(result(child), Ok(()));
    }
}

fn waiters_for_zero_go_together(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.set_value(0, 2).unwrap();
    let mut children: Vec<Child> = (0..4).map(|_| operating(&set, &[sembuf(0, 0, 0)])).collect();
    set.await_waiting(0, (0, 4));
    set.add(0, -1).unwrap();
    assert_eq!(set.waiting(0), (0, 4));
    set.add(0, -1).unwrap();
    assert_eq!(set.waiting(0), (0, 0));
    for child in &mut children {
        assert_eq!(result(child), Ok(()));
    }
}

fn zero_is_seen_before_somebody_raises_it_again(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    set.set_value(0, 1).unwrap();
    let mut child = operating(&set, &[sembuf(0, 0, 0)]);
    set.await_waiting(0, (0, 1));
    set.add(0, -1).unwrap();
    set.add(0, 1).unwrap();
    assert_eq!(result(&mut child), Ok(()));
    assert_eq!(set.value(0), 1);
}

fn a_waiter_waits_for_all_its_semaphores(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(3);
    let mut child = operating(&set, &[sembuf(0, -1, 0), sembuf(1, -1, 0), sembuf(2, 1, 0)]);
    set.await_waiting(0, (1, 0));
    set.add(1, 1).unwrap();
    assert_eq!((set.values(), set.waiting(0)), (vec![0, 1, 0], (1, 0)));
    set.add(0, 1).unwrap();
    assert_eq!(result(&mut child), Ok(()));
    assert_eq!(set.values(), [0, 0, 1]);
}

fn a_waiter_is_counted_where_it_is_blocked(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(3);
    set.set_value(2, 1).unwrap();
    let mut child = operating(&set, &[sembuf(0, -1, 0), sembuf(1, -1, 0), sembuf(2, 0, 0)]);
    set.await_waiting(0, (1, 0));
    assert_eq!((set.waiting(1), set.waiting(2)), ((0, 0), (0, 0)));
    set.add(0, 1).unwrap();
    assert_eq!(
        (set.waiting(0), set.waiting(1), set.waiting(2)),
        ((0, 0), (1, 0), (0, 0))
    );
    set.add(1, 1).unwrap();
    assert_eq!(
        (set.waiting(0), set.waiting(1), set.waiting(2)),
        ((0, 0), (0, 0), (0, 1))
    );
    assert_eq!(set.values(), [1, 1, 1]);
    set.add(2, -1).unwrap();
    assert_eq!(result(&mut child), Ok(()));
    assert_eq!(set.values(), [0, 0, 0]);
}

fn one_waiters_operation_lets_another_go(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(3);
    let mut last = operating(&set, &[sembuf(2, -1, 0)]);
    set.await_waiting(2, (1, 0));
    let mut middle = operating(&set, &[sembuf(1, -1, 0), sembuf(2, 1, 0)]);
    set.await_waiting(1, (1, 0));
    let mut first = operating(&set, &[sembuf(0, -1, 0), sembuf(1, 1, 0)]);
    set.await_waiting(0, (1, 0));
    set.add(0, 1).unwrap();
    assert_eq!(set.values(), [0, 0, 0]);
    for child in [&mut first, &mut middle, &mut last] {
        assert_eq!(result(child), Ok(()));
    }
}

fn setval_and_setall_let_waiters_go(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    let mut more = operating(&set, &[sembuf(0, -2, 0)]);
    set.await_waiting(0, (1, 0));
    set.set_value(0, 3).unwrap();
    assert_eq!((result(&mut more), set.value(0)), (Ok(()), 1));
    let mut zero = operating(&set, &[sembuf(0, 0, 0)]);
    set.await_waiting(0, (0, 1));
    let mut other = operating(&set, &[sembuf(1, -1, 0)]);
    set.await_waiting(1, (1, 0));
    set.set_values(&[0, 5]).unwrap();
    assert_eq!((result(&mut zero), result(&mut other)), (Ok(()), Ok(())));
    assert_eq!(set.values(), [0, 4]);
}

fn a_waiter_whose_operations_overflow_fails(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    let mut child = operating(&set, &[sembuf(0, -1, 0), sembuf(1, 1, 0)]);
    set.await_waiting(0, (1, 0));
    set.set_value(1, SEMVMX).unwrap();
    set.add(0, 1).unwrap();
    assert_eq!(result(&mut child), Err(Errno::ERANGE));
    assert_eq!((set.values(), set.waiting(0)), (vec![1, SEMVMX as u16], (0, 0)));
}

fn a_waiter_fails_once_it_would_wait_where_it_must_not(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    set.add(1, 1).unwrap();
    let mut child = operating(&set, &[sembuf(0, -1, 0), sembuf(1, 0, IPC_NOWAIT)]);
    set.await_waiting(0, (1, 0));
    set.add(0, 1).unwrap();
    assert_eq!(result(&mut child), Err(Errno::EAGAIN));
    assert_eq!(
        (set.values(), set.waiting(0), set.waiting(1)),
        (vec![1, 1], (0, 0), (0, 0))
    );
    child.finish();
}

fn a_waiter_fails_at_once_when_an_earlier_operation_can_not_be_done_any_more(subject: &Subject) {
    let sets = Sets::of(subject);
    for (nsems, undo) in [(3, 0), (3, SEM_UNDO), (30, 0)] {
        let set = sets.set(nsems);
        // How the wait ends when something is changed.
        let ends = |first: Sembuf, change: &dyn Fn()| {
            let mut child = operating(&set, &[first, sembuf(1, -1, 0), sembuf(2, 1, undo)]);
            set.await_waiting(1, (1, 0));
            // What does not touch it changes nothing.
            set.add(2, 1).unwrap();
            set.await_waiting(1, (1, 0));
            change();
            let ended = result(&mut child);
            assert_eq!(set.waiting(1), (0, 0));
            ended
        };
        let take = sembuf(0, -1, IPC_NOWAIT | undo);
        let zero = sembuf(0, 0, IPC_NOWAIT);
        let too_much = sembuf(0, 1, undo);
        let again = Err(Errno::EAGAIN);
        set.set_value(0, 1).unwrap();
        assert_eq!(ends(take, &|| set.add(0, -1).unwrap()), again);
        set.set_value(0, 1).unwrap();
        assert_eq!(ends(take, &|| set.set_value(0, 0).unwrap()), again);
        set.set_value(0, 1).unwrap();
        assert_eq!(ends(take, &|| set.add(1, 1).unwrap()), Ok(()));
        assert_eq!(set.value(1), 0);
        set.set_value(0, 0).unwrap();
        assert_eq!(ends(zero, &|| set.add(0, 1).unwrap()), again);
        // Too much for one operation is an error also while another is waited for.
        set.set_value(0, 32766).unwrap();
        assert_eq!(ends(too_much, &|| set.add(0, 1).unwrap()), Err(Errno::ERANGE));
    }
}

fn a_waiter_that_only_reads_learns_it_when_something_comes_to_zero(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(3);
    set.set_value(1, 1).unwrap();
    set.set_value(2, 1).unwrap();
    let mut child = operating(&set, &[sembuf(0, 0, IPC_NOWAIT), sembuf(1, 0, 0)]);
    set.await_waiting(1, (0, 1));
    set.add(0, 1).unwrap();
    set.await_waiting(1, (0, 1));
    set.add(2, -1).unwrap();
    assert_eq!(result(&mut child), Err(Errno::EAGAIN));
}

fn removal_ends_every_wait(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [2, 50] {
        let set = sets.set(nsems);
        set.set_value(1, 1).unwrap();
        let mut children = vec![
            operating(&set, &[sembuf(0, -1, 0)]),
            operating(&set, &[sembuf(0, -1, SEM_UNDO)]),
        ];
        set.await_waiting(0, (2, 0));
        children.push(operating(&set, &[sembuf(1, 0, 0), sembuf(0, -1, 0)]));
        set.await_waiting(1, (0, 1));
        set.remove().unwrap();
        let _next = sets.set(nsems);
        for child in &mut children {
            assert_eq!(result(child), Err(Errno::EIDRM));
        }
    }
}

fn a_handler_interrupts_with_and_without_sa_restart(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    for flags in [0, libc::SA_RESTART] {
        for limit in [None, Some(Duration::from_secs(60))] {
            let mut child = Child::fork(|parent| {
                handle(libc::SIGUSR1, flags);
                let operations = [sembuf(0, -1, 0)];
                parent.send(&match limit {
                    None => set.op(&operations),
                    Some(limit) => set.op_within(&operations, limit),
                });
            });
            set.await_waiting(0, (1, 0));
            pause(50_000);
            child.signal(libc::SIGUSR1);
            assert_eq!(result(&mut child), Err(Errno::EINTR));
            assert_eq!(set.waiting(0), (0, 0));
            child.finish();
        }
    }
}

fn a_signal_without_a_handler_does_not_interrupt(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut child = operating(&set, &[sembuf(0, -1, 0)]);
    set.await_waiting(0, (1, 0));
    pause(20_000);
    child.signal(libc::SIGCHLD);
    child.signal(libc::SIGWINCH);
    pause(20_000);
    assert_eq!(set.waiting(0), (1, 0));
    set.add(0, 1).unwrap();
    assert_eq!(result(&mut child), Ok(()));
}

fn a_killed_waiter_is_not_counted_and_takes_nothing(subject: &Subject) {
    let sets = Sets::of(subject);
    for flags in [0, SEM_UNDO] {
        let set = sets.set(2);
        for delay in [0, 30_000] {
            let mut child = operating(&set, &[sembuf(0, -1, flags)]);
            set.await_waiting(0, (1, 0));
            pause(delay);
            child.kill_to_zombie();
            assert_eq!(set.waiting(0), (0, 0));
            child.wait();
            let mut child = operating(&set, &[sembuf(0, -1, flags)]);
            set.await_waiting(0, (1, 0));
            child.kill();
            set.add(0, 1).unwrap();
            assert_eq!((set.value(0), set.waiting(0)), (1, (0, 0)));
            set.add_with(0, -1, IPC_NOWAIT).unwrap();
        }
    }
}

fn a_killed_waiter_in_front_does_not_hold_up_the_next(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let mut front = operating(&set, &[sembuf(0, -1, 0)]);
    set.await_waiting(0, (1, 0));
    let mut next = operating(&set, &[sembuf(0, -1, 0)]);
    set.await_waiting(0, (2, 0));
    front.kill();
    set.add(0, 1).unwrap();
    assert_eq!(result(&mut next), Ok(()));
    assert_eq!(set.value(0), 0);
}

/// The differential test found it: what was done for a dead waiter is taken back where all of it was taking; the rest stayed done.
fn a_killed_waiter_that_would_give_and_take_takes_nothing(subject: &Subject) {
    let sets = Sets::of(subject);
    let waits: [&[Sembuf]; 2] = [
        &[sembuf(0, -1, 0), sembuf(0, 1, IPC_NOWAIT), sembuf(0, -3, 0)],
        &[sembuf(0, -3, SEM_UNDO), sembuf(1, 1, 0)],
    ];
    for operations in waits {
        let set = sets.set(2);
        let mut dead = operating(&set, operations);
        set.await_waiting(0, (1, 0));
        let mut next = operating(&set, &[sembuf(0, -2, 0)]);
        set.await_waiting(0, (2, 0));
        dead.kill();
        set.add(0, 3).unwrap();
        assert_eq!(result(&mut next), Ok(()));
        set.add_with(0, -1, IPC_NOWAIT).unwrap();
        assert_eq!((set.value(0), set.value(1)), (0, 0));
    }
}

fn a_waiter_gives_up_after_its_timeout(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let limit = Duration::from_millis(150);
    let mut child = Child::fork(|parent| {
        let start = Instant::now();
        let result = set.op_within(&[sembuf(0, -1, 0)], limit);
        parent.send(&(result, start.elapsed() >= limit));
    });
    set.await_waiting(0, (1, 0));
    assert_eq!(child.receive::<(Result<()>, bool)>(), (Err(Errno::EAGAIN), true));
    assert_eq!(set.waiting(0), (0, 0));
}

/// A clock that shows whole microseconds only let a wait end up to one too early.
fn no_timeout_ends_early(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    for round in 0..2000 {
        let limit = Duration::from_nanos(500 + 617 * (round % 32));
        let start = Instant::now();
        assert_eq!(set.op_within(&[sembuf(0, -1, 0)], limit), Err(Errno::EAGAIN));
        let took = start.elapsed();
        assert!(took >= limit, "{took:?} instead of {limit:?}");
    }
}

fn large_requests_wait_and_are_served(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [8u16, 300] {
        let set = sets.set(i32::from(nsems));
        let operations: Vec<Sembuf> = (0..499)
            .map(|n| sembuf(n % nsems, -1, 0))
            .chain([sembuf(0, 0, 0)])
            .collect();
        let mut child = operating(&set, &operations);
        set.await_waiting(0, (1, 0));
        for num in (0..nsems).rev() {
            let count = (0..499).filter(|n| n % nsems == num).count();
            set.add(num, count as i16).unwrap();
        }
        assert_eq!(result(&mut child), Ok(()));
        assert!(set.values().iter().all(|&value| value == 0));
    }
}

fn units_are_conserved_among_many_processes(subject: &Subject) {
    const PROCESSES: usize = 6;
    const ROUNDS: usize = 2000;
    let sets = Sets::of(subject);
    let set = sets.set(2);
    set.set_value(0, 3).unwrap();
    let children: Vec<Child> = (0..PROCESSES)
        .map(|n| {
            let set = &set;
            Child::fork(move |_| {
                let undo = if n % 2 == 0 { SEM_UNDO } else { 0 };
                for round in 0..ROUNDS {
                    let taken = (1 + (round + n) % 3) as i16;
                    set.add_with(0, -taken, undo).unwrap();
                    set.op(&[sembuf(1, taken, 0), sembuf(1, -taken, 0)]).unwrap();
                    set.add_with(0, taken, undo).unwrap();
                }
            })
        })
        .collect();
    children.into_iter().for_each(Child::finish);
    assert_eq!((set.values(), set.waiting(0)), (vec![3, 0], (0, 0)));
}

fn transfers_between_semaphores_are_seen_whole(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [4u16, 60] {
        let set = sets.set(i32::from(nsems));
        set.set_values(&vec![5; usize::from(nsems)]).unwrap();
        let total = 5 * u32::from(nsems);
        let children: Vec<Child> = (0..3)
            .map(|n| {
                let set = &set;
                Child::fork(move |_| {
                    for round in 0..3000u16 {
                        let (from, to) = ((round + n) % nsems, (round * 7 + 1) % nsems);
                        let _ = set.op(&[sembuf(from, -1, IPC_NOWAIT), sembuf(to, 1, 0)]);
                    }
                })
            })
            .collect();
        for _ in 0..500 {
            assert_eq!(set.values().iter().map(|&value| u32::from(value)).sum::<u32>(), total);
        }
        children.into_iter().for_each(Child::finish);
        assert_eq!(set.values().iter().map(|&value| u32::from(value)).sum::<u32>(), total);
    }
}

fn idle_waiting_costs_no_processor_time(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let holder = Child::fork(|parent| {
        set.add_with(0, 1, SEM_UNDO).unwrap();
        set.add_with(0, -1, SEM_UNDO).unwrap();
        parent.send(&());
        parent.receive::<()>();
    });
    let mut child = Child::fork(|parent| {
        set.add(0, -1).unwrap();
        parent.send(&processor_time());
    });
    set.await_waiting(0, (1, 0));
    pause(1_000_000);
    set.add(0, 1).unwrap();
    let spent: Duration = Duration::from_micros(child.receive::<u64>());
    assert!(spent < Duration::from_millis(20), "{spent:?} in a second of waiting");
    drop(holder);
}

fn a_mutex_among_many_excludes(subject: &Subject) {
    const PROCESSES: usize = 8;
    let sets = Sets::of(subject);
    let set = sets.set(2);
    set.set_value(0, 1).unwrap();
    let children: Vec<Child> = (0..PROCESSES)
        .map(|_| {
            let set = &set;
            Child::fork(move |_| {
                for _ in 0..3000 {
                    set.add(0, -1).unwrap();
                    // Two steps that another process in the middle would disturb.
                    set.op(&[sembuf(1, 0, IPC_NOWAIT), sembuf(1, 1, 0)]).unwrap();
                    set.add_with(1, -1, IPC_NOWAIT).unwrap();
                    set.add(0, 1).unwrap();
                }
            })
        })
        .collect();
    children.into_iter().for_each(Child::finish);
    assert_eq!(set.values(), [1, 0]);
}
