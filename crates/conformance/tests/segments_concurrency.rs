//! Many processes at once.

use std::collections::BTreeSet;

use conformance::process::pause;
use conformance::{Child, Subject};
use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, PAGE_SIZE};
use sysv_engine::{Errno, Segments};

conformance::on_each_facility! {
    of_many_exclusive_creators_one_wins,
    all_creators_of_a_key_get_one_segment,
    private_segments_made_at_once_are_all_different,
    a_storm_of_attaches_and_detaches_leaves_nothing,
    a_storm_of_forks_leaves_nothing,
    what_everybody_adds_up_is_complete,
    creators_and_removers_of_one_key_meet_no_surprise,
    attachers_of_a_segment_that_is_removed_get_all_or_nothing,
    of_many_removers_of_an_unattached_segment_one_succeeds,
    processes_killed_in_the_midst_leave_nothing_behind,
    processes_killed_while_creating_leave_whole_segments,
}

const CROWD: usize = 8;

/// Starts a crowd, lets all go at once, and returns what each computed.
fn crowd<T: conformance::wire::Wire>(size: usize, body: impl Fn(usize) -> T) -> Vec<T> {
    let mut children: Vec<Child> = (0..size)
        .map(|number| {
            Child::fork(|parent| {
                parent.send(&());
                parent.receive::<()>();
                parent.send(&body(number));
            })
        })
        .collect();
    children.iter_mut().for_each(Child::arrived);
    children.iter_mut().for_each(Child::proceed);
    let results = children.iter_mut().map(|child| child.receive()).collect();
    children.into_iter().for_each(Child::finish);
    results
}

fn of_many_exclusive_creators_one_wins(subject: &Subject) {
    for round in 0..30 {
        let key = subject.key();
        let results = crowd(CROWD, |_| subject.shmget(key, 100, IPC_CREAT | IPC_EXCL | 0o600));
        let winners: Vec<i32> = results.iter().filter_map(|result| result.ok()).collect();
        assert_eq!(winners.len(), 1, "round {round}: {results:?}");
        let segment = subject.guard(winners[0], key);
        assert_eq!(
            results.iter().filter(|result| **result == Err(Errno::EEXIST)).count(),
            CROWD - 1
        );
        assert_eq!(subject.shmget(key, 0, 0), Ok(segment.id()));
    }
}

fn all_creators_of_a_key_get_one_segment(subject: &Subject) {
    for round in 0..30 {
        let key = subject.key();
        let results = crowd(CROWD, |_| subject.shmget(key, 100, IPC_CREAT | 0o600));
        let segment = subject.guard(results[0].unwrap(), key);
        assert!(
            results.iter().all(|result| *result == Ok(segment.id())),
            "round {round}: {results:?}"
        );
    }
}

fn private_segments_made_at_once_are_all_different(subject: &Subject) {
    let made = crowd(CROWD, |_| {
        (0..50)
            .map(|_| subject.shmget(IPC_PRIVATE, 1, 0o600).unwrap())
            .collect::<Vec<_>>()
    });
    let ids: BTreeSet<i32> = made.iter().flatten().copied().collect();
    assert_eq!(ids.len(), CROWD * 50);
    for id in ids {
        assert_eq!(subject.guard(id, IPC_PRIVATE).stat().segsz, 1);
    }
}

fn a_storm_of_attaches_and_detaches_leaves_nothing(subject: &Subject) {
    let segments = [subject.segment(PAGE_SIZE), subject.segment(3 * PAGE_SIZE)];
    let _inherited = segments[1].attach();
    crowd(CROWD, |number| {
        let mut held = Vec::new();
        for round in 0..150 {
            let segment = &segments[(number + round) % 2];
            held.push(segment.attach());
            assert!(segment.nattch() >= 1);
            if round % 3 != 0 {
                held.remove(round % held.len());
            }
            if round % 50 == 49 {
                held.clear();
            }
        }
    });
    assert_eq!((segments[0].nattch(), segments[1].nattch()), (0, 1));
}

fn a_storm_of_forks_leaves_nothing(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    let attachment = segment.attach();
    crowd(4, |_| {
        for round in 0..25 {
            let own = segment.attach();
            let count = Child::compute(|| {
                if round % 2 == 0 {
                    subject.detach_at(own.address()).unwrap();
                }
                segment.nattch()
            });
            assert!(
                count >= 4,
                "at least one's own, the parent's and those of the test: {count}"
            );
        }
    });
    assert_eq!(segment.nattch(), 1);
    drop(attachment);
    assert_eq!(segment.nattch(), 0);
}

fn what_everybody_adds_up_is_complete(subject: &Subject) {
    let segment = subject.segment(PAGE_SIZE);
    crowd(CROWD, |_| {
        for _ in 0..100 {
            let attachment = segment.attach();
            for _ in 0..10 {
                attachment.add_one();
            }
        }
    });
    assert_eq!(segment.attach().counter(), CROWD as u64 * 1000);
}

fn creators_and_removers_of_one_key_meet_no_surprise(subject: &Subject) {
    let key = subject.key();
    crowd(CROWD, |number| {
        for round in 0..200 {
            match subject.shmget(key, 1 + number * PAGE_SIZE, IPC_CREAT | 0o600) {
                Ok(id) => {
                    let address = subject.attach_any(id);
                    assert!(
                        matches!(address, Ok(_) | Err(Errno::EINVAL | Errno::EIDRM)),
                        "{round}: {address:?}"
                    );
                    let removed = subject.shm_remove(id);
                    assert!(
                        matches!(removed, Ok(()) | Err(Errno::EINVAL | Errno::EIDRM)),
                        "{round}: {removed:?}"
                    );
                    if let Ok(address) = address {
                        assert_eq!(subject.detach_at(address), Ok(()));
                    }
                    let again = subject.shm_remove(id);
                    assert!(
                        matches!(again, Ok(()) | Err(Errno::EINVAL | Errno::EIDRM)),
                        "{round}: {again:?}"
                    );
                }
                // Another one's segment, smaller than what was asked for.
                Err(errno) => assert_eq!(errno, Errno::EINVAL),
            }
        }
    });
    assert_eq!(subject.shmget(key, 0, 0), Err(Errno::ENOENT));
    if subject.is_alone() {
        assert_eq!(subject.shm_usage().unwrap().1.used_ids, 0);
    }
}

fn attachers_of_a_segment_that_is_removed_get_all_or_nothing(subject: &Subject) {
    for _ in 0..30 {
        let segment = subject.segment(PAGE_SIZE);
        segment.attach().store(0, 7);
        crowd(4, |number| {
            if number == 0 {
                segment.remove();
                return;
            }
            for _ in 0..20 {
                match segment.try_attach(0) {
                    Ok(attachment) => assert_eq!(attachment.load(0), 7),
                    Err(errno) => assert!(matches!(errno, Errno::EINVAL | Errno::EIDRM), "{errno:?}"),
                }
            }
        });
        segment.assert_gone();
    }
}

fn of_many_removers_of_an_unattached_segment_one_succeeds(subject: &Subject) {
    for _ in 0..30 {
        let segment = subject.keyed_segment(1, 0o600);
        let results = crowd(CROWD, |_| segment.try_remove());
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(
            results
                .iter()
                .all(|result| matches!(result, Ok(()) | Err(Errno::EINVAL | Errno::EIDRM)))
        );
        segment.assert_gone();
    }
}

fn processes_killed_in_the_midst_leave_nothing_behind(subject: &Subject) {
    let segment = subject.segment(2 * PAGE_SIZE);
    let _inherited = segment.attach();
    for round in 0..60 {
        let mut children: Vec<Child> = (0..3)
            .map(|_| {
                Child::fork(|parent| {
                    parent.send(&());
                    loop {
                        let first = segment.attach();
                        let second = segment.attach();
                        first.unmap(0, PAGE_SIZE);
                        drop((second, first));
                    }
                })
            })
            .collect();
        children.iter_mut().for_each(Child::arrived);
        pause(round * 37 % 1000);
        for child in &mut children {
            child.kill();
            assert!(segment.nattch() >= 1);
        }
        assert_eq!(segment.nattch(), 1, "round {round}");
        segment.attach().detach();
    }
}

fn processes_killed_while_creating_leave_whole_segments(subject: &Subject) {
    let keys: Vec<i32> = (0..4).map(|_| subject.key()).collect();
    for round in 0..60 {
        let mut children: Vec<Child> = (0..2)
            .map(|number| {
                let keys = &keys;
                Child::fork(move |parent| {
                    parent.send(&());
                    for turn in number.. {
                        let key = keys[turn % keys.len()];
                        let Ok(id) = subject.shmget(key, 3 * PAGE_SIZE, IPC_CREAT | 0o600) else {
                            continue;
                        };
                        let Ok(address) = subject.attach_any(id) else { continue };
                        let _ = subject.shm_remove(id);
                        subject.detach_at(address).unwrap();
                    }
                })
            })
            .collect();
        children.iter_mut().for_each(Child::arrived);
        pause(round * 53 % 1000);
        children.iter_mut().for_each(Child::kill);
        for &key in &keys {
            // Either there or not, and if there, then with all that belongs to it.
            match subject.shmget(key, 0, 0) {
                Ok(id) => {
                    let left = subject.guard(id, key);
                    let ds = left.stat();
                    assert_eq!(
                        (ds.perm.key, ds.segsz, ds.nattch),
                        (key, 3 * PAGE_SIZE as u64, 0),
                        "round {round}"
                    );
                    assert!(left.attach().is_all_zero());
                }
                Err(errno) => assert_eq!(errno, Errno::ENOENT),
            }
            let fresh = subject.guard(subject.shmget(key, 1, IPC_CREAT | IPC_EXCL | 0o600).unwrap(), key);
            assert!(fresh.attach().is_all_zero());
        }
    }
    if subject.is_alone() {
        assert_eq!(subject.shm_usage().unwrap().1.used_ids, 0);
    }
}
