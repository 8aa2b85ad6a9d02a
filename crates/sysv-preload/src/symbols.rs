//! `dlsym(3)` on the C library's own handle, by which foreign function interfaces (ctypes, JNA, Fiddle) call it.
//!
//! Such a look-up does not go through the names that a preloaded library takes. So where it finds the C library's own
//! function for one of those by which the facility is used, ours is given instead.

#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_void};

use crate::next::{DLSYM, jump_target, jump_to_next, look_up_function};
use crate::{mappings, msg, sem, shm, system_call};

/// dlsym(3).
///
/// A jump where the handle is `RTLD_DEFAULT` (0) or `RTLD_NEXT` (-1), for then the C library looks at its caller's address.
/// The first finds our functions as every program does.
///
/// # Safety
/// As dlsym(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "lea r11, [rdi + 1]",
        "cmp r11, 1",
        "jbe 3f",
        "jmp {in_library}",
        "3:",
        jump_to_next!(),
        ".cfi_endproc",
        in_library = sym in_library,
        next = sym DLSYM,
        stand_in = sym missing,
        jump_target = sym jump_target,
    )
}

/// For a C library without this function.
extern "C" fn missing() -> *mut c_void {
    core::ptr::null_mut()
}

/// Looks a name up in one library.
///
/// # Safety
/// As dlsym(3).
unsafe extern "C" fn in_library(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    let Some(look_up) = look_up_function() else {
        return missing();
    };
    // SAFETY: the caller's promise.
    let found = unsafe { look_up(handle, name) };
    if found.is_null() {
        return found;
    }
    // SAFETY: something of that name has been found.
    let Some(ours) = by_name(unsafe { CStr::from_ptr(name) }.to_bytes()) else {
        return found;
    };
    // SAFETY: a terminated name.
    let replaced = unsafe { look_up(libc::RTLD_NEXT, name) };
    // Another library may have a function of that name for purposes of its own.
    if found == replaced { ours as *mut c_void } else { found }
}

/// Our function of that name, if the facility is used by it.
fn by_name(name: &[u8]) -> Option<*const ()> {
    Some(match name {
        b"shmget" => shm::shmget as *const (),
        b"shmat" => shm::shmat as *const (),
        b"shmdt" => shm::shmdt as *const (),
        b"shmctl" => shm::shmctl as *const (),
        b"msgget" => msg::msgget as *const (),
        b"msgsnd" => msg::msgsnd as *const (),
        b"msgrcv" => msg::msgrcv as *const (),
        b"msgctl" => msg::msgctl as *const (),
        b"semget" => sem::semget as *const (),
        b"semop" => sem::semop as *const (),
        b"semtimedop" => sem::semtimedop as *const (),
        b"semctl" => sem::semctl as *const (),
        b"munmap" => mappings::munmap as *const (),
        b"mmap" => mappings::mmap as *const (),
        b"mmap64" => mappings::mmap64 as *const (),
        b"mremap" => mappings::mremap as *const (),
        b"syscall" => system_call::syscall as *const (),
        _ => return None,
    })
}
