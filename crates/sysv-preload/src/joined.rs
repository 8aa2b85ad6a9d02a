//! The namespace, joined at the first System V call.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use sysv_engine::{Engine, Errno, Join, JoinError, PathBuf, Result, namespace, process, signals};

use crate::environment;
use crate::raw::{self, SignalsBlocked, syscall};

/// | value | meaning | who changes it |
/// |---|---|---|
/// | `UNASKED` | no System V call yet, or one that may succeed if it is made again | the next caller |
/// | `JOINED` | `OUTCOME.engine` is valid, for ever | nobody |
/// | `REFUSED` + errno | no namespace, for ever | nobody |
/// | `JOINING` + process id | a thread of that process is at it | that thread; any thread of a forked child, which does not have it |
static STATE: AtomicU32 = AtomicU32::new(UNASKED);
const UNASKED: u32 = 0;
const JOINED: u32 = 1;
const REFUSED: u32 = 0x4000_0000;
const JOINING: u32 = 0x8000_0000;

struct Outcome {
    engine: UnsafeCell<MaybeUninit<Engine>>,
}

// SAFETY: written by the one thread that holds `JOINING`, and read only after `JOINED` was stored.
unsafe impl Sync for Outcome {}

static OUTCOME: Outcome = Outcome {
    engine: UnsafeCell::new(MaybeUninit::uninit()),
};

/// The facility behind the calls; the first caller joins the namespace.
///
/// # Errors
/// What the namespace's refusal means to a C program; the reason has been written to standard error.
#[inline]
pub(crate) fn facility() -> Result<&'static Engine> {
    if is_joined() { Ok(engine()) } else { join() }
}

/// Whether there is anything that the program could have done behind the facility's back.
#[inline]
pub(crate) fn is_joined() -> bool {
    STATE.load(Acquire) == JOINED
}

fn engine() -> &'static Engine {
    // SAFETY: the callers have seen `JOINED`, so it is written and never changes again.
    unsafe { (*OUTCOME.engine.get()).assume_init_ref() }
}

#[cold]
fn join() -> Result<&'static Engine> {
    // A handler that makes a System V call would wait for the thread that it interrupted.
    let _blocked = SignalsBlocked::now();
    let mine = JOINING | raw::getpid();
    let mut expected = UNASKED;
    while let Err(found) = STATE.compare_exchange(expected, mine, Acquire, Acquire) {
        match found {
            JOINED => return Ok(engine()),
            found if found & JOINING == 0 && found & REFUSED != 0 => {
                return Err(Errno::from_raw((found & !REFUSED) as i32));
            }
            found if found == mine => {
                wait(found);
                expected = UNASKED;
            }
            // Copied by a fork from a process whose thread was at it.
            found => expected = found,
        }
    }
    let joined = join_named().map(|engine| {
        // SAFETY: this thread holds `JOINING`.
        unsafe { (*OUTCOME.engine.get()).write(engine) };
        announce();
    });
    let state = match joined {
        Ok(()) => JOINED,
        // What may have passed by the next call: it asks again.
        Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOSPC) => UNASKED,
        Err(errno) => REFUSED | errno.raw() as u32,
    };
    STATE.store(state, Release);
    // SAFETY: the kernel only looks the address up.
    let _ = unsafe {
        syscall!(
            SYS_futex,
            STATE.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            i32::MAX
        )
    };
    joined.map(|()| engine())
}

/// Tells the engine what it may rely on, since everything of the kind is interposed here.
fn announce() {
    signals::take_all();
    if cfg!(feature = "interpose") {
        process::credential_changes_will_be_announced();
    }
}

fn wait(joining: u32) {
    // SAFETY: the kernel reads the word. Without a timeout: the thread that is at it lives in this process.
    let _ = unsafe {
        syscall!(
            SYS_futex,
            STATE.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            joining,
            0
        )
    };
}

/// Joins the namespace that the program was told to use, or the default.
fn join_named() -> Result<Engine> {
    let (directory, how) = match environment::namespace() {
        Ok(Some(directory)) => (directory, Join::Create),
        Ok(None) => default()?,
        Err(_) => {
            raw::complain(format_args!(
                "SYSV_NAMESPACE is longer than a file name may be; name another directory"
            ));
            return Err(Errno::ENOSYS);
        }
    };
    Engine::join(directory.as_c_str(), how).map_err(|error| refuse(&error, directory.as_c_str()))
}

fn default() -> Result<(PathBuf, Join)> {
    // SAFETY: no argument.
    let root = unsafe { syscall!(SYS_geteuid) } == Ok(0);
    // Root's programs drop their privileges and must go on being served.
    let how = if root { Join::CreateShared } else { Join::Create };
    match namespace::default_directory() {
        Ok(directory) => Ok((directory, how)),
        Err(error) => Err(refuse(&error, c"/dev/shm/sysv-0")),
    }
}

fn refuse(error: &JoinError, directory: &CStr) -> Errno {
    /// One line for a process, however often it asks again.
    static SAID: AtomicU32 = AtomicU32::new(0);
    if SAID.swap(1, Relaxed) == 0 {
        raw::complain(format_args!("{}", error.describe(directory)));
    }
    error.errno()
}
