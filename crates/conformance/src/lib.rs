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
pub mod differential;
mod ledger;
pub mod memory;
mod place;
pub mod process;
pub mod program;
pub mod queue;
pub mod segment;
pub mod semaphores;
mod subject;
pub mod trial;
pub mod user;
pub mod wire;

pub use channel::Channel;
pub use child::{By, Child, Ending};
pub use segment::{Attachment, Segment};
pub use subject::{Facility, Subject};
pub use user::User;

/// Makes a test of each named function for each facility: `kernel::…`, `engine_private::…` and
/// `engine_shared::…`.
#[macro_export]
macro_rules! on_each_facility {
    ($($test:ident),* $(,)?) => {
        $crate::tests_on!(kernel, Kernel, run, $($test)*);
        $crate::tests_on!(engine_private, EnginePrivate, run, $($test)*);
        $crate::tests_on!(engine_shared, EngineShared, run, $($test)*);
    };
}

/// As [`on_each_facility!`], with the rights of an ordinary user.
#[macro_export]
macro_rules! on_each_facility_unprivileged {
    ($($test:ident),* $(,)?) => {
        $crate::tests_on!(kernel_unprivileged, Kernel, run_unprivileged, $($test)*);
        $crate::tests_on!(engine_private_unprivileged, EnginePrivate, run_unprivileged, $($test)*);
        $crate::tests_on!(engine_shared_unprivileged, EngineShared, run_unprivileged, $($test)*);
    };
}

/// As [`on_each_facility!`], for tests that are about several users: a facility for one user is left out, and
/// all are skipped with a message where there can be only one.
#[macro_export]
macro_rules! on_each_shared_facility {
    ($($test:ident),* $(,)?) => {
        $crate::tests_on!(kernel_with_users, Kernel, run_with_users, $($test)*);
        $crate::tests_on!(engine_shared_with_users, EngineShared, run_with_users, $($test)*);
        $crate::tests_on!(engine_announced_with_users, EngineAnnounced, run_with_users, $($test)*);
    };
}

/// Tests that pass on the kernel and that the engine is known to fail, because what is below it cannot do it: limits
/// that stay. Each fails once the engine passes it, so that the list does not outlive its reasons.
#[macro_export]
macro_rules! on_the_kernel_and_beyond_the_engine {
    ($($test:ident),* $(,)?) => {
        $crate::tests_on!(kernel_only, Kernel, run, $($test)*);
        $crate::tests_on!(beyond_engine_private, EnginePrivate, run_beyond, $($test)*);
        $crate::tests_on!(beyond_engine_shared, EngineShared, run_beyond, $($test)*);
    };
}

/// As [`on_the_kernel_and_beyond_the_engine!`], for tests that are about several users.
#[macro_export]
macro_rules! on_the_kernel_and_beyond_the_shared_engine {
    ($($test:ident),* $(,)?) => {
        $crate::tests_on!(kernel_only_with_users, Kernel, run_with_users, $($test)*);
        $crate::tests_on!(beyond_engine_shared_with_users, EngineShared, run_with_users_beyond, $($test)*);
    };
}

/// The module `$module` with a test of each function on one facility.
#[doc(hidden)]
#[macro_export]
macro_rules! tests_on {
    ($module:ident, $facility:ident, $run:ident, $($test:ident)*) => {
        mod $module {
            $(#[test] fn $test() { $crate::trial::$run($crate::Facility::$facility, super::$test); })*
        }
    };
}
