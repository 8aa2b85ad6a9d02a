//! Other users: real ones, by changing the credentials of a forked child.

#![allow(unsafe_code)]

/// A user to act as. The numbers need not be in the user database: the kernel does not ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: &'static [u32],
}

impl User {
    /// The superuser.
    pub const ROOT: User = User {
        uid: 0,
        gid: 0,
        groups: &[],
    };
    /// An ordinary user with a group of the same number.
    pub const ALICE: User = User {
        uid: 54321,
        gid: 54321,
        groups: &[],
    };
    /// Shares nothing with Alice.
    pub const BOB: User = User {
        uid: 54322,
        gid: 54322,
        groups: &[],
    };
    /// Has Alice's group as the primary one.
    pub const CAROL: User = User {
        uid: 54323,
        gid: 54321,
        groups: &[],
    };
    /// Has Alice's group among the supplementary ones.
    pub const DAVE: User = User {
        uid: 54324,
        gid: 54324,
        groups: &[54399, 54321],
    };

    /// Whether this process may become another user.
    pub fn can_be_changed() -> bool {
        effective().0 == 0
    }

    /// Becomes this user for good. Only for a process made for the purpose.
    pub fn become_for_good(&self) {
        self.change(self.uid, self.uid);
    }

    /// Becomes this user until [`User::ROOT`] is become again: real and saved user stay root.
    pub fn become_for_now(&self) {
        self.change(0, 0);
    }

    /// Becomes this user with another real and saved one.
    pub fn become_effectively(&self, real: u32) {
        self.change(real, real);
    }

    fn change(&self, real: u32, saved: u32) {
        let checked = |name: &str, result: i64| {
            assert_eq!(result, 0, "{name}: {}", std::io::Error::last_os_error());
        };
        // Back to root first, if that is where we may go: only root changes groups.
        let keep = u32::MAX;
        // The raw calls change this thread alone, which is the whole of a forked child; the C library's
        // wrappers would signal threads that the child does not have.
        // SAFETY: no pointers but `groups`, which is valid for its length.
        unsafe {
            libc::syscall(libc::SYS_setresuid, keep, 0, keep);
            checked(
                "setgroups",
                libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()),
            );
            checked(
                "setresgid",
                libc::syscall(libc::SYS_setresgid, self.gid, self.gid, self.gid),
            );
            checked("setresuid", libc::syscall(libc::SYS_setresuid, real, self.uid, saved));
        }
    }
}

/// The effective user and group of this process.
pub fn effective() -> (u32, u32) {
    // SAFETY: neither call has conditions.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Sets the mask of file modes.
pub fn set_umask(mask: u32) {
    // SAFETY: no conditions.
    unsafe { libc::umask(mask) };
}

/// Limits the memory that this process may lock (`RLIMIT_MEMLOCK`), in bytes, for good.
pub fn limit_locked_memory(bytes: usize) {
    let limit = libc::rlimit {
        rlim_cur: bytes as u64,
        rlim_max: bytes as u64,
    };
    // SAFETY: a valid structure.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
    assert_eq!(set, 0, "setrlimit: {}", std::io::Error::last_os_error());
}
