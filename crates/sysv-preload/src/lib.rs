//! `libsysv.so` and `libsysv.a`: System V IPC in user space behind the C library's own names.
//!
//! Preloaded (`LD_PRELOAD`) or linked before the C library, the functions exported here take the place of the
//! originals. This crate decodes arguments, calls [`sysv_engine`] and sets the C `errno`; what a call means is decided
//! there. Nothing runs before the first System V call: the library has no constructor, and every function that it
//! interposes for the engine's sake costs one check until then.

// Under test there is only clippy, which looks at every target.
#![cfg_attr(not(test), no_std)]
// What C programs see is exported by name, not by path.
#![allow(unreachable_pub)]

mod environment;
mod joined;
mod linkage;
mod next;
#[cfg(not(test))]
mod panic;
mod raw;

// The facility: one module per mechanism.
mod key;
mod msg;
mod scratch;
mod sem;
mod shm;
mod structure;
mod trace;

// What a program does behind the facility's back.
mod exit;
mod forks;
mod mappings;
mod masks;
mod signals;
mod system_call;

// What reaches the facility by way of other functions of the C library, which are needed as well.
#[cfg(feature = "interpose")]
mod cancellation;
#[cfg(feature = "interpose")]
mod credentials;
#[cfg(feature = "interpose")]
mod modules;
#[cfg(feature = "interpose")]
mod procfs;
#[cfg(feature = "interpose")]
mod symbols;
