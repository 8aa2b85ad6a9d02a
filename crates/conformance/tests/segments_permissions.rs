//! Who may do what: other users, with the operating system's real credentials.

use conformance::{Child, Segment, Subject, User};
use sysv_engine::abi::{IPC_CREAT, IPC_PRIVATE, IPCMNI, SHM_EXEC, SHM_RDONLY};
use sysv_engine::{Errno, PermChange, Segments, StatBy};

conformance::on_each_shared_facility! {
    others_get_the_last_three_bits,
    the_owner_gets_the_first_three_bits_and_no_others,
    the_group_gets_the_middle_three_bits_and_no_others,
    a_supplementary_group_is_as_good_as_the_primary_one,
    the_creators_group_counts_beside_the_owners,
    the_creator_keeps_the_owners_class_after_giving_away,
    the_creator_keeps_the_owners_class_when_owner_and_mode_change,
    the_new_owner_gets_the_owners_class,
    the_new_group_gets_the_middle_bits,
    root_needs_no_bits,
    a_write_bit_alone_is_not_enough_to_attach,
    reading_by_others_needs_their_read_bit_only,
    executing_by_others_needs_their_execute_bit,
    strangers_may_neither_set_nor_remove_nor_lock,
    the_group_may_neither_set_nor_remove_nor_lock,
    write_permission_does_not_let_one_remove,
    the_creator_may_set_and_remove_what_belongs_to_another,
    the_new_owner_may_set_and_remove,
    the_former_owner_loses_its_rights,
    missing_ownership_comes_before_an_invalid_owner,
    a_missing_segment_comes_before_missing_rights,
    stat_by_strangers_is_eacces_and_stat_any_is_not,
    an_attachment_made_by_one_user_is_memory_of_all,
    a_reader_cannot_write_by_any_means,
}

conformance::on_the_kernel_and_beyond_the_shared_engine! {
    the_creator_may_change_the_mode_of_what_belongs_to_another,
}

const READ: u32 = 4;
const WRITE: u32 = 2;

/// What a user may do with a segment: attach for reading, for both, stat.
type Rights = (Result<(), Errno>, Result<(), Errno>, Result<(), Errno>);

fn rights_of(user: User, subject: &Subject, segment: &Segment<'_>) -> Rights {
    Child::compute_as(user, subject, || {
        (
            segment.try_attach(SHM_RDONLY).map(drop),
            segment.try_attach(0).map(drop),
            segment.try_stat().map(drop),
        )
    })
}

/// What three bits allow.
fn rights_by(bits: u32) -> Rights {
    let given = |needed: u32| {
        if bits & needed == needed {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    };
    (given(READ), given(READ | WRITE), given(READ))
}

/// A segment that Alice created with these mode bits.
fn made_by_alice(subject: &Subject, mode: u32) -> Segment<'_> {
    made_by(User::ALICE, subject, mode)
}

fn made_by(user: User, subject: &Subject, mode: u32) -> Segment<'_> {
    let made = Child::compute_as(user, subject, || {
        subject.shmget(IPC_PRIVATE, 100, IPC_CREAT | mode as i32)
    });
    subject.guard(made.expect("an ordinary user's segment"), IPC_PRIVATE)
}

/// Gives a segment to another user and group, as root.
fn give(subject: &Subject, segment: &Segment<'_>, uid: u32, gid: u32, mode: u32) {
    subject
        .shm_set(segment.id(), PermChange { uid, gid, mode })
        .expect("IPC_SET by root");
}

const INTERESTING: [u32; 6] = [0, 1, 2, 4, 6, 7];

fn others_get_the_last_three_bits(subject: &Subject) {
    for bits in INTERESTING {
        let segment = made_by_alice(subject, 0o770 & !0o007 | bits);
        assert_eq!(
            rights_of(User::BOB, subject, &segment),
            rights_by(bits),
            "bits {bits:o}"
        );
    }
}

fn the_owner_gets_the_first_three_bits_and_no_others(subject: &Subject) {
    for bits in INTERESTING {
        let segment = made_by_alice(subject, bits << 6 | 0o077);
        assert_eq!(
            rights_of(User::ALICE, subject, &segment),
            rights_by(bits),
            "bits {bits:o}"
        );
    }
}

fn the_group_gets_the_middle_three_bits_and_no_others(subject: &Subject) {
    for bits in INTERESTING {
        let segment = made_by_alice(subject, bits << 3 | 0o707);
        assert_eq!(
            rights_of(User::CAROL, subject, &segment),
            rights_by(bits),
            "bits {bits:o}"
        );
    }
}

fn a_supplementary_group_is_as_good_as_the_primary_one(subject: &Subject) {
    for bits in INTERESTING {
        let segment = made_by_alice(subject, bits << 3 | 0o707);
        assert_eq!(
            rights_of(User::DAVE, subject, &segment),
            rights_by(bits),
            "bits {bits:o}"
        );
    }
}

fn the_creators_group_counts_beside_the_owners(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    give(subject, &segment, User::BOB.uid, User::BOB.gid, 0o640);
    // Alice's group through `cgid`, Bob's through `gid`.
    assert_eq!(rights_of(User::CAROL, subject, &segment), rights_by(READ));
    let of_bobs_group = User {
        uid: 54330,
        gid: User::BOB.gid,
        groups: &[],
    };
    assert_eq!(rights_of(of_bobs_group, subject, &segment), rights_by(READ));
    let stranger = User {
        uid: 54331,
        gid: 54331,
        groups: &[],
    };
    assert_eq!(rights_of(stranger, subject, &segment), rights_by(0));
}

fn the_creator_keeps_the_owners_class_after_giving_away(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    give(subject, &segment, User::BOB.uid, User::BOB.gid, 0o600);
    assert_eq!(rights_of(User::ALICE, subject, &segment), rights_by(READ | WRITE));
    give(subject, &segment, User::BOB.uid, User::BOB.gid, 0o477);
    assert_eq!(rights_of(User::ALICE, subject, &segment), rights_by(READ));
}

/// Ours once made the creator one of the others where root changed the mode of what it had given away before.
fn the_creator_keeps_the_owners_class_when_owner_and_mode_change(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    give(subject, &segment, User::BOB.uid, User::BOB.gid, 0o640);
    assert_eq!(rights_of(User::ALICE, subject, &segment), rights_by(READ | WRITE));
    assert_eq!(rights_of(User::BOB, subject, &segment), rights_by(READ | WRITE));
    for mode in [0o600, 0o604] {
        give(subject, &segment, User::BOB.uid, User::BOB.gid, mode);
        assert_eq!(
            rights_of(User::ALICE, subject, &segment),
            rights_by(READ | WRITE),
            "{mode:o}"
        );
    }
    give(subject, &segment, User::DAVE.uid, User::DAVE.gid, 0o600);
    let rights = [User::ALICE, User::BOB, User::DAVE].map(|user| rights_of(user, subject, &segment));
    assert_eq!(rights, [READ | WRITE, 0, READ | WRITE].map(rights_by));
    give(subject, &segment, User::ALICE.uid, User::ALICE.gid, 0o600);
    let rights = [User::ALICE, User::BOB, User::DAVE].map(|user| rights_of(user, subject, &segment));
    assert_eq!(rights, [READ | WRITE, 0, 0].map(rights_by));
}

fn the_new_owner_gets_the_owners_class(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    assert_eq!(rights_of(User::BOB, subject, &segment), rights_by(0));
    give(subject, &segment, User::BOB.uid, User::ALICE.gid, 0o600);
    assert_eq!(rights_of(User::BOB, subject, &segment), rights_by(READ | WRITE));
    give(subject, &segment, User::BOB.uid, User::ALICE.gid, 0o077);
    assert_eq!(rights_of(User::BOB, subject, &segment), rights_by(0));
}

fn the_new_group_gets_the_middle_bits(subject: &Subject) {
    let segment = made_by_alice(subject, 0o660);
    assert_eq!(rights_of(User::BOB, subject, &segment), rights_by(0));
    give(subject, &segment, User::ALICE.uid, User::BOB.gid, 0o660);
    assert_eq!(rights_of(User::BOB, subject, &segment), rights_by(READ | WRITE));
    give(subject, &segment, User::ALICE.uid, User::BOB.gid, 0o640);
    assert_eq!(rights_of(User::BOB, subject, &segment), rights_by(READ));
}

fn root_needs_no_bits(subject: &Subject) {
    let segment = made_by_alice(subject, 0);
    assert_eq!(segment.attach().load(0), 0);
    assert_eq!(segment.try_attach(SHM_EXEC).map(drop), Ok(()));
    assert_eq!(segment.stat().perm.uid, User::ALICE.uid);
    assert_eq!(subject.shm_lock(segment.id(), true), Ok(()));
    assert_eq!(segment.try_remove(), Ok(()));
}

fn a_write_bit_alone_is_not_enough_to_attach(subject: &Subject) {
    let segment = made_by_alice(subject, 0o222);
    for user in [User::ALICE, User::BOB, User::CAROL, User::DAVE] {
        assert_eq!(rights_of(user, subject, &segment), rights_by(WRITE), "{user:?}");
    }
}

fn reading_by_others_needs_their_read_bit_only(subject: &Subject) {
    let segment = made_by_alice(subject, 0o604);
    Child::compute_as(User::ALICE, subject, || segment.attach().write("for all to read"));
    let seen = Child::compute_as(User::BOB, subject, || {
        let attachment = segment.try_attach(SHM_RDONLY).unwrap();
        let writable = attachment.protect(0, 1, libc::PROT_READ | libc::PROT_WRITE);
        (attachment.reads("for all to read"), writable)
    });
    assert_eq!(seen, (true, Err(Errno::EACCES)));
}

fn executing_by_others_needs_their_execute_bit(subject: &Subject) {
    for (mode, reading, both) in [
        (0o607, true, true),
        (0o605, true, false),
        (0o606, false, false),
        (0o601, false, false),
    ] {
        let segment = made_by_alice(subject, mode);
        let seen = Child::compute_as(User::BOB, subject, || {
            (
                segment.try_attach(SHM_EXEC | SHM_RDONLY).map(drop),
                segment.try_attach(SHM_EXEC).map(drop),
            )
        });
        let expected = [reading, both].map(|allowed| if allowed { Ok(()) } else { Err(Errno::EACCES) });
        assert_eq!(seen, expected.into(), "mode {mode:o}");
    }
}

fn the_creator_may_change_the_mode_of_what_belongs_to_another(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    give(subject, &segment, User::BOB.uid, User::BOB.gid, 0o600);
    let set_by_alice = |mode| {
        let change = PermChange {
            uid: User::BOB.uid,
            gid: User::BOB.gid,
            mode,
        };
        Child::compute_as(User::ALICE, subject, || subject.shm_set(segment.id(), change))
    };
    let stranger = User {
        uid: 54331,
        gid: 54331,
        groups: &[],
    };
    for mode in [0o606, 0o600, 0o604] {
        assert_eq!(set_by_alice(mode), Ok(()));
        assert_eq!(
            rights_of(stranger, subject, &segment),
            rights_by(mode & 7),
            "mode {mode:o}"
        );
    }
}

/// `IPC_SET`, `SHM_LOCK`, `SHM_UNLOCK` and, last, `IPC_RMID`, all by one user.
fn commands_of(user: User, subject: &Subject, segment: &Segment<'_>) -> Vec<Result<(), Errno>> {
    Child::compute_as(user, subject, || {
        let change = PermChange {
            uid: User::ALICE.uid,
            gid: User::ALICE.gid,
            mode: 0o666,
        };
        vec![
            subject.shm_set(segment.id(), change),
            subject.shm_lock(segment.id(), true),
            subject.shm_lock(segment.id(), false),
            subject.shm_remove(segment.id()),
        ]
    })
}

fn strangers_may_neither_set_nor_remove_nor_lock(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    let before = segment.stat();
    assert_eq!(commands_of(User::BOB, subject, &segment), [Err(Errno::EPERM); 4]);
    assert_eq!(segment.stat(), before);
}

fn the_group_may_neither_set_nor_remove_nor_lock(subject: &Subject) {
    let segment = made_by_alice(subject, 0o660);
    assert_eq!(commands_of(User::CAROL, subject, &segment), [Err(Errno::EPERM); 4]);
    assert_eq!(commands_of(User::DAVE, subject, &segment), [Err(Errno::EPERM); 4]);
}

fn write_permission_does_not_let_one_remove(subject: &Subject) {
    let segment = made_by_alice(subject, 0o777);
    assert_eq!(commands_of(User::BOB, subject, &segment), [Err(Errno::EPERM); 4]);
    assert_eq!(segment.stat().perm.mode, 0o777);
}

fn the_creator_may_set_and_remove_what_belongs_to_another(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    give(subject, &segment, User::BOB.uid, User::BOB.gid, 0o600);
    let removed = Child::compute_as(User::ALICE, subject, || {
        let change = PermChange {
            uid: User::BOB.uid,
            gid: User::BOB.gid,
            mode: 0o640,
        };
        let results = vec![
            subject.shm_set(segment.id(), change),
            subject.shm_lock(segment.id(), true),
            subject.shm_lock(segment.id(), false),
        ];
        (results, segment.stat().perm.mode, subject.shm_remove(segment.id()))
    });
    assert_eq!(removed, (vec![Ok(()); 3], 0o640, Ok(())));
    segment.assert_gone();
}

fn the_new_owner_may_set_and_remove(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    give(subject, &segment, User::BOB.uid, User::BOB.gid, 0o600);
    let results = Child::compute_as(User::BOB, subject, || {
        let change = PermChange {
            uid: User::BOB.uid,
            gid: User::BOB.gid,
            mode: 0o444,
        };
        vec![
            subject.shm_set(segment.id(), change),
            subject.shm_lock(segment.id(), true),
            subject.shm_lock(segment.id(), false),
            subject.shm_remove(segment.id()),
        ]
    });
    assert_eq!(results, [Ok(()); 4]);
    segment.assert_gone();
}

fn the_former_owner_loses_its_rights(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    give(subject, &segment, User::BOB.uid, User::BOB.gid, 0o600);
    give(subject, &segment, User::DAVE.uid, User::DAVE.gid, 0o600);
    assert_eq!(rights_of(User::BOB, subject, &segment), rights_by(0));
    assert_eq!(commands_of(User::BOB, subject, &segment), [Err(Errno::EPERM); 4]);
    assert_eq!(rights_of(User::DAVE, subject, &segment), rights_by(READ | WRITE));
}

fn missing_ownership_comes_before_an_invalid_owner(subject: &Subject) {
    let segment = made_by_alice(subject, 0o666);
    let invalid = PermChange {
        uid: u32::MAX,
        gid: 1,
        mode: 0,
    };
    let by_bob = Child::compute_as(User::BOB, subject, || subject.shm_set(segment.id(), invalid));
    let by_alice = Child::compute_as(User::ALICE, subject, || subject.shm_set(segment.id(), invalid));
    assert_eq!((by_bob, by_alice), (Err(Errno::EPERM), Err(Errno::EINVAL)));
}

fn a_missing_segment_comes_before_missing_rights(subject: &Subject) {
    let segment = made_by_alice(subject, 0o600);
    segment.remove();
    assert_eq!(commands_of(User::BOB, subject, &segment), [Err(Errno::EINVAL); 4]);
    assert_eq!(
        rights_of(User::BOB, subject, &segment),
        (Err(Errno::EINVAL), Err(Errno::EINVAL), Err(Errno::EINVAL))
    );
}

fn stat_by_strangers_is_eacces_and_stat_any_is_not(subject: &Subject) {
    let segment = made_by_alice(subject, 0o660);
    let seen = Child::compute_as(User::BOB, subject, || {
        let index = segment.id() % IPCMNI;
        (
            subject.shm_stat(segment.id(), StatBy::Id).map(drop),
            subject.shm_stat(index, StatBy::Index).map(drop),
            subject.shm_stat(index, StatBy::IndexAny),
        )
    });
    assert_eq!(
        seen,
        (
            Err(Errno::EACCES),
            Err(Errno::EACCES),
            Ok((segment.id(), segment.stat()))
        )
    );
}

fn an_attachment_made_by_one_user_is_memory_of_all(subject: &Subject) {
    let segment = made_by_alice(subject, 0o666);
    let attachment = segment.attach();
    for (user, text) in [(User::ALICE, "alice"), (User::BOB, "bob"), (User::DAVE, "dave")] {
        Child::compute_as(user, subject, || segment.attach().write(text));
        assert!(attachment.reads(text));
    }
    assert_eq!(segment.nattch(), 1);
}

fn a_reader_cannot_write_by_any_means(subject: &Subject) {
    let segment = made_by_alice(subject, 0o644);
    segment.attach().write("intact");
    let mut child = Child::fork_as(User::BOB, subject, |parent| {
        let attachment = segment.try_attach(SHM_RDONLY).unwrap();
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        parent.send(&attachment.protect(0, 1, writable));
        // The mapping as the file system shows it, with whatever rights that gives.
        parent.send(&conformance::memory::reopen_writable(attachment.address()));
        attachment.store(0, b'X');
    });
    assert_eq!(child.receive::<Result<(), Errno>>(), Err(Errno::EACCES));
    assert!(!child.receive::<bool>(), "the mapped file opens for writing");
    assert_eq!(child.wait(), conformance::Ending::Killed(libc::SIGSEGV));
    assert!(segment.attach().reads("intact"));
}
