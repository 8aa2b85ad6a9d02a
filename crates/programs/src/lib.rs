//! Real programs, unmodified: what they do on the kernel's facility and under `sysv run`, compared.
//!
//! A test is a script or a server that runs twice: once in a fresh IPC namespace of the kernel's, once on a fresh
//! namespace of ours under a filter that fails the kernel's own System V calls, so that nothing can pass by falling
//! through to it. What the two print must be the same but for identifiers, process ids and times.
//!
//! The programs are Debian's and one from PyPI; `install.sh` gets them. A test whose program is not there, or that needs
//! rights which it has not, is skipped with a message.

mod command;
mod facility;
mod filter;
mod kernel;
mod normal;
mod place;
mod postgresql;
mod shell;
mod skip;
mod user;

pub use command::{Finished, finish, finish_within};
pub use facility::{Facility, same_on_both, same_on_both_for_several_users};
pub use normal::normalised;
pub use place::Place;
pub use postgresql::{Cluster, Server, Session, send};
pub use shell::{shell, shell_with_mounts};
pub use skip::{found, is_root, python, skipped};
pub use user::User;
