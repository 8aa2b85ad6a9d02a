//! The operations during which a process is killed, one instruction after the other.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_RDONLY, SHM_REMAP};
use sysv_engine::{Engine, Join, Limit, PermChange, Segments, process};

use crate::board::Board;
use crate::inquest::{attach, detach};
use crate::place::Place;

/// The survivor's segment, and its key.
pub(crate) const KEY: i32 = 0x5a;
/// Keys of segments that the victim or its predecessor made.
const OTHER: i32 = 0x5b;
const THIRD: i32 = 0x5c;
const LEN: usize = 2 * 4096;

/// Where and among whom an operation happens.
pub(crate) struct Stage {
    pub place: Place,
    pub directory: CString,
    pub board: &'static Board,
    pub how: Join,
}

/// The process that will be killed.
pub(crate) struct Actor<'s> {
    stage: &'s Stage,
    engine: Option<Engine>,
    at: Vec<usize>,
}

/// Which process of a `fork` is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Actor,
    Child,
}

/// Where the victim's predecessor was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Died {
    /// Before the operation, with all that it had made ready.
    Before,
    /// In the operation, holding the segments' lock.
    InLock,
}

/// One operation.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub name: &'static str,
    pub how: Join,
    /// Whether the operation itself makes the namespace.
    pub fresh: bool,
    /// The user that everybody is, where the harness is root.
    pub user: Option<u32>,
    pub victim: Victim,
    /// Whether a process died before, at or in its own operation, so that the victim finds that too.
    pub predecessor: Option<(&'static str, Died)>,
    /// Left out of a quick run.
    pub takes_long: bool,
    pub ready: fn(&mut Actor<'_>) -> sysv_engine::Result<()>,
    pub act: fn(&mut Actor<'_>) -> sysv_engine::Result<()>,
}

const ORDINARY: Scenario = Scenario {
    name: "",
    how: Join::Create,
    fresh: false,
    user: None,
    victim: Victim::Actor,
    predecessor: None,
    takes_long: false,
    ready: |_| Ok(()),
    act: |_| Ok(()),
};

/// An ordinary user.
const NOBODY: u32 = 65534;

impl Stage {
    pub(crate) fn new(scenario: &Scenario) -> Stage {
        static BOARD: OnceLock<&'static Board> = OnceLock::new();
        let place = Place::new();
        // One after the other, so that one board does.
        let board = BOARD.get_or_init(Board::new);
        board.ids.iter().for_each(|id| id.store(0, SeqCst));
        Stage {
            directory: place.c_path(),
            place,
            board,
            how: scenario.how,
        }
    }

    pub(crate) fn join(&self) -> Engine {
        match Engine::join(&self.directory, self.how) {
            Ok(engine) => engine,
            Err(error) => panic!("{}", error.describe(&self.directory)),
        }
    }

    /// What the survivor does first: it has a segment, attached once.
    pub(crate) fn survivor(&self, engine: &Engine) -> sysv_engine::Result<()> {
        let id = engine.shmget(KEY, LEN, IPC_CREAT | 0o600)?;
        self.board.ids[0].store(id, SeqCst);
        attach(engine, id).map(drop)
    }
}

impl<'s> Actor<'s> {
    pub(crate) fn new(stage: &'s Stage, scenario: &Scenario) -> Actor<'s> {
        let mut actor = Actor {
            stage,
            engine: None,
            at: Vec::new(),
        };
        if let Err(errno) = (scenario.ready)(&mut actor) {
            give_up(scenario.name, errno);
        }
        actor
    }

    pub(crate) fn act(mut self, scenario: &Scenario) -> Actor<'s> {
        if let Err(errno) = (scenario.act)(&mut self) {
            give_up(scenario.name, errno);
        }
        self
    }

    fn join(&mut self) -> Engine {
        self.engine.get_or_insert_with(|| self.stage.join()).clone()
    }

    /// The survivor's segment.
    fn segment(&self) -> i32 {
        self.stage.board.ids[0].load(SeqCst)
    }

    /// A segment of the actor's own.
    fn own(&mut self, mode: i32) -> sysv_engine::Result<i32> {
        let id = self.join().shmget(OTHER, LEN, IPC_CREAT | IPC_EXCL | mode)?;
        self.stage.board.ids[1].store(id, SeqCst);
        Ok(id)
    }

    fn attach(&mut self, id: i32) -> sysv_engine::Result<()> {
        let at = attach(&self.join(), id)?;
        self.at.push(at);
        Ok(())
    }

    fn attach_at(&mut self, id: i32, at: usize, flags: i32) -> sysv_engine::Result<()> {
        // SAFETY: SHM_REMAP is only used on what `hole` reserved.
        let at = unsafe { self.join().shmat(id, at, flags)? };
        self.at.push(at as usize);
        Ok(())
    }

    /// Addresses where nothing of the program's is; still mapped if `keep`.
    fn hole(keep: bool) -> usize {
        // SAFETY: a new mapping, and nobody uses it.
        unsafe {
            let at = libc::mmap(
                std::ptr::null_mut(),
                LEN,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if !keep {
                libc::munmap(at, LEN);
            }
            at as usize
        }
    }

    fn fork(&mut self) {
        // SAFETY: the traced process has one thread.
        if unsafe { libc::fork() } == 0 {
            super::trace::stop_here();
            loop {
                std::thread::park();
            }
        }
    }
}

/// Every operation of the engine.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "create-namespace",
        takes_long: true,
        fresh: true,
        act: |a| {
            a.join();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "create-shared-namespace",
        takes_long: true,
        how: Join::CreateShared,
        fresh: true,
        act: |a| {
            a.join();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "enrol",
        act: |a| {
            a.join();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "enrol-among-the-dead",
        takes_long: true,
        predecessor: Some(("shmdt", Died::Before)),
        act: |a| {
            a.join();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "leave",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| {
            a.engine = None;
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "exit",
        ready: |a| a.attach(a.segment()),
        act: |_| {
            process::exiting();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "shmget-create",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.own(0o600).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "shmget-create-shared",
        how: Join::CreateShared,
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.own(0o640).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "shmget-private",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.join().shmget(IPC_PRIVATE, LEN, 0o600).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "shmget-existing",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.join().shmget(KEY, 0, 0).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-first",
        ready: |a| a.own(0o600).map(drop),
        act: |a| a.attach(a.stage.board.ids[1].load(SeqCst)),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-first-read-only",
        user: Some(NOBODY),
        ready: |a| a.own(0o400).map(drop),
        act: |a| a.attach_at(a.stage.board.ids[1].load(SeqCst), 0, SHM_RDONLY),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-another's",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.attach(a.segment()),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-again",
        ready: |a| a.attach(a.segment()),
        act: |a| a.attach(a.segment()),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-duplicate",
        ready: |a| {
            a.attach(a.segment())?;
            a.attach(a.segment())
        },
        act: |a| a.attach(a.segment()),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-exact",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.attach_at(a.segment(), Actor::hole(false), 0),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-remap",
        ready: |a| a.attach(a.segment()),
        act: |a| a.attach_at(a.segment(), a.at[0], SHM_REMAP),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-read-only",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.attach_at(a.segment(), Actor::hole(true), SHM_RDONLY | SHM_REMAP),
        ..ORDINARY
    },
    Scenario {
        name: "shmdt",
        ready: |a| a.attach(a.segment()),
        act: |a| detach(&a.join(), a.at[0]),
        ..ORDINARY
    },
    Scenario {
        name: "shmdt-last-of-doomed",
        ready: |a| {
            let id = a.own(0o600)?;
            a.attach(id)?;
            a.join().shm_remove(id)
        },
        act: |a| detach(&a.join(), a.at[0]),
        ..ORDINARY
    },
    Scenario {
        name: "munmap-middle",
        ready: |a| {
            let id = a.join().shmget(THIRD, 4 * 4096, IPC_CREAT | 0o600)?;
            a.attach(id)
        },
        // SAFETY: nobody uses the attachment's memory.
        act: |a| unsafe { process::munmap(a.at[0] + 4096, 4096) },
        ..ORDINARY
    },
    Scenario {
        name: "mremap",
        ready: |a| a.attach(a.segment()),
        // SAFETY: nobody uses the attachment's memory.
        act: |a| unsafe {
            process::mremap(
                a.at[0],
                LEN,
                LEN,
                libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                Actor::hole(true),
            )
            .map(drop)
        },
        ..ORDINARY
    },
    Scenario {
        name: "ipc-stat",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.join().shm_stat(a.segment(), sysv_engine::StatBy::Id).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-set",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| set(a, 0o640, None),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-set-owner-shared",
        how: Join::CreateShared,
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| set(a, 0o666, crate::process::is_root().then_some(NOBODY)),
        ..ORDINARY
    },
    Scenario {
        name: "shm-lock",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.join().shm_lock(a.segment(), true),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-rmid",
        ready: |a| {
            let id = a.own(0o600)?;
            a.attach(id)?;
            detach(&a.join(), a.at[0])
        },
        act: |a| a.join().shm_remove(a.stage.board.ids[1].load(SeqCst)),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-rmid-shared",
        how: Join::CreateShared,
        ready: |a| a.own(0o600).map(drop),
        act: |a| a.join().shm_remove(a.stage.board.ids[1].load(SeqCst)),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-rmid-doomed",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.join().shm_remove(a.segment()),
        ..ORDINARY
    },
    Scenario {
        name: "fork",
        ready: |a| a.attach(a.segment()),
        act: |a| {
            a.fork();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "fork-child",
        victim: Victim::Child,
        ready: |a| a.attach(a.segment()),
        act: |a| {
            a.fork();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "set-limit",
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| {
            let mut limits = a.join().limits();
            limits.set(Limit::Shmmni, &[100])?;
            a.join().set_limits(&limits)
        },
        ..ORDINARY
    },
    Scenario {
        name: "sweep",
        takes_long: true,
        predecessor: Some(("shmdt-last-of-doomed", Died::Before)),
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.join().sweep(),
        ..ORDINARY
    },
    RECOVERY_OF[0],
    RECOVERY_OF[1],
    RECOVERY_OF[2],
    RECOVERY_OF[3],
    RECOVERY_OF[4],
];

/// The next call after a process died holding the lock: takeover and recovery, which are killed in their turn.
const RECOVERY_OF: [Scenario; 5] = [
    recovery(
        "recovery-after-create",
        "shmget-create-shared",
        Join::CreateShared,
        true,
    ),
    recovery("recovery-after-set", "ipc-set", Join::Create, false),
    recovery("recovery-after-remove", "ipc-rmid", Join::Create, true),
    recovery("recovery-after-attach", "shmat-again", Join::Create, true),
    recovery("recovery-after-last-detach", "shmdt-last-of-doomed", Join::Create, true),
];

const fn recovery(name: &'static str, of: &'static str, how: Join, takes_long: bool) -> Scenario {
    Scenario {
        name,
        how,
        predecessor: Some((of, Died::InLock)),
        takes_long,
        ready: |a| {
            a.join();
            Ok(())
        },
        act: |a| a.join().sweep(),
        ..ORDINARY
    }
}

/// Ends a traced process whose own calls fail; a panic's backtrace would take hours instruction by instruction.
fn give_up(what: &str, errno: sysv_engine::Errno) -> ! {
    eprintln!("{what}: {errno:?}");
    // SAFETY: nothing of the process is needed any more.
    unsafe { libc::_exit(1) }
}

/// The scenario with a name.
pub(crate) fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

fn set(a: &mut Actor<'_>, mode: u16, uid: Option<u32>) -> sysv_engine::Result<()> {
    let me = crate::process::effective_ids();
    let change = PermChange {
        uid: uid.unwrap_or(me.0),
        gid: me.1,
        mode: mode.into(),
    };
    a.join().shm_set(a.segment(), change)
}
