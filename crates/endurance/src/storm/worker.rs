//! One process in the storm.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

use sysv_engine::abi::{IPC_CREAT, IPC_NOWAIT, IPC_PRIVATE, SEM_UNDO, Sembuf, Timespec};
use sysv_engine::{Engine, Errno, Join, PermChange, Queues, Segments, Semaphores, StatBy};

use super::ledger::{Account, Ledger};

use crate::board::Board;
use crate::inquest::{attach, detach, receive, send};
use crate::process::{effective_ids, reap};
use crate::random::Random;

/// Few, so that the workers meet.
const KEYS: u64 = 12;
const MOST_ATTACHED: usize = 6;

/// Whether this process may make pid namespaces.
pub(super) fn may_unshare() -> bool {
    crate::process::Process::fork(|| {
        // SAFETY: no memory is involved.
        i32::from(unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0)
    })
    .wait()
        == 0
}

/// Works until it is killed. A status other than 0 is a complaint.
pub(super) fn life(directory: &CStr, seed: u64, board: &Board, ledger: &'static Ledger) -> i32 {
    let mut random = Random::new(seed);
    if random.below(4) == 0 {
        // SAFETY: no memory is involved; the next fork makes the first process of the new namespace.
        unsafe { libc::unshare(libc::CLONE_NEWPID) };
        return match forked(false) {
            0 => work(directory, random, board, ledger),
            child => i32::from(libc::WEXITSTATUS(reap(child)) != 0),
        };
    }
    work(directory, random, board, ledger)
}

/// `fork`, or the bare system call, which no library notices. The child goes when its parent does.
fn forked(bare: bool) -> i32 {
    // SAFETY: the process has one thread where the bare call is used; the child then only calls the engine, which
    // allocates nothing.
    unsafe {
        let pid = if bare {
            libc::syscall(libc::SYS_fork) as i32
        } else {
            libc::fork()
        };
        if pid == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        pid
    }
}

fn work(directory: &CStr, mut random: Random, board: &Board, ledger: &'static Ledger) -> i32 {
    let Ok(engine) = Engine::join(directory, Join::Create) else {
        return 4;
    };
    let Ok(account) = Account::find(&engine, ledger) else {
        return 9;
    };
    let threads = if random.below(4) == 0 { 3 } else { 1 };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let random = Random::new(random.next());
            let engine = engine.clone();
            scope.spawn(move || labour(&engine, account, random, board, u64::MAX, false));
        }
        labour(&engine, account, random, board, u64::MAX, threads == 1);
    });
    0
}

/// So many calls.
fn labour(engine: &Engine, account: Account, mut random: Random, board: &Board, calls: u64, may_fork: bool) {
    let mut attached: [(i32, usize); MOST_ATTACHED] = [(0, 0); MOST_ATTACHED];
    for _ in 0..calls {
        let done = match random.below(600) {
            0 if may_fork => {
                procreate(engine, account, &mut random, board);
                Ok(())
            }
            _ => match random.below(6) {
                0 => account.borrow(engine, &mut random),
                1 => account.send(engine, &mut random),
                2 => account.receive(engine),
                3 => one_call_on_others(engine, &mut random),
                _ => one_call(engine, &mut random, &mut attached),
            },
        };
        // What the manual pages name for these calls where others create and remove meanwhile.
        const EXPECTED: [Errno; 6] = [
            Errno::EINVAL,
            Errno::EIDRM,
            Errno::ENOENT,
            Errno::EEXIST,
            Errno::ENOSPC,
            Errno::EFBIG,
        ];
        if let Err(errno) = done
            && !EXPECTED.contains(&errno)
        {
            eprintln!("a call in the storm: {errno:?}");
            // SAFETY: nothing of the process is needed any more.
            unsafe { libc::_exit(5) };
        }
        board.progress.fetch_add(1, Relaxed);
    }
}

fn one_call(engine: &Engine, random: &mut Random, attached: &mut [(i32, usize)]) -> sysv_engine::Result<()> {
    let key = 1 + random.below(KEYS) as i32;
    match random.below(12) {
        0 | 1 => engine
            .shmget(key, 4096 * (1 + random.below(4) as usize), IPC_CREAT | 0o600)
            .map(drop),
        2 => {
            let id = engine.shmget(IPC_PRIVATE, 4096, 0o600)?;
            let at = attach(engine, id)?;
            check_mark(at, id);
            engine.shm_remove(id)?;
            detach(engine, at)
        }
        3..=5 => {
            let id = engine.shmget(key, 0, 0)?;
            let Some(place) = attached.iter_mut().find(|(_, at)| *at == 0) else {
                return Ok(());
            };
            let at = attach(engine, id)?;
            check_mark(at, id);
            *place = (id, at);
            Ok(())
        }
        6 | 7 => {
            let place = &mut attached[random.below(MOST_ATTACHED as u64) as usize];
            let (id, at) = std::mem::take(place);
            if at == 0 {
                return Ok(());
            }
            check_counted(engine, id);
            check_mark(at, id);
            detach(engine, at)
        }
        8 => engine.shm_remove(engine.shmget(key, 0, 0)?),
        9 => {
            let (uid, gid) = effective_ids();
            let mode = 0o600 | random.below(0o100) as u32;
            engine.shm_set(engine.shmget(key, 0, 0)?, PermChange { uid, gid, mode })
        }
        10 => engine
            .shm_stat(random.below(16) as i32 + 16384, StatBy::Index)
            .map(drop),
        _ if random.below(16) == 0 => engine.sweep(),
        _ => engine.shm_usage().map(drop),
    }
}

/// A call on sets and queues that others make and remove.
fn one_call_on_others(engine: &Engine, random: &mut Random) -> sysv_engine::Result<()> {
    let key = 1 + random.below(KEYS) as i32;
    let (uid, gid) = effective_ids();
    let mode = 0o600 | random.below(0o100) as u32;
    let change = PermChange { uid, gid, mode };
    // Some with a file and some without.
    let nsems = 1 + (key % 3) * 10;
    match random.below(12) {
        0 | 1 => engine.semget(key, nsems, IPC_CREAT | 0o600).map(drop),
        2..=4 => {
            let id = engine.semget(key, 0, 0)?;
            let operation = Sembuf {
                num: random.below(3) as u16,
                op: random.below(3) as i16 - 1,
                flg: if random.below(2) == 0 { SEM_UNDO as i16 } else { 0 },
            };
            let patience = Timespec {
                sec: 0,
                nsec: random.below(5_000_000) as i64,
            };
            match engine.semop(id, &[operation], Some(patience)) {
                Err(Errno::EAGAIN | Errno::ERANGE) => Ok(()),
                other => other,
            }
        }
        5 => engine.sem_set_value(engine.semget(key, 0, 0)?, 0, random.below(5) as i32),
        6 => engine.sem_set(engine.semget(key, 0, 0)?, change),
        7 => engine.sem_remove(engine.semget(key, 0, 0)?),
        8 | 9 => {
            let id = engine.msgget(key, IPC_CREAT | 0o600)?;
            match send(
                engine,
                id,
                1 + random.below(3) as i64,
                random.below(3000) as usize,
                IPC_NOWAIT,
            ) {
                Err(Errno::EAGAIN) => Ok(()),
                other => other,
            }
        }
        10 => match receive(engine, engine.msgget(key, 0)?, random.below(4) as i64, IPC_NOWAIT) {
            Err(Errno::ENOMSG) => Ok(()),
            other => other.map(drop),
        },
        _ if random.below(2) == 0 => engine.msg_set(engine.msgget(key, 0)?, change, 8192),
        _ => engine.msg_remove(engine.msgget(key, 0)?),
    }
}

/// A segment's first word is its identifier, or nobody has written there yet: memory is never another segment's.
fn check_mark(at: usize, id: i32) {
    // SAFETY: attached, writable, and only used so, by everybody.
    let word = unsafe { &*(at as *const std::sync::atomic::AtomicI32) };
    let found = word.swap(id, Relaxed);
    if found != 0 && found != id {
        eprintln!("the memory of segment {id} is that of {found}");
        // SAFETY: nothing of the process is needed any more.
        unsafe { libc::_exit(6) };
    }
}

/// What a process has attached is there and counted.
fn check_counted(engine: &Engine, id: i32) {
    let counted = engine.shm_stat(id, StatBy::Id).map(|(_, ds)| ds.nattch);
    if !matches!(counted, Ok(1..)) {
        eprintln!("segment {id} is attached here, but {counted:?} are counted");
        // SAFETY: nothing of the process is needed any more.
        unsafe { libc::_exit(7) };
    }
}

/// A child that works a little, and ends in one of the ways in which processes end.
fn procreate(engine: &Engine, account: Account, random: &mut Random, board: &Board) {
    let (seed, bare, end) = (random.next(), random.below(3) == 0, random.below(3));
    match forked(bare) {
        0 => {
            labour(engine, account, Random::new(seed), board, 30, false);
            // SAFETY: the program and its arguments are terminated strings; nothing of the process is needed afterwards.
            unsafe {
                if end == 0 {
                    let program = c"/bin/true".as_ptr();
                    libc::execv(program, [program, std::ptr::null()].as_ptr());
                }
                libc::_exit(0)
            }
        }
        child if end == 1 => crate::process::kill(child, libc::SIGKILL),
        _ => {}
    }
}
