//! What [`crate::lock`] and [`crate::version`] are made of. The model checker compiles the two files as they are, with
//! atomics of its own in the place of these: see `crates/endurance/tests/lock_model.rs`.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, fence};
