//! Several processes on one file's locks.

mod peer;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use peer::{Peer, role, tell, tell_and_wait};
use sysv::{
    Errno, FileLockError, Key, LockFile, LockKind, Namespace, NewSegment, Segment, TemporaryNamespace, TemporarySegment,
};

const ROUNDS: u64 = 2_000;

fn segment(namespace: &Namespace) -> TemporarySegment {
    Segment::create(namespace, Key::PRIVATE, NewSegment::of_size(4096))
        .unwrap()
        .into_temporary()
}

/// What the other processes do.
#[test]
fn peer() {
    let Some((role, namespace)) = role() else { return };
    let words: Vec<&str> = role.split(' ').collect();
    let segment = Segment::from_id(&namespace, words[1].parse().unwrap());
    let mut file = segment.lock_file().unwrap();
    match words[0] {
        // Not atomically: only the lock makes it right.
        "count" => {
            let memory = segment.attach().unwrap();
            tell_and_wait("ready");
            for _ in 0..ROUNDS {
                let _guard = file.lock(LockKind::Exclusive, 0..8).unwrap();
                let count = memory.read::<u64>(0).unwrap();
                memory.write(0, &(count + 1)).unwrap();
            }
        }
        "hold" => {
            let kind = if words[2] == "shared" {
                LockKind::Shared
            } else {
                LockKind::Exclusive
            };
            let _guard = file.lock(kind, 100..200).unwrap();
            tell_and_wait("held");
        }
        "wait" => {
            tell("waiting");
            let _guard = file.lock(LockKind::Exclusive, 150..160).unwrap();
            tell("got it");
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn locks_keep_processes_apart() {
    let namespace = TemporaryNamespace::create().unwrap();
    let segment = segment(&namespace);
    let memory = segment.attach().unwrap();
    let mut peers: Vec<Peer> = (0..3)
        .map(|_| Peer::start(&format!("count {}", segment.id()), &namespace))
        .collect();
    for peer in &mut peers {
        assert_eq!(peer.hear().as_deref(), Some("ready"));
    }
    peers.iter_mut().for_each(Peer::go_on);
    peers.into_iter().for_each(Peer::finish);
    assert_eq!(memory.read::<u64>(0), Ok(3 * ROUNDS));
}

#[test]
fn a_killed_holders_lock_is_free_and_who_waits_gets_it() {
    let namespace = TemporaryNamespace::create().unwrap();
    let segment = segment(&namespace);
    let mut file = segment.lock_file().unwrap();
    let mut holder = Peer::start(&format!("hold {} exclusive", segment.id()), &namespace);
    assert_eq!(holder.hear().as_deref(), Some("held"));

    let taken = file.try_lock(LockKind::Shared, ..).unwrap_err();
    assert!(matches!(taken, FileLockError::WouldBlock { .. }), "{taken:?}");
    assert_eq!(taken.errno(), Errno::EAGAIN);
    assert!(
        taken.to_string().contains(&format!("segment {}", segment.id())),
        "{taken}"
    );
    assert!(file.try_lock(LockKind::Exclusive, ..100).is_ok());
    assert!(file.try_lock(LockKind::Exclusive, 200..).is_ok());

    let mut waiter = Peer::start(&format!("wait {}", segment.id()), &namespace);
    assert_eq!(waiter.hear().as_deref(), Some("waiting"));
    holder.kill();
    assert_eq!(waiter.hear().as_deref(), Some("got it"));
    waiter.finish();
    assert!(file.try_lock(LockKind::Exclusive, ..).is_ok());
}

#[test]
fn readers_share_and_writers_do_not() {
    let namespace = TemporaryNamespace::create().unwrap();
    let segment = segment(&namespace);
    let mut file = segment.lock_file().unwrap();
    let mut reader = Peer::start(&format!("hold {} shared", segment.id()), &namespace);
    assert_eq!(reader.hear().as_deref(), Some("held"));
    assert!(file.try_lock(LockKind::Shared, ..).is_ok());
    assert!(file.try_lock(LockKind::Exclusive, 199..=199).is_err());
    reader.finish();
    assert!(file.try_lock(LockKind::Exclusive, ..).is_ok());
}

#[test]
fn a_timeout_is_waited_out() {
    let namespace = TemporaryNamespace::create().unwrap();
    let segment = segment(&namespace);
    let (mut one, mut two) = (segment.lock_file().unwrap(), segment.lock_file().unwrap());
    let guard = one.lock(LockKind::Exclusive, ..).unwrap();
    let timeout = Duration::from_millis(200);
    let begun = Instant::now();
    let late = two.lock_timeout(LockKind::Shared, .., timeout).unwrap_err();
    assert!(begun.elapsed() >= timeout);
    assert!(matches!(late, FileLockError::TimedOut { .. }), "{late:?}");
    assert_eq!(std::io::Error::from(late).kind(), std::io::ErrorKind::TimedOut);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            drop(guard);
        });
        two.lock_timeout(LockKind::Exclusive, .., Duration::MAX)
            .map(drop)
            .unwrap();
    });
}

/// What traditional locks of a process do not do.
#[test]
fn threads_are_kept_apart_and_closing_another_descriptor_unlocks_nothing() {
    let namespace = TemporaryNamespace::create().unwrap();
    let path = namespace.location().directory().unwrap().join("table");
    let mut file = LockFile::open(&path).unwrap();
    let mut again = file.reopen().unwrap();
    let guard = file.lock(LockKind::Exclusive, ..).unwrap();
    drop(File::open(&path).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(again.try_lock(LockKind::Shared, ..).is_err()));
    });
    drop(guard);
    assert!(again.try_lock(LockKind::Exclusive, ..).is_ok());
}

#[test]
fn each_way_a_lock_fails_has_its_own_variant() {
    let namespace = TemporaryNamespace::create().unwrap();
    let path: PathBuf = namespace.location().directory().unwrap().join("a file");
    let missing = LockFile::open(&path).unwrap_err();
    assert!(
        matches!(
            missing,
            FileLockError::Open {
                errno: Errno::ENOENT,
                ..
            }
        ),
        "{missing:?}"
    );

    fs::write(&path, "some").unwrap();
    let mut file = LockFile::from_file(File::open(&path).unwrap());
    assert!(file.lock(LockKind::Shared, ..).is_ok());
    let read_only = file.lock(LockKind::Exclusive, ..).unwrap_err();
    assert!(
        matches!(
            read_only,
            FileLockError::NotOpenFor {
                kind: LockKind::Exclusive,
                ..
            }
        ),
        "{read_only:?}"
    );
    assert_eq!(read_only.errno(), Errno::EBADF);
    let empty = file.lock(LockKind::Shared, 5..5).unwrap_err();
    assert!(matches!(empty, FileLockError::Range { .. }), "{empty:?}");

    // Who may only read can share; root may do anything.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(LockFile::open(&path).unwrap().lock(LockKind::Shared, ..).is_ok());
    fs::remove_file(&path).unwrap();

    let segment = segment(&namespace);
    segment.remove().unwrap();
    assert!(matches!(segment.lock_file(), Err(FileLockError::Attach { .. })));
    let kernel = Namespace::kernel();
    let other = Segment::create(&kernel, Key::PRIVATE, NewSegment::of_size(1))
        .unwrap()
        .into_temporary();
    let no_file = other.lock_file().unwrap_err();
    assert_eq!(no_file.errno(), Errno::EOPNOTSUPP);
    assert!(no_file.to_string().contains("use a semaphore set"), "{no_file}");
}
