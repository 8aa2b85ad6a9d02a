//! What must be conserved in a storm: units of semaphores that are taken with `SEM_UNDO`, and numbered messages.
//!
//! Whoever sends a message says so before and after, whoever receives one after. A process that is killed while it receives
//! may take one message with it, and no more.

#![allow(unsafe_code)]

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU64};

use sysv_engine::abi::{IPC_CREAT, IPC_NOWAIT, SEM_UNDO, Sembuf, Timespec};
use sysv_engine::{Engine, Errno, Queues, Result, Semaphores};

use crate::inquest::{receive, send};
use crate::random::Random;

/// Keys that no other call of the storm uses.
const SET: i32 = 0x0057_0001;
const QUEUE: i32 = 0x0057_0002;
/// Semaphores of the set, and the units of each.
const SEMAPHORES: u64 = 4;
const UNITS: u16 = 3;
/// Messages of one gust.
const MOST: usize = 1 << 20;

/// States of a message's number.
const SENDING: u8 = 1;
const SENT: u8 = 2;
const RECEIVED: u8 = 3;

/// Shared by all processes of a storm. Zero at first.
pub(super) struct Ledger {
    next: AtomicU64,
    /// Calls that receive and have not noted what.
    receiving: AtomicU64,
    messages: [AtomicU8; MOST],
}

/// The set and the queue, as one process knows them.
#[derive(Clone, Copy)]
pub(super) struct Account {
    set: i32,
    queue: i32,
    ledger: &'static Ledger,
}

impl Ledger {
    pub(super) fn new() -> &'static Ledger {
        // SAFETY: a new shared mapping, large enough, zeroed, of atomics only.
        unsafe {
            let (protection, flags) = (
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            );
            let at = libc::mmap(std::ptr::null_mut(), size_of::<Ledger>(), protection, flags, -1, 0);
            assert_ne!(at, libc::MAP_FAILED, "no memory for a ledger");
            &*at.cast::<Ledger>()
        }
    }

    /// Makes the set and the queue, before anybody works.
    pub(super) fn open(&self, engine: &Engine) -> Result<()> {
        let set = engine.semget(SET, SEMAPHORES as i32, IPC_CREAT | 0o600)?;
        engine.sem_set_values(set, &[UNITS; SEMAPHORES as usize])?;
        engine.msgget(QUEUE, IPC_CREAT | 0o600).map(drop)
    }

    /// Whether everything is there when everybody is dead. Empties the queue.
    pub(super) fn audit(&self, engine: &Engine, complaints: &mut Vec<String>) -> Result<()> {
        let mut values = [0; SEMAPHORES as usize];
        engine.sem_values(engine.semget(SET, 0, 0)?, &mut values)?;
        if values != [UNITS; SEMAPHORES as usize] {
            complaints.push(format!("of {UNITS} units each the dead have given back {values:?}"));
        }
        let queue = engine.msgget(QUEUE, 0)?;
        loop {
            match receive(engine, queue, 0, IPC_NOWAIT) {
                Ok((number, _)) => complaints.extend(self.note(number).err()),
                Err(Errno::ENOMSG) => break,
                Err(errno) => return Err(errno),
            }
        }
        let known = (self.next.swap(0, SeqCst) as usize).min(MOST);
        let states = self.messages[..known].iter().map(|state| state.swap(0, SeqCst));
        let missing = states.filter(|&state| state == SENT).count() as u64;
        let taken = self.receiving.swap(0, SeqCst);
        if missing > taken {
            complaints.push(format!(
                "{missing} messages are lost, and {taken} receivers were killed in their calls"
            ));
        }
        Ok(())
    }

    /// Notes a message as received; what is wrong with that.
    fn note(&self, number: i64) -> std::result::Result<(), String> {
        let Some(state) = self.messages.get((number - 1) as usize) else {
            return Err(format!("message {number} was never sent"));
        };
        match state.swap(RECEIVED, SeqCst) {
            SENDING | SENT => Ok(()),
            RECEIVED => Err(format!("message {number} was received twice")),
            _ => Err(format!("message {number} was never sent")),
        }
    }
}

impl Account {
    pub(super) fn find(engine: &Engine, ledger: &'static Ledger) -> Result<Account> {
        Ok(Account {
            set: engine.semget(SET, 0, 0)?,
            queue: engine.msgget(QUEUE, 0)?,
            ledger,
        })
    }

    /// Takes a unit of one or two semaphores, and gives it back after a while.
    pub(super) fn borrow(&self, engine: &Engine, random: &mut Random) -> Result<()> {
        let (first, second) = (random.below(SEMAPHORES), random.below(SEMAPHORES));
        let operations = |op| {
            [first, second].map(|num| Sembuf {
                num: num as u16,
                op,
                flg: SEM_UNDO as i16,
            })
        };
        let count = if first == second { 1 } else { 2 };
        let patience = Timespec {
            sec: 0,
            nsec: random.below(20_000_000) as i64,
        };
        match engine.semop(self.set, &operations(-1)[..count], Some(patience)) {
            Err(Errno::EAGAIN) => return Ok(()),
            done => done?,
        }
        for _ in 0..random.below(50) {
            std::hint::spin_loop();
        }
        engine.semop(self.set, &operations(1)[..count], None)
    }

    /// Sends a numbered message, if there is room.
    pub(super) fn send(&self, engine: &Engine, random: &mut Random) -> Result<()> {
        let number = self.ledger.next.fetch_add(1, SeqCst);
        let Some(state) = self.ledger.messages.get(number as usize) else {
            return Ok(());
        };
        state.store(SENDING, SeqCst);
        let most = if random.below(16) == 0 { 4000 } else { 100 };
        let len = random.below(most) as usize;
        match send(engine, self.queue, number as i64 + 1, len, IPC_NOWAIT) {
            Ok(()) => {
                // Not if it has been received meanwhile.
                let _ = state.compare_exchange(SENDING, SENT, SeqCst, Relaxed);
                Ok(())
            }
            Err(Errno::EAGAIN) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Receives a message, if there is one.
    pub(super) fn receive(&self, engine: &Engine) -> Result<()> {
        self.ledger.receiving.fetch_add(1, SeqCst);
        let received = receive(engine, self.queue, 0, IPC_NOWAIT);
        if let Ok((number, _)) = received
            && let Err(complaint) = self.ledger.note(number)
        {
            eprintln!("{complaint}");
            // SAFETY: nothing of the process is needed any more.
            unsafe { libc::_exit(8) };
        }
        self.ledger.receiving.fetch_sub(1, SeqCst);
        match received {
            Err(Errno::ENOMSG) => Ok(()),
            other => other.map(drop),
        }
    }
}
