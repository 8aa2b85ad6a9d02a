//! A namespace for several users: the kernel guards the bytes, whatever a member writes into the shared bookkeeping.
//! With real other users, so only root runs it; skipped with a message otherwise.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use sysv_engine::abi::{IPC_CREAT, IPC_NOWAIT, SHM_RDONLY, Sembuf};
use sysv_engine::inspect::{LAYOUT, own_tag};
use sysv_engine::{Asked, Engine, Errno, Join, PermChange, Queues, Segments, Semaphores, StatBy};

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
        self.file_in("shm")
    }

    /// The only file in a directory of the namespace.
    fn file_in(&self, directory: &str) -> PathBuf {
        let mut names = std::fs::read_dir(self.0.join(directory)).unwrap();
        names.next().unwrap().unwrap().path()
    }

    /// Every member may write the table: there the first slot of a registry becomes `OTHER`'s, open to everybody.
    fn take_over(&self, registry: usize) -> Result<(), Errno> {
        let first = LAYOUT.registries[registry].slots.0;
        // The head begins with state, key, uid, gid, cuid, cgid and mode.
        for (word, value) in [(2, OTHER), (3, OTHER), (4, OTHER), (5, OTHER), (6, 0o666)] {
            self.lie(first + word * 4, value)?;
        }
        Ok(())
    }

    /// What a process leaves that dies in an `IPC_SET` of a registry's first object: the lock in its name, and the change.
    fn arm(&self, liar: &Engine, registry: usize, uid: u32, mode: u32) -> Result<(), Errno> {
        let place = LAYOUT.registries[registry];
        let state = self.told(place.slots.0)?;
        let intent = place.header.0 + 40;
        for (word, value) in [(1, state), (2, uid), (3, uid), (4, mode), (0, 1)] {
            self.lie(intent + word * 4, value)?;
        }
        self.lie(place.header.0, own_tag(liar))
    }

    fn told(&self, at: usize) -> Result<u32, Errno> {
        let mut word = [0; 4];
        let table = OpenOptions::new().read(true).open(self.0.join("table"));
        let read = table.and_then(|table| table.read_exact_at(&mut word, at as u64));
        read.map(|()| u32::from_le_bytes(word)).map_err(|_| Errno::EIO)
    }

    fn lie(&self, at: usize, value: u32) -> Result<(), Errno> {
        let table = OpenOptions::new().write(true).open(self.0.join("table"));
        let written = table.and_then(|table| table.write_all_at(&value.to_le_bytes(), at as u64));
        written.map_err(|_| Errno::EIO)
    }
}

/// What a process can do with a file by itself: read it 1, write it 2, remove it 4.
fn powers_over(file: &std::path::Path) -> i32 {
    let read = OpenOptions::new().read(true).open(file).is_ok();
    let written = OpenOptions::new().write(true).open(file).is_ok();
    let removed = std::fs::remove_file(file).is_ok();
    i32::from(read) | i32::from(written) << 1 | i32::from(removed) << 2
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
    // The liar makes itself the owner in the table.
    let lied = place.as_user(OTHER, |e| {
        place.take_over(0)?;
        Ok(errno_of(attach(e, id, SHM_RDONLY)))
    });
    assert_eq!(lied, libc::EACCES, "the kernel knows better");
    let file = place.file();
    let taken = place.as_user(OTHER, |_| Ok(powers_over(&file)));
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

fn up(num: u16) -> Sembuf {
    Sembuf { num, op: 1, flg: 0 }
}

#[test]
fn nobody_reaches_a_set_s_semaphores_without_permission_even_by_lying() {
    let Some(place) = Place::shared("semaphores") else {
        return;
    };
    let made = place.as_user(OWNER, |e| {
        let id = e.semget(KEY, 3, IPC_CREAT | 0o600)?;
        e.sem_set_value(id, 1, 5).map(|()| 0)
    });
    assert_eq!(made, 0);
    let id = place.join().semget(KEY, 0, 0).unwrap();
    let file = place.file_in("sem");
    for lying in [false, true] {
        let reached = place.as_user(OTHER, |e| {
            if lying {
                place.take_over(1)?;
                // After the head: that the set stands in the table, and has more semaphores.
                let slot = LAYOUT.registries[1].slots.0;
                place.lie(slot + 128, 1 << 8 | 3)?;
                place.lie(slot + 132, 16)?;
            }
            let asked = errno_of(e.sem_ask(id, 1, Asked::Value));
            let operated = errno_of(e.semop(id, &[up(1)], None));
            let set = errno_of(e.sem_set_value(id, 1, 0));
            Ok(i32::from(
                (asked, operated, set) != (libc::EACCES, libc::EACCES, libc::EACCES),
            ))
        });
        assert_eq!(reached, 0, "lying: {lying}");
        assert_eq!(place.as_user(OTHER, |_| Ok(powers_over(&file))), 0);
    }
    // Its owner goes on with the set that it made: as many semaphores, and their values.
    let owner = place.as_user(OWNER, |e| {
        e.semop(id, &[up(1)], None)?;
        let counted = e.sem_count(id)?;
        let mut values = vec![0; counted];
        e.sem_values(id, &mut values)?;
        let described = e.sem_stat(id, StatBy::Id)?.1.nsems;
        Ok(i32::from((values, described) != (vec![0, 6, 0], 3)))
    });
    assert_eq!(owner, 0);
}

#[test]
fn nobody_removes_or_changes_another_s_set() {
    let Some(place) = Place::shared("set-control") else {
        return;
    };
    assert_eq!(
        place.as_user(OWNER, |e| e.semget(KEY, 3, IPC_CREAT | 0o644).map(|_| 0)),
        0
    );
    let id = place.join().semget(KEY, 0, 0).unwrap();
    let change = PermChange {
        uid: OTHER,
        gid: OTHER,
        mode: 0o666,
    };
    let errnos = place.as_user(OTHER, |e| {
        assert_eq!(errno_of(e.sem_remove(id)), libc::EPERM);
        assert_eq!(errno_of(e.sem_set(id, change)), libc::EPERM);
        assert_eq!(errno_of(e.semop(id, &[up(0)], None)), libc::EACCES);
        // What the mode does allow works.
        assert_eq!(e.sem_ask(id, 0, Asked::Value), Ok(0));
        Ok(0)
    });
    assert_eq!(errnos, 0);
    let file = place.file_in("sem");
    // A liar can have the table forget it, but not its file.
    place.as_user(OTHER, |e| {
        place.take_over(1)?;
        let _ = e.sem_set(id, change);
        let _ = e.sem_remove(id);
        Ok(0)
    });
    use std::os::unix::fs::MetadataExt;
    let st = std::fs::metadata(&file).unwrap();
    assert_eq!((st.uid(), st.mode() & 0o777), (OWNER, 0o644));
}

#[test]
fn nobody_reaches_a_queue_s_messages_without_permission_even_by_lying() {
    let Some(place) = Place::shared("messages") else { return };
    let mut message = [7u64, 0x5ec7e7];
    let at = (&raw mut message) as usize;
    // SAFETY: the message is read, and is that long.
    let send = |e: &Engine, id| unsafe { e.msgsnd(id, at, 8, IPC_NOWAIT) };
    // SAFETY: the message may be overwritten, and is that long.
    let receive = |e: &Engine, id| unsafe { e.msgrcv(id, at, 8, 0, IPC_NOWAIT) };
    let made = place.as_user(OWNER, |e| {
        let id = e.msgget(KEY, IPC_CREAT | 0o600)?;
        send(e, id).map(|()| 0)
    });
    assert_eq!(made, 0);
    let id = place.join().msgget(KEY, 0).unwrap();
    let file = place.file_in("msg");
    for lying in [false, true] {
        let reached = place.as_user(OTHER, |e| {
            if lying {
                place.take_over(2)?;
            }
            let (received, sent) = (errno_of(receive(e, id)), errno_of(send(e, id)));
            Ok(i32::from((received, sent) != (libc::EACCES, libc::EACCES)))
        });
        assert_eq!(reached, 0, "lying: {lying}");
        assert_eq!(place.as_user(OTHER, |_| Ok(powers_over(&file))), 0);
    }
    let got = place.as_user(OWNER, |e| Ok(i32::from(receive(e, id)? != 8)));
    assert_eq!(got, 0, "its owner still receives it");
}

#[test]
fn nobody_removes_or_changes_another_s_queue() {
    let Some(place) = Place::shared("queue-control") else {
        return;
    };
    assert_eq!(place.as_user(OWNER, |e| e.msgget(KEY, IPC_CREAT | 0o600).map(|_| 0)), 0);
    let id = place.join().msgget(KEY, 0).unwrap();
    let change = PermChange {
        uid: OTHER,
        gid: OTHER,
        mode: 0o666,
    };
    let refused = place.as_user(OTHER, |e| {
        assert_eq!(errno_of(e.msg_remove(id)), libc::EPERM);
        assert_eq!(errno_of(e.msg_set(id, change, 1)), libc::EPERM);
        place.take_over(2)?;
        let _ = e.msg_set(id, change, 1);
        let _ = e.msg_remove(id);
        Ok(0)
    });
    assert_eq!(refused, 0);
    use std::os::unix::fs::MetadataExt;
    let st = std::fs::metadata(place.file_in("msg")).unwrap();
    assert_eq!((st.uid(), st.mode() & 0o777), (OWNER, 0o600));
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

/// The hands of others: whoever takes a lock over finishes what its dead owner began, and a liar says what that was.
/// `before` is what the owner's file was.
fn the_file_stays(place: &Place, registry: usize, call: impl Fn(&Engine) -> Result<i32, Errno>) {
    use std::os::unix::fs::MetadataExt;
    let file = place.file_in(["shm", "sem", "msg"][registry]);
    let access = || {
        let st = std::fs::metadata(&file).unwrap();
        (st.uid(), st.gid(), st.mode() & 0o7777)
    };
    let before = access();
    for (user, uid, mode) in [
        (OWNER, OWNER, 0o666),
        (OWNER, OTHER, 0o666),
        (0, OTHER, 0o666),
        (0, OWNER, 0o666),
    ] {
        let lied = place.as_user(OTHER, |e| {
            place.arm(e, registry, uid, mode)?;
            Ok(0)
        });
        assert_eq!(lied, 0);
        place.as_user(user, &call);
        assert_eq!(
            access(),
            before,
            "user {user} was made to give the file to {uid} with mode {mode:o}"
        );
        assert_eq!(
            place.as_user(OTHER, |_| Ok(powers_over(&file))),
            0,
            "read 1, written 2, removed 4"
        );
    }
}

#[test]
fn a_liar_s_unfinished_change_of_ownership_is_finished_on_no_file() {
    let Some(place) = Place::shared("intents") else { return };
    let made = place.as_user(OWNER, |e| {
        e.shmget(KEY, 4096, IPC_CREAT | 0o600)?;
        e.semget(KEY, 3, IPC_CREAT | 0o600)?;
        e.msgget(KEY, IPC_CREAT | 0o600).map(|_| 0)
    });
    assert_eq!(made, 0);
    the_file_stays(&place, 0, |e| e.shm_usage().map(|_| 0));
    the_file_stays(&place, 1, |e| e.sem_usage().map(|_| 0));
    the_file_stays(&place, 2, |e| e.msg_usage().map(|_| 0));
}

/// Reading found it: root's `IPC_SET` on a liar's object followed a symbolic link to a file of root's, which it then made
/// everybody's. A second name of another's file is no better.
#[test]
fn root_s_change_of_a_liar_s_object_changes_no_other_file() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    let Some(place) = Place::shared("links") else { return };
    let target = place.0.join("target");
    std::fs::write(&target, "root's").unwrap();
    let made = place.as_user(OTHER, |e| e.shmget(KEY, 4096, IPC_CREAT | 0o600).map(|_| 0));
    assert_eq!(made, 0);
    let (id, _) = place.join().shm_stat(FIRST_INDEX, StatBy::Index).unwrap();
    let file = place.file();
    for hard in [false, true] {
        std::fs::remove_file(&file).unwrap();
        // As the liar could, where the system lets everybody link to everybody's files.
        if hard {
            std::fs::hard_link(&target, &file).unwrap();
        } else {
            symlink(&target, &file).unwrap();
        }
        std::fs::set_permissions(&target, PermissionsExt::from_mode(0o600)).unwrap();
        let change = PermChange {
            uid: OTHER,
            gid: OTHER,
            mode: 0o666,
        };
        let _ = place.join().shm_set(id, change);
        let st = std::fs::metadata(&target).unwrap();
        assert_eq!((st.uid(), st.mode() & 0o7777), (0, 0o600), "hard link: {hard}");
    }
}

/// The index of a namespace's first segment.
const FIRST_INDEX: i32 = 16384;
