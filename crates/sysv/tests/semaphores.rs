//! Several processes on one semaphore set, on either facility.

mod peer;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use peer::{Peer, role, tell, tell_and_wait};
use sysv::{
    Errno, Hold, Id, Key, Members, Mode, Namespace, NewSegment, NewSemaphoreSet, OperateError, Operation, Permissions,
    RemoveError, Segment, SemaphoreGetError, SemaphoreSet, SetError, StatError, TemporaryNamespace,
    TemporarySemaphoreSet, ValueError,
};

const ROUNDS: u64 = 2_000;
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

fn set(namespace: &Namespace, new: NewSemaphoreSet) -> TemporarySemaphoreSet {
    SemaphoreSet::create(namespace, key(), new).unwrap().into_temporary()
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

/// Waits until so many wait for a semaphore.
fn until_waiting(set: &SemaphoreSet, semaphore: u16, count: usize) {
    let begun = Instant::now();
    while set.waiting_for_more(semaphore).unwrap() != count {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody waits");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What the other processes do.
#[test]
fn peer() {
    let Some((role, namespace)) = role() else { return };
    let words: Vec<&str> = role.split(' ').collect();
    let set = || SemaphoreSet::from_id(&namespace, words[1].parse::<Id>().unwrap());
    match words[0] {
        // Not atomically: only the semaphore makes it right.
        "count" => {
            let set = set();
            let memory = Segment::from_id(&namespace, words[2].parse().unwrap())
                .attach()
                .unwrap();
            tell_and_wait("ready");
            for _ in 0..ROUNDS {
                let _turn = set.acquire(Hold::of(0, 1).with_undo()).unwrap();
                let count = memory.read::<u64>(0).unwrap();
                memory.write(0, &(count + 1)).unwrap();
            }
        }
        "dine" => {
            let set = set();
            let seat: u16 = words[2].parse().unwrap();
            tell_and_wait("ready");
            for _ in 0..ROUNDS / 4 {
                let _forks = set.acquire(Hold::of(seat, 1).and((seat + 1) % 5, 1)).unwrap();
            }
        }
        "hold" => {
            let set = set();
            let hold = Hold::of(0, 1);
            let _guard = set
                .acquire(if words[2] == "undo" { hold.with_undo() } else { hold })
                .unwrap();
            tell_and_wait("held");
        }
        "wait" => {
            let set = set();
            let told = match set.acquire(0) {
                Ok(guard) => {
                    guard.keep();
                    "acquired".to_owned()
                }
                Err(error) => format!("{:?}", error.errno()),
            };
            tell(&told);
        }
        "open" => {
            let key = words[1].parse().unwrap();
            tell_and_wait("ready");
            let new = NewSemaphoreSet::with_units([1, 0]);
            let set = SemaphoreSet::open_or_create(&namespace, key, new).unwrap();
            for _ in 0..100 {
                let _turn = set.acquire(0).unwrap();
            }
        }
        "trespass" => {
            let set = set();
            let denied = set.acquire(0).unwrap_err();
            assert!(
                matches!(
                    denied,
                    OperateError::Denied {
                        alter: true,
                        ownership: Some(_),
                        ..
                    }
                ),
                "{denied:?}"
            );
            assert!(denied.to_string().contains("user 0 and has mode 600"), "{denied}");
            assert!(matches!(
                set.wait_for_zero(0),
                Err(OperateError::Denied { alter: false, .. })
            ));
            assert!(matches!(set.values(), Err(ValueError::Denied { alter: false, .. })));
            assert!(matches!(
                set.set_value(0, 1),
                Err(ValueError::Denied { alter: true, .. })
            ));
            assert!(matches!(set.stat(), Err(StatError::Denied { .. })));
            assert!(matches!(set.remove(), Err(RemoveError::Denied { .. })));
            let mine = Permissions {
                owner: NOBODY,
                group: NOBODY,
                mode: Mode::new(0o666),
            };
            assert!(matches!(set.set_permissions(mine), Err(SetError::Denied { .. })));
        }
        "look" => {
            let set = set();
            assert_eq!(set.values().unwrap(), [1]);
            assert!(matches!(set.acquire(0), Err(OperateError::Denied { alter: true, .. })));
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn guards_keep_processes_apart() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::with_units([1]));
        let segment = Segment::create(namespace, Key::PRIVATE, NewSegment::of_size(8))
            .unwrap()
            .into_temporary();
        let memory = segment.attach().unwrap();
        let mut peers: Vec<Peer> = (0..3)
            .map(|_| Peer::start(&format!("count {} {}", set.id(), segment.id()), namespace))
            .collect();
        for peer in &mut peers {
            assert_eq!(peer.hear().as_deref(), Some("ready"));
        }
        peers.iter_mut().for_each(Peer::go_on);
        peers.into_iter().for_each(Peer::finish);
        assert_eq!(memory.read::<u64>(0), Ok(3 * ROUNDS));
        assert_eq!(set.values().unwrap(), [1]);
    });
}

#[test]
fn philosophers_take_both_forks_or_none() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::with_units([1; 5]));
        let mut peers: Vec<Peer> = (0..5)
            .map(|seat| Peer::start(&format!("dine {} {seat}", set.id()), namespace))
            .collect();
        for peer in &mut peers {
            assert_eq!(peer.hear().as_deref(), Some("ready"));
        }
        peers.iter_mut().for_each(Peer::go_on);
        peers.into_iter().for_each(Peer::finish);
        assert_eq!(set.values().unwrap(), [1; 5]);
    });
}

#[test]
fn a_killed_holder_gives_back_what_it_held_with_undo_and_nothing_else() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::with_units([1]));
        let mut holder = Peer::start(&format!("hold {} undo", set.id()), namespace);
        assert_eq!(holder.hear().as_deref(), Some("held"));
        let mut waiter = Peer::start(&format!("wait {}", set.id()), namespace);
        until_waiting(&set, 0, 1);
        holder.kill();
        assert_eq!(waiter.hear().as_deref(), Some("acquired"));
        waiter.finish();
        assert_eq!(set.values().unwrap(), [0]);

        set.release(0, 1).unwrap();
        let mut holder = Peer::start(&format!("hold {} keep", set.id()), namespace);
        assert_eq!(holder.hear().as_deref(), Some("held"));
        holder.kill();
        let late = set.acquire_timeout(0, Duration::from_millis(100)).unwrap_err();
        assert!(matches!(late, OperateError::TimedOut { .. }), "{late:?}");
    });
}

#[test]
fn a_killed_waiter_waits_no_longer_and_takes_nothing() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::of(1));
        let waiter = Peer::start(&format!("wait {}", set.id()), namespace);
        until_waiting(&set, 0, 1);
        waiter.kill();
        until_waiting(&set, 0, 0);
        set.release(0, 1).unwrap();
        assert_eq!(set.value(0).unwrap(), 1);
    });
}

#[test]
fn waits_end_when_they_should_and_not_before() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::with_units([0, 1]));
        let timeout = Duration::from_millis(50);
        let begun = Instant::now();
        let late = set.acquire_timeout(Hold::of(1, 1).and(0, 1), timeout).unwrap_err();
        // Facilities count in microseconds.
        assert!(begun.elapsed() + Duration::from_micros(1) >= timeout);
        assert!(
            matches!(late, OperateError::TimedOut { timeout: t, .. } if t == timeout),
            "{late:?}"
        );
        assert_eq!(std::io::Error::from(late).kind(), std::io::ErrorKind::TimedOut);

        let not_now = set.operate_timeout(&[Operation::acquire(0, 1).no_wait()], Duration::MAX);
        assert!(matches!(not_now, Err(OperateError::WouldBlock { .. })), "{not_now:?}");
        assert_eq!(set.values().unwrap(), [0, 1]);

        // Longer than anybody can count.
        let mut waiter = Peer::start(&format!("wait {}", set.id()), namespace);
        until_waiting(&set, 0, 1);
        set.release(0, 1).unwrap();
        assert_eq!(waiter.hear().as_deref(), Some("acquired"));
        waiter.finish();
        drop(set.acquire_timeout(1, Duration::MAX).unwrap());
    });
}

#[test]
fn removal_ends_all_waits() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::of(2));
        let mut waiters: Vec<Peer> = (0..2)
            .map(|_| Peer::start(&format!("wait {}", set.id()), namespace))
            .collect();
        until_waiting(&set, 0, 2);
        set.remove().unwrap();
        for waiter in &mut waiters {
            assert_eq!(waiter.hear().as_deref(), Some("EIDRM"));
        }
        waiters.into_iter().for_each(Peer::finish);
        for gone in [set.release(0, 1), set.try_acquire(0).map(drop)] {
            assert!(matches!(gone, Err(OperateError::Gone { .. })), "{gone:?}");
        }
        assert!(matches!(set.values(), Err(ValueError::Gone { .. })));
        assert!(matches!(set.count(), Err(ValueError::Gone { .. })));
    });
}

/// Whoever opens a set between its creation and its first units waits for these.
#[test]
fn who_creates_a_set_and_who_opens_it_do_not_race() {
    on_both(Members::OneUser, |namespace| {
        let key = key();
        let mut peers: Vec<Peer> = (0..4).map(|_| Peer::start(&format!("open {key}"), namespace)).collect();
        for peer in &mut peers {
            assert_eq!(peer.hear().as_deref(), Some("ready"));
        }
        peers.iter_mut().for_each(Peer::go_on);
        peers.into_iter().for_each(Peer::finish);
        let set = SemaphoreSet::open(namespace, key).unwrap().into_temporary();
        assert_eq!(set.values().unwrap(), [1, 0]);
    });
}

#[test]
fn a_guard_is_released_once_and_only_if_wanted() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::with_units([5, 5]));
        let guard = set.acquire(Hold::of(0, 2).and(1, 5).with_undo()).unwrap();
        assert_eq!(set.values().unwrap(), [3, 0]);
        guard.release().unwrap();
        assert_eq!(set.values().unwrap(), [5, 5]);
        set.acquire(Hold::of(0, 2).and(1, 1)).unwrap().keep();
        assert_eq!(set.values().unwrap(), [3, 4]);
        drop(set.try_acquire(Hold::of(0, 3)).unwrap());
        assert!(set.try_acquire(Hold::of(0, 3).and(1, 5)).is_err());
        assert_eq!(set.values().unwrap(), [3, 4]);
    });
}

#[test]
fn threads_share_a_set() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::with_units([1]));
        let inside = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let _turn = set.acquire(Hold::of(0, 1).with_undo()).unwrap();
                        assert_eq!(inside.fetch_add(1, Relaxed), 0);
                        inside.fetch_sub(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(set.values().unwrap(), [1]);
    });
}

#[test]
fn other_users_get_what_the_mode_allows() {
    if !am_root() {
        return;
    }
    on_both(Members::SeveralUsers, |namespace| {
        let private = set(namespace, NewSemaphoreSet::with_units([1]));
        Peer::start_as(NOBODY, &format!("trespass {}", private.id()), namespace).finish();
        assert_eq!(private.values().unwrap(), [1]);
        let readable = set(namespace, NewSemaphoreSet::with_units([1]).mode(Mode::new(0o644)));
        Peer::start_as(NOBODY, &format!("look {}", readable.id()), namespace).finish();
    });
}

#[test]
fn each_way_an_operation_fails_has_its_own_variant_and_keeps_its_errno() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::with_units([32767, 0]));
        let many = vec![Operation::wait_for_zero(1); 501];
        let cases: [(Result<(), OperateError>, Errno, &str); 8] = [
            (set.operate(&[]), Errno::EINVAL, "no operations on semaphore set"),
            (set.release(1, 0), Errno::EINVAL, "give 1 to 32767"),
            (
                set.acquire(Hold::of(1, 32768)).map(drop),
                Errno::EINVAL,
                "32768 units of semaphore 1",
            ),
            (set.release(7, 1), Errno::EFBIG, "has no semaphore 7"),
            (set.release(0, 1), Errno::ERANGE, "more than 32767 units"),
            (set.operate(&many), Errno::E2BIG, "501 operations at once"),
            (
                set.try_acquire(1).map(drop),
                Errno::EAGAIN,
                "does not have what is wanted now",
            ),
            (
                SemaphoreSet::from_id(namespace, Id::new(i32::MAX)).release(0, 1),
                Errno::EINVAL,
                "does not exist (any more)",
            ),
        ];
        for (result, errno, text) in cases {
            let error = result.unwrap_err();
            assert_eq!(error.errno(), errno, "{error:?}");
            assert!(error.to_string().contains(text), "{error} does not say: {text}");
            let io = std::io::Error::from(error.clone());
            assert_eq!(
                io.get_ref().and_then(|e| e.downcast_ref::<OperateError>()),
                Some(&error)
            );
        }
        assert_eq!(set.values().unwrap(), [32767, 0]);

        let wrong = set.set_values(&[1]).unwrap_err();
        assert!(matches!(
            wrong,
            ValueError::WrongCount {
                given: 1,
                semaphores: 2,
                ..
            }
        ));
        assert_eq!(set.set_values(&[1, 40000]).unwrap_err().errno(), Errno::ERANGE);
        assert!(matches!(
            set.last_pid(2),
            Err(ValueError::NoSuchSemaphore {
                semaphore: 2,
                semaphores: 2,
                ..
            })
        ));
    });
}

#[test]
fn each_way_semget_fails_has_its_own_variant() {
    on_both(Members::OneUser, |namespace| {
        let key = key();
        let missing = SemaphoreSet::open(namespace, key).unwrap_err();
        assert!(matches!(missing, SemaphoreGetError::NotFound { .. }), "{missing:?}");
        assert!(matches!(
            SemaphoreSet::open(namespace, Key::PRIVATE),
            Err(SemaphoreGetError::NotFound { .. })
        ));
        let none = SemaphoreSet::create(namespace, key, NewSemaphoreSet::of(0)).unwrap_err();
        assert!(matches!(none, SemaphoreGetError::Count { wanted: 0, .. }), "{none:?}");
        let units = SemaphoreSet::create(namespace, key, NewSemaphoreSet::with_units([0, 32768])).unwrap_err();
        assert!(
            matches!(
                units,
                SemaphoreGetError::Units {
                    semaphore: 1,
                    units: 32768,
                    ..
                }
            ),
            "{units:?}"
        );
        assert!(
            SemaphoreSet::open(namespace, key).is_err(),
            "nothing is left of a failure"
        );

        let set = SemaphoreSet::create(namespace, key, NewSemaphoreSet::of(2))
            .unwrap()
            .into_temporary();
        let small = SemaphoreSet::open_or_create(namespace, key, NewSemaphoreSet::of(3)).unwrap_err();
        assert!(
            matches!(small, SemaphoreGetError::TooSmall { wanted: 3, .. }),
            "{small:?}"
        );
        let taken = SemaphoreSet::create(namespace, key, NewSemaphoreSet::of(2)).unwrap_err();
        assert_eq!(taken.errno(), Errno::EEXIST);
        assert!(
            taken.to_string().contains(&format!("the semaphore set with key {key}")),
            "{taken}"
        );
        drop(set);
    });
}

/// More semaphores than operations can be done at once.
#[test]
fn a_large_set_gets_its_units_too() {
    on_both(Members::OneUser, |namespace| {
        let set = set(namespace, NewSemaphoreSet::with_units((0..1200).map(|n| n % 7)));
        let values = set.values().unwrap();
        assert!((0..1200u16).zip(values).all(|(n, value)| value == n % 7));
    });
}
