//! The calls as one process sees them, on the kernel and on the engine.

use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering};

use super::memory::Set;
use super::registry;
use crate::abi::{IPC_CREAT, IPC_NOWAIT, IPC_PRIVATE, SEM_UNDO, Sembuf, Timespec};
use crate::{Asked, Engine, Errno, Join, Kernel, Semaphores, StatBy};

struct Namespace(String);

impl Namespace {
    fn new() -> Namespace {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Namespace(format!("/dev/shm/sysv-sem-unit-{}-{next}", std::process::id()))
    }

    fn join(&self, how: Join) -> Engine {
        Engine::join(&CString::new(self.0.as_str()).unwrap(), how).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn on_both(test: impl Fn(&dyn Semaphores)) {
    test(&Kernel);
    for how in [Join::Create, Join::CreateShared] {
        let namespace = Namespace::new();
        test(&namespace.join(how));
    }
}

fn op(num: u16, op: i16, flg: i32) -> Sembuf {
    Sembuf {
        num,
        op,
        flg: flg as i16,
    }
}

#[test]
fn operations_are_done_all_or_none() {
    on_both(|calls| {
        for nsems in [1, 3, 10, 11, 40] {
            let id = calls.semget(IPC_PRIVATE, nsems, IPC_CREAT | 0o600).unwrap();
            let last = nsems as u16 - 1;
            calls.semop(id, &[op(last, 5, 0)], None).unwrap();
            assert_eq!(calls.sem_ask(id, i32::from(last), Asked::Value), Ok(5));
            assert_eq!(
                calls.sem_ask(id, i32::from(last), Asked::Pid),
                Ok(std::process::id() as i32)
            );
            let refused = calls.semop(id, &[op(last, 3, 0), op(last, -9, IPC_NOWAIT)], None);
            assert_eq!(refused, Err(Errno::EAGAIN));
            assert_eq!(calls.sem_ask(id, i32::from(last), Asked::Value), Ok(5));
            calls
                .semop(
                    id,
                    &[op(last, 3, 0), op(last, -8, 0), op(last, 0, 0), op(last, 1, 0)],
                    None,
                )
                .unwrap();
            assert_eq!(calls.sem_ask(id, i32::from(last), Asked::Value), Ok(1));
            assert_eq!(calls.semop(id, &[op(last + 1, 1, 0)], None), Err(Errno::EFBIG));
            assert_eq!(calls.semop(id, &[op(last, 32767, 0)], None), Err(Errno::ERANGE));
            let soon = Timespec {
                sec: 0,
                nsec: 1_000_000,
            };
            assert_eq!(calls.semop(id, &[op(last, -2, 0)], Some(soon)), Err(Errno::EAGAIN));
            assert_eq!(calls.semop(id, &[op(last, 0, 0)], Some(soon)), Err(Errno::EAGAIN));
            calls.semop(id, &[op(last, -1, SEM_UNDO)], None).unwrap();
            calls.semop(id, &[op(last, 0, 0)], None).unwrap();
            assert_eq!(
                calls.semop(id, &[op(last, -1, SEM_UNDO | IPC_NOWAIT)], None),
                Err(Errno::EAGAIN)
            );
            calls.semop(id, &[op(last, 1, SEM_UNDO)], None).unwrap();
            let mut values = vec![7u16; nsems as usize];
            calls.sem_values(id, &mut values).unwrap();
            assert_eq!(values[nsems as usize - 1], 1);
            values.fill(9);
            calls.sem_set_values(id, &values).unwrap();
            calls.sem_set_value(id, 0, 4).unwrap();
            assert_eq!(calls.sem_ask(id, 0, Asked::Value), Ok(4));
            let (_, ds) = calls.sem_stat(id, StatBy::Id).unwrap();
            assert_eq!((ds.nsems, ds.otime > 0, ds.perm.mode), (nsems as u64, true, 0o600));
            calls.sem_remove(id).unwrap();
            assert_eq!(calls.sem_stat(id, StatBy::Id).map(drop), Err(Errno::EINVAL));
            assert_eq!(calls.semop(id, &[op(0, 1, 0)], None), Err(Errno::EINVAL));
        }
    });
}

#[test]
fn threads_hand_each_other_the_turn() {
    for how in [Join::Create, Join::CreateShared] {
        let namespace = Namespace::new();
        let engine = namespace.join(how);
        let id = engine.semget(IPC_PRIVATE, 2, 0o600).unwrap();
        let other = engine.clone();
        let thread = std::thread::spawn(move || {
            for _ in 0..5000 {
                other.semop(id, &[op(0, -1, 0)], None).unwrap();
                other.semop(id, &[op(1, 1, 0)], None).unwrap();
            }
        });
        for turn in 0..5000 {
            engine.semop(id, &[op(0, 1, 0)], None).unwrap();
            if turn % 1000 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            engine.semop(id, &[op(1, -1, 0)], None).unwrap();
        }
        thread.join().unwrap();
        assert_eq!(engine.sem_ask(id, 0, Asked::Value), Ok(0));
        engine.sem_remove(id).unwrap();
    }
}

/// Reading found it: whoever needed records in a set that was removed at that moment made the set's file anew, which nobody
/// removed any more.
#[test]
fn records_in_a_removed_set_make_no_file() {
    let namespace = Namespace::new();
    let engine = namespace.join(Join::Create);
    let id = engine.semget(IPC_PRIVATE, 1, 0o600).unwrap();
    let member = engine.member();
    let (number, slot, state) = registry(member.table()).find_id(id).unwrap();
    let seen = Set::of_slot(member, number, slot, state).unwrap();
    engine.sem_remove(id).unwrap();
    assert_eq!(seen.with_records().map(drop).err(), Some(Errno::EIDRM));
    assert_eq!(std::fs::read_dir(format!("{}/sem", namespace.0)).unwrap().count(), 0);
}

/// stress-ng found it, once in five hundred runs: whoever recovered the registry after a killed process cleared the bits by which
/// others, who do not wait for that, found their sets.
#[test]
fn a_set_is_found_while_the_registry_is_made_whole() {
    let namespace = Namespace::new();
    let engine = namespace.join(Join::Create);
    let id = engine.semget(IPC_PRIVATE, 1, 0o600).unwrap();
    registry(engine.member().table()).clear_derived();
    assert_eq!(engine.semop(id, &[op(0, 1, 0)], None), Ok(()));
    assert_eq!(engine.semop(id + 1, &[op(0, 1, 0)], None), Err(Errno::EINVAL));
    assert_eq!(engine.semop(id + 20_000, &[op(0, 1, 0)], None), Err(Errno::EINVAL));
}
