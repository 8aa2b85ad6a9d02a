//! `msgsnd` and `msgrcv` without waiting: order, selection, lengths, room.

#![allow(unsafe_code)]

use conformance::memory::Room;
use conformance::queue::QueueSubject;
use conformance::{Child, queue::errno};
use sysv_engine::Errno;
use sysv_engine::abi::{IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR, PAGE_SIZE};

conformance::on_both_queue_facilities! {
    messages_come_out_as_they_went_in,
    another_process_receives_them,
    a_type_selects_its_first_message,
    a_negative_type_selects_the_lowest_type_up_to_it,
    the_most_negative_type_selects_the_lowest_of_all,
    except_selects_the_first_of_another_type,
    except_means_nothing_without_a_positive_type,
    what_is_not_there_is_no_message,
    every_positive_type_may_be_sent,
    other_types_are_refused,
    an_empty_message_is_a_message,
    a_message_of_the_largest_size_goes_through_and_no_larger_one,
    a_message_that_is_too_long_stays,
    noerror_cuts_and_drops_the_rest,
    room_is_counted_in_bytes,
    room_is_counted_in_messages,
    an_empty_message_needs_room_for_one_message_only,
    a_copy_leaves_the_message_by_its_position,
    a_copy_has_rules_of_its_own,
    a_bad_address_is_a_fault_and_nothing_is_sent,
    a_bad_address_is_found_before_the_queue_is_looked_for,
    nothing_is_asked_of_the_address_where_there_is_no_message,
    a_fault_beats_a_full_queue,
    the_kinds_of_wrong_arguments,
    thousands_of_messages_of_all_sizes_keep_their_order,
}

fn messages_come_out_as_they_went_in(subject: &QueueSubject) {
    let queue = subject.queue();
    for (kind, text) in [(5, "one"), (1, "two"), (9, "three")] {
        queue.send(kind, text.as_bytes()).unwrap();
    }
    for (kind, text) in [(5, "one"), (1, "two"), (9, "three")] {
        assert_eq!(queue.receive(0), Ok((kind, text.into())));
    }
    assert_eq!(queue.receive(0), Err(Errno::ENOMSG));
}

fn another_process_receives_them(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(3, b"across").unwrap();
    let got = Child::compute(|| queue.receive(0).map(|(_, text)| text).unwrap());
    assert_eq!(got, b"across");
    Child::compute(|| queue.send(4, b"back").unwrap());
    assert_eq!(queue.receive(0), Ok((4, b"back".to_vec())));
}

fn a_type_selects_its_first_message(subject: &QueueSubject) {
    let queue = subject.queue();
    for (kind, text) in [(1, "a"), (2, "b"), (2, "c"), (1, "d")] {
        queue.send(kind, text.as_bytes()).unwrap();
    }
    assert_eq!(queue.receive(2), Ok((2, b"b".to_vec())));
    assert_eq!(queue.receive(2), Ok((2, b"c".to_vec())));
    assert_eq!(queue.receive(2), Err(Errno::ENOMSG));
    assert_eq!(queue.receive(0), Ok((1, b"a".to_vec())));
}

fn a_negative_type_selects_the_lowest_type_up_to_it(subject: &QueueSubject) {
    let queue = subject.queue();
    for (kind, text) in [(5, "a"), (3, "b"), (3, "c"), (9, "d")] {
        queue.send(kind, text.as_bytes()).unwrap();
    }
    assert_eq!(queue.receive(-2), Err(Errno::ENOMSG));
    assert_eq!(queue.receive(-5), Ok((3, b"b".to_vec())));
    assert_eq!(queue.receive(-3), Ok((3, b"c".to_vec())));
    assert_eq!(queue.receive(-5), Ok((5, b"a".to_vec())));
    assert_eq!(queue.receive(-5), Err(Errno::ENOMSG));
}

fn the_most_negative_type_selects_the_lowest_of_all(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(i64::MAX, b"high").unwrap();
    queue.send(2, b"low").unwrap();
    assert_eq!(queue.receive(i64::MIN), Ok((2, b"low".to_vec())));
    assert_eq!(queue.receive(i64::MIN), Ok((i64::MAX, b"high".to_vec())));
}

fn except_selects_the_first_of_another_type(subject: &QueueSubject) {
    let queue = subject.queue();
    for kind in [2, 2, 1, 3] {
        queue.send(kind, b"").unwrap();
    }
    let other_than_two = || queue.receive_with(10, 2, MSG_EXCEPT | IPC_NOWAIT).map(|m| m.0);
    assert_eq!(other_than_two(), Ok(1));
    assert_eq!(other_than_two(), Ok(3));
    assert_eq!(other_than_two(), Err(Errno::ENOMSG));
}

fn except_means_nothing_without_a_positive_type(subject: &QueueSubject) {
    let queue = subject.queue();
    for kind in [7, 2, 1] {
        queue.send(kind, b"").unwrap();
    }
    let except = |kind| queue.receive_with(10, kind, MSG_EXCEPT | IPC_NOWAIT).map(|m| m.0);
    assert_eq!(except(0), Ok(7));
    assert_eq!(except(-2), Ok(1));
}

fn what_is_not_there_is_no_message(subject: &QueueSubject) {
    let queue = subject.queue();
    for kind in [0, 1, -1, i64::MIN, i64::MAX] {
        assert_eq!(queue.receive(kind), Err(Errno::ENOMSG));
    }
}

fn every_positive_type_may_be_sent(subject: &QueueSubject) {
    let queue = subject.queue();
    for kind in [1, 1 << 31, 1 << 40, i64::MAX] {
        queue.send(kind, b"x").unwrap();
        assert_eq!(queue.receive(kind), Ok((kind, b"x".to_vec())));
    }
}

fn other_types_are_refused(subject: &QueueSubject) {
    let queue = subject.queue();
    for kind in [0, -1, i64::MIN] {
        assert_eq!(queue.send(kind, b"x"), Err(Errno::EINVAL));
    }
    assert_eq!(queue.fill(), (0, 0));
}

fn an_empty_message_is_a_message(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(8, b"").unwrap();
    assert_eq!(queue.fill(), (0, 1));
    assert_eq!(queue.receive_with(0, 0, IPC_NOWAIT), Ok((8, vec![])));
}

fn a_message_of_the_largest_size_goes_through_and_no_larger_one(subject: &QueueSubject) {
    let queue = subject.queue();
    let largest = subject.calls().msg_limits().unwrap().1.msgmax as usize;
    let text: Vec<u8> = (0..=largest).map(|n| (n / 7) as u8).collect();
    assert_eq!(queue.send(1, &text), Err(Errno::EINVAL));
    queue.send(1, &text[..largest]).unwrap();
    assert_eq!(
        queue.receive_with(largest, 0, IPC_NOWAIT),
        Ok((1, text[..largest].to_vec()))
    );
}

fn a_message_that_is_too_long_stays(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(1, b"long").unwrap();
    queue.send(2, b"l").unwrap();
    for kind in [0, 1, -1] {
        assert_eq!(queue.receive_with(3, kind, IPC_NOWAIT), Err(Errno::E2BIG));
    }
    assert_eq!(queue.fill(), (5, 2));
    assert_eq!(queue.receive_with(3, 2, IPC_NOWAIT), Ok((2, b"l".to_vec())));
    assert_eq!(queue.receive_with(4, 0, IPC_NOWAIT), Ok((1, b"long".to_vec())));
}

fn noerror_cuts_and_drops_the_rest(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(1, b"long").unwrap();
    assert_eq!(
        queue.receive_with(3, 0, IPC_NOWAIT | MSG_NOERROR),
        Ok((1, b"lon".to_vec()))
    );
    assert_eq!(queue.fill(), (0, 0));
    queue.send(1, b"long").unwrap();
    assert_eq!(queue.receive_with(0, 0, IPC_NOWAIT | MSG_NOERROR), Ok((1, vec![])));
}

fn room_is_counted_in_bytes(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(100).unwrap();
    queue.send(1, &[1; 60]).unwrap();
    assert_eq!(queue.send(1, &[1; 41]), Err(Errno::EAGAIN));
    queue.send(1, &[1; 40]).unwrap();
    assert_eq!(queue.send(1, &[1]), Err(Errno::EAGAIN));
    assert_eq!(queue.fill(), (100, 2));
    queue.receive(0).unwrap();
    queue.send(1, &[1; 60]).unwrap();
}

fn room_is_counted_in_messages(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(3).unwrap();
    queue.send(1, b"").unwrap();
    queue.send(1, b"").unwrap();
    queue.send(1, b"x").unwrap();
    assert_eq!(queue.send(1, b""), Err(Errno::EAGAIN));
    queue.receive(0).unwrap();
    queue.send(1, b"").unwrap();
    queue.set_capacity(0).unwrap();
    assert_eq!(queue.send(1, b""), Err(Errno::EAGAIN));
}

fn an_empty_message_needs_room_for_one_message_only(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(100).unwrap();
    queue.send(1, &[1; 100]).unwrap();
    queue.send(1, b"").unwrap();
    assert_eq!(queue.fill(), (100, 2));
}

fn a_copy_leaves_the_message_by_its_position(subject: &QueueSubject) {
    let queue = subject.queue();
    for (kind, text) in [(4, "zero"), (4, "one"), (2, "two")] {
        queue.send(kind, text.as_bytes()).unwrap();
    }
    let before = queue.stat();
    let copy = |position| queue.receive_with(10, position, MSG_COPY | IPC_NOWAIT);
    assert_eq!(copy(1), Ok((4, b"one".to_vec())));
    assert_eq!(copy(2), Ok((2, b"two".to_vec())));
    assert_eq!(copy(0), Ok((4, b"zero".to_vec())));
    assert_eq!(copy(3), Err(Errno::ENOMSG));
    assert_eq!(copy(-1), Err(Errno::ENOMSG));
    assert_eq!(queue.stat(), before);
    queue.receive(4).unwrap();
    assert_eq!(copy(1), Ok((2, b"two".to_vec())));
}

fn a_copy_has_rules_of_its_own(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(1, b"0123456789").unwrap();
    let copy = |size, flags| errno(queue.receive_with(size, 0, MSG_COPY | flags));
    assert_eq!(copy(20, 0), Some(Errno::EINVAL));
    assert_eq!(copy(20, IPC_NOWAIT | MSG_EXCEPT), Some(Errno::EINVAL));
    assert_eq!(copy(9, IPC_NOWAIT), Some(Errno::E2BIG));
    assert_eq!(copy(9, IPC_NOWAIT | MSG_NOERROR), Some(Errno::EINVAL));
    assert_eq!(copy(10, IPC_NOWAIT | MSG_NOERROR), None);
    assert_eq!(queue.fill(), (10, 1));
}

fn a_bad_address_is_a_fault_and_nothing_is_sent(subject: &QueueSubject) {
    let queue = subject.queue();
    let room = Room::of_pages(1);
    // The type is readable, not all of the bytes are.
    for (len, before_end) in [(100, 50), (5000, 60), (8000, 4096)] {
        let address = room.address() + PAGE_SIZE - before_end;
        room.store(PAGE_SIZE - before_end, 1);
        // SAFETY: only read; nobody writes there.
        let sent = unsafe { subject.calls().msgsnd(queue.id(), address, len, IPC_NOWAIT) };
        assert_eq!(sent, Err(Errno::EFAULT), "{len}");
    }
    // SAFETY: only read, and cannot be.
    let sent = unsafe { subject.calls().msgsnd(queue.id(), 8, 1, IPC_NOWAIT) };
    assert_eq!(sent, Err(Errno::EFAULT));
    assert_eq!(queue.fill(), (0, 0));
    assert_eq!(queue.stat().lspid, 0);
    queue.send(1, b"works on").unwrap();
}

fn a_bad_address_is_found_before_the_queue_is_looked_for(subject: &QueueSubject) {
    for id in [-1, 31_000] {
        // SAFETY: only read, and cannot be.
        let sent = unsafe { subject.calls().msgsnd(id, 8, 1, IPC_NOWAIT) };
        assert_eq!(sent, Err(Errno::EFAULT));
    }
}

fn nothing_is_asked_of_the_address_where_there_is_no_message(subject: &QueueSubject) {
    let queue = subject.queue();
    // SAFETY: nothing is mapped there.
    let received = unsafe { subject.calls().msgrcv(queue.id(), 8, 1, 0, IPC_NOWAIT) };
    assert_eq!(received, Err(Errno::ENOMSG));
    queue.send(1, b"x").unwrap();
    // SAFETY: as above.
    let received = unsafe { subject.calls().msgrcv(queue.id(), 8, 1, 0, IPC_NOWAIT) };
    assert_eq!(received, Err(Errno::EFAULT));
    if subject.engine().is_some() {
        // The kernel has dropped it; here it is not lost.
        assert_eq!(queue.receive(0), Ok((1, b"x".to_vec())));
    }
}

fn a_fault_beats_a_full_queue(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(0).unwrap();
    let room = Room::of_pages(1);
    room.store(PAGE_SIZE - 100, 1);
    for len in [200, 4000] {
        // SAFETY: only read; nobody writes there.
        let sent = unsafe {
            subject
                .calls()
                .msgsnd(queue.id(), room.address() + PAGE_SIZE - 100, len, IPC_NOWAIT)
        };
        assert_eq!(sent, Err(Errno::EFAULT));
    }
}

fn the_kinds_of_wrong_arguments(subject: &QueueSubject) {
    let queue = subject.queue();
    let message = [1u64; 3];
    let address = message.as_ptr() as usize;
    // SAFETY: refused before anything is written, and room for what is read.
    unsafe {
        let calls = subject.calls();
        assert_eq!(calls.msgsnd(queue.id(), address, usize::MAX, 0), Err(Errno::EINVAL));
        assert_eq!(calls.msgsnd(queue.id(), address, 1 << 33, 0), Err(Errno::EINVAL));
        assert_eq!(calls.msgsnd(-1, address, 8, 0), Err(Errno::EINVAL));
        assert_eq!(calls.msgsnd(queue.id() + 1, address, 8, 0), Err(Errno::EINVAL));
        assert_eq!(calls.msgrcv(-1, address, 8, 0, 0), Err(Errno::EINVAL));
        assert_eq!(calls.msgrcv(queue.id() + 1, address, 8, 0, 0), Err(Errno::EINVAL));
        assert_eq!(calls.msgrcv(queue.id(), address, usize::MAX, 0, 0), Err(Errno::EINVAL));
        assert_eq!(
            calls.msgrcv(queue.id(), address, 1 << 40, 0, IPC_NOWAIT),
            Err(Errno::ENOMSG)
        );
    }
    queue.remove().unwrap();
    assert_eq!(queue.send(1, b""), Err(Errno::EINVAL));
    assert_eq!(queue.receive(0), Err(Errno::EINVAL));
}

fn thousands_of_messages_of_all_sizes_keep_their_order(subject: &QueueSubject) {
    let queue = subject.queue();
    let text = |n: usize| vec![n as u8; n * 7919 % 4000];
    let (mut sent, mut received) = (0, 0);
    while received < 5000 {
        while queue.send(1 + sent as i64 % 5, &text(sent)).is_ok() {
            sent += 1;
        }
        for _ in 0..1 + received % 4 {
            let Ok((kind, bytes)) = queue.receive(0) else { break };
            assert_eq!((kind, bytes), (1 + received as i64 % 5, text(received)));
            received += 1;
        }
    }
}
