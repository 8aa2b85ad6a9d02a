//! Users that programs run as.

#![allow(unsafe_code)]

use std::fs;
use std::io;

/// A user of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The id of the login group.
    pub gid: u32,
}

impl User {
    /// Looks a user up in `/etc/passwd`.
    pub fn named(name: &str) -> Option<User> {
        User::first(|user| user.name == name)
    }

    /// The user that runs the tests.
    pub fn myself() -> User {
        // SAFETY: neither call takes a pointer or can fail.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        User::first(|user| user.uid == uid).unwrap_or(User {
            name: uid.to_string(),
            uid,
            gid,
        })
    }

    fn first(is_wanted: impl Fn(&User) -> bool) -> Option<User> {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        passwd.lines().filter_map(User::parse).find(is_wanted)
    }

    fn parse(line: &str) -> Option<User> {
        let mut fields = line.split(':');
        Some(User {
            name: fields.next()?.to_owned(),
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    }

    /// In a forked child: becomes this user, with no group but the login group.
    pub(crate) fn become_for_good(&self) -> io::Result<()> {
        let succeeded = |result: i32| {
            if result == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        };
        // SAFETY: no pointer is read, the list of groups being empty. The child has one thread, so that the C library
        // need not tell others.
        unsafe {
            succeeded(libc::setgroups(0, std::ptr::null()))?;
            succeeded(libc::setresgid(self.gid, self.gid, self.gid))?;
            succeeded(libc::setresuid(self.uid, self.uid, self.uid))
        }
    }
}
