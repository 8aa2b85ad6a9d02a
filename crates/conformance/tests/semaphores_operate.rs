//! What one process sees of semaphore sets.

use std::time::{Duration, Instant};

use conformance::semaphores::{Sets, sembuf};
use conformance::{Subject, clock};
use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_PRIVATE, IPCMNI, SEM_UNDO, SEMVMX, Sembuf, Timespec};
use sysv_engine::{Asked, Errno, PermChange, StatBy};

conformance::on_each_facility! {
    a_new_set_is_zero_and_nobodys,
    a_key_names_one_set,
    sizes_are_checked_before_anything_else,
    operations_happen_in_array_order,
    what_cannot_be_done_leaves_no_trace,
    no_value_passes_the_maximum,
    arguments_are_checked_in_linuxs_order,
    a_timeout_is_waited_for_and_no_shorter,
    an_operation_counts_for_every_semaphore_it_names,
    setval_and_setall_check_their_values,
    getall_and_setall_move_all_values,
    control_checks_its_arguments,
    times_are_those_of_the_last_operation_and_change,
    ownership_and_mode_can_be_set,
    a_removed_sets_identifier_names_nothing,
    large_sets_work_as_small_ones,
    many_operations_are_done_at_once,
    limits_and_usage_are_told,
    sets_are_found_by_index,
}

fn a_new_set_is_zero_and_nobodys(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(3);
    for num in 0..3 {
        assert_eq!((set.value(num), set.pid(num), set.waiting(num)), (0, 0, (0, 0)));
    }
    let ds = set.stat();
    assert_eq!((ds.nsems, ds.otime, ds.perm.mode, ds.perm.key), (3, 0, 0o600, 0));
    assert!(ds.ctime > 0);
}

fn a_key_names_one_set(subject: &Subject) {
    let sets = Sets::of(subject);
    let key = 0x5e_a000 + std::process::id() as i32;
    assert_eq!(sets.semget(key, 0, 0), Err(Errno::ENOENT));
    assert_eq!(sets.semget(key, 0, IPC_CREAT | 0o600), Err(Errno::EINVAL));
    let id = sets.semget(key, 4, IPC_CREAT | 0o600).unwrap();
    assert_eq!(sets.semget(key, 0, 0), Ok(id));
    assert_eq!(sets.semget(key, 4, IPC_CREAT | 0o600), Ok(id));
    assert_eq!(sets.semget(key, 5, IPC_CREAT), Err(Errno::EINVAL));
    assert_eq!(sets.semget(key, 5, IPC_CREAT | IPC_EXCL), Err(Errno::EEXIST));
    assert_eq!(sets.semget(key, 1, IPC_EXCL), Ok(id));
    sets.sem_remove(id).unwrap();
    assert_eq!(sets.semget(key, 0, 0), Err(Errno::ENOENT));
}

fn sizes_are_checked_before_anything_else(subject: &Subject) {
    let sets = Sets::of(subject);
    assert_eq!(sets.semget(IPC_PRIVATE, 0, 0o600), Err(Errno::EINVAL));
    assert_eq!(sets.semget(IPC_PRIVATE, -1, 0o600), Err(Errno::EINVAL));
    assert_eq!(sets.semget(IPC_PRIVATE, 32001, 0o600), Err(Errno::EINVAL));
    assert_eq!(sets.semget(0x7e57, 32001, 0), Err(Errno::EINVAL));
}

fn operations_happen_in_array_order(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    set.op(&[
        sembuf(0, 2, 0),
        sembuf(0, -2, 0),
        sembuf(0, 0, 0),
        sembuf(1, 3, 0),
        sembuf(0, 1, 0),
    ])
    .unwrap();
    assert_eq!(set.values(), [1, 3]);
    assert_eq!(
        set.op(&[sembuf(0, -2, IPC_NOWAIT), sembuf(0, 2, 0)]),
        Err(Errno::EAGAIN)
    );
    set.op(&[sembuf(0, 2, 0), sembuf(0, -2, IPC_NOWAIT)]).unwrap();
    assert_eq!(
        set.op(&[sembuf(0, -1, 0), sembuf(0, 1, 0), sembuf(0, 0, IPC_NOWAIT)]),
        Err(Errno::EAGAIN)
    );
    assert_eq!(set.values(), [1, 3]);
}

fn what_cannot_be_done_leaves_no_trace(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(3);
    set.set_value(1, 5).unwrap();
    let before = set.stat();
    clock::next_second();
    let refused = set.op(&[sembuf(0, 1, SEM_UNDO), sembuf(1, -5, 0), sembuf(2, -1, IPC_NOWAIT)]);
    assert_eq!(refused, Err(Errno::EAGAIN));
    assert_eq!((set.values(), set.stat()), (vec![0, 5, 0], before));
    assert_eq!((set.pid(0), set.pid(2)), (0, 0));
}

fn no_value_passes_the_maximum(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    set.add(0, SEMVMX as i16).unwrap();
    assert_eq!(set.add(0, 1), Err(Errno::ERANGE));
    assert_eq!(
        set.op(&[sembuf(1, 1, 0), sembuf(0, 1, 0), sembuf(0, -1, 0)]),
        Err(Errno::ERANGE)
    );
    assert_eq!(set.values(), [SEMVMX as u16, 0]);
    set.add(0, i16::MIN + 1).unwrap();
    assert_eq!(set.value(0), 0);
    assert_eq!(set.add_with(0, i16::MIN, IPC_NOWAIT), Err(Errno::EAGAIN));
}

fn arguments_are_checked_in_linuxs_order(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    let many = vec![sembuf(0, 0, 0); 501];
    assert_eq!(sets.semop(-1, &many, None), Err(Errno::E2BIG));
    assert_eq!(sets.semop(-1, &many[..1], None), Err(Errno::EINVAL));
    assert_eq!(set.op(&[]), Err(Errno::EINVAL));
    assert_eq!(set.op(&[sembuf(2, 0, 0)]), Err(Errno::EFBIG));
    assert_eq!(set.op(&[sembuf(0, -1, IPC_NOWAIT), sembuf(2, 0, 0)]), Err(Errno::EFBIG));
    assert_eq!(sets.semop(set.id + 1, &[sembuf(2, 0, 0)], None), Err(Errno::EINVAL));
    assert_eq!(
        sets.semop(set.id + IPCMNI, &[sembuf(2, 0, 0)], None),
        Err(Errno::EINVAL)
    );
    for timeout in [
        Timespec { sec: -1, nsec: 0 },
        Timespec { sec: 0, nsec: -1 },
        Timespec {
            sec: 0,
            nsec: 1_000_000_000,
        },
    ] {
        assert_eq!(
            sets.semop(set.id, &[sembuf(0, 0, 0)], Some(timeout)),
            Err(Errno::EINVAL)
        );
        assert_eq!(sets.semop(set.id, &many, Some(timeout)), Err(Errno::E2BIG));
    }
}

fn a_timeout_is_waited_for_and_no_shorter(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    for limit in [0, 1, 30, 120].map(Duration::from_millis) {
        for operations in [&[sembuf(0, -1, 0)][..], &[sembuf(1, 1, 0), sembuf(1, 0, SEM_UNDO)]] {
            let start = Instant::now();
            assert_eq!(set.op_within(operations, limit), Err(Errno::EAGAIN));
            assert!(start.elapsed() >= limit, "{:?} of {limit:?}", start.elapsed());
        }
    }
    assert_eq!((set.waiting(0), set.waiting(1)), ((0, 0), (0, 0)));
    set.op_within(&[sembuf(0, 1, 0)], Duration::ZERO).unwrap();
}

fn an_operation_counts_for_every_semaphore_it_names(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(3);
    let me = std::process::id() as i32;
    set.add(0, 0).unwrap();
    assert_eq!([set.pid(0), set.pid(1), set.pid(2)], [me, 0, 0]);
    set.op(&[sembuf(1, 1, 0), sembuf(2, 0, 0)]).unwrap();
    assert_eq!([set.pid(0), set.pid(1), set.pid(2)], [me, me, me]);
}

fn setval_and_setall_check_their_values(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    assert_eq!(set.set_value(0, -1), Err(Errno::ERANGE));
    assert_eq!(set.set_value(0, SEMVMX + 1), Err(Errno::ERANGE));
    assert_eq!(set.set_value(9, -1), Err(Errno::ERANGE));
    assert_eq!(sets.sem_set_value(-1, 0, -1), Err(Errno::EINVAL));
    assert_eq!(sets.sem_set_value(set.id + IPCMNI, 0, -1), Err(Errno::ERANGE));
    assert_eq!(set.set_value(2, 0), Err(Errno::EINVAL));
    assert_eq!(set.set_values(&[1, SEMVMX as u16 + 1]), Err(Errno::ERANGE));
    assert_eq!(set.values(), [0, 0]);
    set.set_value(1, SEMVMX).unwrap();
    assert_eq!(
        (set.value(1), set.pid(1), set.pid(0)),
        (SEMVMX, std::process::id() as i32, 0)
    );
}

fn getall_and_setall_move_all_values(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [1, 7, 500] {
        let set = sets.set(nsems);
        let values: Vec<u16> = (0..nsems as u16).map(|n| n * 3 + 1).collect();
        set.set_values(&values).unwrap();
        assert_eq!(set.values(), values);
        assert_eq!(set.pid(nsems - 1), std::process::id() as i32);
    }
}

fn control_checks_its_arguments(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    for asked in [Asked::Value, Asked::Pid, Asked::WaitingForMore, Asked::WaitingForZero] {
        assert_eq!(sets.sem_ask(set.id, 2, asked), Err(Errno::EINVAL));
        assert_eq!(sets.sem_ask(set.id, -1, asked), Err(Errno::EINVAL));
        assert_eq!(sets.sem_ask(-1, 0, asked), Err(Errno::EINVAL));
        assert_eq!(sets.sem_ask(set.id + IPCMNI, 0, asked), Err(Errno::EINVAL));
    }
    assert_eq!(sets.sem_remove(-1), Err(Errno::EINVAL));
    assert_eq!(sets.sem_stat(-1, StatBy::Id).map(drop), Err(Errno::EINVAL));
}

fn times_are_those_of_the_last_operation_and_change(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    let made = set.stat();
    clock::next_second();
    let before = clock::now();
    set.add(0, 1).unwrap();
    let operated = set.stat();
    assert!((before..=clock::now()).contains(&operated.otime));
    assert_eq!(operated.ctime, made.ctime);
    clock::next_second();
    let before = clock::now();
    set.set_value(0, 1).unwrap();
    let changed = set.stat();
    assert!((before..=clock::now()).contains(&changed.ctime));
    assert_eq!(changed.otime, operated.otime);
    set.add(0, -1).unwrap();
    set.add(0, 0).unwrap();
    assert!(set.stat().otime >= before);
}

fn ownership_and_mode_can_be_set(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(1);
    let before = set.stat();
    let change = PermChange {
        uid: before.perm.uid,
        gid: before.perm.gid,
        mode: 0o17_640,
    };
    sets.sem_set(set.id, change).unwrap();
    assert_eq!(set.stat().perm.mode, 0o640);
    let nobody = PermChange {
        uid: u32::MAX,
        ..change
    };
    assert_eq!(sets.sem_set(set.id, nobody), Err(Errno::EINVAL));
    assert_eq!(sets.sem_set(set.id + IPCMNI, nobody), Err(Errno::EINVAL));
}

fn a_removed_sets_identifier_names_nothing(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [1, 100] {
        let set = sets.set(nsems);
        set.add(0, 1).unwrap();
        set.add_with(0, 1, SEM_UNDO).unwrap();
        set.remove().unwrap();
        let next = sets.set(nsems);
        assert_ne!(set.id, next.id);
        assert_eq!(set.add(0, 1), Err(Errno::EINVAL));
        assert_eq!(set.remove(), Err(Errno::EINVAL));
        assert_eq!((next.value(0), next.pid(0)), (0, 0));
        next.add_with(0, 1, SEM_UNDO).unwrap();
        assert_eq!(next.value(0), 1);
    }
}

fn large_sets_work_as_small_ones(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(32000);
    set.op(&[sembuf(31999, 5, 0), sembuf(0, 1, SEM_UNDO), sembuf(31999, -2, 0)])
        .unwrap();
    assert_eq!((set.value(31999), set.value(0), set.value(1)), (3, 1, 0));
    assert_eq!(set.op(&[sembuf(32000, 1, 0)]), Err(Errno::EFBIG));
    assert_eq!(set.values().iter().map(|&value| u32::from(value)).sum::<u32>(), 4);
    assert_eq!(sets.semget(IPC_PRIVATE, 32001, 0o600), Err(Errno::EINVAL));
}

fn many_operations_are_done_at_once(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [5u16, 250] {
        let set = sets.set(i32::from(nsems));
        let operations: Vec<Sembuf> = (0..500)
            .map(|n| sembuf(n % nsems, 2, if n % 3 == 0 { SEM_UNDO } else { 0 }))
            .collect();
        set.op(&operations).unwrap();
        assert!(set.values().iter().all(|&value| value == 2 * 500 / nsems));
        let back: Vec<Sembuf> = (0..500).map(|n| sembuf(n % nsems, -2, 0)).collect();
        set.op(&back).unwrap();
        let mut once_more = back.clone();
        once_more[499].flg = IPC_NOWAIT as i16;
        once_more[0].flg = IPC_NOWAIT as i16;
        assert_eq!(set.op(&once_more), Err(Errno::EAGAIN));
        assert!(set.values().iter().all(|&value| value == 0));
    }
}

fn limits_and_usage_are_told(subject: &Subject) {
    let sets = Sets::of(subject);
    let (_, limits) = sets.sem_limits().unwrap();
    assert_eq!(
        (limits.semmsl, limits.semmns, limits.semopm, limits.semmni),
        (32000, 1_024_000_000, 500, 32000)
    );
    assert_eq!(
        (limits.semmap, limits.semmnu, limits.semume),
        (limits.semmns, limits.semmns, limits.semopm)
    );
    assert_eq!((limits.semusz, limits.semvmx, limits.semaem), (20, SEMVMX, SEMVMX));
    if subject.is_alone() {
        let (_, before) = sets.sem_usage().unwrap();
        let _set = sets.set(5);
        let (_, after) = sets.sem_usage().unwrap();
        assert_eq!((after.semusz - before.semusz, after.semaem - before.semaem), (1, 5));
    }
}

fn sets_are_found_by_index(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set(2);
    for by in [StatBy::Index, StatBy::IndexAny] {
        let (id, ds) = sets.sem_stat(set.id % IPCMNI, by).unwrap();
        assert_eq!((id, ds), (set.id, set.stat()));
    }
    assert!(sets.sem_usage().unwrap().0 >= set.id % IPCMNI);
}
