//! One set of tests for System V IPC, run on the kernel's facility and on the engine.
//!
//! The kernel is the oracle: every test passes on it first, and what passes there and fails on the engine is
//! a defect of the engine. The tests are functions over a [`Subject`]; [`on_each_facility!`] makes one test per
//! facility of each. Every test body runs in a process of its own, see [`trial`].
//!
//! What needs root (other users, IPC namespaces) is skipped with a message where we are not root.

pub mod channel;
pub mod child;
pub mod clock;
mod ledger;
pub mod memory;
mod place;
pub mod process;
pub mod program;
pub mod queue;
pub mod segment;
mod subject;
pub mod trial;
pub mod user;
pub mod wire;

pub use channel::Channel;
pub use child::{By, Child, Ending};
pub use segment::{Attachment, Segment};
pub use subject::{Facility, Subject};
pub use user::User;

/// Makes a test of each named function for each facility: `kernel::…`, and so on.
#[macro_export]
macro_rules! on_each_facility {
    ($($test:ident),* $(,)?) => {
        mod kernel {
            $(#[test] fn $test() { $crate::trial::run($crate::Facility::Kernel, super::$test); })*
        }
    };
}

/// As [`on_each_facility!`], with the rights of an ordinary user.
#[macro_export]
macro_rules! on_each_facility_unprivileged {
    ($($test:ident),* $(,)?) => {
        mod kernel_unprivileged {
            $(#[test] fn $test() { $crate::trial::run_unprivileged($crate::Facility::Kernel, super::$test); })*
        }
    };
}

/// As [`on_each_facility!`], for tests that are about several users: each is skipped with a message where
/// there can be only one, and a facility for one user is left out.
#[macro_export]
macro_rules! on_each_shared_facility {
    ($($test:ident),* $(,)?) => {
        mod kernel {
            $(#[test] fn $test() { $crate::trial::run_with_users($crate::Facility::Kernel, super::$test); })*
        }
    };
}
