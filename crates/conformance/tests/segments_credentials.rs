//! Processes whose credentials change, and users who come and go.

use conformance::program::{Executable, Program};
use conformance::{Child, Segment, Subject, User};
use sysv_engine::abi::{IPC_CREAT, IPC_PRIVATE, SHM_RDONLY};
use sysv_engine::{Errno, PermChange, Segments, StatBy};

conformance::on_each_shared_facility! {
    attachments_outlive_the_permission_to_make_them,
    a_program_that_drops_its_privileges_keeps_its_attachments,
    a_program_that_drops_its_privileges_loses_the_right_to_attach,
    a_program_that_becomes_root_again_may_do_everything_again,
    what_an_ordinary_user_creates_belongs_to_it,
    users_create_the_same_key_once,
    the_effective_user_counts_and_not_the_real_one,
    an_unprivileged_newcomer_joins_by_itself,
    groups_that_were_dropped_count_no_more,
}

fn attachments_outlive_the_permission_to_make_them(subject: &Subject) {
    let segment = made_by(User::ALICE, subject, 0o666);
    let mut child = Child::fork_as(User::BOB, subject, |parent| {
        let attachment = segment.attach();
        parent.send(&());
        parent.receive::<()>();
        attachment.write("no longer allowed");
        parent.send(&segment.try_attach(SHM_RDONLY).map(drop));
        attachment.detach();
    });
    child.arrived();
    let closed = PermChange {
        uid: User::ALICE.uid,
        gid: User::ALICE.gid,
        mode: 0o600,
    };
    subject.shm_set(segment.id(), closed).unwrap();
    assert_eq!(segment.nattch(), 1);
    child.proceed();
    assert_eq!(child.receive::<Result<(), Errno>>(), Err(Errno::EACCES));
    child.finish();
    assert_eq!(segment.nattch(), 0);
    assert!(segment.attach().reads("no longer allowed"));
}

fn a_program_that_drops_its_privileges_keeps_its_attachments(subject: &Subject) {
    let segment = subject.segment(100);
    let own = segment.attach();
    let mut child = Child::fork(|parent| {
        let attachment = segment.attach();
        User::ALICE.become_for_good();
        subject.credentials_changed();
        attachment.write("still mine");
        parent.send(&());
        parent.receive::<()>();
        attachment.detach();
        parent.send(&());
        parent.receive::<()>();
    });
    child.arrived();
    assert!(own.reads("still mine"));
    assert_eq!((segment.nattch(), segment.stat().lpid), (3, child.pid()));
    child.proceed();
    child.arrived();
    assert_eq!((segment.nattch(), segment.stat().lpid), (2, child.pid()));
    child.kill();
    assert_eq!(segment.nattch(), 1);
}

fn a_program_that_drops_its_privileges_loses_the_right_to_attach(subject: &Subject) {
    let segment = subject.segment_with_mode(100, 0o600);
    let seen = Child::compute(|| {
        let before = segment.try_attach(0).map(drop);
        User::ALICE.become_for_good();
        subject.credentials_changed();
        (
            before,
            segment.try_attach(0).map(drop),
            segment.try_stat().map(drop),
            segment.try_remove(),
        )
    });
    assert_eq!(
        seen,
        (Ok(()), Err(Errno::EACCES), Err(Errno::EACCES), Err(Errno::EPERM))
    );
}

fn a_program_that_becomes_root_again_may_do_everything_again(subject: &Subject) {
    let segment = subject.segment_with_mode(100, 0o600);
    let seen = Child::compute(|| {
        User::ALICE.become_for_now();
        subject.credentials_changed();
        let made = subject.shmget(IPC_PRIVATE, 1, IPC_CREAT | 0o600).unwrap();
        let refused = segment.try_attach(0).map(drop);
        User::ROOT.become_for_now();
        subject.credentials_changed();
        let own = subject.shm_stat(made, StatBy::Id).unwrap().1.perm;
        subject.shm_remove(made).unwrap();
        (refused, segment.try_attach(0).map(drop), own.uid, own.cuid)
    });
    assert_eq!(seen, (Err(Errno::EACCES), Ok(()), User::ALICE.uid, User::ALICE.uid));
}

fn what_an_ordinary_user_creates_belongs_to_it(subject: &Subject) {
    for user in [User::ALICE, User::CAROL, User::DAVE] {
        let perm = made_by(user, subject, 0o600).stat().perm;
        assert_eq!(
            (perm.uid, perm.gid, perm.cuid, perm.cgid),
            (user.uid, user.gid, user.uid, user.gid)
        );
    }
}

fn users_create_the_same_key_once(subject: &Subject) {
    let key = subject.key();
    let create = |user| Child::compute_as(user, subject, || subject.shmget(key, 10, IPC_CREAT | 0o600));
    let id = create(User::ALICE).unwrap();
    let segment = subject.guard(id, key);
    assert_eq!(create(User::BOB), Err(Errno::EACCES));
    assert_eq!(create(User::ALICE), Ok(id));
    segment.remove();
    let successor = subject.guard(create(User::BOB).unwrap(), key);
    assert_eq!(successor.stat().perm.cuid, User::BOB.uid);
    assert_eq!(create(User::ALICE), Err(Errno::EACCES));
}

fn the_effective_user_counts_and_not_the_real_one(subject: &Subject) {
    let segment = made_by(User::ALICE, subject, 0o600);
    let seen = Child::compute(|| {
        // Real and saved user: Alice. Effective: Bob.
        User {
            uid: User::BOB.uid,
            ..User::ALICE
        }
        .become_effectively(User::ALICE.uid);
        subject.credentials_changed();
        let made = subject.shmget(IPC_PRIVATE, 1, IPC_CREAT | 0o600).unwrap();
        let owner = subject.shm_stat(made, StatBy::Id).unwrap().1.perm.uid;
        (
            segment.try_stat().map(drop),
            segment.try_remove(),
            owner,
            subject.shm_remove(made),
        )
    });
    assert_eq!(seen, (Err(Errno::EACCES), Err(Errno::EPERM), User::BOB.uid, Ok(())));
}

fn an_unprivileged_newcomer_joins_by_itself(subject: &Subject) {
    let executable = Executable::open(env!("CARGO_BIN_EXE_conformance-peer"));
    let [open, closed] = [0o646, 0o640].map(|mode| made_by(User::ALICE, subject, mode));
    let mut bob = Program::start(subject, &executable, || User::BOB.become_for_good());
    assert_eq!(bob.attach(closed.id()), Err(Errno::EACCES));
    let address = bob.attach(open.id()).unwrap();
    bob.store(address);
    assert_eq!(open.attach().load(0), 1);
    let made = subject.guard(bob.create(10).unwrap(), IPC_PRIVATE);
    assert_eq!(
        (made.stat().perm.uid, made.stat().cpid),
        (User::BOB.uid, bob.process().pid())
    );
    assert_eq!(open.nattch(), 1);
    bob.process().kill();
    assert_eq!(open.nattch(), 0);
    assert_eq!(made.attach().load(0), 0);
}

fn groups_that_were_dropped_count_no_more(subject: &Subject) {
    let segment = made_by(User::ALICE, subject, 0o640);
    let seen = Child::compute(|| {
        User::DAVE.become_for_now();
        subject.credentials_changed();
        let with = segment.try_attach(SHM_RDONLY).map(drop);
        User::ROOT.become_for_now();
        User {
            groups: &[],
            ..User::DAVE
        }
        .become_for_good();
        subject.credentials_changed();
        (with, segment.try_attach(SHM_RDONLY).map(drop))
    });
    assert_eq!(seen, (Ok(()), Err(Errno::EACCES)));
}

/// A segment that this user created with these mode bits.
fn made_by(user: User, subject: &Subject, mode: i32) -> Segment<'_> {
    let made = Child::compute_as(user, subject, || subject.shmget(IPC_PRIVATE, 100, IPC_CREAT | mode));
    subject.guard(made.expect("an ordinary user's segment"), IPC_PRIVATE)
}
