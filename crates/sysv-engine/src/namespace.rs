//! A namespace is a directory: where it is, how it is made, and what a process checks before it believes it.

mod create;
mod default;
mod error;
mod open;
mod remove;

pub use default::default_directory;
pub use error::{JoinError, JoinErrorKind};
pub use remove::remove;

pub(crate) use create::allocate;
pub(crate) use open::{Mapped, open};

/// Whether joining may make the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Only an existing one.
    Existing,
    /// Made if need be, for one user: nobody else can enter the directory.
    Create,
    /// Made if need be, for several users: others may pass the directory but not list it, and use what each object's own
    /// permissions allow.
    CreateShared,
}
