//! A program of its own: what comes after `execve`, with nothing inherited but a channel.
//!
//! [`Program`] is the test's side; [`serve`] is the whole of the program `conformance-peer`.

#![allow(unsafe_code)]

use std::ffi::{CString, OsString, c_char};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use sysv_engine::abi::{IPC_CREAT, IPC_PRIVATE, Sembuf, ShmidDs};
use sysv_engine::{Errno, Segments, StatBy};

use crate::channel::Channel;
use crate::child::Child;
use crate::differential;
use crate::process::{self, exit_at_once};
use crate::semaphores::Sets;
use crate::subject::Subject;
use crate::trial;
use crate::wire::Wire;

/// The program's file, opened early, so that a process can execute it that could no longer find it.
pub struct Executable(File);

impl Executable {
    /// Opens it.
    pub fn open(path: impl AsRef<Path>) -> Executable {
        let path = path.as_ref();
        Executable(File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// A file that an earlier program of this process left open.
    ///
    /// # Safety
    /// The descriptor must be the caller's to give away.
    pub(crate) unsafe fn from_descriptor(fd: i32) -> Executable {
        // SAFETY: the caller's promise.
        Executable(unsafe { File::from_raw_fd(fd) })
    }

    /// Lets the file stay open when it is executed.
    pub(crate) fn keep_open(&self) {
        process::keep_open(&self.0);
    }

    /// Replaces this process by the program, which then speaks over `channel`.
    pub fn run(&self, subject: &Subject, channel: &Channel) -> ! {
        let mut arguments = subject.address().to_vec();
        arguments.push(CString::new(channel.as_raw_fd().to_string()).expect("digits"));
        process::keep_open(channel);
        self.execute(&arguments)
    }

    /// As [`run`](Executable::run), by way of a shell that knows nothing of the facility.
    pub fn run_through_shell(&self, subject: &Subject, channel: &Channel) -> ! {
        self.keep_open();
        process::keep_open(channel);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "exec \"$0\" \"$@\""]);
        shell.arg(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        shell.args(subject.address().map(|part| OsString::from_vec(part.into_bytes())));
        let error = shell.arg(channel.as_raw_fd().to_string()).exec();
        trial::note(&format!("sh: {error}"));
        exit_at_once(127)
    }

    /// Replaces this process by the program with these arguments.
    pub(crate) fn execute(&self, arguments: &[CString]) -> ! {
        let mut argv = vec![c"conformance-peer".as_ptr()];
        argv.extend(arguments.iter().map(|argument| argument.as_ptr()));
        argv.push(std::ptr::null());
        let environment = [std::ptr::null::<c_char>()];
        // SAFETY: `argv` is a null-terminated array of strings that live until the call; the empty path names
        // the open file.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                argv.as_ptr(),
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        trial::note(&format!("execveat: {}", std::io::Error::last_os_error()));
        exit_at_once(127)
    }
}

impl AsRawFd for Executable {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// What the program can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Request {
    Create,
    Attach,
    Detach,
    Load,
    Store,
    Stat,
    Operate,
    Return,
}

const REQUESTS: [Request; 8] = [
    Request::Create,
    Request::Attach,
    Request::Detach,
    Request::Load,
    Request::Store,
    Request::Stat,
    Request::Operate,
    Request::Return,
];

/// A running program, killed on drop.
pub struct Program(Child);

impl Program {
    /// A child that first runs `before` and then becomes the program.
    pub fn start(subject: &Subject, executable: &Executable, before: impl FnOnce()) -> Program {
        let mut program = Program(Child::fork(|channel| {
            before();
            executable.run(subject, channel)
        }));
        program.await_start();
        program
    }

    /// A program that `child` is about to become.
    pub fn in_place_of(child: Child) -> Program {
        let mut program = Program(child);
        program.await_start();
        program
    }

    fn await_start(&mut self) {
        self.0.arrived();
    }

    fn ask<T: Wire>(&mut self, request: Request, argument: usize) -> T {
        self.0.send(&(request as u8, argument));
        self.0.receive()
    }

    /// `shmget(IPC_PRIVATE, size, mode 0600)`.
    pub fn create(&mut self, size: usize) -> Result<i32, Errno> {
        self.ask(Request::Create, size)
    }

    /// `shmat` for reading and writing where the system chooses.
    pub fn attach(&mut self, id: i32) -> Result<usize, Errno> {
        self.ask(Request::Attach, id as usize)
    }

    /// `shmdt`.
    pub fn detach(&mut self, address: usize) -> Result<(), Errno> {
        self.ask(Request::Detach, address)
    }

    /// The byte at an attached address.
    pub fn load(&mut self, address: usize) -> u8 {
        self.ask(Request::Load, address)
    }

    /// Stores 1 at an attached address.
    pub fn store(&mut self, address: usize) {
        self.ask(Request::Store, address)
    }

    /// `IPC_STAT`.
    pub fn stat(&mut self, id: i32) -> Result<ShmidDs, Errno> {
        self.ask(Request::Stat, id as usize)
    }

    /// `semop` with one operation.
    pub fn operate(&mut self, id: i32, operation: Sembuf) -> Result<(), Errno> {
        self.0.send(&(Request::Operate as u8, id as usize));
        self.0.send(&(operation.num, operation.op, operation.flg));
        self.0.receive()
    }

    /// Lets the program return from `main`.
    pub fn finish(mut self) {
        self.ask::<()>(Request::Return, 0);
        self.0.finish();
    }

    /// The process.
    pub fn process(&mut self) -> &mut Child {
        &mut self.0
    }
}

/// The program itself: joins what its arguments name, and does as it is told over the channel.
pub fn serve() {
    let arguments: Vec<CString> = std::env::args()
        .skip(1)
        .map(|argument| CString::new(argument).expect("no NUL in an argument"))
        .collect();
    let (address, fd) = match arguments.as_slice() {
        [role, rest @ ..] if role.as_c_str() == c"worker" => differential::serve_as_worker(rest),
        [address @ .., fd] => (address, fd),
        [] => panic!("the conformance suite starts this program with arguments of its own"),
    };
    let subject = Subject::at(address);
    let fd = fd
        .to_str()
        .ok()
        .and_then(|fd| fd.parse().ok())
        .expect("a descriptor's number");
    // SAFETY: the descriptor was left open for this program alone.
    let mut test = Channel::over(unsafe { UnixStream::from_raw_fd(fd) });
    test.send(&());
    while let Some((request, argument)) = test.try_receive::<(u8, usize)>() {
        let request = REQUESTS[usize::from(request)];
        match request {
            Request::Create => test.send(&subject.shmget(IPC_PRIVATE, argument, IPC_CREAT | 0o600)),
            // SAFETY: nothing is replaced without SHM_REMAP.
            Request::Attach => test.send(&unsafe { subject.shmat(argument as i32, 0, 0) }.map(|at| at as usize)),
            Request::Detach => test.send(&subject.detach_at(argument)),
            // SAFETY: the test names an address that it attached here.
            Request::Load => test.send(&unsafe { (argument as *const u8).read_volatile() }),
            // SAFETY: as above.
            Request::Store => test.send(&unsafe { (argument as *mut u8).write_volatile(1) }),
            Request::Stat => test.send(&subject.shm_stat(argument as i32, StatBy::Id).map(|(_, ds)| ds)),
            Request::Operate => {
                let (num, op, flg) = test.receive();
                test.send(&Sets::of(&subject).semop(argument as i32, &[Sembuf { num, op, flg }], None));
            }
            Request::Return => return test.send(&()),
        }
    }
}
