//! `msgget` and `msgctl`: names, permissions, counters, limits, removal.

use conformance::queue::{QueueSubject, errno};
use conformance::user::effective;
use conformance::{Child, User, clock, trial};
use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_PRIVATE, IPCMNI};
use sysv_engine::{Errno, PermChange, StatBy};

conformance::on_both_queue_facilities! {
    a_key_names_one_queue,
    a_private_queue_is_a_new_one_each_time,
    nothing_is_found_where_nothing_is,
    a_removed_queue_frees_its_key_and_its_identifier_means_nothing,
    a_new_queue_is_described_in_full,
    sending_and_receiving_are_described,
    a_refused_call_changes_nothing,
    ipc_set_changes_what_it_may,
    ipc_set_is_for_the_owner,
    capacity_beyond_the_default_needs_a_privilege,
    stat_by_index_finds_it,
    the_limits_are_reported,
    the_usage_is_reported,
    permissions_count_for_each_call,
    who_may_only_read_receives_and_who_may_only_write_sends,
    removal_is_for_the_owner,
}

const KEY: i32 = 0x5e5e_0001;

fn a_key_names_one_queue(subject: &QueueSubject) {
    let queue = subject.keyed_queue(KEY);
    let calls = subject.calls();
    assert_eq!(calls.msgget(KEY, 0), Ok(queue.id()));
    assert_eq!(calls.msgget(KEY, IPC_CREAT | 0o600), Ok(queue.id()));
    assert_eq!(calls.msgget(KEY, IPC_CREAT | IPC_EXCL), Err(Errno::EEXIST));
    assert_eq!(calls.msgget(KEY, IPC_EXCL), Ok(queue.id()));
    assert_eq!(Child::compute(|| calls.msgget(KEY, 0)), Ok(queue.id()));
}

fn a_private_queue_is_a_new_one_each_time(subject: &QueueSubject) {
    let (one, other) = (subject.queue(), subject.queue());
    assert_ne!(one.id(), other.id());
    one.send(1, b"one").unwrap();
    assert_eq!(other.receive(0), Err(Errno::ENOMSG));
}

fn nothing_is_found_where_nothing_is(subject: &QueueSubject) {
    assert_eq!(subject.calls().msgget(KEY, 0), Err(Errno::ENOENT));
    assert_eq!(errno(subject.calls().msg_stat(12345, StatBy::Id)), Some(Errno::EINVAL));
    assert_eq!(errno(subject.calls().msg_stat(-1, StatBy::Id)), Some(Errno::EINVAL));
    assert_eq!(subject.calls().msg_remove(12345), Err(Errno::EINVAL));
}

fn a_removed_queue_frees_its_key_and_its_identifier_means_nothing(subject: &QueueSubject) {
    let queue = subject.keyed_queue(KEY);
    queue.send(1, b"lost").unwrap();
    queue.remove().unwrap();
    assert_eq!(queue.remove(), Err(Errno::EINVAL));
    assert_eq!(subject.calls().msgget(KEY, 0), Err(Errno::ENOENT));
    let again = subject.keyed_queue(KEY);
    assert_ne!(again.id(), queue.id());
    assert_eq!(queue.send(1, b""), Err(Errno::EINVAL));
    assert_eq!(again.receive(0), Err(Errno::ENOMSG), "the new queue is empty");
    // In a process that had the old one mapped, too, and again and again.
    for n in 0..20u8 {
        let other = subject.queue();
        other.send(1, &[n; 300]).unwrap();
        assert_eq!(other.receive(0), Ok((1, vec![n; 300])));
    }
}

fn a_new_queue_is_described_in_full(subject: &QueueSubject) {
    let before = clock::now();
    let id = subject.calls().msgget(KEY, IPC_CREAT | 0o7642).unwrap();
    let queue = subject.guard(id);
    let (uid, gid) = effective();
    let ds = Child::compute(|| {
        let ds = queue.stat();
        let perm = ds.perm;
        (
            (perm.key, perm.uid, perm.gid, perm.cuid, perm.cgid),
            (perm.mode, perm.seq, ds.qbytes, ds.cbytes, ds.qnum),
            (ds.stime, ds.rtime, ds.ctime, ds.lspid, ds.lrpid),
        )
    });
    let seq = (id / IPCMNI) as u16;
    assert_eq!(ds.0, (KEY, uid, gid, uid, gid));
    assert_eq!(ds.1, (0o642, seq, 16384, 0, 0));
    let (stime, rtime, ctime, lspid, lrpid) = ds.2;
    assert_eq!((stime, rtime, lspid, lrpid), (0, 0, 0, 0));
    assert!((before..=clock::now()).contains(&ctime));
}

fn sending_and_receiving_are_described(subject: &QueueSubject) {
    let queue = subject.queue();
    let sender = Child::compute(|| {
        queue.send(1, b"12345").unwrap();
        queue.send(1, b"123").unwrap();
        std::process::id() as i32
    });
    let sent = queue.stat();
    assert_eq!((sent.lspid, sent.lrpid, sent.cbytes, sent.qnum), (sender, 0, 8, 2));
    assert!(sent.stime > 0 && sent.rtime == 0);
    clock::next_second();
    let receiver = Child::compute(|| {
        queue.receive(0).unwrap();
        std::process::id() as i32
    });
    let received = queue.stat();
    assert_eq!((received.lspid, received.lrpid), (sender, receiver));
    assert_eq!((received.cbytes, received.qnum), (3, 1));
    assert!(received.rtime > sent.stime && received.stime == sent.stime && received.ctime == sent.ctime);
}

fn a_refused_call_changes_nothing(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.set_capacity(4).unwrap();
    queue.send(1, b"full").unwrap();
    let before = queue.stat();
    clock::next_second();
    Child::compute(|| {
        assert_eq!(queue.send(1, b"x"), Err(Errno::EAGAIN));
        assert_eq!(queue.receive(2), Err(Errno::ENOMSG));
        assert_eq!(queue.receive_with(1, 0, IPC_NOWAIT), Err(Errno::E2BIG));
    });
    assert_eq!(queue.stat(), before);
}

fn ipc_set_changes_what_it_may(subject: &QueueSubject) {
    let queue = subject.keyed_queue(KEY);
    queue.send(1, b"stays").unwrap();
    let before = queue.stat();
    clock::next_second();
    let (uid, gid) = effective();
    let mode = 0o7640;
    subject
        .calls()
        .msg_set(queue.id(), PermChange { uid, gid, mode }, 1000)
        .unwrap();
    let after = queue.stat();
    assert_eq!((after.perm.mode, after.qbytes), (0o640, 1000));
    assert!(after.ctime > before.ctime);
    assert_eq!((after.stime, after.qnum, after.perm.key), (before.stime, 1, KEY));
    let nobody = PermChange {
        uid: u32::MAX,
        gid,
        mode,
    };
    assert_eq!(subject.calls().msg_set(queue.id(), nobody, 1000), Err(Errno::EINVAL));
    assert_eq!(queue.receive(0), Ok((1, b"stays".to_vec())));
}

/// Whether there can be other users; says so if not.
fn other_users(subject: &QueueSubject) -> bool {
    let can = User::can_be_changed() && subject.engine().is_none_or(|engine| engine.is_shared());
    if !can {
        trial::note("skipped: needs root to act as other users, and a facility that is open to them");
    }
    can
}

/// Runs `body` in a child that has become `user` for good.
fn compute_as<T: conformance::wire::Wire>(user: User, body: impl FnOnce() -> T) -> T {
    Child::compute(|| {
        user.become_for_good();
        sysv_engine::process::credentials_changed();
        body()
    })
}

fn ipc_set_is_for_the_owner(subject: &QueueSubject) {
    if !other_users(subject) {
        return;
    }
    let queue = subject.queue_with_mode(0o666);
    let refused = compute_as(User::ALICE, || queue.set_capacity(10));
    assert_eq!(refused, Err(Errno::EPERM));
    assert_eq!(queue.stat().qbytes, 16384);
}

/// Whether this process has the capability `CAP_SYS_RESOURCE`.
fn may_exceed_limits() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .expect("CapEff");
    u64::from_str_radix(line.trim(), 16).expect("a number") >> 24 & 1 == 1
}

fn capacity_beyond_the_default_needs_a_privilege(subject: &QueueSubject) {
    let queue = subject.queue();
    // Here it is enough to own the namespace.
    let privileged = subject.engine().is_some() || may_exceed_limits();
    let expected = if privileged { Ok(()) } else { Err(Errno::EPERM) };
    assert_eq!(queue.set_capacity(1 << 20), expected);
    assert_eq!(queue.stat().qbytes, if privileged { 1 << 20 } else { 16384 });
    if !other_users(subject) {
        return;
    }
    compute_as(User::ALICE, || {
        let own = subject.queue();
        assert_eq!(own.set_capacity(16385), Err(Errno::EPERM));
        own.set_capacity(16384).unwrap();
        own.set_capacity(1).unwrap();
        own.set_capacity(16384).unwrap();
        assert_eq!(own.stat().qbytes, 16384);
    });
}

fn stat_by_index_finds_it(subject: &QueueSubject) {
    let queue = subject.queue();
    queue.send(1, b"x").unwrap();
    let by_id = subject.calls().msg_stat(queue.id(), StatBy::Id);
    for by in [StatBy::Index, StatBy::IndexAny] {
        assert_eq!(subject.calls().msg_stat(queue.id() % IPCMNI, by), by_id);
    }
    if !other_users(subject) {
        return;
    }
    let [by_id, by_index, by_any] = [StatBy::Id, StatBy::Index, StatBy::IndexAny].map(|by| {
        let id = if by == StatBy::Id {
            queue.id()
        } else {
            queue.id() % IPCMNI
        };
        compute_as(User::ALICE, || subject.calls().msg_stat(id, by).map(|(_, ds)| ds.qnum))
    });
    assert_eq!(
        (by_id, by_index, by_any),
        (Err(Errno::EACCES), Err(Errno::EACCES), Ok(1))
    );
}

fn the_limits_are_reported(subject: &QueueSubject) {
    let queue = subject.queue();
    let (highest, info) = subject.calls().msg_limits().unwrap();
    assert!(highest >= queue.id() % IPCMNI);
    assert_eq!((info.msgmax, info.msgmnb, info.msgmni), (8192, 16384, 32000));
    assert_eq!((info.msgpool, info.msgmap, info.msgtql), (512_000, 16384, 16384));
    assert_eq!((info.msgssz, info.msgseg), (16, 0xffff));
}

fn the_usage_is_reported(subject: &QueueSubject) {
    let before = subject.calls().msg_usage().unwrap().1;
    let (one, other) = (subject.queue(), subject.queue());
    one.send(1, b"12345").unwrap();
    other.send(1, b"123").unwrap();
    other.send(1, b"").unwrap();
    let after = subject.calls().msg_usage().unwrap().1;
    let grown = (
        after.msgpool - before.msgpool,
        after.msgmap - before.msgmap,
        after.msgtql - before.msgtql,
    );
    assert_eq!(grown, (2, 3, 8));
    assert_eq!((after.msgmax, after.msgmnb, after.msgmni), (8192, 16384, 32000));
}

fn permissions_count_for_each_call(subject: &QueueSubject) {
    if !other_users(subject) {
        return;
    }
    let queue = subject.queue_with_mode(0o600);
    queue.send(1, b"secret").unwrap();
    compute_as(User::ALICE, || {
        assert_eq!(queue.send(1, b"x"), Err(Errno::EACCES));
        assert_eq!(queue.receive(0), Err(Errno::EACCES));
        assert_eq!(
            errno(subject.calls().msg_stat(queue.id(), StatBy::Id)),
            Some(Errno::EACCES)
        );
    });
    assert_eq!(queue.fill(), (6, 1));
    let keyed = subject.keyed_queue(KEY);
    let asked = |flags| compute_as(User::ALICE, || subject.calls().msgget(KEY, flags));
    assert_eq!(asked(0o400), Err(Errno::EACCES));
    assert_eq!(asked(0), Ok(keyed.id()));
    assert_eq!(asked(IPC_CREAT | IPC_EXCL | 0o400), Err(Errno::EEXIST));
}

fn who_may_only_read_receives_and_who_may_only_write_sends(subject: &QueueSubject) {
    if !other_users(subject) {
        return;
    }
    let (readable, writable) = (subject.queue_with_mode(0o604), subject.queue_with_mode(0o602));
    for queue in [&readable, &writable] {
        queue.send(1, b"x").unwrap();
    }
    let (read_sent, read_received, write_sent, write_received) = compute_as(User::ALICE, || {
        (
            readable.send(2, b"y"),
            readable.receive(0).map(|m| m.0),
            writable.send(2, b"y"),
            writable.receive(0).map(|m| m.0),
        )
    });
    assert_eq!((read_sent, read_received), (Err(Errno::EACCES), Ok(1)));
    assert_eq!((write_sent, write_received), (Ok(()), Err(Errno::EACCES)));
    assert_eq!((readable.fill(), writable.fill()), ((0, 0), (2, 2)));
}

fn removal_is_for_the_owner(subject: &QueueSubject) {
    if !other_users(subject) {
        return;
    }
    let queue = subject.queue_with_mode(0o666);
    assert_eq!(compute_as(User::ALICE, || queue.remove()), Err(Errno::EPERM));
    let of_alice = compute_as(User::ALICE, || subject.calls().msgget(IPC_PRIVATE, 0o600).unwrap());
    let queue = subject.guard(of_alice);
    queue.send(1, b"root may").unwrap();
    let removed = compute_as(User::ALICE, || subject.calls().msg_remove(of_alice));
    assert_eq!(removed, Ok(()));
    assert_eq!(queue.send(1, b""), Err(Errno::EINVAL));
}
