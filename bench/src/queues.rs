//! Message queues: `msgsnd` and `msgrcv` in one process, in turns, and as a stream; beside a pipe, a Unix socket and a POSIX
//! message queue.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Instant;

use sysv_engine::abi::{IPC_NOWAIT, IPC_PRIVATE};
use sysv_engine::{Engine, Kernel, Queues};

use crate::measure::{in_turns, line};

/// The longest message here, in words.
const WORDS: usize = 1 + (1 << 20) / 8;

/// A queue that is removed at the end.
struct Queue<'f> {
    facility: &'f dyn Queues,
    id: i32,
}

impl<'f> Queue<'f> {
    fn new(facility: &'f dyn Queues) -> Queue<'f> {
        let id = facility.msgget(IPC_PRIVATE, 0o600).expect("msgget");
        Queue { facility, id }
    }

    fn send(&self, message: &mut [u64], kind: u64, len: usize, flags: i32) {
        message[0] = kind;
        assert!(len <= size_of_val(message) - 8);
        // SAFETY: nobody else writes to the message.
        unsafe { self.facility.msgsnd(self.id, message.as_ptr() as usize, len, flags) }.expect("msgsnd");
    }

    fn receive(&self, message: &mut [u64], kind: i64, len: usize, flags: i32) {
        assert!(len <= size_of_val(message) - 8);
        let address = message.as_mut_ptr() as usize;
        // SAFETY: the buffer has room.
        unsafe { self.facility.msgrcv(self.id, address, len, kind, flags) }.expect("msgrcv");
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        let _ = self.facility.msg_remove(self.id);
    }
}

/// One operation, made ready on a facility.
type Prepared<'f> = Box<dyn FnMut() + 'f>;

/// Measures what has `filter` in its name.
pub(crate) fn run(kernel: &Kernel, engine: &Engine, filter: &str) {
    in_one_process(kernel, engine, filter);
    copying(engine, filter);
    between_processes(kernel, engine, filter);
}

fn in_one_process(kernel: &Kernel, engine: &Engine, filter: &str) {
    let each = |name: &str, count: u32, prepare: &dyn Fn(&'_ dyn Queues) -> Prepared<'_>| {
        let name = format!("queues: {name}");
        if name.contains(filter) {
            line(&name, in_turns(count, &mut *prepare(kernel), &mut *prepare(engine)));
        }
    };
    for len in [8, 64, 8192] {
        each(&format!("msgsnd + msgrcv, {len} bytes"), 5000, &|facility| {
            let (queue, mut message) = (Queue::new(facility), vec![0; 1 + len / 8]);
            Box::new(move || {
                queue.send(&mut message, 1, len, IPC_NOWAIT);
                queue.receive(&mut message, 0, len, IPC_NOWAIT);
            })
        });
    }
    each("msgrcv by type among sixty, + msgsnd", 5000, &|facility| {
        let (queue, mut message, mut turn) = (Queue::new(facility), vec![0; 9], 0);
        for kind in 1..=60 {
            queue.send(&mut message, kind, 64, IPC_NOWAIT);
        }
        Box::new(move || {
            turn += 7;
            let kind = 1 + turn % 60;
            queue.receive(&mut message, kind as i64, 64, IPC_NOWAIT);
            queue.send(&mut message, kind, 64, IPC_NOWAIT);
        })
    });
    each("msgget + IPC_RMID", 500, &|facility| {
        Box::new(move || drop(Queue::new(facility)))
    });
}

/// A megabyte through a queue beside the same megabyte copied twice.
fn copying(engine: &Engine, filter: &str) {
    const LEN: usize = 1 << 20;
    let name = "queues: 1 MiB, beside two copies of it";
    if !name.contains(filter) {
        return;
    }
    let before = engine.limits();
    let mut limits = before;
    limits.msgmax = LEN as u64;
    limits.msgmnb = 2 * LEN as u64;
    engine.set_limits(&limits).expect("our own namespace's limits");
    let (queue, mut message) = (Queue::new(engine), vec![0; WORDS]);
    let (from, mut to) = (vec![1u8; LEN], vec![0u8; LEN]);
    let mut copies = || {
        for _ in 0..2 {
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&mut to);
        }
    };
    let mut pair = || {
        queue.send(&mut message, 1, LEN, IPC_NOWAIT);
        queue.receive(&mut message, 0, LEN, IPC_NOWAIT);
    };
    line(name, in_turns(20, &mut copies, &mut pair));
    engine.set_limits(&before).expect("our own namespace's limits");
}

/// Something that two processes send fixed-size messages through.
trait Way {
    fn send(&self, message: &mut [u64; 9]);
    fn receive(&self, message: &mut [u64; 9]);
}

impl Way for Queue<'_> {
    fn send(&self, message: &mut [u64; 9]) {
        Queue::send(self, message, 1, 64, 0);
    }
    fn receive(&self, message: &mut [u64; 9]) {
        Queue::receive(self, message, 0, 64, 0);
    }
}

/// Both ends of a pipe, of a pair of sockets, or a POSIX message queue twice.
struct Descriptors {
    read: OwnedFd,
    write: OwnedFd,
    posix: bool,
}

impl Descriptors {
    fn pipe() -> Descriptors {
        let mut fds = [0; 2];
        // SAFETY: room for two descriptors, which are then ours.
        unsafe {
            assert_eq!(libc::pipe(fds.as_mut_ptr()), 0);
            Descriptors {
                read: OwnedFd::from_raw_fd(fds[0]),
                write: OwnedFd::from_raw_fd(fds[1]),
                posix: false,
            }
        }
    }

    fn sockets() -> Descriptors {
        let mut fds = [0; 2];
        // SAFETY: as above.
        unsafe {
            assert_eq!(
                libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, fds.as_mut_ptr()),
                0
            );
            Descriptors {
                read: OwnedFd::from_raw_fd(fds[0]),
                write: OwnedFd::from_raw_fd(fds[1]),
                posix: false,
            }
        }
    }

    /// `None` where the system has none.
    fn posix() -> Option<Descriptors> {
        let name = std::ffi::CString::new(format!("/sysv-bench-{}", std::process::id())).expect("no NUL");
        // SAFETY: a terminated name and zeroed attributes, of which two are set; the descriptors are then ours.
        unsafe {
            let mut attributes: libc::mq_attr = std::mem::zeroed();
            attributes.mq_maxmsg = 10;
            attributes.mq_msgsize = 64;
            let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
            let fd = libc::mq_open(name.as_ptr(), flags, 0o600, &raw mut attributes);
            libc::mq_unlink(name.as_ptr());
            if fd < 0 {
                return None;
            }
            let again = libc::dup(fd);
            Some(Descriptors {
                read: OwnedFd::from_raw_fd(fd),
                write: OwnedFd::from_raw_fd(again),
                posix: true,
            })
        }
    }
}

impl Way for Descriptors {
    fn send(&self, message: &mut [u64; 9]) {
        let (fd, bytes) = (self.write.as_raw_fd(), message.as_ptr());
        // SAFETY: 64 bytes of the message.
        let sent = unsafe {
            if self.posix {
                libc::mq_send(fd, bytes.cast(), 64, 0) == 0
            } else {
                libc::write(fd, bytes.cast(), 64) == 64
            }
        };
        assert!(sent, "sending: {}", std::io::Error::last_os_error());
    }

    fn receive(&self, message: &mut [u64; 9]) {
        let (fd, bytes) = (self.read.as_raw_fd(), message.as_mut_ptr());
        // SAFETY: room for 64 bytes.
        let received = unsafe {
            if self.posix {
                libc::mq_receive(fd, bytes.cast(), 64, std::ptr::null_mut())
            } else {
                libc::read(fd, bytes.cast(), 64)
            }
        };
        assert_eq!(received, 64, "receiving: {}", std::io::Error::last_os_error());
    }
}

/// Forks a child that does `work` and ends.
fn child(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this program has one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        work();
        // SAFETY: always allowed.
        unsafe { libc::_exit(0) };
    }
    pid
}

fn wait_for(children: impl IntoIterator<Item = libc::pid_t>) {
    for pid in children {
        let mut status = 0;
        // SAFETY: our own child, and `status` is valid.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert_eq!(status, 0, "a child failed");
    }
}

/// Nanoseconds for one turn: there and back are two.
fn turns(there: &dyn Way, back: &dyn Way) -> f64 {
    const TURNS: u32 = 10_000;
    let other = child(|| {
        let mut message = [0; 9];
        for _ in 0..TURNS {
            there.receive(&mut message);
            back.send(&mut message);
        }
    });
    let mut message = [0; 9];
    let start = Instant::now();
    for _ in 0..TURNS {
        there.send(&mut message);
        back.receive(&mut message);
    }
    let time = start.elapsed().as_nanos() as f64 / f64::from(2 * TURNS);
    wait_for([other]);
    time
}

/// Nanoseconds for one message of a stream from `each` senders to as many receivers.
fn stream(way: &dyn Way, each: u32) -> f64 {
    const MESSAGES: u32 = 100_000;
    let start = Instant::now();
    let children: Vec<libc::pid_t> = (0..2 * each)
        .map(|n| {
            child(|| {
                let mut message = [0; 9];
                for _ in 0..MESSAGES / each {
                    if n % 2 == 0 {
                        way.send(&mut message);
                    } else {
                        way.receive(&mut message);
                    }
                }
            })
        })
        .collect();
    wait_for(children);
    start.elapsed().as_nanos() as f64 / f64::from(MESSAGES)
}

/// The least of a few runs.
fn least(mut run: impl FnMut() -> f64) -> f64 {
    (0..5).map(|_| run()).fold(f64::MAX, f64::min)
}

fn between_processes(kernel: &Kernel, engine: &Engine, filter: &str) {
    let subject = |name: &str, of_ours: f64, of_kernels: f64| {
        println!(
            "{name:<44} {of_kernels:>10.1} {of_ours:>10.1} {:>8.3}",
            of_ours / of_kernels
        );
    };
    let rival = |name: &str, time: f64| println!("{name:<44} {time:>10.1}");
    let name = "queues: a turn between two processes";
    if name.contains(filter) {
        let of = |facility| {
            let (there, back) = (Queue::new(facility), Queue::new(facility));
            least(|| turns(&there, &back))
        };
        subject(name, of(engine), of(kernel));
        rival("  pipe", least(|| turns(&Descriptors::pipe(), &Descriptors::pipe())));
        rival(
            "  Unix socket",
            least(|| turns(&Descriptors::sockets(), &Descriptors::sockets())),
        );
        if let (Some(there), Some(back)) = (Descriptors::posix(), Descriptors::posix()) {
            rival("  POSIX message queue", least(|| turns(&there, &back)));
        }
    }
    for each in [1, 4] {
        let name = format!("queues: 64 bytes, {each} sender(s), {each} receiver(s)");
        if name.contains(filter) {
            let of = |facility| {
                let queue = Queue::new(facility);
                least(|| stream(&queue, each))
            };
            subject(&name, of(engine), of(kernel));
            rival("  pipe", least(|| stream(&Descriptors::pipe(), each)));
            rival("  Unix socket", least(|| stream(&Descriptors::sockets(), each)));
            if let Some(queue) = Descriptors::posix() {
                rival("  POSIX message queue", least(|| stream(&queue, each)));
            }
        }
    }
}
