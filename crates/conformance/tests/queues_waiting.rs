//! Waiting for a message and for room: who is served, what interrupts, what a death leaves.

#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use conformance::queue::{Queue, QueueSubject, settle};
use conformance::{Child, user::effective};
use sysv_engine::abi::{MSG_EXCEPT, MSG_NOERROR};
use sysv_engine::{Errno, PermChange};

conformance::on_both_queue_facilities! {
    a_receiver_waits_for_a_message,
    a_sender_waits_for_room,
    a_receiver_is_given_its_type_only,
    what_is_given_never_counts,
    receivers_are_served_in_the_order_of_their_arrival,
    each_receiver_gets_what_it_waits_for,
    a_receiver_with_too_small_a_buffer_is_told_and_the_message_stays,
    a_receiver_that_cuts_takes_the_message,
    a_smaller_message_goes_past_a_larger_that_waits,
    a_larger_capacity_lets_a_sender_go_on,
    removal_ends_both_kinds_of_waiting,
    stricter_permissions_end_waiting,
    a_sender_that_may_no_longer_write_learns_it_when_there_is_room,
    a_handler_interrupts_a_receiver,
    a_handler_interrupts_a_sender,
    a_stop_does_not_interrupt,
    a_killed_receiver_takes_nothing,
    a_killed_sender_sends_nothing,
    a_killed_waiter_does_not_hold_up_the_next,
    what_a_dead_receiver_was_given_goes_to_the_next,
    what_several_dead_receivers_waited_for_goes_to_the_living,
    many_turns_between_two_processes,
    a_stream_from_several_to_several_arrives_complete,
}

/// A child that receives and reports what.
fn receiver(queue: &Queue<'_>, size: usize, kind: i64, flags: i32) -> Child {
    let mut child = Child::fork(|test| {
        test.send(&());
        let received = queue.receive_with(size, kind, flags);
        test.send(&received);
    });
    settle(&mut child);
    child
}

/// A child that sends and reports how that went.
fn sender(queue: &Queue<'_>, kind: i64, len: usize) -> Child {
    let mut child = Child::fork(|test| {
        test.send(&());
        let sent = queue.send_with(kind, &vec![kind as u8; len], 0);
        test.send(&sent);
    });
    settle(&mut child);
    child
}

type Received = Result<(i64, Vec<u8>), Errno>;
type Sent = Result<(), Errno>;

fn a_receiver_waits_for_a_message(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut child = receiver(&queue, 10, 0, 0);
    queue.send(7, b"here").unwrap();
    assert_eq!(child.receive::<Received>(), Ok((7, b"here".to_vec())));
    child.finish();
}

fn a_sender_waits_for_room(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(10).unwrap();
    queue.send(1, b"0123456789").unwrap();
    let mut child = sender(&queue, 2, 4);
    assert_eq!(queue.fill(), (10, 1));
    queue.receive(0).unwrap();
    assert_eq!(child.receive::<Sent>(), Ok(()));
    assert_eq!(queue.receive(0), Ok((2, vec![2; 4])));
    child.finish();
}

fn a_receiver_is_given_its_type_only(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut child = receiver(&queue, 10, 5, 0);
    queue.send(4, b"other").unwrap();
    queue.send(5, b"mine").unwrap();
    assert_eq!(child.receive::<Received>(), Ok((5, b"mine".to_vec())));
    assert_eq!(queue.fill(), (5, 1));
    child.finish();
}

fn what_is_given_never_counts(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(4).unwrap();
    let mut child = receiver(&queue, 10, 2, 0);
    queue.send(1, b"full").unwrap();
    // There is no room: also what a receiver waits for is not sent.
    assert_eq!(queue.send(2, b"x"), Err(Errno::EAGAIN));
    queue.receive(1).unwrap();
    queue.send(2, b"x").unwrap();
    assert_eq!(queue.fill(), (0, 0));
    assert_eq!(child.receive::<Received>(), Ok((2, b"x".to_vec())));
    let ds = queue.stat();
    assert_eq!((ds.lspid, ds.lrpid), (std::process::id() as i32, child.pid()));
    assert!(ds.rtime != 0 && ds.stime != 0);
    child.finish();
}

fn receivers_are_served_in_the_order_of_their_arrival(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut children: Vec<Child> = (0..4).map(|_| receiver(&queue, 10, 0, 0)).collect();
    for (n, child) in children.iter_mut().enumerate() {
        queue.send(n as i64 + 1, &[n as u8]).unwrap();
        assert_eq!(child.receive::<Received>(), Ok((n as i64 + 1, vec![n as u8])));
    }
    children.into_iter().for_each(Child::finish);
}

fn each_receiver_gets_what_it_waits_for(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut exactly = receiver(&queue, 10, 30, 0);
    let mut at_most = receiver(&queue, 10, -5, 0);
    let mut except = receiver(&queue, 10, 30, MSG_EXCEPT);
    queue.send(6, b"except").unwrap();
    queue.send(5, b"at most").unwrap();
    queue.send(30, b"exactly").unwrap();
    assert_eq!(except.receive::<Received>(), Ok((6, b"except".to_vec())));
    assert_eq!(at_most.receive::<Received>(), Ok((5, b"at most".to_vec())));
    assert_eq!(exactly.receive::<Received>(), Ok((30, b"exactly".to_vec())));
    [exactly, at_most, except].into_iter().for_each(Child::finish);
}

fn a_receiver_with_too_small_a_buffer_is_told_and_the_message_stays(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut small = receiver(&queue, 3, 0, 0);
    queue.send(1, b"long").unwrap();
    assert_eq!(small.receive::<Received>(), Err(Errno::E2BIG));
    assert_eq!(queue.fill(), (4, 1));
    small.finish();
    // And it goes to the next who waits and can hold it.
    queue.receive(0).unwrap();
    let (mut small, mut large) = (receiver(&queue, 3, 0, 0), receiver(&queue, 4, 0, 0));
    queue.send(1, b"long").unwrap();
    assert_eq!(small.receive::<Received>(), Err(Errno::E2BIG));
    assert_eq!(large.receive::<Received>(), Ok((1, b"long".to_vec())));
    [small, large].into_iter().for_each(Child::finish);
}

fn a_receiver_that_cuts_takes_the_message(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut child = receiver(&queue, 3, 0, MSG_NOERROR);
    queue.send(1, b"long").unwrap();
    assert_eq!(child.receive::<Received>(), Ok((1, b"lon".to_vec())));
    assert_eq!(queue.fill(), (0, 0));
    child.finish();
}

fn a_smaller_message_goes_past_a_larger_that_waits(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(10).unwrap();
    for _ in 0..2 {
        queue.send(1, &[1; 5]).unwrap();
    }
    let mut large = sender(&queue, 2, 8);
    let mut small = sender(&queue, 3, 5);
    queue.receive(0).unwrap();
    assert_eq!(small.receive::<Sent>(), Ok(()));
    assert_eq!(queue.fill(), (10, 2));
    queue.receive(0).unwrap();
    queue.receive(0).unwrap();
    assert_eq!(large.receive::<Sent>(), Ok(()));
    assert_eq!(queue.receive(0), Ok((2, vec![2; 8])));
    [large, small].into_iter().for_each(Child::finish);
}

fn a_larger_capacity_lets_a_sender_go_on(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(4).unwrap();
    queue.send(1, b"full").unwrap();
    let mut child = sender(&queue, 2, 4);
    queue.set_capacity(8).unwrap();
    assert_eq!(child.receive::<Sent>(), Ok(()));
    assert_eq!(queue.fill(), (8, 2));
    child.finish();
}

fn removal_ends_both_kinds_of_waiting(subject: &QueueSubject) {
    for _ in 0..3 {
        let queue = subject.queue();
        queue.set_capacity(4).unwrap();
        queue.send(1, b"full").unwrap();
        let mut receivers: Vec<Child> = (0..2).map(|n| receiver(&queue, 10, 5 + n, 0)).collect();
        let mut senders: Vec<Child> = (0..2).map(|n| sender(&queue, 2 + n, 4)).collect();
        queue.remove().unwrap();
        for child in &mut receivers {
            assert_eq!(child.receive::<Received>(), Err(Errno::EIDRM));
        }
        for child in &mut senders {
            assert_eq!(child.receive::<Sent>(), Err(Errno::EIDRM));
        }
        receivers.into_iter().chain(senders).for_each(Child::finish);
    }
}

fn stricter_permissions_end_waiting(subject: &QueueSubject) {
    if !conformance::User::can_be_changed() || subject.engine().is_some_and(|engine| !engine.is_shared()) {
        conformance::trial::note("skipped: needs root to act as another user, and a facility that is open to it");
        return;
    }
    let queue = subject.queue_with_mode(0o666);
    let mut child = Child::fork(|test| {
        conformance::User::ALICE.become_for_good();
        sysv_engine::process::credentials_changed();
        test.send(&());
        test.send(&queue.receive_with(10, 0, 0));
    });
    settle(&mut child);
    let (uid, gid) = effective();
    let change = PermChange { uid, gid, mode: 0o600 };
    subject.calls().msg_set(queue.id(), change, 16384).unwrap();
    assert_eq!(child.receive::<Received>(), Err(Errno::EACCES));
    child.finish();
}

fn a_sender_that_may_no_longer_write_learns_it_when_there_is_room(subject: &QueueSubject) {
    if !conformance::User::can_be_changed() || subject.engine().is_some_and(|engine| !engine.is_shared()) {
        conformance::trial::note("skipped: needs root to act as another user, and a facility that is open to it");
        return;
    }
    let (uid, gid) = effective();
    for room in [8, 4] {
        let queue = subject.queue_with_mode(0o666);
        queue.set_capacity(4).unwrap();
        queue.send(1, b"full").unwrap();
        let mut child = Child::fork(|test| {
            conformance::User::ALICE.become_for_good();
            sysv_engine::process::credentials_changed();
            test.send(&());
            let begun = Instant::now();
            let sent = queue.send_with(2, b"more", 0);
            test.send(&(sent, begun.elapsed().as_millis() as u64));
        });
        settle(&mut child);
        let change = |mode, qbytes| {
            let change = PermChange { uid, gid, mode };
            subject.calls().msg_set(queue.id(), change, qbytes).unwrap();
        };
        change(0o600, 4);
        // Longer than a sleeper of ours goes without a look.
        std::thread::sleep(Duration::from_millis(300));
        if room > 4 {
            change(0o600, room);
        } else {
            queue.receive(0).unwrap();
        }
        let (sent, waited) = child.receive::<(Sent, u64)>();
        assert_eq!(sent, Err(Errno::EACCES));
        assert!(waited >= 300, "{waited} ms");
        child.finish();
    }
}

extern "C" fn nothing(_: i32) {}

/// Has a handler run on SIGUSR1, and calls that can be restarted restarted.
fn handle_sigusr1() {
    // SAFETY: a handler that does nothing; zeros are a valid action otherwise.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
}

fn a_handler_interrupts_a_receiver(subject: &QueueSubject) {
    let queue = subject.queue();
    handle_sigusr1();
    for _ in 0..5 {
        let mut child = receiver(&queue, 10, 0, 0);
        child.signal(libc::SIGUSR1);
        assert_eq!(child.receive::<Received>(), Err(Errno::EINTR));
        child.finish();
    }
    queue.send(1, b"nobody waits").unwrap();
    assert_eq!(queue.fill(), (12, 1));
}

fn a_handler_interrupts_a_sender(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(0).unwrap();
    handle_sigusr1();
    for _ in 0..5 {
        let mut child = sender(&queue, 1, 4);
        child.signal(libc::SIGUSR1);
        assert_eq!(child.receive::<Sent>(), Err(Errno::EINTR));
        child.finish();
    }
    queue.set_capacity(100).unwrap();
    assert_eq!(queue.fill(), (0, 0));
}

fn a_stop_does_not_interrupt(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut child = receiver(&queue, 10, 0, 0);
    for _ in 0..3 {
        child.stop();
        child.signal(libc::SIGCONT);
        std::thread::sleep(Duration::from_millis(20));
    }
    child.stop();
    queue.send(1, b"while stopped").unwrap();
    child.signal(libc::SIGCONT);
    assert_eq!(child.receive::<Received>(), Err(Errno::E2BIG));
    child.finish();
}

fn a_killed_receiver_takes_nothing(subject: &QueueSubject) {
    let queue = subject.queue();
    for _ in 0..5 {
        let mut child = receiver(&queue, 10, 0, 0);
        child.kill();
        queue.send(1, b"mine").unwrap();
        assert_eq!(queue.receive(0), Ok((1, b"mine".to_vec())));
    }
    assert_eq!(queue.fill(), (0, 0));
}

fn a_killed_sender_sends_nothing(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(4).unwrap();
    queue.send(1, b"full").unwrap();
    for _ in 0..5 {
        let mut child = sender(&queue, 2, 4);
        child.kill();
    }
    queue.receive(0).unwrap();
    assert_eq!(queue.receive(0), Err(Errno::ENOMSG));
    queue.send(3, b"room").unwrap();
    assert_eq!(queue.fill(), (4, 1));
}

fn a_killed_waiter_does_not_hold_up_the_next(subject: &QueueSubject) {
    let queue = subject.queue();
    let (mut first, mut second) = (receiver(&queue, 10, 0, 0), receiver(&queue, 10, 0, 0));
    first.kill();
    queue.send(1, b"next").unwrap();
    assert_eq!(second.receive::<Received>(), Ok((1, b"next".to_vec())));
    second.finish();
    queue.set_capacity(4).unwrap();
    queue.send(1, b"full").unwrap();
    let (mut first, mut second) = (sender(&queue, 2, 4), sender(&queue, 3, 4));
    first.kill();
    queue.receive(0).unwrap();
    assert_eq!(second.receive::<Sent>(), Ok(()));
    second.finish();
}

/// The differential test found it: the message went from the first of the dead to the second, from there to the living one, who
/// found it while looking at the queue, noticed nothing and slept on. It was lost.
fn what_several_dead_receivers_waited_for_goes_to_the_living(subject: &QueueSubject) {
    for dead in 1..5 {
        let queue = subject.queue();
        let killed: Vec<Child> = (0..dead).map(|_| receiver(&queue, 100, 3, 0)).collect();
        let mut living = receiver(&queue, 8, 3, 0);
        for mut child in killed {
            child.kill();
        }
        queue.send(3, b"to one").unwrap();
        assert_eq!(
            living.receive::<Received>(),
            Ok((3, b"to one".to_vec())),
            "after {dead} deaths"
        );
        living.finish();
        assert_eq!(queue.fill(), (0, 0));
    }
}

fn many_turns_between_two_processes(subject: &QueueSubject) {
    const TURNS: i32 = 3000;
    let queue = subject.queue();
    let mut child = Child::fork(|test| {
        for n in 0..TURNS {
            let (_, text) = queue.receive_with(8, 1, 0).unwrap();
            assert_eq!(text, n.to_ne_bytes());
            queue.send_with(2, &n.to_ne_bytes(), 0).unwrap();
        }
        test.send(&());
    });
    for n in 0..TURNS {
        queue.send_with(1, &n.to_ne_bytes(), 0).unwrap();
        assert_eq!(queue.receive_with(8, 2, 0), Ok((2, n.to_ne_bytes().to_vec())));
    }
    child.arrived();
    child.finish();
}

fn a_stream_from_several_to_several_arrives_complete(subject: &QueueSubject) {
    const EACH: u32 = 2000;
    let queue = subject.queue();
    queue.set_capacity(500).unwrap();
    let start = Instant::now();
    let senders: Vec<Child> = (1..=3u32)
        .map(|who| {
            Child::fork(|_| {
                for n in 0..EACH {
                    let text = [who.to_ne_bytes(), n.to_ne_bytes()].concat();
                    queue.send_with(i64::from(who), &text, 0).unwrap();
                }
            })
        })
        .collect();
    let mut receivers: Vec<Child> = (0..3)
        .map(|_| {
            Child::fork(|test| {
                let mut got = Vec::new();
                loop {
                    let (kind, text) = queue.receive_with(8, 0, 0).unwrap();
                    if kind == 99 {
                        return test.send(&got);
                    }
                    got.push(u64::from_ne_bytes(text.try_into().unwrap()));
                }
            })
        })
        .collect();
    senders.into_iter().for_each(Child::finish);
    for _ in &receivers {
        queue.send_with(99, b"", 0).unwrap();
    }
    let mut all = Vec::new();
    for receiver in &mut receivers {
        let got: Vec<u64> = receiver.receive();
        // Each receiver sees each sender's messages in the order in which they were sent.
        for who in 1..=3 {
            let own: Vec<u64> = got.iter().filter(|m| **m as u32 == who).map(|m| m >> 32).collect();
            assert!(own.is_sorted(), "sender {who}");
        }
        all.extend(got);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3 * EACH as usize, "after {:?}", start.elapsed());
    assert_eq!(queue.fill(), (0, 0));
    receivers.into_iter().for_each(Child::finish);
}

fn what_a_dead_receiver_was_given_goes_to_the_next(subject: &QueueSubject) {
    let queue = subject.queue();
    for _ in 0..5 {
        let [mut first, mut second, mut third] = [100, 1, 0].map(|size| receiver(&queue, size, 0, 0));
        first.kill();
        queue.send(1, b"x").unwrap();
        assert_eq!(second.receive::<Received>(), Ok((1, b"x".to_vec())));
        // It waits for another: this one was not too big for it, but somebody else's.
        queue.send(1, b"").unwrap();
        assert_eq!(third.receive::<Received>(), Ok((1, Vec::new())));
        second.finish();
        third.finish();
    }
}
