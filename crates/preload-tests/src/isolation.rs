//! A facility of the kernel's for one program, which goes with it: an IPC namespace.
//!
//! Root may have one for the asking, others in a user namespace where they are who they were before. Where that is
//! forbidden, too, a program cannot be run without meeting others' objects and leaving its own behind, and is not. Under the
//! library programs run in such a place as well, so that they meet the same conditions, and never the kernel's limits.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fmt;
use std::io::{self, Cursor, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the program start in an IPC namespace of its own.
pub(crate) fn arrange(command: &mut Command) {
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(enter) };
}

fn enter() -> io::Result<()> {
    // SAFETY: no pointer.
    if unsafe { libc::unshare(libc::CLONE_NEWIPC) } == 0 {
        return Ok(());
    }
    // SAFETY: no argument.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    // SAFETY: no pointer.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWIPC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    write(c"/proc/self/setgroups", format_args!("deny"))?;
    write(c"/proc/self/uid_map", format_args!("{uid} {uid} 1"))?;
    write(c"/proc/self/gid_map", format_args!("{gid} {gid} 1"))
}

/// Writes a text at once, without a heap.
fn write(file: &CStr, text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut buffer = Cursor::new([0u8; 64]);
    buffer.write_fmt(text)?;
    let len = buffer.position() as usize;
    // SAFETY: a terminated path, and `len` bytes that are read.
    let written = unsafe {
        let fd = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        let written = libc::write(fd, buffer.get_ref().as_ptr().cast(), len);
        libc::close(fd);
        written
    };
    if written == len as isize {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
