//! Numbered messages among senders and receivers that are killed: every one is accounted for.

#![allow(unsafe_code)]

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU8, AtomicU32};
use std::time::{Duration, Instant};

use conformance::queue::{self, Queue, QueueSubject};
use conformance::{Child, Facility, trial};
use sysv_engine::Errno;
use sysv_engine::abi::IPC_NOWAIT;

conformance::on_both_queue_facilities! {
    a_queue_survives_the_death_of_any_sender_in_the_middle,
}

/// How long the tests of the account may take. Whoever asks for millions of messages has the time.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

#[test]
fn the_kernel_accounts_for_every_message_though_everybody_may_be_killed() {
    trial::run_within(LIMIT, Facility::Kernel, |_| queue::on_kernel(account_for_every_message));
}

#[test]
fn the_engine_accounts_for_every_message_though_everybody_may_be_killed() {
    trial::run_within(LIMIT, Facility::Kernel, |_| queue::on_engine(account_for_every_message));
}

/// How long the killing goes on at least; `SYSV_SOAK_SECONDS` says otherwise.
fn duration() -> Duration {
    Duration::from_secs(from_environment("SYSV_SOAK_SECONDS").unwrap_or(4))
}

/// How many messages are sent at least; `SYSV_SOAK_MESSAGES` says otherwise.
fn messages() -> u32 {
    let messages = from_environment("SYSV_SOAK_MESSAGES").unwrap_or(50_000);
    assert!(
        messages < MESSAGES as u64 / 2,
        "an account has room for {MESSAGES} messages"
    );
    messages as u32
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Room for messages, given lazily.
const MESSAGES: usize = 1 << 28;

/// What is known of each message, in memory that all processes share.
///
/// | bit | meaning | set by |
/// |---|---|---|
/// | `TRIED` | somebody has begun to send it | the sender |
/// | `SENT` | `msgsnd` has returned | the sender |
/// | `RECEIVED` | `msgrcv` has returned it | the receiver |
/// | `TWICE` | and once more | the second receiver |
struct Account {
    next: AtomicU32,
    messages: [AtomicU8; MESSAGES],
}

const TRIED: u8 = 1;
const SENT: u8 = 2;
const RECEIVED: u8 = 4;
const TWICE: u8 = 8;

fn account() -> &'static Account {
    // SAFETY: a new mapping of zeros, which are an account; it stays as long as the process.
    unsafe {
        let memory = libc::mmap(
            std::ptr::null_mut(),
            size_of::<Account>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        );
        assert_ne!(memory, libc::MAP_FAILED);
        &*memory.cast()
    }
}

/// The bytes of a message: as many and as such as its number says, so that a part of one is noticed.
fn text(number: u32) -> Vec<u8> {
    let len = match number % 7 {
        0 => 4,
        1..5 => 4 + number as usize % 61,
        5 => 4 + number as usize % 700,
        _ => 4 + number as usize % 5000,
    };
    let mut text = number.to_ne_bytes().to_vec();
    text.extend((4..len).map(|n| (n as u32 ^ number) as u8));
    text
}

fn send_for_ever(queue: &Queue<'_>, account: &Account) {
    loop {
        let number = account.next.fetch_add(1, SeqCst);
        let Some(entry) = account.messages.get(number as usize) else {
            return;
        };
        let text = text(number);
        entry.fetch_or(TRIED, SeqCst);
        match queue.send_with(1 + i64::from(number % 5), &text, 0) {
            Ok(()) => entry.fetch_or(SENT, SeqCst),
            Err(errno) => panic!("sending {number}: {errno:?}"),
        };
    }
}

fn note_received(account: &Account, kind: i64, bytes: &[u8]) {
    let number = u32::from_ne_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(kind, 1 + i64::from(number % 5), "message {number}");
    assert_eq!(bytes, text(number), "message {number}");
    let entry = &account.messages[number as usize];
    if entry.fetch_or(RECEIVED, SeqCst) & RECEIVED != 0 {
        entry.fetch_or(TWICE, SeqCst);
    }
}

fn receive_for_ever(queue: &Queue<'_>, account: &Account, selection: i64) {
    loop {
        match queue.receive_with(6000, selection, 0) {
            Ok((kind, bytes)) => note_received(account, kind, &bytes),
            Err(errno) => panic!("receiving: {errno:?}"),
        }
    }
}

fn start<'a>(n: usize, queue: &'a Queue<'a>, account: &'static Account) -> Child {
    Child::fork(|_| {
        if n.is_multiple_of(2) {
            send_for_ever(queue, account);
        } else {
            // One takes any, the others what they like; together they take everything.
            receive_for_ever(queue, account, [0, -3, 4, 5][n / 2 % 4]);
        }
    })
}

fn account_for_every_message(subject: &QueueSubject) {
    let (queue, account) = (subject.queue(), account());
    let mut children: Vec<Child> = (0..8).map(|n| start(n, &queue, account)).collect();
    let (mut kills, mut killed_receivers, mut dice) = (0u32, 0u32, 0x1234_5678_9abc_def1u64);
    let (begin, wanted) = (Instant::now(), messages());
    while begin.elapsed() < duration() || account.next.load(SeqCst) < wanted {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        std::thread::sleep(Duration::from_micros(dice % 5000));
        let n = (dice >> 32) as usize % children.len();
        children[n].kill();
        kills += 1;
        killed_receivers += (n % 2) as u32;
        children[n] = start(n, &queue, account);
    }
    // The senders first, then what is left, then the receivers.
    for n in [0, 2, 4, 6] {
        children[n].kill();
    }
    std::thread::sleep(Duration::from_millis(700));
    for n in [1, 3, 5, 7] {
        children[n].kill();
        killed_receivers += 1;
    }
    drop(children);
    loop {
        match queue.receive_with(6000, 0, IPC_NOWAIT) {
            Ok((kind, bytes)) => note_received(account, kind, &bytes),
            Err(errno) => {
                assert_eq!(errno, Errno::ENOMSG);
                break;
            }
        }
    }
    assert_eq!(queue.fill(), (0, 0));
    let (mut received, mut missing, mut twice) = (0u32, 0u32, 0u32);
    for entry in &account.messages[..account.next.load(SeqCst) as usize] {
        let entry = entry.load(SeqCst);
        assert!(entry & RECEIVED == 0 || entry & TRIED != 0, "received and never sent");
        received += u32::from(entry & RECEIVED != 0);
        missing += u32::from(entry & SENT != 0 && entry & RECEIVED == 0);
        twice += u32::from(entry & TWICE != 0);
    }
    assert_eq!(twice, 0, "received twice");
    // A receiver that is killed after msgrcv has taken a message and before it notes that.
    assert!(
        missing <= killed_receivers,
        "{missing} lost with {killed_receivers} receivers"
    );
    assert!(received > 1000, "{received} received");
    trial::note(&format!(
        "{received} messages in {:?}, {kills} kills, {missing} taken by the killed",
        begin.elapsed()
    ));
}

fn a_queue_survives_the_death_of_any_sender_in_the_middle(subject: &QueueSubject) {
    let queue = subject.queue();
    let end = Instant::now() + duration() / 2;
    let (mut round, mut arrived) = (0u32, 0u32);
    while Instant::now() < end {
        let mut child = Child::fork(|test| {
            test.send(&());
            for number in 0.. {
                if queue.send_with(1, &text(number), 0).is_err() {
                    return;
                }
            }
        });
        child.arrived();
        let mut expected = 0;
        for _ in 0..round % 97 {
            let (_, bytes) = queue.receive_with(6000, 0, 0).unwrap();
            assert_eq!(bytes, text(expected));
            expected += 1;
        }
        child.kill();
        // What is left is the rest of the sequence, whole, and then nothing.
        while let Ok((_, bytes)) = queue.receive_with(6000, 0, IPC_NOWAIT) {
            assert_eq!(bytes, text(expected));
            expected += 1;
        }
        assert_eq!(queue.fill(), (0, 0));
        (round, arrived) = (round + 1, arrived + expected);
    }
    trial::note(&format!("{round} senders killed, {arrived} messages"));
}
