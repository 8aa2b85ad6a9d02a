//! A normal exit.

#![allow(unsafe_code)]

use sysv_engine::process;

use crate::joined;

/// Runs among the destructors, after the program's own `atexit` functions. A process that ends without them (`_exit`,
/// a signal) is found out by the next one that looks.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

extern "C" fn at_exit() {
    if joined::is_joined() {
        process::exiting();
    }
}
