//! The kernel's facility, in an IPC namespace of a test's own.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// How many identifiers of each mechanism are used up first, so that none of those that follow is a number that a program prints for
/// another reason.
const USED_UP: usize = 1000;

/// An IPC namespace, and the user namespace that lets us have one if we are not root. The kernel removes it, and every
/// object in it, once this and all processes in it are gone.
#[derive(Clone)]
pub(crate) struct IpcNamespace {
    user: Option<Arc<File>>,
    ipc: Arc<File>,
}

impl IpcNamespace {
    /// Makes one.
    pub(crate) fn new(is_root: bool) -> io::Result<IpcNamespace> {
        let mut holder = Command::new("cat");
        holder.stdin(Stdio::piped()).stdout(Stdio::null());
        // SAFETY: the closure makes system calls, and allocates, which the C library makes safe after fork.
        unsafe { holder.pre_exec(move || enter_new(is_root)) };
        // It has executed by the time that `spawn` returns, and ends when its input does.
        let mut holder = holder.spawn()?;
        let open = |name| File::open(format!("/proc/{}/ns/{name}", holder.id()));
        let namespace = open("ipc").and_then(|ipc| {
            let user = if is_root { None } else { Some(Arc::new(open("user")?)) };
            Ok(IpcNamespace {
                user,
                ipc: Arc::new(ipc),
            })
        });
        drop(holder.stdin.take());
        holder.wait()?;
        namespace
    }

    /// In a forked child: goes there.
    pub(crate) fn enter(&self) -> io::Result<()> {
        for namespace in self.user.iter().chain([&self.ipc]) {
            // SAFETY: the call takes no pointer, and the child has one thread.
            if unsafe { libc::setns(namespace.as_raw_fd(), 0) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

fn enter_new(is_root: bool) -> io::Result<()> {
    // SAFETY: neither call takes a pointer or can fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let namespaces = if is_root {
        libc::CLONE_NEWIPC
    } else {
        libc::CLONE_NEWIPC | libc::CLONE_NEWUSER
    };
    // SAFETY: the child has one thread.
    if unsafe { libc::unshare(namespaces) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if !is_root {
        // Each id means itself.
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    for _ in 0..USED_UP {
        // SAFETY: the objects are nobody else's, and IPC_RMID takes no buffer.
        let removed = unsafe {
            let segment = libc::shmget(libc::IPC_PRIVATE, 1, 0o600);
            let set = libc::semget(libc::IPC_PRIVATE, 1, 0o600);
            let queue = libc::msgget(libc::IPC_PRIVATE, 0o600);
            segment >= 0
                && set >= 0
                && queue >= 0
                && libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut()) == 0
                && libc::semctl(set, 0, libc::IPC_RMID) == 0
                && libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut()) == 0
        };
        if !removed {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
