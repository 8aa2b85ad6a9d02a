//! What [`crate::lock`], [`crate::version`] and a semaphore's word are made of. The model checker compiles those files as they
//! are, with atomics of its own in the place of these: see `crates/endurance/tests/lock_model.rs` and `semaphore_model.rs`.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, fence};
