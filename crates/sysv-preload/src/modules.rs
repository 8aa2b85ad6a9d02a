//! `dlopen(3)`: a module loaded with `RTLD_DEEPBIND` finds the C library's System V functions before ours.
//!
//! So the flag is taken away, as the sanitizers' run-times do for the same reason. The alternative, to write our
//! addresses into the module's tables once it is loaded, would leave its constructors and whatever it loads itself
//! unserved. The price: such a module's other symbols are looked up as those of a module loaded without the flag, in the
//! program first.

#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_long, c_void};

use crate::next::{Next, jump_target, jump_to_next};

static DLOPEN: Next = Next::new(c"dlopen");
static DLMOPEN: Next = Next::new(c"dlmopen");

/// `!RTLD_DEEPBIND`.
const KEPT: i32 = !libc::RTLD_DEEPBIND;

/// dlopen(3).
///
/// A jump, not a call: the C library looks at its caller's address for the paths to search.
///
/// # Safety
/// As dlopen(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "and esi, {kept}",
        jump_to_next!(),
        ".cfi_endproc",
        kept = const KEPT,
        next = sym DLOPEN,
        stand_in = sym missing,
        jump_target = sym jump_target,
    )
}

/// dlmopen(3). A module in a link-map list of its own has a C library of its own, too, and stays out of our reach.
///
/// # Safety
/// As dlmopen(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlmopen(list: c_long, file: *const c_char, mode: c_int) -> *mut c_void {
    naked_asm!(
        ".cfi_startproc",
        "and edx, {kept}",
        jump_to_next!(),
        ".cfi_endproc",
        kept = const KEPT,
        next = sym DLMOPEN,
        stand_in = sym missing,
        jump_target = sym jump_target,
    )
}

/// For a C library without these functions.
extern "C" fn missing() -> *mut c_void {
    core::ptr::null_mut()
}
