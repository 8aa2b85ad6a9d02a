//! Who may do what with a semaphore set.

use conformance::semaphores::{Set, Sets, sembuf};
use conformance::{Child, Subject, User};
use sysv_engine::abi::{IPC_CREAT, IPC_NOWAIT, IPC_PRIVATE, SEM_UNDO};
use sysv_engine::{Asked, Errno, PermChange, Result, StatBy};

conformance::on_each_shared_facility! {
    reading_and_altering_are_different_rights,
    the_key_is_found_with_the_rights_that_are_asked_for,
    strangers_may_neither_set_nor_remove,
    others_wait_and_serve_like_the_owner,
    another_users_debt_is_paid,
    a_reader_waits_for_zero,
    a_change_of_mode_counts_at_once,
    who_could_only_read_alters_as_soon_as_it_may,
    root_removes_what_others_wait_for,
    a_mode_may_keep_the_owner_out_from_the_start,
}

/// What a user may: read a value, add, wait for zero, set a value, read the structure.
type Rights = (Result<i32>, Result<()>, Result<()>, Result<()>, Result<()>);

fn rights_of(user: User, subject: &Subject, set: &Set<'_>) -> Rights {
    let id = set.id;
    Child::compute_as(user, subject, || {
        let sets = Sets::of(subject);
        (
            sets.sem_ask(id, 0, Asked::Value),
            sets.semop(id, &[sembuf(0, 1, 0), sembuf(0, -1, 0)], None),
            sets.semop(id, &[sembuf(0, 0, IPC_NOWAIT)], None),
            sets.sem_set_value(id, 0, 0),
            sets.sem_stat(id, StatBy::Id).map(drop),
        )
    })
}

fn reading_and_altering_are_different_rights(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [1, 30] {
        let denied = Err(Errno::EACCES);
        for (mode, rights) in [
            (0o600, (Err(Errno::EACCES), denied, denied, denied, denied)),
            (0o604, (Ok(0), denied, Ok(()), denied, Ok(()))),
            (0o602, (Err(Errno::EACCES), Ok(()), denied, Ok(()), denied)),
            (0o606, (Ok(0), Ok(()), Ok(()), Ok(()), Ok(()))),
        ] {
            let set = sets.set_with_mode(nsems, mode);
            assert_eq!(rights_of(User::BOB, subject, &set), rights, "mode {mode:o}");
        }
    }
}

fn the_key_is_found_with_the_rights_that_are_asked_for(subject: &Subject) {
    let sets = Sets::of(subject);
    let key = 0x00ab_1234;
    let id = sets.semget(key, 1, IPC_CREAT | 0o604).unwrap();
    let found = Child::compute_as(User::BOB, subject, || {
        let sets = Sets::of(subject);
        (
            sets.semget(key, 1, 0o444),
            sets.semget(key, 1, 0o222),
            sets.semget(key, 2, 0o222),
            sets.semget(key, 1, 0),
        )
    });
    assert_eq!(found, (Ok(id), Err(Errno::EACCES), Err(Errno::EINVAL), Ok(id)));
    sets.sem_remove(id).unwrap();
}

fn strangers_may_neither_set_nor_remove(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set_with_mode(1, 0o666);
    let id = set.id;
    let tried = Child::compute_as(User::BOB, subject, || {
        let sets = Sets::of(subject);
        let change = PermChange {
            uid: User::BOB.uid,
            gid: User::BOB.gid,
            mode: 0o600,
        };
        (sets.sem_set(id, change), sets.sem_remove(id))
    });
    assert_eq!(tried, (Err(Errno::EPERM), Err(Errno::EPERM)));
}

fn others_wait_and_serve_like_the_owner(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [1, 30] {
        let set = sets.set_with_mode(nsems, 0o666);
        let id = set.id;
        let mut bob = Child::fork_as(User::BOB, subject, |parent| {
            let sets = Sets::of(subject);
            parent.send(&sets.semop(id, &[sembuf(0, -1, SEM_UNDO)], None));
            parent.receive::<()>();
            parent.send(&sets.semop(id, &[sembuf(0, 1, SEM_UNDO)], None));
        });
        set.await_waiting(0, (1, 0));
        set.add(0, 1).unwrap();
        assert_eq!(bob.receive::<Result<()>>(), Ok(()));
        let mut carol = Child::fork(|parent| parent.send(&set.add(0, -1)));
        set.await_waiting(0, (1, 0));
        bob.proceed();
        assert_eq!(bob.receive::<Result<()>>(), Ok(()));
        assert_eq!(carol.receive::<Result<()>>(), Ok(()));
        assert_eq!(set.value(0), 0);
    }
}

fn another_users_debt_is_paid(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set_with_mode(1, 0o666);
    let id = set.id;
    let mut bob = Child::fork_as(User::BOB, subject, |parent| {
        Sets::of(subject).semop(id, &[sembuf(0, 4, SEM_UNDO)], None).unwrap();
        parent.send(&());
        parent.receive::<()>();
    });
    bob.arrived();
    assert_eq!(set.value(0), 4);
    bob.kill();
    assert_eq!((set.value(0), set.pid(0)), (0, bob.pid()));
}

fn a_reader_waits_for_zero(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set_with_mode(1, 0o644);
    set.set_value(0, 1).unwrap();
    let id = set.id;
    let mut bob = Child::fork_as(User::BOB, subject, |parent| {
        let sets = Sets::of(subject);
        parent.send(&sets.semop(id, &[sembuf(0, 0, IPC_NOWAIT)], None));
        parent.send(&sets.semop(id, &[sembuf(0, 0, 0)], None));
    });
    assert_eq!(bob.receive::<Result<()>>(), Err(Errno::EAGAIN));
    conformance::process::pause(20_000);
    set.add(0, -1).unwrap();
    assert_eq!(bob.receive::<Result<()>>(), Ok(()));
}

fn a_change_of_mode_counts_at_once(subject: &Subject) {
    let sets = Sets::of(subject);
    let set = sets.set_with_mode(1, 0o666);
    let id = set.id;
    let mut bob = Child::fork_as(User::BOB, subject, |parent| {
        let sets = Sets::of(subject);
        loop {
            parent.send(&sets.semop(id, &[sembuf(0, 1, 0)], None));
            parent.receive::<()>();
        }
    });
    assert_eq!(bob.receive::<Result<()>>(), Ok(()));
    let ds = set.stat();
    for (mode, result) in [
        (0o600, Err(Errno::EACCES)),
        (0o602, Ok(())),
        (0o604, Err(Errno::EACCES)),
    ] {
        sets.sem_set(
            id,
            PermChange {
                uid: ds.perm.uid,
                gid: ds.perm.gid,
                mode,
            },
        )
        .unwrap();
        bob.proceed();
        assert_eq!(bob.receive::<Result<()>>(), result);
    }
    bob.kill();
}

/// Whoever had looked at a set with the right to read kept a mapping that it could only read, and was refused from then on.
fn who_could_only_read_alters_as_soon_as_it_may(subject: &Subject) {
    let sets = Sets::of(subject);
    for nsems in [1, 30] {
        let set = sets.set_with_mode(nsems, 0o604);
        let id = set.id;
        let mut bob = Child::fork_as(User::BOB, subject, |parent| {
            let sets = Sets::of(subject);
            parent.send(&sets.sem_ask(id, 0, Asked::Value));
            for _ in 0..2 {
                parent.receive::<()>();
                parent.send(&(
                    sets.semop(id, &[sembuf(0, 1, SEM_UNDO)], None),
                    sets.sem_set_value(id, 0, 1),
                ));
            }
        });
        assert_eq!(bob.receive::<Result<i32>>(), Ok(0));
        bob.proceed();
        let refused = (Err(Errno::EACCES), Err(Errno::EACCES));
        assert_eq!(bob.receive::<(Result<()>, Result<()>)>(), refused);
        let ds = set.stat();
        let change = PermChange {
            uid: ds.perm.uid,
            gid: ds.perm.gid,
            mode: 0o606,
        };
        sets.sem_set(id, change).unwrap();
        bob.proceed();
        assert_eq!(bob.receive::<(Result<()>, Result<()>)>(), (Ok(()), Ok(())));
        bob.finish();
    }
}

fn root_removes_what_others_wait_for(subject: &Subject) {
    let sets = Sets::of(subject);
    let mut bob = Child::fork_as(User::BOB, subject, |parent| {
        let sets = Sets::of(subject);
        let set = sets.set(1);
        parent.send(&set.id);
        parent.send(&set.add(0, -1));
    });
    let id = bob.receive::<i32>();
    while sets.sem_ask(id, 0, Asked::WaitingForMore) != Ok(1) {
        conformance::process::pause(1000);
    }
    sets.sem_remove(id).unwrap();
    assert_eq!(bob.receive::<Result<()>>(), Err(Errno::EIDRM));
}

fn a_mode_may_keep_the_owner_out_from_the_start(subject: &Subject) {
    for nsems in [1, 30] {
        let made: Result<(i32, Result<()>)> = Child::compute_as(User::BOB, subject, || {
            let sets = Sets::of(subject);
            let id = sets.semget(IPC_PRIVATE, nsems, 0o006)?;
            let denied = sets.semop(id, &[sembuf(0, 1, 0)], None);
            Ok((id, denied))
        });
        let (id, denied) = made.expect("semget asks nothing of its own mode");
        assert_eq!(denied, Err(Errno::EACCES));
        let sets = Sets::of(subject);
        let carols = Child::compute_as(User::CAROL, subject, || {
            Sets::of(subject).semop(id, &[sembuf(0, 1, 0)], None)
        });
        assert_eq!(carols, Ok(()));
        assert_eq!(sets.sem_ask(id, 0, Asked::Value), Ok(1));
        sets.sem_remove(id).unwrap();
    }
}
