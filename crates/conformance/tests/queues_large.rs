//! Limits raised by the namespace's owner: long messages, large queues, memory given as it is needed.

use conformance::queue::{QueueSubject, on_engine};
use conformance::{Facility, trial};
use sysv_engine::Errno;
use sysv_engine::abi::IPC_NOWAIT;

#[test]
fn a_namespace_has_messages_of_64_mib() {
    trial::run(Facility::Kernel, |_| on_engine(messages_of_64_mib));
}

#[test]
fn a_queue_of_gigabytes_takes_memory_only_for_what_it_holds() {
    trial::run(Facility::Kernel, |_| on_engine(a_queue_of_gigabytes));
}

#[test]
fn a_hundred_thousand_messages_wait_at_once() {
    trial::run(Facility::Kernel, |_| on_engine(a_hundred_thousand_messages));
}

#[test]
fn the_memory_of_a_queue_that_was_large_comes_back_when_it_is_empty() {
    trial::run(Facility::Kernel, |_| on_engine(memory_comes_back));
}

fn raise(subject: &QueueSubject, msgmax: u64, msgmnb: u64) {
    let engine = subject.engine().expect("only the engine's limits are raised");
    let mut limits = engine.limits();
    (limits.msgmax, limits.msgmnb) = (msgmax, msgmnb);
    engine.set_limits(&limits).expect("our own namespace");
}

fn messages_of_64_mib(subject: &QueueSubject) {
    const LEN: usize = 64 << 20;
    raise(subject, LEN as u64, 1 << 30);
    let queue = subject.queue();
    let text: Vec<u8> = (0..LEN).map(|n| (n / 4093) as u8).collect();
    assert_eq!(queue.send(1, &vec![0; LEN + 1]), Err(Errno::EINVAL));
    match queue.send(1, &text) {
        Err(Errno::ENOMEM) => return trial::note("skipped: no memory for 64 MiB"),
        sent => sent.unwrap(),
    }
    let (kind, got) = queue.receive_with(LEN, 0, IPC_NOWAIT).unwrap();
    assert!(kind == 1 && got == text);
    assert_eq!(queue.fill(), (0, 0));
}

fn a_queue_of_gigabytes(subject: &QueueSubject) {
    raise(subject, 1 << 20, (1 << 31) - 1);
    let queue = subject.queue();
    assert_eq!(queue.stat().qbytes, (1 << 31) - 1);
    for n in 0..10u8 {
        queue.send(1, &vec![n; 100_000]).unwrap();
    }
    let directory = subject
        .engine()
        .expect("the engine")
        .directory()
        .to_str()
        .expect("a path");
    let file = std::fs::metadata(format!("{directory}/msg/{}", queue.id())).expect("the queue's file");
    use std::os::unix::fs::MetadataExt;
    assert!(file.blocks() * 512 < 4 << 20, "{} blocks for a megabyte", file.blocks());
    for n in 0..10u8 {
        assert_eq!(queue.receive_with(100_000, 0, IPC_NOWAIT), Ok((1, vec![n; 100_000])));
    }
}

fn memory_comes_back(subject: &QueueSubject) {
    raise(subject, 1 << 20, 1 << 30);
    let directory = subject.engine().expect("the engine").directory().to_owned();
    let directory = directory.to_str().expect("a path");
    let queue = subject.queue();
    let allocated = || {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::metadata(format!("{directory}/msg/{}", queue.id())).expect("the queue's file");
        file.blocks() * 512
    };
    for round in 0..2u8 {
        let mut sent = 0;
        for n in 0..48u8 {
            match queue.send(1, &vec![n ^ round; 1 << 20]) {
                Err(Errno::ENOMEM) => break,
                result => result.unwrap(),
            }
            sent += 1;
        }
        for n in 0..60_000i64 {
            queue.send(2, &n.to_ne_bytes()).unwrap();
        }
        assert!(allocated() > sent << 20, "{} bytes", allocated());
        for n in 0..60_000i64 {
            assert_eq!(queue.receive(2), Ok((2, n.to_ne_bytes().to_vec())));
        }
        for n in 0..sent as u8 {
            assert_eq!(
                queue.receive_with(1 << 20, 1, IPC_NOWAIT),
                Ok((1, vec![n ^ round; 1 << 20]))
            );
        }
        assert_eq!(queue.fill(), (0, 0));
        assert!(allocated() < 10 << 20, "{} bytes for an empty queue", allocated());
        // At most once a second.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
}

fn a_hundred_thousand_messages(subject: &QueueSubject) {
    raise(subject, 8192, 1 << 24);
    let queue = subject.queue();
    for n in 0..100_000i64 {
        queue.send(1 + n % 1000, &n.to_ne_bytes()).unwrap();
    }
    assert_eq!(queue.fill(), (800_000, 100_000));
    // From the middle, then the rest in order.
    for round in 0..100i64 {
        let n = 500 + round * 1000;
        assert_eq!(
            queue.receive_with(8, 501, IPC_NOWAIT),
            Ok((501, n.to_ne_bytes().to_vec()))
        );
    }
    for n in (0..100_000i64).filter(|n| n % 1000 != 500) {
        assert_eq!(
            queue.receive_with(8, 0, IPC_NOWAIT),
            Ok((1 + n % 1000, n.to_ne_bytes().to_vec()))
        );
    }
    assert_eq!(queue.fill(), (0, 0));
}
