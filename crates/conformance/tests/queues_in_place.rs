//! Messages received where they lie: the engine's own call, which the kernel does not have.

#![allow(unsafe_code)]

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use conformance::queue::{Queue, QueueSubject, errno, on_engine, settle};
use conformance::{Child, Facility};
use sysv_engine::abi::{IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR};
use sysv_engine::{Engine, Errno, InPlace, inspect};

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
    a_message_is_read_where_it_lies,
    it_is_selected_as_by_msgrcv,
    a_message_that_is_too_long_stays_unless_it_may_be_cut,
    no_sender_overwrites_what_is_read,
    a_waiting_receiver_is_given_its_message_in_place,
    removal_leaves_what_is_read,
    another_queue_in_the_same_slot_leaves_what_is_read,
    a_forked_copy_frees_nothing,
    what_a_killed_reader_had_is_used_again,
    a_takeover_knows_who_reads,
    a_forgotten_message_ends_with_its_process,
    a_sweep_frees_what_a_killed_reader_had,
}

fn engine(subject: &QueueSubject) -> &Engine {
    subject.engine().expect("the engine")
}

/// A copy of the message's bytes.
fn bytes(message: &InPlace<'_>) -> Vec<u8> {
    // SAFETY: `message` vouches for so many bytes, and nobody in this test writes to them.
    (0..message.len())
        .map(|n| unsafe { message.as_ptr().add(n).read_volatile() })
        .collect()
}

fn take<'s>(subject: &'s QueueSubject, queue: &Queue<'_>) -> InPlace<'s> {
    engine(subject)
        .receive_in_place(queue.id(), 1 << 20, 0, IPC_NOWAIT, None)
        .expect("a message")
}

/// The bytes that the queue's file has on its file system.
fn allocated(subject: &QueueSubject, queue: &Queue<'_>) -> u64 {
    let directory = engine(subject).directory().to_str().expect("a path");
    let file = std::fs::metadata(format!("{directory}/msg/{}", queue.id())).expect("the queue's file");
    file.blocks() * 512
}

fn a_message_is_read_where_it_lies(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(7, b"here it is").unwrap();
    queue.send(8, b"").unwrap();
    let message = take(subject, &queue);
    assert_eq!((message.kind(), bytes(&message)), (7, b"here it is".to_vec()));
    let ds = queue.stat();
    assert_eq!((ds.qnum, ds.cbytes, ds.lrpid), (1, 0, std::process::id() as i32));
    assert!(ds.rtime != 0);
    assert!(take(subject, &queue).is_empty());
    assert_eq!(queue.receive(0), Err(Errno::ENOMSG));
    assert_eq!(bytes(&message), b"here it is");
    drop(message);
    queue.send(1, b"and on").unwrap();
    assert_eq!(queue.receive(0), Ok((1, b"and on".to_vec())));
}

fn it_is_selected_as_by_msgrcv(subject: &QueueSubject) {
    let queue = subject.queue();
    for kind in [5, 3, 4, 3] {
        queue.send(kind, &[kind as u8]).unwrap();
    }
    let take = |kind, flags| {
        let found = engine(subject).receive_in_place(queue.id(), 10, kind, flags | IPC_NOWAIT, None);
        found.map(|message| message.kind())
    };
    assert_eq!(take(9, 0), Err(Errno::ENOMSG));
    assert_eq!(take(4, 0), Ok(4));
    assert_eq!(take(-4, 0), Ok(3));
    assert_eq!(take(5, MSG_EXCEPT), Ok(3));
    assert_eq!(take(0, 0), Ok(5));
    assert_eq!(take(0, 0), Err(Errno::ENOMSG));
    assert_eq!(take(0, MSG_COPY), Err(Errno::EINVAL));
    assert_eq!(
        errno(engine(subject).receive_in_place(-1, 10, 0, 0, None)),
        Some(Errno::EINVAL)
    );
    assert_eq!(
        errno(engine(subject).receive_in_place(queue.id(), usize::MAX, 0, 0, None)),
        Some(Errno::EINVAL)
    );
}

fn a_message_that_is_too_long_stays_unless_it_may_be_cut(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(1, b"0123456789").unwrap();
    let take = |flags| engine(subject).receive_in_place(queue.id(), 4, 0, flags | IPC_NOWAIT, None);
    assert_eq!(errno(take(0)), Some(Errno::E2BIG));
    assert_eq!(queue.fill(), (10, 1));
    assert_eq!(bytes(&take(MSG_NOERROR).unwrap()), b"0123");
    assert_eq!(queue.fill(), (0, 0));
}

fn no_sender_overwrites_what_is_read(subject: &QueueSubject) {
    let queue = subject.queue();
    for n in 0..5u8 {
        queue.send(1, &[n; 1000]).unwrap();
    }
    let held: Vec<InPlace<'_>> = (0..5).map(|_| take(subject, &queue)).collect();
    // Enough of all sizes to need every free block, to join free space, and to empty the queue again and again.
    Child::fork(|_| {
        for round in 0..300usize {
            let len = 1 + round * 37 % 2000;
            for _ in 0..8 {
                queue.send(2, &vec![0xaa; len]).unwrap();
            }
            for _ in 0..8 {
                assert_eq!(queue.receive(0).unwrap().1.len(), len);
            }
        }
    })
    .finish();
    for (n, message) in held.iter().enumerate() {
        assert_eq!(bytes(message), [n as u8; 1000]);
    }
}

fn a_waiting_receiver_is_given_its_message_in_place(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut child = Child::fork(|test| {
        test.send(&());
        let message = engine(subject).receive_in_place(queue.id(), 10, 3, 0, None).unwrap();
        // Others come and go while it is read.
        test.send(&());
        test.receive::<()>();
        test.send(&bytes(&message));
    });
    settle(&mut child);
    queue.send(4, b"not this").unwrap();
    queue.send(3, b"this").unwrap();
    child.arrived();
    assert_eq!(queue.fill(), (8, 1));
    for _ in 0..100 {
        queue.send(5, b"XXXX").unwrap();
        queue.receive(5).unwrap();
    }
    child.proceed();
    assert_eq!(child.receive::<Vec<u8>>(), b"this");
    child.finish();
}

fn removal_leaves_what_is_read(subject: &QueueSubject) {
    let queue = subject.queue();
    for n in 0..4u8 {
        queue.send(1, &[n + 1; 3000]).unwrap();
    }
    // Both of the remover and of another process.
    let held = [take(subject, &queue), take(subject, &queue)];
    let mut child = Child::fork(|test| {
        let message = take(subject, &queue);
        test.send(&());
        test.receive::<()>();
        test.send(&bytes(&message));
    });
    child.arrived();
    queue.remove().unwrap();
    child.proceed();
    assert_eq!(child.receive::<Vec<u8>>(), [3; 3000]);
    child.finish();
    for (n, message) in held.iter().enumerate() {
        assert_eq!(bytes(message), [n as u8 + 1; 3000]);
    }
}

fn another_queue_in_the_same_slot_leaves_what_is_read(subject: &QueueSubject) {
    let first = subject.queue();
    for n in 0..3u8 {
        first.send(1, &[n + 1; 2000]).unwrap();
    }
    let held: Vec<InPlace<'_>> = (0..3).map(|_| take(subject, &first)).collect();
    first.remove().unwrap();
    let second = subject.queue();
    assert_eq!(second.id() % 32768, first.id() % 32768, "the slot is used again");
    for _ in 0..50 {
        second.send(2, &[0xbb; 2000]).unwrap();
        second.receive(0).unwrap();
    }
    for (n, message) in held.iter().enumerate() {
        assert_eq!(bytes(message), [n as u8 + 1; 2000]);
    }
    let mapped = |held: &Vec<InPlace<'_>>| {
        let at = held[0].as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().any(|line| {
            let (from, rest) = line.split_once('-').unwrap();
            let to = rest.split(' ').next().unwrap();
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            (number(from)..number(to)).contains(&at)
        })
    };
    assert!(mapped(&held));
    let last = held.into_iter().next_back().into_iter().collect::<Vec<_>>();
    assert!(mapped(&last), "as long as one is read, all stays");
    drop(last);
    second.send(3, b"still well").unwrap();
    assert_eq!(second.receive(0), Ok((3, b"still well".to_vec())));
}

fn a_forked_copy_frees_nothing(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(1, &[1; 500]).unwrap();
    let message = take(subject, &queue);
    let copy = &message;
    Child::fork(|_| {
        // SAFETY: the child has memory of its own, in which this is another value; the parent's is not touched.
        drop(unsafe { std::ptr::read(copy) });
        for _ in 0..20 {
            queue.send(2, &[2; 500]).unwrap();
        }
        for _ in 0..20 {
            queue.receive(2).unwrap();
        }
    })
    .finish();
    assert_eq!(bytes(&message), [1; 500]);
}

fn what_a_killed_reader_had_is_used_again(subject: &QueueSubject) {
    let queue = subject.queue();
    let fill = || {
        for _ in 0..16 {
            queue.send(1, &[7; 1000]).unwrap();
        }
    };
    let mut after_first = 0;
    for round in 0..40 {
        fill();
        let mut child = Child::fork(|test| {
            let _held: Vec<InPlace<'_>> = (0..16).map(|_| take(subject, &queue)).collect();
            test.send(&());
            test.receive::<()>();
        });
        child.arrived();
        child.kill();
        assert_eq!(queue.fill(), (0, 0));
        if round == 2 {
            after_first = allocated(subject, &queue);
        }
    }
    assert!(
        allocated(subject, &queue) <= after_first,
        "{} bytes, {after_first} at first",
        allocated(subject, &queue)
    );
    fill();
    for _ in 0..16 {
        assert_eq!(queue.receive(0), Ok((1, vec![7; 1000])));
    }
}

fn a_takeover_knows_who_reads(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(1, &[1; 900]).unwrap();
    queue.send(1, &[2; 900]).unwrap();
    let mine = take(subject, &queue);
    let mut reader = Child::fork(|test| {
        let _message = take(subject, &queue);
        test.send(&());
        test.receive::<()>();
    });
    reader.arrived();
    reader.kill();
    // Somebody dies with the lock held, sooner or later.
    for round in 0..30u64 {
        let mut child = Child::fork(|test| {
            test.send(&());
            loop {
                let _ = queue.send(2, &[3; 900]);
                let _ = queue.receive(2);
            }
        });
        child.arrived();
        std::thread::sleep(Duration::from_micros(200 + 97 * round));
        child.kill();
        while queue.receive(2).is_ok() {}
        assert_eq!(bytes(&mine), [1; 900]);
    }
    assert_eq!(queue.fill(), (0, 0));
}

fn a_forgotten_message_ends_with_its_process(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(1, &[1; 100]).unwrap();
    Child::fork(|_| std::mem::forget(take(subject, &queue))).finish();
    for n in 0..100u8 {
        queue.send(1, &[n; 100]).unwrap();
    }
    for n in 0..100u8 {
        assert_eq!(queue.receive(0), Ok((1, vec![n; 100])));
    }
}

fn a_sweep_frees_what_a_killed_reader_had(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(1, &[1; 900]).unwrap();
    let mut reader = Child::fork(|test| {
        let _message = take(subject, &queue);
        test.send(&());
        test.receive::<()>();
    });
    reader.arrived();
    reader.kill();
    let read_by_the_dead = || {
        let mut count = 0;
        inspect::examine(engine(subject), &mut |complaint| {
            count += usize::from(complaint.to_string().contains("a dead process reads the message"));
        });
        count
    };
    assert_eq!(read_by_the_dead(), 1);
    engine(subject).sweep().unwrap();
    assert_eq!(read_by_the_dead(), 0);
    assert_eq!(queue.fill(), (0, 0));
}
