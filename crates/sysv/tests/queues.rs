//! Several processes on one message queue, on either facility.

mod peer;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use peer::{Peer, role, tell, tell_and_wait};
use sysv::{
    AccessError, CapacityError, Errno, Id, Key, Members, Message, MessageQueue, Mode, Namespace, NewMessageQueue,
    PayloadError, Permissions, QueueGetError, ReceiveError, RemoveError, Selection, SendError, SetError, StatError,
    TemporaryMessageQueue, TemporaryNamespace,
};

const MESSAGES: u64 = 2_000;
const NOBODY: u32 = 65534;

/// Runs a test on both facilities.
fn on_both(members: Members, test: impl Fn(&Namespace)) {
    test(&TemporaryNamespace::create_for(members).unwrap());
    test(&Namespace::kernel());
}

/// A key that no other test or process uses.
fn key() -> Key {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Key::new(0x5e00_0000 | (std::process::id() as i32) << 8 | (NEXT.fetch_add(1, Relaxed) & 0xff) as i32)
}

fn queue(namespace: &Namespace) -> TemporaryMessageQueue {
    MessageQueue::create(namespace, key(), NewMessageQueue::new())
        .unwrap()
        .into_temporary()
}

fn am_root() -> bool {
    let root = std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .contains("\nUid:\t0\t0");
    if !root {
        eprintln!("skipped: only root can start processes as another user");
    }
    root
}

/// What the other processes do.
#[test]
fn peer() {
    let Some((role, namespace)) = role() else { return };
    let words: Vec<&str> = role.split(' ').collect();
    let queue = MessageQueue::from_id(&namespace, words[1].parse::<Id>().unwrap());
    match words[0] {
        "send" => {
            let first: u64 = words[2].parse().unwrap();
            tell_and_wait("ready");
            for number in first..first + MESSAGES {
                queue.send(&Message::of(1 + (number % 3) as i64, &number)).unwrap();
            }
        }
        "receive" => {
            tell_and_wait("ready");
            let mut message = Message::with_capacity(8);
            loop {
                queue.receive_into(&mut message, Selection::Any).unwrap();
                match message.value::<u64>().unwrap() {
                    u64::MAX => break,
                    number => tell(&number.to_string()),
                }
            }
        }
        "wait" => {
            tell("waiting");
            let told = match words[2] {
                "message" => queue
                    .receive(Selection::Exactly(77))
                    .map(|m| m.bytes().len())
                    .map_err(|e| e.errno()),
                _ => queue
                    .send(&Message::new(1, &[0; 100]))
                    .map(|()| 0)
                    .map_err(|e| e.errno()),
            };
            tell(&format!("{told:?}"));
        }
        "in-place" => {
            let message = queue.receive_in_place(Selection::Any).unwrap();
            tell_and_wait(&message.len().to_string());
        }
        "trespass" => {
            let denied = queue.send(&Message::new(1, b"")).unwrap_err();
            assert!(
                matches!(denied, SendError::Denied { ownership: Some(_), .. }),
                "{denied:?}"
            );
            assert!(denied.to_string().contains("user 0 and has mode 600"), "{denied}");
            let denied = queue.receive(Selection::Any).unwrap_err();
            assert!(matches!(denied, ReceiveError::Denied { .. }), "{denied:?}");
            let denied = queue.receive_in_place(Selection::Any).unwrap_err();
            assert!(matches!(denied, ReceiveError::Denied { .. }), "{denied:?}");
            assert!(matches!(queue.peek(0), Err(ReceiveError::Denied { .. })));
            assert!(matches!(queue.stat(), Err(StatError::Denied { .. })));
            assert!(matches!(queue.remove(), Err(RemoveError::Denied { .. })));
            assert!(matches!(queue.set_capacity(1), Err(CapacityError::Denied { .. })));
            let mine = Permissions {
                owner: NOBODY,
                group: NOBODY,
                mode: Mode::new(0o666),
            };
            assert!(matches!(queue.set_permissions(mine), Err(SetError::Denied { .. })));
        }
        "drop-box" => {
            queue.send(&Message::new(1, b"from nobody")).unwrap();
            assert!(matches!(
                queue.try_receive(Selection::Any),
                Err(ReceiveError::Denied { .. })
            ));
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn every_message_arrives_once() {
    on_both(Members::OneUser, |namespace| {
        let queue = queue(namespace);
        let mut senders: Vec<Peer> = (0..2)
            .map(|n| Peer::start(&format!("send {} {}", queue.id(), n * MESSAGES), namespace))
            .collect();
        let mut receivers: Vec<Peer> = (0..2)
            .map(|_| Peer::start(&format!("receive {}", queue.id()), namespace))
            .collect();
        for peer in senders.iter_mut().chain(&mut receivers) {
            assert_eq!(peer.hear().as_deref(), Some("ready"));
            peer.go_on();
        }
        let listeners: Vec<_> = receivers
            .into_iter()
            .map(|mut receiver| {
                std::thread::spawn(move || {
                    let heard: Vec<u64> = std::iter::from_fn(|| receiver.hear())
                        .map(|line| line.parse().unwrap())
                        .collect();
                    receiver.finish();
                    heard
                })
            })
            .collect();
        senders.into_iter().for_each(Peer::finish);
        for _ in &listeners {
            queue.send(&Message::of(9, &u64::MAX)).unwrap();
        }
        let received: Vec<u64> = listeners.into_iter().flat_map(|l| l.join().unwrap()).collect();
        assert_eq!(received.len() as u64, 2 * MESSAGES);
        assert_eq!(
            received.into_iter().collect::<BTreeSet<_>>(),
            (0..2 * MESSAGES).collect()
        );
        assert_eq!(queue.stat().unwrap().messages, 0);
    });
}

#[test]
fn removal_ends_the_waits_of_both_kinds() {
    on_both(Members::OneUser, |namespace| {
        let queue = queue(namespace);
        queue.set_capacity(100).unwrap();
        queue.send(&Message::new(1, &[0; 100])).unwrap();
        let mut waiters = ["message", "room"].map(|what| {
            let mut waiter = Peer::start(&format!("wait {} {what}", queue.id()), namespace);
            assert_eq!(waiter.hear().as_deref(), Some("waiting"));
            waiter
        });
        std::thread::sleep(Duration::from_millis(100));
        queue.remove().unwrap();
        for waiter in &mut waiters {
            // Late, it would not find the queue.
            assert!(matches!(waiter.hear().as_deref(), Some("Err(EIDRM)" | "Err(EINVAL)")));
        }
        waiters.into_iter().for_each(Peer::finish);
        let gone = queue.try_send(&Message::new(1, b"")).unwrap_err();
        assert!(matches!(gone, SendError::Gone { .. }), "{gone:?}");
        let gone = queue.try_receive(Selection::Any).unwrap_err();
        assert!(matches!(gone, ReceiveError::Gone { .. }), "{gone:?}");
        assert_eq!(queue.incoming(Selection::Any).count(), 0);
    });
}

#[test]
fn waits_end_when_they_should_and_not_before() {
    on_both(Members::OneUser, |namespace| {
        let queue = queue(namespace);
        queue.set_capacity(10).unwrap();
        let timeout = Duration::from_millis(50);
        // Facilities count in microseconds.
        let waited = |begun: Instant| begun.elapsed() + Duration::from_micros(1) >= timeout;

        let begun = Instant::now();
        let late = queue.receive_timeout(Selection::Exactly(1), timeout).unwrap_err();
        assert!(waited(begun) && matches!(late, ReceiveError::TimedOut { timeout: t, .. } if t == timeout));
        assert_eq!(late.errno(), Errno::ENOMSG);
        assert_eq!(std::io::Error::from(late).kind(), std::io::ErrorKind::TimedOut);

        let begun = Instant::now();
        let late = queue.receive_in_place_timeout(Selection::Any, timeout).unwrap_err();
        assert!(waited(begun) && matches!(late, ReceiveError::TimedOut { .. }));

        queue.send(&Message::new(2, &[0; 10])).unwrap();
        let begun = Instant::now();
        let late = queue.send_timeout(&Message::new(1, b"!"), timeout).unwrap_err();
        assert!(waited(begun) && matches!(late, SendError::TimedOut { .. }));
        assert_eq!(late.errno(), Errno::EAGAIN);

        // What comes in time is received, however long one would have waited.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.receive_timeout(Selection::Exactly(3), Duration::MAX).unwrap());
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(queue.receive(Selection::Any).unwrap().kind(), 2);
            queue.send_timeout(&Message::new(3, b"now"), Duration::MAX).unwrap();
            assert_eq!(waiting.join().unwrap().bytes(), b"now");
        });
    });
}

#[test]
fn a_message_of_any_length_is_received_whole_or_cut_or_left() {
    on_both(Members::OneUser, |namespace| {
        let queue = queue(namespace);
        for length in [0, 1, 1023, 1024, 1025, 4096, 4097, 8192] {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            queue.send(&Message::new(1, &bytes)).unwrap();
            assert_eq!(queue.peek(0).unwrap().unwrap().bytes(), bytes);
            let left = queue.receive(Selection::Any.up_to(bytes.len().saturating_sub(1)));
            if length > 0 {
                assert!(matches!(left, Err(ReceiveError::TooLong { limit, .. }) if limit + 1 == bytes.len()));
                assert_eq!(queue.receive(Selection::Any).unwrap().bytes(), bytes);
            }
            queue.send(&Message::new(1, &bytes)).unwrap();
            let cut = queue.receive(Selection::Any.cut_to(100)).unwrap();
            assert_eq!(cut.bytes(), &bytes[..bytes.len().min(100)]);

            queue.send(&Message::new(5, &bytes)).unwrap();
            let in_place = queue.receive_in_place(Selection::Except(1)).unwrap();
            assert_eq!((in_place.kind(), in_place.to_vec()), (5, bytes.clone()));
            assert!(matches!(
                in_place.copy_out(bytes.len(), &mut [0]),
                Err(AccessError::BeyondMessage { length: 1, size, .. }) if size == bytes.len()
            ));
            queue.send(&Message::new(5, &bytes)).unwrap();
            assert_eq!(
                queue.receive_in_place(Selection::Any.cut_to(10)).unwrap().len(),
                bytes.len().min(10)
            );
        }
        let long = queue.send(&Message::new(1, &[0; 8193])).unwrap_err();
        assert!(
            matches!(
                long,
                SendError::TooLong {
                    length: 8193,
                    msgmax: 8192,
                    ..
                }
            ),
            "{long:?}"
        );
        assert!(long.to_string().contains("the limit msgmax is 8192"), "{long}");
    });
}

/// What its killed reader held is received, and its memory serves again.
#[test]
fn a_message_in_place_is_gone_with_its_killed_reader() {
    on_both(Members::OneUser, |namespace| {
        let queue = queue(namespace);
        queue.send(&Message::new(1, &[1; 8000])).unwrap();
        let mut reader = Peer::start(&format!("in-place {}", queue.id()), namespace);
        assert_eq!(reader.hear().as_deref(), Some("8000"));
        assert_eq!(queue.stat().unwrap().messages, 0);
        reader.kill();
        for round in 0..20u8 {
            queue.send(&Message::new(1, &[round; 8000])).unwrap();
            queue.send(&Message::new(1, &[round; 8000])).unwrap();
            for message in queue.drain(Selection::Any) {
                assert_eq!(message.unwrap().bytes(), [round; 8000]);
            }
        }
    });
}

/// A message in place keeps its bytes while others come and go.
#[test]
fn a_message_in_place_stays_what_it_is() {
    on_both(Members::OneUser, |namespace| {
        let queue = queue(namespace);
        queue.send(&Message::new(1, &[42; 3000])).unwrap();
        let held = queue.receive_in_place(Selection::Any).unwrap();
        for round in 0..50u8 {
            queue.send(&Message::new(1, &[round; 3000])).unwrap();
            assert_eq!(queue.receive(Selection::Any).unwrap().bytes(), [round; 3000]);
        }
        assert_eq!(held.to_vec(), [42; 3000]);
        queue.remove().unwrap();
        assert_eq!(held.read::<[u8; 4]>(2996), Ok([42; 4]));
        assert!(held.read::<[u8; 4]>(2997).is_err());
    });
}

#[test]
fn iterations_end() {
    on_both(Members::OneUser, |namespace| {
        let queue = queue(namespace);
        for kind in [1, 2, 1, 3] {
            queue.send(&Message::new(kind, b"")).unwrap();
        }
        let ones = queue.drain(Selection::Exactly(1)).map(|m| m.unwrap().kind());
        assert_eq!(ones.collect::<Vec<_>>(), [1, 1]);
        let mut incoming = queue.incoming(Selection::Any);
        assert_eq!(incoming.next().unwrap().unwrap().kind(), 2);
        assert_eq!(incoming.next().unwrap().unwrap().kind(), 3);
        queue.remove().unwrap();
        assert!(incoming.next().is_none());
        assert!(incoming.next().is_none());
    });
}

#[test]
fn other_users_get_what_the_mode_allows() {
    if !am_root() {
        return;
    }
    on_both(Members::SeveralUsers, |namespace| {
        let private = queue(namespace);
        Peer::start_as(NOBODY, &format!("trespass {}", private.id()), namespace).finish();
        let letters = MessageQueue::create(namespace, key(), NewMessageQueue::new().mode(Mode::new(0o622)))
            .unwrap()
            .into_temporary();
        Peer::start_as(NOBODY, &format!("drop-box {}", letters.id()), namespace).finish();
        assert_eq!(letters.receive(Selection::Any).unwrap().bytes(), b"from nobody");
    });
}

#[test]
fn each_way_a_queue_refuses_has_its_own_variant_and_keeps_its_errno() {
    on_both(Members::OneUser, |namespace| {
        let key = key();
        let missing = MessageQueue::open(namespace, key).unwrap_err();
        assert!(matches!(missing, QueueGetError::NotFound { .. }), "{missing:?}");
        let private = MessageQueue::open(namespace, Key::PRIVATE).unwrap_err();
        assert!(matches!(private, QueueGetError::NotFound { .. }), "{private:?}");
        let queue = MessageQueue::open_or_create(namespace, key, NewMessageQueue::new())
            .unwrap()
            .into_temporary();
        let taken = MessageQueue::create(namespace, key, NewMessageQueue::new()).unwrap_err();
        assert_eq!(taken.errno(), Errno::EEXIST);
        assert!(
            taken.to_string().contains(&format!("the message queue with key {key}")),
            "{taken}"
        );

        for kind in [0, -1, i64::MIN] {
            let refused = queue.send(&Message::new(kind, b"")).unwrap_err();
            assert!(matches!(refused, SendError::Kind { .. }), "{refused:?}");
            let refused = queue.try_receive(Selection::AtMost(kind)).unwrap_err();
            assert!(matches!(refused, ReceiveError::Kind { .. }), "{refused:?}");
        }
        let none = queue.try_receive(Selection::Any).unwrap_err();
        assert_eq!(none.errno(), Errno::ENOMSG);
        let io = std::io::Error::from(none.clone());
        assert_eq!(io.kind(), std::io::ErrorKind::WouldBlock);
        assert_eq!(io.get_ref().and_then(|e| e.downcast_ref::<ReceiveError>()), Some(&none));
        assert_eq!(queue.peek(0).unwrap(), None);
        assert_eq!(queue.peek(usize::MAX).unwrap(), None);

        let wrong = Message::of(1, &1u16).value::<u32>().unwrap_err();
        assert!(matches!(
            wrong,
            PayloadError::Size {
                expected: 4,
                found: 2,
                ..
            }
        ));
    });
}

#[cfg(feature = "serde")]
#[test]
fn serialised_values_arrive_or_are_refused() {
    use std::collections::BTreeMap;

    on_both(Members::OneUser, |namespace| {
        let queue = queue(namespace);
        let value: BTreeMap<String, Vec<Option<u32>>> =
            [("a".to_owned(), vec![None, Some(7)]), ("b".to_owned(), vec![])].into();
        queue.send(&Message::serialize(1, &value).unwrap()).unwrap();
        let message = queue.receive(Selection::Any).unwrap();
        assert_eq!(
            message.deserialize::<BTreeMap<String, Vec<Option<u32>>>>().unwrap(),
            value
        );
        let wrong = message.deserialize::<u8>().unwrap_err();
        assert!(matches!(wrong, PayloadError::Decode { kind: 1, .. }), "{wrong:?}");
        let short = Message::new(1, &[]).deserialize::<u8>().unwrap_err();
        assert!(matches!(short, PayloadError::Decode { .. }), "{short:?}");
    });
}
