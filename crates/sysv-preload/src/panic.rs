//! What happens on a panic, which would be a mistake in this library: it says where, and ends the process.

#![allow(unsafe_code)]

use core::panic::PanicInfo;

use crate::raw;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    raw::complain(format_args!("internal error: {info}"));
    // SAFETY: no argument.
    unsafe { libc::abort() }
}
