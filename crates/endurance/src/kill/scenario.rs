//! The operations during which a process is killed, one instruction after the other.

#![allow(unsafe_code)]

mod queues;
mod segments;
mod semaphores;

use std::ffi::CString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL};
use sysv_engine::{Engine, Join, Segments};

use crate::board::Board;
use crate::inquest::attach;
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
    name: &'static str,
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
    /// In the operation, holding a lock.
    InLock,
    /// In the operation, about to sleep.
    Waiting,
    /// In the operation, awake again: it was given what it had waited for.
    Served,
}

/// Who waits for something during an operation.
#[derive(Clone, Copy)]
pub(crate) enum Waits {
    Nobody,
    /// A process that waits in this call from before the victim comes. It stands still until the victim is dead.
    Companion(fn(&Engine, &Board) -> sysv_engine::Result<()>),
    /// The victim; it is released once it is about to sleep.
    Victim,
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
    /// Whether the operation leaves everything as it was, if its process is dead afterwards.
    pub keeps: bool,
    /// What the survivor does first.
    pub prepare: fn(&Engine, &Board) -> sysv_engine::Result<()>,
    pub waits: Waits,
    /// Whether whoever waits may have to find out by itself, as it does several times in a second.
    pub naps: bool,
    /// What the survivor does so that whoever waits goes on.
    pub release: fn(&Engine, &Board) -> sysv_engine::Result<()>,
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
    keeps: false,
    prepare: |_, _| Ok(()),
    waits: Waits::Nobody,
    naps: false,
    release: |_, _| Ok(()),
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
        board.companion.store(0, SeqCst);
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

    /// What the survivor does first: it has a segment, attached once, and what the operation needs.
    pub(crate) fn survivor(&self, scenario: &Scenario, engine: &Engine) -> sysv_engine::Result<()> {
        let id = engine.shmget(KEY, LEN, IPC_CREAT | 0o600)?;
        self.board.ids[0].store(id, SeqCst);
        attach(engine, id)?;
        (scenario.prepare)(engine, self.board)
    }
}

impl<'s> Actor<'s> {
    pub(crate) fn new(stage: &'s Stage, scenario: &Scenario) -> Actor<'s> {
        Actor::ready(stage, scenario, scenario.ready)
    }

    fn ready(stage: &'s Stage, scenario: &Scenario, ready: fn(&mut Actor<'_>) -> sysv_engine::Result<()>) -> Actor<'s> {
        let mut actor = Actor {
            stage,
            name: scenario.name,
            engine: None,
            at: Vec::new(),
        };
        if let Err(errno) = ready(&mut actor) {
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

    /// Becomes a member, and the process that [`interrupts`] interrupts.
    fn expect_signal(&mut self) -> sysv_engine::Result<()> {
        extern "C" fn nothing(_: i32) {}
        // SAFETY: the handler touches nothing.
        unsafe { libc::signal(libc::SIGUSR1, nothing as *const () as usize) };
        self.stage.board.ids[6].store(std::process::id() as i32, SeqCst);
        self.join();
        Ok(())
    }

    /// Goes on as another program, which has joined anew when it is ready.
    fn execute(&self) -> sysv_engine::Result<()> {
        let stage = self.stage;
        let error = Command::new("/proc/self/exe")
            .arg(SUCCESSOR)
            .arg(self.name)
            .arg(stage.place.path())
            .args(stage.board.ids.iter().map(|id| id.load(SeqCst).to_string()))
            .exec();
        panic!("the harness cannot be executed: {error}");
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

/// Ends a traced process whose own calls fail; a panic's backtrace would take hours instruction by instruction.
fn give_up(what: &str, errno: sysv_engine::Errno) -> ! {
    eprintln!("{what}: {errno:?}");
    // SAFETY: nothing of the process is needed any more.
    unsafe { libc::_exit(1) }
}

/// The command of a process that [executes](Actor::execute) this program in the midst of a trial.
pub(crate) const SUCCESSOR: &str = "successor";

/// What it does then: the operation of a scenario, in the namespace in a directory, with the identifiers of its board.
pub(crate) fn succeed(mut args: impl Iterator<Item = String>) -> Option<std::convert::Infallible> {
    let (scenario, path) = (named(&args.next()?)?, args.next()?);
    let board = Board::new();
    for (id, arg) in board.ids.iter().zip(args) {
        id.store(arg.parse().ok()?, SeqCst);
    }
    // Its destructor, which would remove the directory, never runs: the process is killed.
    let place = Place::of_another(path.as_ref());
    let stage = Stage {
        directory: place.c_path(),
        place,
        board,
        how: Join::Existing,
    };
    super::trace::be_traced(|| Actor::ready(&stage, scenario, join), |actor| actor.act(scenario))
}

/// Every operation of the engine.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    let (segments, semaphores, queues) = (segments::ALL, semaphores::ALL, queues::ALL);
    segments.iter().chain(semaphores).chain(queues)
}

/// The scenario with a name.
pub(crate) fn named(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}

/// Interrupts the victim with a signal, a moment later: it is only about to sleep.
fn interrupts(_: &Engine, board: &Board) -> sysv_engine::Result<()> {
    let victim = board.ids[6].load(SeqCst);
    // SAFETY: no memory is involved.
    let victim = unsafe { libc::syscall(libc::SYS_pidfd_open, victim, 0) };
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(30));
        // SAFETY: no memory is involved; the descriptor is this thread's own.
        unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, victim, libc::SIGUSR1, 0, 0);
            libc::close(victim as i32);
        }
    });
    Ok(())
}

/// Does nothing but to become a member.
fn join(a: &mut Actor<'_>) -> sysv_engine::Result<()> {
    a.join();
    Ok(())
}
