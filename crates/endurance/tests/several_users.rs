//! A namespace for several users: the kernel guards the bytes, whatever a member writes into the shared bookkeeping.
//! With real other users, so only root runs it; skipped with a message otherwise.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use sysv_engine::abi::{IPC_CREAT, SHM_RDONLY};
use sysv_engine::inspect::LAYOUT;
use sysv_engine::{Engine, Errno, Join, PermChange, Segments, StatBy};

const OWNER: u32 = 65534;
const OTHER: u32 = 65533;
const KEY: i32 = 0x5e;

struct Place(PathBuf);

impl Place {
    /// Made by root; `None` with a message where this is not root.
    fn shared(test: &str) -> Option<Place> {
        // SAFETY: no memory is involved. A test that hangs is ended by the alarm.
        let root = unsafe {
            libc::alarm(120);
            libc::geteuid() == 0
        };
        if !root {
            println!("skipped: other users need root");
            return None;
        }
        let place = Place(format!("/dev/shm/sysv-users-{}-{test}", std::process::id()).into());
        place.join();
        Some(place)
    }

    fn join(&self) -> Engine {
        let directory = CString::new(self.0.to_str().unwrap()).unwrap();
        Engine::join(&directory, Join::CreateShared).unwrap_or_else(|e| panic!("{}", e.describe(&directory)))
    }

    /// Runs `body` in a process of another user, and returns what it said.
    fn as_user(&self, uid: u32, body: impl FnOnce(&Engine) -> Result<i32, Errno>) -> i32 {
        // SAFETY: the child never returns.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: no memory is involved; the child has one thread.
            unsafe {
                libc::setgroups(0, std::ptr::null());
                libc::setresgid(uid, uid, uid);
                libc::setresuid(uid, uid, uid);
            }
            let said = body(&self.join()).unwrap_or_else(|errno| {
                eprintln!("as user {uid}: {errno:?}");
                255
            });
            // SAFETY: nothing of the child is needed any more.
            unsafe { libc::_exit(said) }
        }
        let mut status = 0;
        // SAFETY: our own child; the status is written.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert!(libc::WIFEXITED(status), "wait status {status:#x}");
        libc::WEXITSTATUS(status)
    }

    /// The file of the only segment.
    fn file(&self) -> PathBuf {
        let mut names = std::fs::read_dir(self.0.join("shm")).unwrap();
        names.next().unwrap().unwrap().path()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn errno_of<T>(result: sysv_engine::Result<T>) -> i32 {
    result.err().map_or(0, Errno::raw)
}

/// `shmat`.
fn attach(engine: &Engine, id: i32, flags: i32) -> sysv_engine::Result<usize> {
    // SAFETY: without SHM_REMAP nothing that exists is touched.
    unsafe { engine.shmat(id, 0, flags) }.map(|at| at as usize)
}

#[test]
fn nobody_reaches_a_segment_s_bytes_without_permission_even_by_lying() {
    let Some(place) = Place::shared("bytes") else { return };
    assert_eq!(
        place.as_user(OWNER, |e| e.shmget(KEY, 4096, IPC_CREAT | 0o600).map(|_| 0)),
        0
    );
    let (id, _) = place.join().shm_stat(FIRST_INDEX, StatBy::Index).unwrap();
    let attached = place.as_user(OTHER, |e| Ok(errno_of(attach(e, id, SHM_RDONLY))));
    assert_eq!(attached, libc::EACCES);
    // Every member may write the table. The liar makes itself the owner there.
    let lied = place.as_user(OTHER, |e| {
        let table = OpenOptions::new()
            .write(true)
            .open(place.0.join("table"))
            .map_err(|_| Errno::EIO)?;
        // The head begins with state, key, uid, gid, cuid, cgid and mode.
        for (word, value) in [(2, OTHER), (3, OTHER), (4, OTHER), (5, OTHER), (6, 0o666)] {
            let at = LAYOUT.segments.0 + word * 4;
            table
                .write_all_at(&value.to_le_bytes(), at as u64)
                .map_err(|_| Errno::EIO)?;
        }
        Ok(errno_of(attach(e, id, SHM_RDONLY)))
    });
    assert_eq!(lied, libc::EACCES, "the kernel knows better");
    let file = place.file();
    let taken = place.as_user(OTHER, |_| {
        let read = OpenOptions::new().read(true).open(&file).is_ok();
        let written = OpenOptions::new().write(true).open(&file).is_ok();
        let removed = std::fs::remove_file(&file).is_ok();
        Ok(i32::from(read) | i32::from(written) << 1 | i32::from(removed) << 2)
    });
    assert_eq!(taken, 0, "read 1, written 2, removed 4");
}

#[test]
fn nobody_removes_or_changes_another_s_segment() {
    let Some(place) = Place::shared("control") else { return };
    assert_eq!(
        place.as_user(OWNER, |e| e.shmget(KEY, 4096, IPC_CREAT | 0o666).map(|_| 0)),
        0
    );
    let (id, before) = place.join().shm_stat(FIRST_INDEX, StatBy::Index).unwrap();
    let change = PermChange {
        uid: OTHER,
        gid: OTHER,
        mode: 0o777,
    };
    assert_eq!(place.as_user(OTHER, |e| Ok(errno_of(e.shm_remove(id)))), libc::EPERM);
    assert_eq!(
        place.as_user(OTHER, |e| Ok(errno_of(e.shm_set(id, change)))),
        libc::EPERM
    );
    assert_eq!(
        place.as_user(OTHER, |e| Ok(errno_of(e.shm_lock(id, true)))),
        libc::EPERM
    );
    let after = place.join().shm_stat(id, StatBy::Id).unwrap().1;
    assert_eq!((after.perm.uid, after.perm.mode), (before.perm.uid, before.perm.mode));
    // What the mode does allow works.
    assert_eq!(place.as_user(OTHER, |e| Ok(errno_of(attach(e, id, 0)))), 0);
}

/// Reading found it: what one user may not remove, the file of a removed segment whose last user was killed, was left lying
/// by the first other user that looked, and nobody tried again.
#[test]
fn memory_that_one_user_may_not_free_is_freed_at_its_owner_s_next_call() {
    let Some(place) = Place::shared("dying") else { return };
    let doomed = place.as_user(OWNER, |e| {
        let id = e.shmget(KEY, 4096, IPC_CREAT | 0o600)?;
        attach(e, id, 0)?;
        // The process dies here with its attachment: `_exit` runs nothing of the engine.
        e.shm_remove(id).map(|()| 0)
    });
    assert_eq!(doomed, 0);
    let file = place.file();
    place.as_user(OTHER, |e| e.shm_usage().map(|_| 0));
    assert!(file.exists(), "the other user may not remove it");
    place.as_user(OWNER, |e| Ok(errno_of(e.shmget(1, 0, 0))));
    assert!(!file.exists(), "its owner's next call does");
}

/// The index of a namespace's first segment.
const FIRST_INDEX: i32 = 16384;
