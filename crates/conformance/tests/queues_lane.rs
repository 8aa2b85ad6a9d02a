//! Small messages from one process to another, one of which has lately received what the other sent: they take another way than
//! the rest, and nobody must be able to tell.

#![allow(unsafe_code)]

use conformance::queue::{Queue, QueueSubject, errno, settle};
use conformance::{Child, user};
use sysv_engine::Errno;
use sysv_engine::abi::{IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR};

conformance::on_both_queue_facilities! {
    messages_of_all_lengths_keep_their_order,
    types_are_chosen_among_what_was_just_sent,
    a_message_counts_as_soon_as_it_is_sent,
    the_queue_holds_what_it_may_and_no_more,
    empty_messages_are_limited_by_their_number,
    a_message_too_long_for_the_buffer_stays,
    what_cannot_be_read_is_not_sent,
    a_copy_leaves_the_message,
    a_sleeper_gets_what_is_sent_next,
    what_is_sent_is_removed_with_the_queue,
    what_a_killed_sender_sent_is_there,
    permission_is_asked_for_each_message,
}

/// A process that sends on demand: these types and lengths, until one is not taken. Reports that one's error.
struct Peer(Child);

impl Peer {
    /// One whose first message the caller has received.
    fn of(queue: &Queue<'_>) -> Peer {
        let mut peer = Peer(Child::fork(|test| {
            loop {
                let messages: Vec<(i64, u64)> = test.receive();
                if messages.is_empty() {
                    return;
                }
                let send = |&(kind, len): &(i64, u64)| queue.send_with(kind, &text(kind, len), IPC_NOWAIT);
                let sent: Vec<Result<(), Errno>> = messages.iter().map(send).collect();
                test.send(&sent);
            }
        }));
        peer.acquaint(queue);
        peer
    }

    /// Has one message sent and received.
    fn acquaint(&mut self, queue: &Queue<'_>) {
        assert_eq!(self.send(&[(77, 7)]), [Ok(())]);
        assert_eq!(queue.receive(77), Ok((77, text(77, 7))));
    }

    fn send(&mut self, messages: &[(i64, u64)]) -> Vec<Result<(), Errno>> {
        self.0.send(&messages.to_vec());
        self.0.receive()
    }

    fn end(mut self) {
        self.0.send(&Vec::<(i64, u64)>::new());
        self.0.finish();
    }
}

fn text(kind: i64, len: u64) -> Vec<u8> {
    (0..len).map(|n| (n as i64 + kind) as u8).collect()
}

/// A length for the number of a message, mostly of those that are small.
fn length(number: u64) -> u64 {
    match number % 11 {
        0 => 65 + number % 300,
        1 => 64,
        2 => 0,
        _ => number % 64,
    }
}

fn messages_of_all_lengths_keep_their_order(subject: &QueueSubject) {
    const COUNT: u64 = 20_000;
    let queue = subject.queue();
    let mut sender = Child::fork(|test| {
        for number in 1..=COUNT {
            let len = length(number);
            let mut bytes = text(1, len);
            bytes.extend(number.to_le_bytes());
            bytes.rotate_right(8);
            queue.send_with(1 + (number % 3) as i64, &bytes, 0).unwrap();
        }
        test.send(&());
    });
    let mut next = [0u64; 3];
    for _ in 0..COUNT {
        let (kind, bytes) = queue.receive_with(1000, 0, 0).unwrap();
        let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(kind, 1 + (number % 3) as i64);
        assert_eq!(bytes[8..], text(1, length(number)), "message {number}");
        assert_eq!(number, next.iter().max().unwrap() + 1, "all in their order");
        next[(number % 3) as usize] = number;
    }
    let () = sender.receive();
    sender.finish();
    assert_eq!(queue.stat().qnum, 0);
}

fn types_are_chosen_among_what_was_just_sent(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut peer = Peer::of(&queue);
    for round in 0..3 {
        assert_eq!(
            peer.send(&[(5, 5), (3, 3), (4, 4), (3, 33), (5, 55)]),
            [Ok(()); 5],
            "{round}"
        );
        let receive = |kind, flags| {
            queue
                .receive_with(100, kind, flags | IPC_NOWAIT)
                .map(|(kind, text)| (kind, text.len()))
        };
        assert_eq!(receive(9, 0), Err(Errno::ENOMSG));
        assert_eq!(receive(-4, 0), Ok((3, 3)), "the lowest type");
        assert_eq!(receive(4, 0), Ok((4, 4)));
        assert_eq!(receive(5, MSG_EXCEPT), Ok((3, 33)));
        assert_eq!(receive(0, 0), Ok((5, 5)));
        assert_eq!(receive(-2, 0), Err(Errno::ENOMSG));
        assert_eq!(receive(5, 0), Ok((5, 55)));
        assert_eq!(receive(0, 0), Err(Errno::ENOMSG));
        peer.acquaint(&queue);
    }
    peer.end();
}

fn a_message_counts_as_soon_as_it_is_sent(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut peer = Peer::of(&queue);
    let before = subject.calls().msg_usage().unwrap().1;
    assert_eq!(peer.send(&[(1, 10), (1, 20), (1, 0)]), [Ok(()); 3]);
    let after = subject.calls().msg_usage().unwrap().1;
    assert_eq!((after.msgmap - before.msgmap, after.msgtql - before.msgtql), (3, 30));
    peer.acquaint_with_others_waiting(&queue);
    assert_eq!(peer.send(&[(2, 10), (2, 20)]), [Ok(()); 2]);
    let ds = queue.stat();
    assert_eq!((ds.qnum, ds.cbytes), (5, 60));
    assert_eq!(ds.lspid, peer.0.pid());
    assert_eq!(ds.lrpid, std::process::id() as i32);
    assert!(ds.stime > 0 && ds.rtime > 0);
    peer.end();
}

impl Peer {
    /// As [`acquaint`](Peer::acquaint), where other messages wait.
    fn acquaint_with_others_waiting(&mut self, queue: &Queue<'_>) {
        let before = queue.stat().qnum;
        self.acquaint(queue);
        assert_eq!(queue.stat().qnum, before);
        self.acquaint(queue);
    }
}

fn the_queue_holds_what_it_may_and_no_more(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut peer = Peer::of(&queue);
    for capacity in [1000u64, 300, 64, 63, 1] {
        queue.set_capacity(capacity).unwrap();
        if capacity >= 7 {
            peer.acquaint(&queue);
        }
        let len = capacity.min(30);
        let fits = (capacity / len) as usize;
        let sent = peer.send(&vec![(1, len); fits + 3]);
        assert_eq!(sent.iter().filter(|sent| sent.is_ok()).count(), fits, "{capacity}");
        assert_eq!(sent[fits..], [Err(Errno::EAGAIN); 3]);
        assert_eq!(queue.stat().qnum, fits as u64);
        // Room for one is room for one.
        queue.receive(0).unwrap();
        assert_eq!(peer.send(&[(1, len), (1, len)]), [Ok(()), Err(Errno::EAGAIN)]);
        for _ in 0..fits {
            queue.receive(0).unwrap();
        }
        assert_eq!(errno(queue.receive_with(100, 0, IPC_NOWAIT)), Some(Errno::ENOMSG));
    }
    peer.end();
}

fn empty_messages_are_limited_by_their_number(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut peer = Peer::of(&queue);
    queue.set_capacity(20).unwrap();
    peer.acquaint(&queue);
    let sent = peer.send(&[(1, 0); 22]);
    assert_eq!(sent[..20], [Ok(()); 20]);
    assert_eq!(sent[20..], [Err(Errno::EAGAIN); 2]);
    peer.end();
}

fn a_message_too_long_for_the_buffer_stays(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut peer = Peer::of(&queue);
    assert_eq!(peer.send(&[(1, 40), (2, 50)]), [Ok(()); 2]);
    assert_eq!(errno(queue.receive_with(39, 0, 0)), Some(Errno::E2BIG));
    assert_eq!(
        queue.receive_with(39, 0, MSG_NOERROR),
        Ok((1, text(1, 40)[..39].to_vec()))
    );
    assert_eq!(errno(queue.receive_with(0, 2, 0)), Some(Errno::E2BIG));
    assert_eq!(queue.receive_with(0, 2, MSG_NOERROR), Ok((2, Vec::new())));
    peer.end();
}

fn what_cannot_be_read_is_not_sent(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut sender = Child::fork(|test| {
        queue.send(1, b"first").unwrap();
        test.send(&());
        let () = test.receive();
        // The type is readable, the text is not.
        // SAFETY: a new mapping, of whose pages the second may not be read.
        let end = unsafe {
            let at = libc::mmap(
                std::ptr::null_mut(),
                8192,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            libc::mprotect(at.byte_add(4096), 4096, libc::PROT_NONE);
            at as usize + 4096
        };
        // SAFETY: in the first page.
        unsafe { ((end - 8) as *mut i64).write(1) };
        // SAFETY: what cannot be read is refused.
        let refused = unsafe { subject.calls().msgsnd(queue.id(), end - 8, 8, 0) };
        test.send(&errno(refused));
        queue.send(2, b"second").unwrap();
        test.send(&());
    });
    let () = sender.receive();
    assert_eq!(queue.receive(0), Ok((1, b"first".to_vec())));
    sender.send(&());
    assert_eq!(sender.receive::<Option<Errno>>(), Some(Errno::EFAULT));
    let () = sender.receive();
    assert_eq!(queue.stat().qnum, 1);
    assert_eq!(queue.receive(0), Ok((2, b"second".to_vec())));
    sender.finish();
}

fn a_copy_leaves_the_message(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut peer = Peer::of(&queue);
    assert_eq!(peer.send(&[(1, 1), (2, 2), (3, 3)]), [Ok(()); 3]);
    let copy = |position| {
        queue
            .receive_with(100, position, MSG_COPY | IPC_NOWAIT)
            .map(|(kind, _)| kind)
    };
    assert_eq!([copy(1), copy(0), copy(3)], [Ok(2), Ok(1), Err(Errno::ENOMSG)]);
    assert_eq!(queue.stat().qnum, 3);
    peer.end();
}

fn a_sleeper_gets_what_is_sent_next(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut peer = Peer::of(&queue);
    for kind in [0, 5, -5] {
        peer.acquaint(&queue);
        let mut sleeper = Child::fork(|test| {
            test.send(&());
            test.send(&queue.receive_with(100, kind, 0));
        });
        settle(&mut sleeper);
        assert_eq!(peer.send(&[(5, 9)]), [Ok(())]);
        assert_eq!(
            sleeper.receive::<Result<(i64, Vec<u8>), Errno>>(),
            Ok((5, text(5, 9))),
            "{kind}"
        );
        sleeper.finish();
    }
    peer.end();
}

fn what_is_sent_is_removed_with_the_queue(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut peer = Peer::of(&queue);
    assert_eq!(peer.send(&[(1, 1), (2, 2)]), [Ok(()); 2]);
    queue.remove().unwrap();
    assert_eq!(peer.send(&[(3, 3)]), [Err(Errno::EINVAL)]);
    let next = subject.queue();
    assert_eq!(next.stat().qnum, 0);
    assert_eq!(errno(next.receive_with(9, 0, IPC_NOWAIT)), Some(Errno::ENOMSG));
    peer.end();
}

fn what_a_killed_sender_sent_is_there(subject: &QueueSubject) {
    let queue = subject.queue();
    for count in 1..20 {
        let mut peer = Peer::of(&queue);
        assert_eq!(peer.send(&vec![(1, 8); count]), vec![Ok(()); count]);
        peer.0.kill();
        for _ in 0..count {
            assert_eq!(queue.receive_with(100, 0, IPC_NOWAIT), Ok((1, text(1, 8))));
        }
        assert_eq!(errno(queue.receive_with(9, 0, IPC_NOWAIT)), Some(Errno::ENOMSG));
    }
}

fn permission_is_asked_for_each_message(subject: &QueueSubject) {
    let queue = subject.queue();
    let mut peer = Peer::of(&queue);
    if user::effective().0 == 0 {
        // Who may do anything is asked nothing.
        return peer.end();
    }
    let (uid, gid) = user::effective();
    let mode = 0o400;
    subject
        .calls()
        .msg_set(queue.id(), sysv_engine::PermChange { uid, gid, mode }, 16384)
        .unwrap();
    assert_eq!(peer.send(&[(1, 1)]), [Err(Errno::EACCES)]);
    peer.end();
}
