//! In a namespace for several users a member may cut short what it may write: the table, and the files of sets and queues that
//! it may use. Those who meet the hole get an errno; before, they died of SIGBUS.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::OpenOptions;

use sysv_engine::abi::{IPC_CREAT, IPC_NOWAIT, IPC_PRIVATE, SEM_UNDO, Sembuf};
use sysv_engine::{Asked, Engine, Errno, Join, Queues, Segments, Semaphores};

/// A namespace of the test's own, removed at its end.
struct Place(String);

impl Place {
    fn new(test: &str) -> Place {
        Place(format!("/dev/shm/sysv-cut-{}-{test}", std::process::id()))
    }

    /// Runs `body` in a process of its own and returns what it said. A process that hangs is ended by its alarm.
    fn in_a_process(&self, body: impl FnOnce(&Engine)) {
        // SAFETY: the child never returns.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: no memory is involved.
            unsafe { libc::alarm(60) };
            let directory = CString::new(self.0.as_str()).unwrap();
            let engine = Engine::join(&directory, Join::CreateShared).unwrap();
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&engine)));
            // SAFETY: nothing of the child is needed any more.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        let mut status = 0;
        // SAFETY: our own child; the status is written.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0, "wait status");
    }

    fn cut(&self, name: &str) {
        let file = OpenOptions::new().write(true).open(format!("{}/{name}", self.0));
        file.unwrap().set_len(0).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn whoever_finds_the_table_cut_short_gets_eio_and_lives() {
    let place = Place::new("table");
    place.in_a_process(|engine| {
        let id = engine.shmget(7, 100, IPC_CREAT | 0o600).unwrap();
        place.cut("table");
        // The call that finds the hole reads zeros there; those that follow know.
        let _ = engine.shmget(7, 0, 0);
        assert_eq!(engine.shmget(7, 0, 0), Err(Errno::EIO));
        assert_eq!(engine.shmget(IPC_PRIVATE, 100, 0o600), Err(Errno::EIO));
        // SAFETY: without SHM_REMAP nothing that exists is touched.
        assert_eq!(unsafe { engine.shmat(id, 0, 0) }, Err(Errno::EIO));
        assert_eq!(engine.semget(IPC_PRIVATE, 1, 0o600), Err(Errno::EIO));
        assert_eq!(engine.msgget(IPC_PRIVATE, 0o600), Err(Errno::EIO));
        // SAFETY: the child only calls the engine, and never returns.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let right = engine.shmget(7, 0, 0) == Err(Errno::EIO);
            // SAFETY: nothing of the child is needed any more.
            unsafe { libc::_exit(i32::from(!right)) }
        }
        let mut status = 0;
        // SAFETY: our own child; the status is written.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0, "a child is told too");
    });
}

#[test]
fn a_set_whose_file_is_cut_short_is_as_good_as_removed() {
    let place = Place::new("set");
    place.in_a_process(|engine| {
        let id = engine.semget(IPC_PRIVATE, 300, 0o666).unwrap();
        let up = |flg: i32| Sembuf {
            num: 0,
            op: 1,
            flg: flg as i16,
        };
        engine.semop(id, &[up(0)], None).unwrap();
        engine.semop(id, &[up(SEM_UNDO)], None).unwrap();
        place.cut(&format!("sem/{id}"));
        assert_eq!(engine.semop(id, &[up(0)], None), Err(Errno::EIDRM));
        assert_eq!(engine.semop(id, &[up(SEM_UNDO), up(0)], None), Err(Errno::EIDRM));
        assert_eq!(engine.sem_set_value(id, 299, 1), Err(Errno::EIDRM));
        let _ = engine.sem_ask(id, 299, Asked::Value);
        let mut values = vec![0; 300];
        assert_eq!(engine.sem_values(id, &mut values), Err(Errno::EIDRM));
        engine.sweep().unwrap();
        engine.sem_remove(id).unwrap();
    });
}

#[test]
fn a_queue_whose_file_is_cut_short_is_as_good_as_removed() {
    let place = Place::new("queue");
    place.in_a_process(|engine| {
        let id = engine.msgget(IPC_PRIVATE, 0o666).unwrap();
        let mut message = [1u64; 100];
        let at = (&raw mut message) as usize;
        // SAFETY: the message is read, and is that long.
        let send = || unsafe { engine.msgsnd(id, at, 500, IPC_NOWAIT) };
        send().unwrap();
        place.cut(&format!("msg/{id}"));
        assert_eq!(send(), Err(Errno::EIDRM));
        // SAFETY: the message may be overwritten, and is that long.
        let received = unsafe { engine.msgrcv(id, at, 500, 0, IPC_NOWAIT) };
        assert_eq!(received, Err(Errno::EIDRM));
        engine.msg_remove(id).unwrap();
    });
}
