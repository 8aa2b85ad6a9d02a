//! Symbols that a library without start files and without the standard library must bring along.

#![allow(unsafe_code)]

use core::arch::global_asm;

// Named by the core library's unwind tables, and never called: a panic ends the process. Weak, for the program that the
// static library is linked into may have a real one.
global_asm!(
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality, @function",
    "rust_eh_personality: ud2",
);

// What `pthread_atfork(3)` registers its functions under; the start files would have it.
global_asm!(
    ".pushsection .data.rel.ro, \"aw\"",
    ".weak __dso_handle",
    ".hidden __dso_handle",
    ".balign 8",
    "__dso_handle: .quad __dso_handle",
    ".popsection",
);
