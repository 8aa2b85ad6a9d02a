//! Defects that the harnesses found, each with its story.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::unix::fs::FileExt;

use sysv_engine::abi::{IPC_CREAT, IPC_NOWAIT, IPC_PRIVATE, MSG_COPY, SEM_UNDO, Sembuf};
use sysv_engine::inspect::{self, LAYOUT};
use sysv_engine::{Asked, Engine, Errno, Join, Queues, Segments, Semaphores, StatBy};

/// A namespace of the test's own, removed at its end. A test that hangs is ended by the alarm.
struct Place(String);

impl Place {
    fn new(test: &str) -> Place {
        // SAFETY: no memory is involved.
        unsafe { libc::alarm(120) };
        Place(format!("/dev/shm/sysv-regression-{}-{test}", std::process::id()))
    }

    fn join(&self) -> Engine {
        let directory = CString::new(self.0.as_str()).unwrap();
        Engine::join(&directory, Join::Create).unwrap_or_else(|e| panic!("{}", e.describe(&directory)))
    }

    /// Writes a word into the table behind everybody's back.
    fn lie(&self, offset: usize, word: u32) {
        let table = std::fs::OpenOptions::new()
            .write(true)
            .open(format!("{}/table", self.0))
            .unwrap();
        table.write_all_at(&word.to_le_bytes(), offset as u64).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn attach(engine: &Engine, id: i32) -> usize {
    // SAFETY: without SHM_REMAP nothing that exists is touched.
    unsafe { engine.shmat(id, 0, 0) }.unwrap() as usize
}

fn detach(engine: &Engine, at: usize) {
    // SAFETY: nobody uses the memory.
    unsafe { engine.shmdt(at) }.unwrap();
}

fn nattch(engine: &Engine, id: i32) -> u64 {
    engine.shm_stat(id, StatBy::Id).unwrap().1.nattch
}

/// A storm found it. A child forked past the C library is unknown until its first call; if meanwhile its parent detached and
/// the segment went, that call made an attach record for the slot's next segment, and dropping it cut that segment's list:
/// the segment was destroyed under those who had it.
#[test]
fn a_child_forked_past_the_library_does_not_take_part_in_the_next_segment() {
    let place = Place::new("bare-fork");
    let engine = place.join();
    let old = engine.shmget(IPC_PRIVATE, 4096, 0o600).unwrap();
    let at = attach(&engine, old);
    let mut ends = [0; 2];
    // SAFETY: two descriptors are written. The child only calls the engine, which allocates nothing, and never returns.
    let child = unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let child = libc::syscall(libc::SYS_fork) as i32;
        if child == 0 {
            let mut byte = 0u8;
            libc::read(ends[0], (&raw mut byte).cast(), 1);
            let detached = engine.shmdt(at);
            libc::_exit(i32::from(detached.is_err()))
        }
        child
    };
    detach(&engine, at);
    engine.shm_remove(old).unwrap();
    let new = engine.shmget(IPC_PRIVATE, 4096, 0o600).unwrap();
    let at = attach(&engine, new);
    let mut status = 0;
    // SAFETY: one byte is read; the status is written.
    unsafe {
        libc::write(ends[1], (&raw const status).cast(), 1);
        libc::waitpid(child, &raw mut status, 0);
        libc::close(ends[0]);
        libc::close(ends[1]);
    }
    assert_eq!(status, 0, "the child still had its memory, and could detach it");
    // Whoever looks at a process under /proc keeps its memory, and with it the proof of its life, for a moment longer.
    let settled = (0..500).any(|_| {
        let one = nattch(&engine, new) == 1;
        std::thread::sleep(std::time::Duration::from_millis(if one { 0 } else { 10 }));
        one
    });
    assert!(settled, "{}", nattch(&engine, new));
    engine.shm_remove(new).unwrap();
    assert_eq!(nattch(&engine, new), 1, "doomed, and attached");
    detach(&engine, at);
}

/// Lies found it: the lock named an earlier life of the very process that wanted it, and the record of that life said that
/// it was the present one. The process then asked the kernel whether the owner lives, which was itself, and waited for ever.
#[test]
fn a_lock_that_names_an_earlier_life_of_the_waiter_is_taken_over() {
    let place = Place::new("earlier-life");
    let engine = place.join();
    let tag = inspect::own_tag(&engine);
    let record = (tag as usize & 0x7fff) - 1;
    let earlier = tag.wrapping_sub(1 << 16);
    place.lie(LAYOUT.processes.0 + record * LAYOUT.processes.1, earlier >> 16);
    place.lie(LAYOUT.segments_lock, earlier);
    engine.shmget(7, 4096, IPC_CREAT | 0o600).unwrap();
}

/// Reading found it: an attach record whose owner's word carried the bit that only lock words carry matched nobody when it
/// was to be dropped, and the sweep tried for ever.
#[test]
fn an_owner_that_is_no_owner_does_not_stop_the_sweep() {
    let place = Place::new("no-owner");
    let engine = place.join();
    let id = engine.shmget(IPC_PRIVATE, 4096, 0o600).unwrap();
    // SAFETY: the child only calls the engine, and never returns.
    let child = unsafe {
        let child = libc::fork();
        if child == 0 {
            let attached = engine.shmat(id, 0, 0);
            libc::_exit(i32::from(attached.is_err()))
        }
        child
    };
    let mut status = 0;
    // SAFETY: the status is written.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
    let table = std::fs::File::open(format!("{}/table", place.0)).unwrap();
    let mut owner = [0; 4];
    table.read_exact_at(&mut owner, LAYOUT.attachments.0 as u64).unwrap();
    assert_ne!(owner, [0; 4], "the child's record is the first");
    place.lie(LAYOUT.attachments.0, u32::from_le_bytes(owner) | 1 << 15);
    engine.sweep().unwrap();
    assert_eq!(nattch(&engine, id), 0);
}

/// Stepping found it: an attachment at an address that the program had just freed met a page of the library's own there.
#[test]
fn the_library_does_not_take_the_address_that_the_program_wants() {
    let place = Place::new("exact");
    let engine = place.join();
    let id = engine.shmget(IPC_PRIVATE, 4096, 0o600).unwrap();
    // In a process with one thread, because another could take the address too.
    // SAFETY: the child makes a mapping and unmaps it before anybody uses it, calls the engine, and never returns.
    let child = unsafe {
        let child = libc::fork();
        if child == 0 {
            // Not the first call: that one enrols the process, which needs a page too.
            let _ = engine.shm_stat(id, StatBy::Id);
            let (protection, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let hole = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
            libc::munmap(hole, 4096);
            libc::_exit(i32::from(engine.shmat(id, hole as usize, 0).is_err()))
        }
        child
    };
    let mut status = 0;
    // SAFETY: the status is written.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
}

/// A sum of sizes was negated, which for one size is not possible; rounding another one up overflowed.
#[test]
fn no_size_in_the_table_is_too_large_to_count_with() {
    let place = Place::new("sizes");
    let engine = place.join();
    let id = engine.shmget(IPC_PRIVATE, 4096, 0o600).unwrap();
    // The size follows the head that all mechanisms' slots begin with.
    let size = LAYOUT.segments.0 + 128;
    for (low, high) in [(0, 1 << 31), (u32::MAX, u32::MAX)] {
        place.lie(size, low);
        place.lie(size + 4, high);
        // SAFETY: without SHM_REMAP nothing that exists is touched.
        assert!(unsafe { engine.shmat(id, 0, 0) }.is_err());
        engine.shm_usage().unwrap();
    }
    engine.shm_remove(id).unwrap();
}

/// Lies found it: the file of a set that the table called enormous was given memory for all those semaphores, as far as the
/// file system had any.
#[test]
fn a_set_that_is_called_enormous_takes_no_more_memory_than_the_largest() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new("enormous");
    let engine = place.join();
    let id = engine.semget(IPC_PRIVATE, 3, 0o600).unwrap();
    // The number of semaphores follows the head and the flags.
    place.lie(LAYOUT.registries[1].slots.0 + 132, 0x0800_0000);
    // The first operation that needs the set's file makes it.
    let _ = engine.semop(
        id,
        &[Sembuf {
            num: 0,
            op: 1,
            flg: SEM_UNDO as i16,
        }],
        None,
    );
    let file = std::fs::metadata(format!("{}/sem/{id}", place.0)).unwrap();
    assert!(file.blocks() * 512 < 4 << 20, "{} bytes", file.blocks() * 512);
}

/// Reading found it: whoever was told that billions of operations wait in a circle of cells went through all of them, with the
/// set locked.
#[test]
fn operations_that_wait_in_a_circle_come_to_an_end() {
    let place = Place::new("circle");
    let engine = place.join();
    let id = engine.semget(IPC_PRIVATE, 300, 0o600).unwrap();
    let down = [Sembuf {
        num: 0,
        op: -1,
        flg: SEM_UNDO as i16,
    }];
    // SAFETY: the child only calls the engine, and never returns.
    let child = unsafe {
        let child = libc::fork();
        if child == 0 {
            let _ = engine.semop(id, &down, None);
            libc::_exit(0);
        }
        child
    };
    while engine.sem_ask(id, 0, Asked::WaitingForMore).unwrap() == 0 {
        std::thread::yield_now();
    }
    let cells = inspect::set_file(300).cells.0 as u64;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(format!("{}/sem/{id}", place.0))
        .unwrap();
    // In a cell: the number of operations, then the next cell + 1.
    file.write_all_at(&u32::MAX.to_le_bytes(), cells + 40).unwrap();
    file.write_all_at(&1u16.to_le_bytes(), cells + 44).unwrap();
    let _ = engine.sem_set_value(id, 0, 32767);
    let mut status = 0;
    // SAFETY: our own child; the status is written.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &raw mut status, 0);
    }
    engine.sweep().unwrap();
}

/// A process killed between marking a process record and describing it left the record taken for ever.
#[test]
fn a_marked_record_that_nobody_has_is_freed() {
    let place = Place::new("marked");
    let engine = place.join();
    // Bits 0 to 2 of the first word of bits, which follow the header: ours and two that nobody has.
    place.lie(4096, 0b111);
    engine.sweep().unwrap();
    let mut complaints = Vec::new();
    inspect::examine(&engine, &mut |complaint| complaints.push(complaint.to_string()));
    assert_eq!(complaints, [""; 0]);
}

/// A process that is dead, and was a member: the word by which locks name it.
fn somebody_dead(engine: &Engine) -> u32 {
    let mut ends = [0; 2];
    let mut tag = 0u32;
    // SAFETY: two descriptors are written, then a word and a status. The child only calls the engine, and never returns.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let child = libc::fork();
        if child == 0 {
            // The first call enrols it.
            let _ = engine.shm_usage();
            let own = inspect::own_tag(engine);
            libc::write(ends[1], (&raw const own).cast(), 4);
            libc::raise(libc::SIGKILL);
        }
        assert_eq!(libc::read(ends[0], (&raw mut tag).cast(), 4), 4);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        libc::close(ends[0]);
        libc::close(ends[1]);
    }
    assert_ne!(tag, inspect::own_tag(engine));
    tag
}

/// The registry of sets (1) or of queues (2) as a member leaves it that is killed with the registry's lock.
fn killed_in_the_registry(place: &Place, engine: &Engine, registry: usize) {
    let lock = LAYOUT.segments_lock - LAYOUT.registries[0].header.0;
    place.lie(LAYOUT.registries[registry].header.0 + lock, somebody_dead(engine));
}

/// A set with a file, and a queue with one.
fn set_and_queue(engine: &Engine) -> [i32; 2] {
    let set = engine.semget(IPC_PRIVATE, 300, 0o600).unwrap();
    let up = Sembuf {
        num: 0,
        op: 1,
        flg: SEM_UNDO as i16,
    };
    engine.semop(set, &[up], None).unwrap();
    let queue = engine.msgget(IPC_PRIVATE, 0o600).unwrap();
    send(engine, queue, 1);
    [set, queue]
}

/// A message of one word.
#[repr(C)]
struct Message {
    kind: i64,
    word: u64,
}

fn send(engine: &Engine, queue: i32, kind: i64) {
    let message = Message { kind, word: 0 };
    // SAFETY: the message has a word.
    unsafe { engine.msgsnd(queue, (&raw const message) as usize, 8, IPC_NOWAIT) }.unwrap();
}

/// `msgrcv` of what comes first or, with `MSG_COPY`, of what stands first: the type.
fn receive(engine: &Engine, queue: i32, flags: i32) -> sysv_engine::Result<i64> {
    let mut message = Message { kind: 0, word: 0 };
    // SAFETY: there is room for a word.
    unsafe { engine.msgrcv(queue, (&raw mut message) as usize, 8, 0, flags) }.map(|_| message.kind)
}

/// Kill points found it: the sweep settled what the dead had left in sets and queues, but not in the making and removing of
/// them. A set or a queue that a process had half removed when it was killed stayed, with its file, until somebody made or
/// removed another one.
#[test]
fn the_sweep_removes_what_was_half_removed() {
    let place = Place::new("half-removed");
    let engine = place.join();
    let ids = set_and_queue(&engine);
    for (registry, (id, directory)) in [1, 2].into_iter().zip(ids.into_iter().zip(["sem", "msg"])) {
        let file = format!("{}/{directory}/{id}", place.0);
        assert!(std::fs::exists(&file).unwrap());
        // The first word of a slot: the phase in its low byte, of which 4 stands for an object that is being removed.
        let slots = LAYOUT.registries[registry].slots;
        let sequence = id as u32 / 32768;
        place.lie(slots.0 + (id as usize % 32768) * slots.1, sequence << 8 | 4);
        killed_in_the_registry(&place, &engine, registry);
        engine.sweep().unwrap();
        assert!(!std::fs::exists(&file).unwrap(), "{file} is left");
    }
    let mut complaints = Vec::new();
    inspect::examine(&engine, &mut |complaint| complaints.push(complaint.to_string()));
    assert_eq!(complaints, [""; 0]);
}

/// Kill points found it: the lists and counts of sets and queues were read without the registry's lock, so that after the
/// death of its owner they lacked an object that could be used by its identifier, until somebody made or removed another one.
#[test]
fn lists_are_right_after_the_death_of_the_registry_locks_owner() {
    let place = Place::new("lists");
    let engine = place.join();
    let ids = set_and_queue(&engine);
    // As if it had been killed after the store that publishes the object, and before those that are derived from it.
    let unpublish = |registry: usize| {
        let places = LAYOUT.registries[registry];
        let number = ids[registry - 1] as usize % 32768;
        place.lie(places.index.0 + number / 32 * 4, 0);
        // The number of objects follows the lock.
        place.lie(places.header.0 + 4, 0);
        killed_in_the_registry(&place, &engine, registry);
    };
    let mut listed = Vec::new();
    unpublish(1);
    engine.sets(&mut |set| listed.push(set.id)).unwrap();
    unpublish(2);
    engine.queues(&mut |queue| listed.push(queue.id)).unwrap();
    assert_eq!(listed, ids);
    unpublish(1);
    assert_eq!(engine.sem_usage().unwrap().1.semusz, 1);
    unpublish(2);
    assert_eq!(engine.msg_usage().unwrap().1.msgpool, 1);
}

/// Kill points found it: a message that had been handed to a waiting receiver, which was killed before it ran again, was
/// missing from `IPC_STAT` and for `MSG_COPY`, until somebody's `msgrcv` found nothing else.
#[test]
fn a_message_handed_to_a_receiver_that_died_is_in_the_queue() {
    let place = Place::new("handed");
    let engine = place.join();
    let queue = engine.msgget(IPC_PRIVATE, 0o600).unwrap();
    let hand_to_a_dying_receiver = |kind: i64| {
        // SAFETY: the child only calls the engine, and never returns.
        let child = unsafe {
            let child = libc::fork();
            if child == 0 {
                let _ = receive(&engine, queue, 0);
                libc::_exit(1);
            }
            child
        };
        let waits = || {
            let mut waits = false;
            engine.queue_waiters(queue, &mut |_| waits = true).unwrap();
            waits
        };
        while !waits() {
            std::thread::yield_now();
        }
        // SAFETY: our own child; the status is written.
        unsafe {
            let mut status = 0;
            libc::kill(child, libc::SIGSTOP);
            libc::waitpid(child, &raw mut status, libc::WUNTRACED);
            assert!(libc::WIFSTOPPED(status));
            send(&engine, queue, kind);
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, &raw mut status, 0);
            assert!(libc::WIFSIGNALED(status));
        }
    };
    hand_to_a_dying_receiver(7);
    assert_eq!(engine.msg_stat(queue, StatBy::Id).unwrap().1.qnum, 1);
    assert_eq!(receive(&engine, queue, IPC_NOWAIT), Ok(7));
    hand_to_a_dying_receiver(8);
    assert_eq!(receive(&engine, queue, MSG_COPY | IPC_NOWAIT), Ok(8));
    assert_eq!(receive(&engine, queue, IPC_NOWAIT), Ok(8));
}

/// Reading found it: `GETVAL` looks at a set, and once more under its lock. In between the set's file may say that there are
/// fewer semaphores, and the second look was at one that is not there any more.
#[test]
fn a_set_that_shrinks_between_two_looks_is_no_panic() {
    const IN_TABLE: u32 = 1 << 8;
    const IN_FILE: u32 = 0b11;
    const HELD: u32 = 1 << 19;
    let place = Place::new("shrinking");
    let engine = place.join();
    let id = engine.semget(IPC_PRIVATE, 4, 0o600).unwrap();
    let slot = LAYOUT.registries[1].slots.0;
    // Its records have a file, whose head counts only if the semaphores stand there too.
    let undo = Sembuf {
        num: 0,
        op: 1,
        flg: SEM_UNDO as i16,
    };
    engine.semop(id, &[undo], None).unwrap();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(format!("{}/sem/{id}", place.0))
        .unwrap();
    let sequence = id as u32 / 32768;
    // The owner and the number of semaphores.
    file.write_all_at(&(sequence + 1).to_le_bytes(), 4).unwrap();
    file.write_all_at(&1u32.to_le_bytes(), 100).unwrap();
    place.lie(slot + 256 + 3 * 16, sequence << 20 | HELD);
    let over = std::sync::atomic::AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                place.lie(slot + 128, IN_TABLE);
                place.lie(slot + 128, IN_FILE);
            }
        });
        let answers: Vec<_> = (0..20_000).map(|_| place.join().sem_ask(id, 3, Asked::Value)).collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        answers
    });
    for answer in answers {
        assert!(
            matches!(answer, Ok(0) | Err(Errno::EIDRM | Errno::EINVAL)),
            "{answer:?}"
        );
    }
}

/// A campaign found it: all threads of a process have one tag, and one that had slept once for a set's or a queue's lock which
/// another had took it over, as from a dead process. Messages were received twice.
#[test]
fn a_thread_waits_for_another_that_has_the_lock() {
    let place = Place::new("threads");
    let engine = place.join();
    let [set, queue] = set_and_queue(&engine);
    send(&engine, queue, 3);
    let tag = inspect::own_tag(&engine);
    let file = |name: String| {
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(format!("{}/{name}", place.0));
        file.unwrap()
    };
    let set_file = file(format!("sem/{set}"));
    let queue_file = file(format!("msg/{queue}"));
    let several = [0, 1].map(|num| Sembuf { num, op: 1, flg: 0 });
    let calls: [(&std::fs::File, usize, &(dyn Fn() + Sync)); 2] = [
        (&set_file, 0, &|| engine.semop(set, &several, None).unwrap()),
        (&queue_file, LAYOUT.queue_locks[0], &|| {
            receive(&engine, queue, IPC_NOWAIT).unwrap();
        }),
    ];
    for (file, lock, call) in calls {
        let say = |word: u32| file.write_all_at(&word.to_le_bytes(), lock as u64).unwrap();
        say(tag);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(call);
            std::thread::sleep(std::time::Duration::from_millis(300));
            assert!(!waiting.is_finished(), "the other thread has not given the lock back");
            say(0);
        });
    }
}

/// Reading found it: of removed segments that somebody still has, the sweep looked at sixty-four, always the same. What the dead
/// had behind them stayed.
#[test]
fn a_removed_segment_behind_many_in_use_is_swept() {
    let place = Place::new("behind");
    let engine = place.join();
    for _ in 0..70 {
        let id = engine.shmget(IPC_PRIVATE, 4096, 0o600).unwrap();
        attach(&engine, id);
        engine.shm_remove(id).unwrap();
    }
    // SAFETY: the child only calls the engine, which allocates nothing, and never returns.
    let child = unsafe {
        let child = libc::fork();
        if child == 0 {
            let done = engine.shmget(IPC_PRIVATE, 4096, 0o600).and_then(|id| {
                engine.shmat(id, 0, 0)?;
                engine.shm_remove(id)
            });
            libc::_exit(i32::from(done.is_err()))
        }
        child
    };
    let mut status = 0;
    // SAFETY: the status is written.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
    let files = || std::fs::read_dir(format!("{}/shm", place.0)).unwrap().count();
    // Some calls of anybody; somebody else may keep the dead process's memory for a moment.
    let swept = (0..500).any(|_| {
        engine.shmget(1, 0, 0).unwrap_err();
        engine.shm_usage().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(if files() == 70 { 0 } else { 10 }));
        files() == 70
    });
    assert!(swept, "{} files", files());
}
