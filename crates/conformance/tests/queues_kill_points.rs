//! A process is killed at one instruction after another of each operation on a queue: what it did happened wholly or not at
//! all, and the queue works on.
//!
//! Some points of each operation, chosen anew each time; `SYSV_KILL_POINTS` says how many.

#![allow(unsafe_code)]

use std::hash::{BuildHasher, RandomState};

use conformance::queue::{Queue, QueueSubject, settle};
use conformance::{Child, trial};
use sysv_engine::Errno;
use sysv_engine::abi::IPC_NOWAIT;

conformance::on_both_queue_facilities! {
    a_killed_sending_happened_or_not,
    a_killed_first_use_happened_or_not,
    a_killed_receipt_happened_or_not,
    a_killed_handing_over_happened_or_not,
    a_killed_enlargement_of_everything_happened_or_not,
    a_killed_removal_happened_or_can_be_done_again,
}

type Contents = Vec<(i64, Vec<u8>)>;

/// A child that is stopped, waiting to be led through an operation instruction by instruction.
fn led(act: impl FnOnce()) -> Child {
    let child = Child::fork(|_| {
        // SAFETY: no pointers that matter; the parent takes over.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        act();
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGSTOP) };
    });
    assert_eq!(stopped_by(&child), libc::SIGSTOP);
    child
}

fn stopped_by(child: &Child) -> i32 {
    let mut status = 0;
    // SAFETY: our own child, and `status` is valid.
    assert_eq!(unsafe { libc::waitpid(child.pid(), &mut status, 0) }, child.pid());
    assert!(libc::WIFSTOPPED(status), "the child ended: {status:#x}");
    libc::WSTOPSIG(status)
}

/// Leads the child on for at most so many instructions; returns how many there were until the operation's end.
fn lead(child: &Child, most: usize) -> Option<usize> {
    for step in 0..most {
        // SAFETY: our own child, which is stopped.
        let stepped = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, child.pid(), 0, 0) };
        assert_eq!(stepped, 0, "PTRACE_SINGLESTEP: {}", std::io::Error::last_os_error());
        if stopped_by(child) == libc::SIGSTOP {
            return Some(step);
        }
    }
    None
}

/// Instructions that may be led through for one operation at each run of the tests. Each costs two changes of process: a million took
/// longer than the watchdog waits, on a machine with much else to do.
const AFFORDABLE: usize = 800_000;

/// Tries the operation with a death at some points: `make` makes a queue ready, `act` is what the victim does, `check` looks
/// at what is left.
fn at_points<'s>(
    name: &str,
    make: impl Fn() -> Queue<'s>,
    act: impl Fn(&Queue<'_>),
    check: impl Fn(&Queue<'_>, usize),
) {
    let whole = {
        let queue = make();
        let mut child = led(|| act(&queue));
        let steps = lead(&child, 10_000_000).expect("an end");
        child.kill();
        check(&queue, usize::MAX);
        steps
    };
    let points = std::env::var("SYSV_KILL_POINTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or((AFFORDABLE / whole).clamp(3, 12));
    let dice = RandomState::new();
    for n in 0..points {
        let point = (n * whole + dice.hash_one(n) as usize % whole) / points;
        let queue = make();
        let mut child = led(|| act(&queue));
        lead(&child, point);
        child.kill();
        check(&queue, point);
    }
    trial::note(&format!("{name}: {points} of {whole} instructions"));
}

/// Everything in the queue, which must be what its counters say.
fn drain(queue: &Queue<'_>) -> Contents {
    let (bytes, messages) = queue.fill();
    let mut contents = Contents::new();
    while let Ok(message) = queue.receive_with(20_000, 0, IPC_NOWAIT) {
        contents.push(message);
    }
    assert_eq!(contents.len() as u64, messages);
    assert_eq!(contents.iter().map(|m| m.1.len() as u64).sum::<u64>(), bytes);
    assert_eq!(queue.fill(), (0, 0));
    // And it works on.
    for kind in 1..5 {
        queue.send(kind, &[kind as u8; 100]).unwrap();
    }
    assert_eq!(queue.receive(3), Ok((3, vec![3; 100])));
    contents
}

const THREE: [(i64, &[u8]); 3] = [(1, b"one"), (2, b"two"), (3, b"three")];

fn with_three(subject: &QueueSubject) -> Queue<'_> {
    let queue = subject.queue();
    for (kind, text) in THREE {
        queue.send(kind, text).unwrap();
    }
    queue
}

fn three() -> Contents {
    THREE.iter().map(|(kind, text)| (*kind, text.to_vec())).collect()
}

fn a_killed_sending_happened_or_not(subject: &QueueSubject) {
    let mut after = three();
    after.push((9, vec![7; 500]));
    let check = |queue: &Queue<'_>, point| {
        let left = drain(queue);
        assert!(
            left == three() && point != usize::MAX || left == after,
            "at {point}: {left:?}"
        );
    };
    at_points(
        "sending",
        || with_three(subject),
        |queue| queue.send(9, &[7; 500]).unwrap(),
        check,
    );
}

fn a_killed_first_use_happened_or_not(subject: &QueueSubject) {
    let check = |queue: &Queue<'_>, point| {
        let left = drain(queue);
        assert!(
            left.is_empty() && point != usize::MAX || left == [(9, vec![7; 500])],
            "at {point}: {left:?}"
        );
    };
    at_points(
        "first use",
        || subject.queue(),
        |queue| queue.send(9, &[7; 500]).unwrap(),
        check,
    );
}

fn a_killed_receipt_happened_or_not(subject: &QueueSubject) {
    let mut after = three();
    after.remove(1);
    let check = |queue: &Queue<'_>, point| {
        let left = drain(queue);
        assert!(
            left == three() && point != usize::MAX || left == after,
            "at {point}: {left:?}"
        );
    };
    at_points(
        "receipt",
        || with_three(subject),
        |queue| drop(queue.receive_with(8, 2, IPC_NOWAIT).unwrap()),
        check,
    );
}

fn a_killed_handing_over_happened_or_not(subject: &QueueSubject) {
    let waiter = std::cell::RefCell::new(None::<Child>);
    let make = || {
        let queue = subject.queue();
        let mut child = Child::fork(|test| {
            test.send(&());
            test.send(&queue.receive_with(100, 5, 0));
        });
        settle(&mut child);
        *waiter.borrow_mut() = Some(child);
        queue
    };
    let check = |queue: &Queue<'_>, point| {
        // Given, in the queue, or never sent: then this one arrives.
        queue.send(5, b"second").unwrap();
        let mut child = waiter.take().expect("a waiter");
        let got: Result<(i64, Vec<u8>), Errno> = child.receive();
        child.finish();
        let left = drain(queue);
        match got.as_ref().map(|(_, text)| text.as_slice()) {
            Ok(b"first") => assert_eq!(left, [(5, b"second".to_vec())], "at {point}"),
            Ok(b"second") => {
                assert_ne!(point, usize::MAX);
                assert_eq!(left, [], "at {point}");
            }
            other => panic!("at {point}: {other:?}"),
        }
    };
    at_points("handing over", make, |queue| queue.send(5, b"first").unwrap(), check);
}

fn a_killed_enlargement_of_everything_happened_or_not(subject: &QueueSubject) {
    // As many messages as the first order array holds, so that the next needs another, and envelopes and a block beside.
    let before: Contents = (0..256).map(|n| (1 + n % 3, vec![n as u8; 3])).collect();
    let make = || {
        let queue = subject.queue();
        for (kind, text) in &before {
            queue.send(*kind, text).unwrap();
        }
        queue
    };
    let mut after = before.clone();
    after.push((9, vec![7; 8000]));
    let check = |queue: &Queue<'_>, point| {
        let left = drain(queue);
        assert!(
            left == before && point != usize::MAX || left == after,
            "at {point}: {} messages",
            left.len()
        );
    };
    at_points("enlargement", make, |queue| queue.send(9, &[7; 8000]).unwrap(), check);
}

fn a_killed_removal_happened_or_can_be_done_again(subject: &QueueSubject) {
    let check = |queue: &Queue<'_>, point| {
        let removed = queue.remove();
        assert!(
            matches!(removed, Ok(()) | Err(Errno::EINVAL)),
            "at {point}: {removed:?}"
        );
        assert_eq!(queue.send(1, b"x"), Err(Errno::EINVAL), "at {point}");
        let next = subject.queue();
        next.send(1, b"works on").unwrap();
        assert_eq!(next.receive(0), Ok((1, b"works on".to_vec())), "at {point}");
    };
    at_points(
        "removal",
        || with_three(subject),
        |queue| queue.remove().unwrap(),
        check,
    );
}
