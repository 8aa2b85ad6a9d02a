//! Message queues under test, on the kernel and on the engine, and queues that a test owns.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_PRIVATE, MsqidDs};
use sysv_engine::{Engine, Errno, Join, Kernel, PermChange, Queues, Result, StatBy};

use crate::child::Child;

/// Makes three tests of each named function: `kernel::…`, `engine::…` and, in a namespace for one user, `engine_private::…`.
#[macro_export]
macro_rules! on_both_queue_facilities {
    ($($test:ident),* $(,)?) => {
        mod kernel {
            $(#[test] fn $test() {
                $crate::trial::run($crate::Facility::Kernel, |_| $crate::queue::on_kernel(super::$test));
            })*
        }
        mod engine {
            $(#[test] fn $test() {
                $crate::trial::run($crate::Facility::Kernel, |_| $crate::queue::on_engine(super::$test));
            })*
        }
        mod engine_private {
            $(#[test] fn $test() {
                $crate::trial::run($crate::Facility::Kernel, |_| $crate::queue::on_private_engine(super::$test));
            })*
        }
    };
}

/// A facility with message queues, in a namespace that nobody else uses.
pub struct QueueSubject {
    calls: Box<dyn Queues + Send + Sync>,
    /// The engine, if that is what it is.
    engine: Option<Engine>,
}

/// Runs a test body on the kernel's facility. The process has an IPC namespace of its own where it may make one.
pub fn on_kernel(body: fn(&QueueSubject)) {
    body(&QueueSubject {
        calls: Box::new(Kernel),
        engine: None,
    });
}

/// A directory, removed with everything in it.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test body on the engine, in a new namespace for several users.
pub fn on_engine(body: fn(&QueueSubject)) {
    on_engine_in(Join::CreateShared, body);
}

/// Runs a test body on the engine, in a new namespace for one user.
pub fn on_private_engine(body: fn(&QueueSubject)) {
    on_engine_in(Join::Create, body);
}

fn on_engine_in(how: Join, body: fn(&QueueSubject)) {
    let directory = Directory(PathBuf::from(format!("/dev/shm/sysv-queues-{}", std::process::id())));
    let path = CString::new(directory.0.to_str().expect("a path of letters")).expect("no NUL");
    let engine = Engine::join(&path, how).unwrap_or_else(|e| panic!("{}", e.describe(&path)));
    body(&QueueSubject {
        calls: Box::new(engine.clone()),
        engine: Some(engine),
    });
}

impl QueueSubject {
    /// The calls.
    pub fn calls(&self) -> &dyn Queues {
        &*self.calls
    }

    /// The engine, if that is what is tested.
    pub fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// A new queue that its creator may use.
    #[track_caller]
    pub fn queue(&self) -> Queue<'_> {
        self.queue_with_mode(0o600)
    }

    /// A new queue with these mode bits.
    #[track_caller]
    pub fn queue_with_mode(&self, mode: i32) -> Queue<'_> {
        let id = self.calls.msgget(IPC_PRIVATE, mode).expect("a private queue");
        self.guard(id)
    }

    /// A new queue with a key.
    #[track_caller]
    pub fn keyed_queue(&self, key: i32) -> Queue<'_> {
        let id = self
            .calls
            .msgget(key, IPC_CREAT | IPC_EXCL | 0o600)
            .expect("a new queue");
        self.guard(id)
    }

    /// A guard for a queue that exists.
    pub fn guard(&self, id: i32) -> Queue<'_> {
        Queue {
            calls: self.calls(),
            id,
            guardian: std::process::id(),
        }
    }
}

/// A queue, removed on drop by the process that made the guard.
pub struct Queue<'s> {
    calls: &'s dyn Queues,
    id: i32,
    guardian: u32,
}

/// A message as it lies in a program's memory: its type, then its bytes.
fn message(kind: i64, text: &[u8]) -> Vec<u8> {
    [&kind.to_ne_bytes(), text].concat()
}

impl Queue<'_> {
    /// Its identifier.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// `msgsnd` with these flags.
    pub fn send_with(&self, kind: i64, text: &[u8], flags: i32) -> Result<()> {
        let message = message(kind, text);
        // SAFETY: nobody writes to the message.
        unsafe { self.calls.msgsnd(self.id, message.as_ptr() as usize, text.len(), flags) }
    }

    /// `msgsnd` without waiting.
    pub fn send(&self, kind: i64, text: &[u8]) -> Result<()> {
        self.send_with(kind, text, IPC_NOWAIT)
    }

    /// `msgrcv` with these flags: the type and the bytes.
    pub fn receive_with(&self, size: usize, kind: i64, flags: i32) -> Result<(i64, Vec<u8>)> {
        let mut buffer = vec![0xee; 8 + size + 16];
        // SAFETY: the buffer has room.
        let len = unsafe {
            self.calls
                .msgrcv(self.id, buffer.as_mut_ptr() as usize, size, kind, flags)
        }?;
        assert!(len <= size, "more than was asked for");
        assert!(
            buffer[8 + len..].iter().all(|&byte| byte == 0xee),
            "written beyond the message"
        );
        let mut word = [0; 8];
        word.copy_from_slice(&buffer[..8]);
        Ok((i64::from_ne_bytes(word), buffer[8..8 + len].to_vec()))
    }

    /// `msgrcv` of a message of this kind without waiting.
    pub fn receive(&self, kind: i64) -> Result<(i64, Vec<u8>)> {
        self.receive_with(10_000, kind, IPC_NOWAIT)
    }

    /// `IPC_STAT`, which must succeed.
    #[track_caller]
    pub fn stat(&self) -> MsqidDs {
        self.calls.msg_stat(self.id, StatBy::Id).expect("IPC_STAT").1
    }

    /// Bytes and messages in the queue.
    #[track_caller]
    pub fn fill(&self) -> (u64, u64) {
        let ds = self.stat();
        (ds.cbytes, ds.qnum)
    }

    /// `IPC_SET` of `msg_qbytes` alone.
    pub fn set_capacity(&self, qbytes: u64) -> Result<()> {
        let perm = self.stat().perm;
        let change = PermChange {
            uid: perm.uid,
            gid: perm.gid,
            mode: perm.mode,
        };
        self.calls.msg_set(self.id, change, qbytes)
    }

    /// `IPC_RMID`.
    pub fn remove(&self) -> Result<()> {
        self.calls.msg_remove(self.id)
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        if self.guardian == std::process::id() {
            let _ = self.remove();
        }
    }
}

/// Waits until a child that has said that it is about to wait does so.
pub fn settle(child: &mut Child) {
    child.arrived();
    let mut asleep = 0;
    for _ in 0..4000 {
        std::thread::sleep(Duration::from_millis(5));
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.pid())).expect("the child's stat");
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.trim_start().chars().next());
        asleep = if state == Some('S') { asleep + 1 } else { 0 };
        if asleep == 4 {
            return;
        }
    }
    panic!("the child does not wait");
}

/// The result's error, for comparisons.
pub fn errno<T>(result: Result<T>) -> Option<Errno> {
    result.err()
}
