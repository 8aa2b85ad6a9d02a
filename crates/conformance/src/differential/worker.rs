//! A worker: does one call at a time on both sides, in a process that can fork, execute, exit and be killed.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use sysv_engine::abi::{PAGE_SIZE, ShmidDs};
use sysv_engine::{Errno, PermChange, Segments, StatBy};

use super::action::Action;
use super::generate::{GROUPS, OWNERS, USERS};
use crate::channel::Channel;
use crate::child::By;
use crate::memory::{page_up, peek, poke};
use crate::process;
use crate::program::Executable;
use crate::subject::Subject;
use crate::wire::Wire;

/// Pages of the window: address space that a worker knows on each side, so that an attachment at an exact address
/// is in the same place in it.
pub(crate) const WINDOW_PAGES: usize = 16;

/// Where the window is on each side, far from where the system puts anything.
const WINDOWS: [usize; 2] = [0x2000_0000_0000, 0x3000_0000_0000];

/// Workers that there can be at a time.
pub(crate) const SLOTS: usize = 6;

/// A call as the driver sends it: the action, what its numbers stand for on each side, and the size of its
/// segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) action: Action,
    pub(crate) ids: [i32; 2],
    pub(crate) keys: [i32; 2],
    pub(crate) size: usize,
    /// For `fork`: the slot of the new worker.
    pub(crate) slot: usize,
}

impl Wire for Call {
    fn put(&self, out: &mut Vec<u8>) {
        self.action.put(out);
        self.ids.iter().chain(&self.keys).for_each(|number| number.put(out));
        self.size.put(out);
        self.slot.put(out);
    }
    fn take(input: &mut &[u8]) -> Self {
        Call {
            action: Action::take(input),
            ids: [i32::take(input), i32::take(input)],
            keys: [i32::take(input), i32::take(input)],
            size: usize::take(input),
            slot: usize::take(input),
        }
    }
}

/// What a call came to on one side: its numbers, and the structure if it gave one.
pub(crate) type Outcome = Result<(Vec<u64>, Option<ShmidDs>), Errno>;

/// What a worker answers: both outcomes, and how the memory that it sees differs, if it does.
pub(crate) type Reply = (Outcome, Outcome, Option<String>);

/// A worker's state. A forked worker has a copy of it.
pub(crate) struct Worker {
    subjects: Rc<[Subject; 2]>,
    /// Every slot's end for its worker.
    channels: Vec<Channel>,
    slot: usize,
    executable: Option<Executable>,
    /// Attachments that the system placed: where on each side, and how long.
    held: Vec<([usize; 2], usize)>,
}

impl Worker {
    /// A worker with nothing attached.
    pub(crate) fn new(
        subjects: Rc<[Subject; 2]>,
        channels: Vec<Channel>,
        slot: usize,
        executable: Option<Executable>,
    ) -> Worker {
        Worker {
            subjects,
            channels,
            slot,
            executable,
            held: Vec::new(),
        }
    }

    /// Announces itself to the driver and does as it is told until the driver is gone.
    pub(crate) fn serve(mut self) -> ! {
        self.announce();
        while let Some(call) = self.channels[self.slot].try_receive::<Call>() {
            let [left, right] = match call.action {
                Action::Fork { bare } => {
                    let by = if bare == 1 { By::BareFork } else { By::Fork };
                    if by.fork() == 0 {
                        self.slot = call.slot;
                        self.announce();
                        continue;
                    }
                    [const { Ok((Vec::new(), None)) }; 2]
                }
                Action::Exec {} => self.execute(),
                Action::Exit { orderly: 1 } => process::exit_in_order(),
                Action::Exit { .. } => process::exit_at_once(0),
                Action::Become { user } => {
                    USERS[user as usize].become_for_now();
                    self.subjects.iter().for_each(Subject::credentials_changed);
                    [const { Ok((Vec::new(), None)) }; 2]
                }
                _ => self.perform(&call),
            };
            let reply: Reply = (left, right, self.survey());
            self.channels[self.slot].send(&reply);
        }
        process::exit_at_once(0)
    }

    /// Tells the process id. Asks both sides something first, so that a worker forked by the bare system call has
    /// made itself known.
    fn announce(&mut self) {
        for subject in self.subjects.iter() {
            subject.shm_limits().expect("IPC_INFO");
        }
        self.channels[self.slot].send(&std::process::id());
    }

    /// Executes the program anew.
    fn execute(&self) -> ! {
        let executable = self
            .executable
            .as_ref()
            .expect("a case without exec, if there is nothing to execute");
        let mut arguments = vec![CString::from(c"worker")];
        arguments.extend(self.subjects.iter().flat_map(Subject::address));
        arguments.push(decimal(executable.as_raw_fd()));
        arguments.push(decimal(self.slot as i32));
        arguments.extend(self.channels.iter().map(|channel| decimal(channel.as_raw_fd())));
        executable.keep_open();
        self.channels.iter().for_each(process::keep_open);
        executable.execute(&arguments)
    }

    /// The address that a call names on each side: in the window, or of an attachment that the system placed.
    fn address(&self, held: i64, page: i64, odd: i64) -> [usize; 2] {
        if held < 0 || self.held.is_empty() {
            let offset = page as usize % WINDOW_PAGES * PAGE_SIZE + odd as usize;
            return WINDOWS.map(|window| window + offset);
        }
        let (addresses, _) = self.held[held as usize % self.held.len()];
        addresses.map(|address| address + odd as usize)
    }

    fn perform(&mut self, call: &Call) -> [Outcome; 2] {
        match call.action {
            Action::Attach { page, odd, flags, .. } => self.attach(call, page, odd, flags as i32),
            Action::Detach { held, page, odd } => self.detach(held, page, odd),
            Action::Unmap { held, page, pages } => self.unmap(held, page, pages),
            Action::Occupy { page, pages } => self.occupy(page, pages),
            Action::Write { held, page, odd, value } => self.write(held, page, odd, value as u8),
            _ => [0, 1].map(|side| self.control(call, side)),
        }
    }

    fn attach(&mut self, call: &Call, page: i64, odd: i64, flags: i32) -> [Outcome; 2] {
        // What the window does not hold is not ours to replace.
        let pages = page_up(call.size).div_ceil(PAGE_SIZE);
        let page = if page < 0 {
            None
        } else {
            Some(page as usize % (WINDOW_PAGES - pages.min(WINDOW_PAGES - 1)))
        };
        let attached = [0, 1].map(|side| {
            let addr = page.map_or(0, |page| WINDOWS[side] + page * PAGE_SIZE + odd as usize);
            // SAFETY: with SHM_REMAP the address is null, which is refused, or the range lies in the window.
            unsafe { self.subjects[side].shmat(call.ids[side], addr, flags) }.map(|at| at as usize)
        });
        if let ([Ok(left), Ok(right)], None) = (attached, page) {
            self.held.push(([left, right], page_up(call.size)));
        }
        [0, 1].map(|side| {
            let at = attached[side]?;
            let place = if page.is_none() {
                0
            } else {
                at.wrapping_sub(WINDOWS[side]) as u64
            };
            Ok((vec![place], None))
        })
    }

    fn detach(&mut self, held: i64, page: i64, odd: i64) -> [Outcome; 2] {
        let addresses = self.address(held, page, odd);
        let results = [0, 1].map(|side| self.subjects[side].detach_at(addresses[side]));
        if results == [Ok(()); 2] {
            self.held.retain(|(there, _)| *there != addresses);
        }
        results.map(|result| result.map(|()| (Vec::new(), None)))
    }

    fn unmap(&mut self, held: i64, page: i64, pages: i64) -> [Outcome; 2] {
        let (addresses, len) = if held < 0 || self.held.is_empty() {
            let page = page as usize % WINDOW_PAGES;
            let pages = (pages as usize).min(WINDOW_PAGES - page);
            (WINDOWS.map(|window| window + page * PAGE_SIZE), pages * PAGE_SIZE)
        } else {
            // Whole, because another attachment may be placed in a hole on one side only.
            self.held.remove(held as usize % self.held.len())
        };
        [0, 1].map(|side| {
            // SAFETY: an attachment of this worker, or pages of the window.
            unsafe { self.subjects[side].munmap(addresses[side], len) }.map(|()| (Vec::new(), None))
        })
    }

    fn occupy(&mut self, page: i64, pages: i64) -> [Outcome; 2] {
        let outcomes = self.unmap(-1, page, pages);
        let page = page as usize % WINDOW_PAGES;
        let len = (pages as usize).min(WINDOW_PAGES - page) * PAGE_SIZE;
        for window in WINDOWS {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            let addr = (window + page * PAGE_SIZE) as *mut libc::c_void;
            // SAFETY: a new mapping that replaces nothing.
            let mapped = unsafe { libc::mmap(addr, len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
            assert_eq!(mapped, addr, "mmap: {}", std::io::Error::last_os_error());
        }
        outcomes
    }

    fn write(&self, held: i64, page: i64, odd: i64, value: u8) -> [Outcome; 2] {
        let addresses = self.address(held, page, odd);
        addresses.map(|address| {
            // SAFETY: in a page of the window or of an attachment of this worker; eight aligned bytes stay in it.
            let written = unsafe { poke(address & !7, &[value; 8]) };
            Ok((vec![u64::from(written)], None))
        })
    }

    fn control(&self, call: &Call, side: usize) -> Outcome {
        let (subject, id) = (&self.subjects[side], call.ids[side]);
        match call.action {
            Action::Get { size, flags, .. } => {
                let id = subject.shmget(call.keys[side], size as usize, flags as i32)?;
                Ok((vec![id as u64], None))
            }
            Action::Stat { by, .. } => {
                let by = [StatBy::Id, StatBy::Index, StatBy::IndexAny][by as usize];
                let (id, ds) = subject.shm_stat(id, by)?;
                Ok((vec![id as u64], Some(ds)))
            }
            Action::Set { user, group, mode, .. } => {
                // Resolved by the driver: numbers of users and groups, or the numbers themselves.
                let resolved = |list: &[u32], number: i64| match number {
                    number if number < 0 => (-1 - number) as u32,
                    number => list[number as usize],
                };
                let change = PermChange {
                    uid: resolved(OWNERS, user),
                    gid: resolved(GROUPS, group),
                    mode: mode as u32,
                };
                subject.shm_set(id, change).map(|()| (Vec::new(), None))
            }
            Action::Remove { .. } => subject.shm_remove(id).map(|()| (Vec::new(), None)),
            Action::Lock { lock, .. } => subject.shm_lock(id, lock == 1).map(|()| (Vec::new(), None)),
            Action::Limits {} => {
                let (_, limits) = subject.shm_limits()?;
                let numbers = [
                    limits.shmmax,
                    limits.shmmin,
                    limits.shmmni,
                    limits.shmseg,
                    limits.shmall,
                ];
                Ok((numbers.to_vec(), None))
            }
            Action::Usage {} => {
                // Not the pages in memory: those that were only read, and are zero, the kernel drops when it likes.
                let (_, usage) = subject.shm_usage()?;
                Ok((vec![usage.used_ids as u64, usage.shm_tot], None))
            }
            other => unreachable!("{other} is not for a worker to do"),
        }
    }

    /// How what this worker can read differs between the sides.
    fn survey(&self) -> Option<String> {
        let window = (0..WINDOW_PAGES).map(|page| (WINDOWS.map(|window| window + page * PAGE_SIZE), "window", page));
        let held = self.held.iter().flat_map(|(addresses, len)| {
            let page = move |page: usize| (addresses.map(|address| address + page * PAGE_SIZE), "attachment", page);
            (0..len / PAGE_SIZE).map(page)
        });
        window.chain(held).find_map(|(addresses, what, page)| {
            let [left, right] = addresses.map(|address| peek(address, PAGE_SIZE));
            let told = match (left, right) {
                (left, right) if left == right => return None,
                (Some(left), Some(right)) => {
                    let at = left
                        .iter()
                        .zip(&right)
                        .position(|(left, right)| left != right)
                        .expect("a difference");
                    format!("byte {at} is {} and {}", left[at], right[at])
                }
                (left, _) => format!("it is mapped only on side {}", u8::from(left.is_none())),
            };
            Some(format!("page {page} of the {what}: {told}"))
        })
    }
}

fn decimal(number: i32) -> CString {
    CString::new(number.to_string()).expect("digits")
}

/// The rest of a worker's life after it has executed its program; the arguments are those with which it
/// did so.
pub fn serve(arguments: &[CString]) -> ! {
    let [sides @ .., executable, slot] = &arguments[..6] else {
        unreachable!("six arguments")
    };
    let number = |argument: &CString| {
        argument
            .to_str()
            .ok()
            .and_then(|text| text.parse::<i32>().ok())
            .expect("a number")
    };
    // SAFETY: the descriptors were left open for this program alone.
    let channel = |fd: &CString| Channel::over(unsafe { UnixStream::from_raw_fd(number(fd)) });
    // SAFETY: as above.
    let executable = unsafe { Executable::from_descriptor(number(executable)) };
    let subjects = Rc::new([Subject::at(&sides[..2]), Subject::at(&sides[2..])]);
    let channels = arguments[6..].iter().map(channel).collect();
    Worker::new(subjects, channels, number(slot) as usize, Some(executable)).serve()
}
