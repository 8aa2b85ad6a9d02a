//! Waiting no longer than a while, and looking at who and what waits: the engine's own calls, which the kernel does not have.

#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use conformance::queue::{Queue, QueueSubject, on_engine, settle};
use conformance::{Child, Facility};
use sysv_engine::abi::{IPC_NOWAIT, MSG_EXCEPT};
use sysv_engine::{Engine, Errno, Result, Wants};

/// Makes a test of each named function on the engine.
macro_rules! on_the_engine {
    ($($test:ident),* $(,)?) => {
        mod engine {
            $(#[test] fn $test() {
                conformance::trial::run(super::Facility::Kernel, |_| super::on_engine(super::$test));
            })*
        }
    };
}

on_the_engine! {
    a_receiver_waits_its_time,
    a_sender_waits_its_time,
    a_receiver_in_place_waits_its_time,
    what_comes_in_time_is_received,
    room_in_time_is_used,
    a_handler_ends_a_wait_with_a_timeout,
    no_time_means_one_attempt,
    the_messages_that_wait_are_listed,
    those_who_wait_are_listed,
    a_listing_needs_permission_and_a_queue,
}

const WHILE: Duration = Duration::from_millis(120);

fn engine(subject: &QueueSubject) -> &Engine {
    subject.engine().expect("the engine")
}

fn receive(subject: &QueueSubject, queue: &Queue<'_>, timeout: Duration) -> Result<(i64, Vec<u8>)> {
    let mut buffer = [0u8; 8 + 64];
    let address = buffer.as_mut_ptr() as usize;
    // SAFETY: the buffer has room.
    let len = unsafe { engine(subject).msgrcv_timeout(queue.id(), address, 64, 0, 0, timeout) }?;
    Ok((
        i64::from_ne_bytes(buffer[..8].try_into().unwrap()),
        buffer[8..8 + len].to_vec(),
    ))
}

fn send(subject: &QueueSubject, queue: &Queue<'_>, text: &[u8], timeout: Duration) -> Result<()> {
    let message = [&1i64.to_ne_bytes(), text].concat();
    let address = message.as_ptr() as usize;
    // SAFETY: nobody writes to the message.
    unsafe { engine(subject).msgsnd_timeout(queue.id(), address, text.len(), 0, timeout) }
}

fn a_receiver_waits_its_time(subject: &QueueSubject) {
    let (queue, start) = (subject.queue(), Instant::now());
    assert_eq!(receive(subject, &queue, WHILE), Err(Errno::ENOMSG));
    assert!(start.elapsed() >= WHILE);
    // And is not waited for any more.
    queue.send(1, b"later").unwrap();
    assert_eq!(queue.fill(), (5, 1));
}

fn a_sender_waits_its_time(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(4).unwrap();
    queue.send(1, b"full").unwrap();
    let start = Instant::now();
    assert_eq!(send(subject, &queue, b"more", WHILE), Err(Errno::EAGAIN));
    assert!(start.elapsed() >= WHILE);
    queue.receive(0).unwrap();
    assert_eq!(queue.fill(), (0, 0));
}

fn a_receiver_in_place_waits_its_time(subject: &QueueSubject) {
    let (queue, start) = (subject.queue(), Instant::now());
    let received = engine(subject).receive_in_place(queue.id(), 10, 0, 0, Some(WHILE));
    assert_eq!(received.err(), Some(Errno::ENOMSG));
    assert!(start.elapsed() >= WHILE);
}

fn what_comes_in_time_is_received(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut child = Child::fork(|test| {
        test.send(&());
        test.send(&receive(subject, &queue, Duration::from_secs(60)));
    });
    settle(&mut child);
    queue.send(2, b"in time").unwrap();
    assert_eq!(child.receive::<Result<(i64, Vec<u8>)>>(), Ok((2, b"in time".to_vec())));
    child.finish();
}

fn room_in_time_is_used(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(4).unwrap();
    queue.send(1, b"full").unwrap();
    let mut child = Child::fork(|test| {
        test.send(&());
        test.send(&send(subject, &queue, b"next", Duration::from_secs(60)));
    });
    settle(&mut child);
    queue.receive(0).unwrap();
    assert_eq!(child.receive::<Result<()>>(), Ok(()));
    assert_eq!(queue.receive(0), Ok((1, b"next".to_vec())));
    child.finish();
}

fn a_handler_ends_a_wait_with_a_timeout(subject: &QueueSubject) {
    extern "C" fn nothing(_: i32) {}
    let queue = subject.queue();
    let mut child = Child::fork(|test| {
        // SAFETY: a handler that does nothing.
        unsafe { libc::signal(libc::SIGUSR1, nothing as *const () as usize) };
        test.send(&());
        test.send(&receive(subject, &queue, Duration::from_secs(60)));
    });
    settle(&mut child);
    child.signal(libc::SIGUSR1);
    assert_eq!(child.receive::<Result<(i64, Vec<u8>)>>(), Err(Errno::EINTR));
    child.finish();
}

fn no_time_means_one_attempt(subject: &QueueSubject) {
    let queue = subject.queue();
    assert_eq!(receive(subject, &queue, Duration::ZERO), Err(Errno::ENOMSG));
    assert_eq!(send(subject, &queue, b"now", Duration::ZERO), Ok(()));
    assert_eq!(receive(subject, &queue, Duration::ZERO), Ok((1, b"now".to_vec())));
}

fn the_messages_that_wait_are_listed(subject: &QueueSubject) {
    let queue = subject.queue();
    let list = |limit| {
        let mut found = Vec::new();
        engine(subject)
            .messages(queue.id(), limit, &mut |message| {
                found.push((message.kind, message.size, message.sender_pid))
            })
            .unwrap();
        found
    };
    assert!(list(10).is_empty());
    let me = std::process::id();
    queue.send(5, b"12345").unwrap();
    queue.send(9, b"").unwrap();
    let mut child = Child::fork(|_| queue.send(2, b"child's").unwrap());
    let other = child.pid() as u32;
    child.wait();
    queue.send(3, &[0; 100]).unwrap();
    queue.receive(9).unwrap();
    assert_eq!(list(10), [(5, 5, me), (2, 7, other), (3, 100, me)]);
    assert_eq!(list(2), [(5, 5, me), (2, 7, other)]);
    assert!(list(0).is_empty());
    // What is read in place waits no longer.
    let message = engine(subject)
        .receive_in_place(queue.id(), 10, 0, IPC_NOWAIT, None)
        .unwrap();
    assert_eq!(list(10), [(2, 7, other), (3, 100, me)]);
    drop(message);
    assert_eq!(queue.fill(), (107, 2));
    let mut times = Vec::new();
    engine(subject)
        .messages(queue.id(), 1, &mut |message| times.push(message.sent_at))
        .unwrap();
    assert!((queue.stat().stime - 60..=queue.stat().stime).contains(&times[0]));
}

fn those_who_wait_are_listed(subject: &QueueSubject) {
    let queue = subject.queue();
    let list = || {
        let mut found = Vec::new();
        engine(subject)
            .queue_waiters(queue.id(), &mut |waiter| {
                found.push((waiter.pid as i32, waiter.wants, waiter.size))
            })
            .unwrap();
        found
    };
    assert!(list().is_empty());
    let waiting = |kind, size, flags| {
        let mut child = Child::fork(|test| {
            test.send(&());
            let _ = queue.receive_with(size, kind, flags);
        });
        settle(&mut child);
        child
    };
    let mut children = [
        waiting(0, 10, 0),
        waiting(7, 11, 0),
        waiting(-7, 12, 0),
        waiting(7, 13, MSG_EXCEPT),
    ];
    let pids = children.each_ref().map(Child::pid);
    assert_eq!(
        list(),
        [
            (pids[0], Wants::Any, 10),
            (pids[1], Wants::Exactly(7), 11),
            (pids[2], Wants::AtMost(7), 12),
            (pids[3], Wants::Except(7), 13),
        ]
    );
    children[1].kill();
    assert_eq!(
        list().iter().map(|waiter| waiter.0).collect::<Vec<_>>(),
        [pids[0], pids[2], pids[3]]
    );
    for child in &mut children {
        let _ = queue.send(8, b"");
        let _ = queue.send(1, b"");
        let _ = child.wait();
    }
    while queue.receive(0).is_ok() {}
    queue.set_capacity(4).unwrap();
    queue.send(1, b"full").unwrap();
    let mut sender = Child::fork(|test| {
        test.send(&());
        let _ = queue.send_with(1, b"abc", 0);
    });
    settle(&mut sender);
    assert_eq!(list(), [(sender.pid(), Wants::Room, 3)]);
    queue.receive(0).unwrap();
    sender.finish();
    assert!(list().is_empty());
}

fn a_listing_needs_permission_and_a_queue(subject: &QueueSubject) {
    let queue = subject.queue();
    let messages = |id| engine(subject).messages(id, 1, &mut |_| {});
    let waiters = |id| engine(subject).queue_waiters(id, &mut |_| {});
    assert_eq!((messages(queue.id()), waiters(queue.id())), (Ok(()), Ok(())));
    assert_eq!((messages(-1), waiters(-1)), (Err(Errno::EINVAL), Err(Errno::EINVAL)));
    let id = queue.id();
    queue.remove().unwrap();
    assert_eq!((messages(id), waiters(id)), (Err(Errno::EINVAL), Err(Errno::EINVAL)));
}
