//! Semaphore sets for tests: removed on drop, and asked in few words.

#![allow(unsafe_code)]

use std::ops::Deref;
use std::time::{Duration, Instant};

use sysv_engine::abi::{IPC_CREAT, IPC_PRIVATE, Sembuf, SemidDs, Timespec};
use sysv_engine::{Asked, Engine, Errno, Join, Kernel, Result, Semaphores, StatBy};

use crate::subject::Subject;

/// The facility's semaphore calls.
pub struct Sets(Box<dyn Semaphores + Send + Sync>);

impl Deref for Sets {
    type Target = dyn Semaphores + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Sets {
    /// Those of the facility under test.
    pub fn of(subject: &Subject) -> Sets {
        let [kind, directory] = subject.address();
        if kind.as_c_str() == c"kernel" {
            return Sets(Box::new(Kernel));
        }
        match Engine::join(&directory, Join::Existing) {
            Ok(engine) => Sets(Box::new(engine)),
            Err(error) => panic!("{}", error.describe(&directory)),
        }
    }

    /// A new set of this process's, mode 0600.
    pub fn set(&self, nsems: i32) -> Set<'_> {
        self.set_with_mode(nsems, 0o600)
    }

    /// A new set of this process's.
    pub fn set_with_mode(&self, nsems: i32, mode: i32) -> Set<'_> {
        let id = self.semget(IPC_PRIVATE, nsems, IPC_CREAT | mode).expect("semget");
        Set {
            sets: self,
            id,
            maker: std::process::id(),
        }
    }
}

/// A set, removed on drop by the process that made it.
pub struct Set<'s> {
    sets: &'s Sets,
    /// Its identifier.
    pub id: i32,
    maker: u32,
}

impl Set<'_> {
    /// `semop`.
    pub fn op(&self, operations: &[Sembuf]) -> Result<()> {
        self.sets.semop(self.id, operations, None)
    }

    /// One operation.
    pub fn add(&self, num: u16, op: i16) -> Result<()> {
        self.op(&[sembuf(num, op, 0)])
    }

    /// One operation with flags.
    pub fn add_with(&self, num: u16, op: i16, flags: i32) -> Result<()> {
        self.op(&[sembuf(num, op, flags)])
    }

    /// `semtimedop`.
    pub fn op_within(&self, operations: &[Sembuf], limit: Duration) -> Result<()> {
        let timeout = Timespec {
            sec: limit.as_secs() as i64,
            nsec: i64::from(limit.subsec_nanos()),
        };
        self.sets.semop(self.id, operations, Some(timeout))
    }

    /// `GETVAL`.
    pub fn value(&self, num: i32) -> i32 {
        self.sets.sem_ask(self.id, num, Asked::Value).expect("GETVAL")
    }

    /// `GETPID`.
    pub fn pid(&self, num: i32) -> i32 {
        self.sets.sem_ask(self.id, num, Asked::Pid).expect("GETPID")
    }

    /// `GETNCNT` and `GETZCNT`.
    pub fn waiting(&self, num: i32) -> (i32, i32) {
        (
            self.sets.sem_ask(self.id, num, Asked::WaitingForMore).expect("GETNCNT"),
            self.sets.sem_ask(self.id, num, Asked::WaitingForZero).expect("GETZCNT"),
        )
    }

    /// Waits until so many processes wait for the semaphore.
    #[track_caller]
    pub fn await_waiting(&self, num: i32, wanted: (i32, i32)) {
        let end = Instant::now() + Duration::from_secs(30);
        while self.waiting(num) != wanted {
            assert!(Instant::now() < end, "{:?} wait, not {wanted:?}", self.waiting(num));
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    /// `SETVAL`.
    pub fn set_value(&self, num: i32, value: i32) -> Result<()> {
        self.sets.sem_set_value(self.id, num, value)
    }

    /// `GETALL`.
    pub fn values(&self) -> Vec<u16> {
        let mut values = vec![0; self.sets.sem_count(self.id).expect("the number of semaphores")];
        self.sets.sem_values(self.id, &mut values).expect("GETALL");
        values
    }

    /// `SETALL`.
    pub fn set_values(&self, values: &[u16]) -> Result<()> {
        self.sets.sem_set_values(self.id, values)
    }

    /// `IPC_STAT`.
    pub fn stat(&self) -> SemidDs {
        self.sets.sem_stat(self.id, StatBy::Id).expect("IPC_STAT").1
    }

    /// `IPC_RMID`.
    pub fn remove(&self) -> Result<()> {
        self.sets.sem_remove(self.id)
    }
}

impl Drop for Set<'_> {
    fn drop(&mut self) {
        if std::process::id() == self.maker {
            match self.remove() {
                Ok(()) | Err(Errno::EINVAL | Errno::EIDRM) => {}
                Err(error) => crate::trial::note(&format!("IPC_RMID: {error}")),
            }
        }
    }
}

/// `struct sembuf`.
pub fn sembuf(num: u16, op: i16, flags: i32) -> Sembuf {
    Sembuf {
        num,
        op,
        flg: flags as i16,
    }
}

/// Installs a handler that does nothing, with these `sa_flags`.
pub fn handle(signal: i32, flags: i32) {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: the handler touches nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

/// The processor time that this process has used, in microseconds.
pub fn processor_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}
