//! Several processes on one segment, on either facility.

mod peer;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};

use peer::{Peer, role, tell, tell_and_wait};
use sysv::{
    AttachError, GetError, Id, Key, Members, Mode, Namespace, NewSegment, Permissions, RemoveError, Segment, SetError,
    StatError, TemporaryNamespace,
};

const ROUNDS: u64 = 20_000;
const NOBODY: u32 = 65534;

/// Runs a test on both facilities.
fn on_both(members: Members, test: impl Fn(&Namespace)) {
    test(&TemporaryNamespace::create_for(members).unwrap());
    test(&Namespace::kernel());
}

/// A segment whose key no other test or process uses.
fn segment(namespace: &Namespace, new: NewSegment) -> sysv::TemporarySegment {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let key = 0x5e00_0000 | (std::process::id() as i32) << 8 | (NEXT.fetch_add(1, Relaxed) & 0xff) as i32;
    Segment::create(namespace, Key::new(key), new).unwrap().into_temporary()
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
    let (what, whom) = role.split_once(' ').unwrap();
    let by_key = || Segment::open(&namespace, whom.parse().unwrap()).unwrap();
    let by_id = || Segment::from_id(&namespace, whom.parse::<Id>().unwrap());
    match what {
        "count" => {
            let memory = by_key().attach().unwrap();
            tell_and_wait("ready");
            let counter = memory.atomic::<AtomicU64>(8).unwrap();
            for _ in 0..ROUNDS {
                counter.fetch_add(1, Relaxed);
            }
        }
        "hold" => {
            let segment = by_id();
            let _one = segment.attach().unwrap();
            let _two = segment.attach_read_only().unwrap();
            tell_and_wait("attached");
        }
        "flip" => {
            let memory = by_id().attach().unwrap();
            tell("attached");
            for round in 0u64.. {
                let value = if round % 2 == 0 { u64::MAX } else { 0 };
                memory.write(0, &value).unwrap();
                memory.fill(64..4096, value as u8).unwrap();
            }
        }
        "trespass" => {
            let segment = by_id();
            let denied = segment.attach().unwrap_err();
            assert!(
                matches!(
                    denied,
                    AttachError::Denied {
                        read_only: false,
                        ownership: Some(_),
                        ..
                    }
                ),
                "{denied:?}"
            );
            let denied = segment.attach_read_only().unwrap_err();
            assert!(
                matches!(denied, AttachError::Denied { read_only: true, .. }),
                "{denied:?}"
            );
            assert!(denied.to_string().contains("user 0 and has mode 600"), "{denied}");
            assert!(matches!(segment.stat(), Err(StatError::Denied { .. })));
            assert!(matches!(segment.remove(), Err(RemoveError::Denied { .. })));
            let mine = Permissions {
                owner: NOBODY,
                group: NOBODY,
                mode: Mode::new(0o777),
            };
            assert!(matches!(segment.set_permissions(mine), Err(SetError::Denied { .. })));
            // Operators see it all the same.
            let report = namespace.report().unwrap();
            assert!(report.iter().any(|r| r.stat.id == segment.id()));
        }
        "visit" => {
            let segment = by_id();
            assert!(matches!(
                segment.attach(),
                Err(AttachError::Denied { read_only: false, .. })
            ));
            let memory = segment.attach_read_only().unwrap();
            assert_eq!(memory.to_vec(0..5).unwrap(), b"hello");
        }
        "get" => {
            let key = whom.parse().unwrap();
            let intent = sysv::Intent::OpenOrCreate(NewSegment::of_size(1));
            assert!(matches!(
                Segment::get(&namespace, key, intent),
                Err(GetError::Denied { .. })
            ));
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn atomics_count_across_processes() {
    on_both(Members::OneUser, |namespace| {
        let segment = segment(namespace, NewSegment::of_size(4096));
        let memory = segment.attach().unwrap();
        let key = segment.stat().unwrap().key;

        let mut peers: Vec<Peer> = (0..3)
            .map(|_| Peer::start(&format!("count {key}"), namespace))
            .collect();
        for peer in &mut peers {
            assert_eq!(peer.hear().as_deref(), Some("ready"));
        }
        peers.iter_mut().for_each(Peer::go_on);
        peers.into_iter().for_each(Peer::finish);

        assert_eq!(
            memory.load::<AtomicU64>(8, std::sync::atomic::Ordering::Acquire),
            Ok(3 * ROUNDS)
        );
        assert_eq!(memory.read::<u64>(8), Ok(3 * ROUNDS));
    });
}

#[test]
fn a_killed_process_holds_nothing() {
    on_both(Members::OneUser, |namespace| {
        let segment = segment(namespace, NewSegment::of_size(5000));
        let mut peer = Peer::start(&format!("hold {}", segment.id()), namespace);
        assert_eq!(peer.hear().as_deref(), Some("attached"));

        assert_eq!(segment.stat().unwrap().attachments, 2);
        let mut held = segment.attachments().unwrap();
        held.sort_by_key(|a| a.read_only);
        assert_eq!(held.iter().map(|a| a.read_only).collect::<Vec<_>>(), [false, true]);
        assert!(
            held.iter()
                .all(|a| a.process.pid == peer.pid() && !a.process.elsewhere && a.length == 8192)
        );

        segment.remove().unwrap();
        assert!(segment.stat().unwrap().removed);
        peer.kill();
        let gone = segment.stat().unwrap_err();
        assert!(matches!(gone, StatError::Gone { .. }), "{gone:?}");
        assert!(namespace.report().unwrap().iter().all(|r| r.stat.id != segment.id()));
    });
}

/// Whatever a peer writes at whatever moment, an aligned word is one of the words that it wrote, and copies are
/// copies.
#[test]
fn a_word_is_never_seen_half_written() {
    on_both(Members::OneUser, |namespace| {
        let segment = segment(namespace, NewSegment::of_size(4096));
        let memory = segment.attach_read_only().unwrap();
        let mut peer = Peer::start(&format!("flip {}", segment.id()), namespace);
        assert_eq!(peer.hear().as_deref(), Some("attached"));

        let mut seen = [0u32; 2];
        let mut bytes = vec![0; 4096 - 64];
        while seen.iter().any(|&n| n < 1000) {
            match memory.read::<u64>(0).unwrap() {
                0 => seen[0] += 1,
                u64::MAX => seen[1] += 1,
                torn => panic!("half written: {torn:#x}"),
            }
            assert!(matches!(memory.load::<AtomicU64>(0, Relaxed), Ok(0 | u64::MAX)));
            memory.copy_out(64, &mut bytes).unwrap();
            assert!(bytes.iter().all(|&b| b == 0 || b == 0xff));
        }
        peer.kill();
    });
}

#[test]
fn other_users_get_what_the_mode_allows() {
    if !am_root() {
        return;
    }
    on_both(Members::SeveralUsers, |namespace| {
        let private = segment(namespace, NewSegment::of_size(100));
        Peer::start_as(NOBODY, &format!("trespass {}", private.id()), namespace).finish();
        let key = private.stat().unwrap().key;
        Peer::start_as(NOBODY, &format!("get {key}"), namespace).finish();
        assert_eq!(private.stat().unwrap().permissions.mode, Mode::OWNER);

        let public = segment(namespace, NewSegment::of_size(100).mode(Mode::new(0o644)));
        public.attach().unwrap().copy_in(0, b"hello").unwrap();
        Peer::start_as(NOBODY, &format!("visit {}", public.id()), namespace).finish();

        // Given away by root.
        let now = private.stat().unwrap().permissions;
        private
            .set_permissions(Permissions {
                group: NOBODY,
                mode: Mode::new(0o640),
                ..now
            })
            .unwrap();
        private.attach().unwrap().copy_in(0, b"hello").unwrap();
        Peer::start_as(NOBODY, &format!("visit {}", private.id()), namespace).finish();
    });
}

/// Threads of one process use one attachment, each in its own way.
#[test]
fn threads_share_an_attachment() {
    on_both(Members::OneUser, |namespace| {
        let segment = segment(namespace, NewSegment::of_size(4096));
        let memory = segment.attach().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let memory = &memory;
                scope.spawn(move || {
                    for round in 0..1000 {
                        memory.atomic::<AtomicU64>(0).unwrap().fetch_add(1, Release);
                        memory.write(8 + thread as usize * 8, &round).unwrap();
                        memory.copy_in(1000, &[thread as u8; 500]).unwrap();
                        let _ = memory.to_vec(0..4096).unwrap();
                    }
                });
            }
        });
        assert_eq!(memory.read::<[u64; 5]>(0), Ok([4000, 999, 999, 999, 999]));
    });
}
