//! The functions that change the process's credentials, announced to the engine.
//!
//! They go to the next definition, for the C library changes all threads at once.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_int, c_void};

use libc::{gid_t, uid_t};
use sysv_engine::{Errno, process};

use crate::next::next;
use crate::raw::or_minus_one;

/// Defines each function as the next one of its name, followed by the announcement.
macro_rules! announced {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*);)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// As the manual page says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            let Some(next) = next!(fn $name($($type),*) -> c_int) else {
                return or_minus_one(Err(Errno::ENOSYS));
            };
            // SAFETY: the caller's promise.
            let returned = unsafe { next($($argument),*) };
            // Also after a failure: some of them change a part.
            process::credentials_changed();
            returned
        }
    )*};
}

announced! {
    /// setuid(2).
    fn setuid(uid: uid_t);
    /// seteuid(2).
    fn seteuid(uid: uid_t);
    /// setreuid(2).
    fn setreuid(real: uid_t, effective: uid_t);
    /// setresuid(2).
    fn setresuid(real: uid_t, effective: uid_t, saved: uid_t);
    /// setfsuid(2).
    fn setfsuid(uid: uid_t);
    /// setgid(2).
    fn setgid(gid: gid_t);
    /// setegid(2).
    fn setegid(gid: gid_t);
    /// setregid(2).
    fn setregid(real: gid_t, effective: gid_t);
    /// setresgid(2).
    fn setresgid(real: gid_t, effective: gid_t, saved: gid_t);
    /// setfsgid(2).
    fn setfsgid(gid: gid_t);
    /// setgroups(2).
    fn setgroups(count: usize, groups: *const gid_t);
    /// initgroups(3).
    fn initgroups(user: *const c_char, group: gid_t);
    /// capset(2).
    fn capset(header: *mut c_void, data: *const c_void);
    /// unshare(2): a new user namespace brings new ids and capabilities.
    fn unshare(flags: c_int);
    /// setns(2).
    fn setns(fd: c_int, kind: c_int);
}
