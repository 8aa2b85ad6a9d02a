//! System V IPC in user space, with exactly Linux's meaning.

#![cfg_attr(not(test), no_std)]

pub mod abi;
pub mod errno;
mod facility;
mod kernel;
mod sys;

pub use errno::{Errno, Result};
pub use facility::{PermChange, Segments, StatBy};
pub use kernel::Kernel;
