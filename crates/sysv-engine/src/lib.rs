//! System V IPC in user space, with exactly Linux's meaning.
//!
//! [`Segments`] is the interface: Linux's calls, arguments and errnos. Two implementations stand behind it:
//! [`Engine`], which needs nothing from the kernel but files and memory, and [`Kernel`], the real system calls. The
//! C ABI of `libsysv.so` and the safe API of the crate `sysv` are thin layers over them.
//!
//! The engine allocates nothing from the program's heap, starts no thread, keeps no descriptor open and prints nothing:
//! it may be called in any process, at any time, also between `fork` and `execve`.
//!
//! ```
//! use sysv_engine::{Engine, Join, Segments, StatBy, abi::*};
//!
//! let directory = std::ffi::CString::new(format!("/dev/shm/sysv-doc-{}", std::process::id()))?;
//! let engine = Engine::join(&directory, Join::Create)?;
//! let id = engine.shmget(IPC_PRIVATE, 100, 0o600)?;
//! // SAFETY: without SHM_REMAP nothing that exists is touched.
//! let memory = unsafe { engine.shmat(id, 0, 0)? };
//! assert_eq!(engine.shm_stat(id, StatBy::Id)?.1.nattch, 1);
//! engine.shm_remove(id)?;
//! // SAFETY: nothing uses the memory.
//! unsafe { engine.shmdt(memory as usize)? };
//! # drop(engine);
//! # std::fs::remove_dir_all(directory.to_str()?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]

pub mod abi;
mod attachments;
mod credentials;
mod critical;
mod engine;
pub mod errno;
mod facility;
mod file_access;
mod identity;
#[doc(hidden)]
pub mod inspect;
pub mod interruption;
mod kernel;
mod limits;
mod live;
mod lock;
mod member;
pub mod namespace;
mod page_vec;
mod path;
mod patience;
mod primitive;
mod private_lock;
pub mod process;
pub mod procfs;
mod queue;
mod registry;
pub mod remains;
mod segment;
mod semaphore;
pub mod signals;
mod sys;
mod table;
pub mod trace;
pub mod usercopy;
mod version;

pub use engine::Engine;
pub use errno::{Errno, Result};
pub use facility::{Asked, PermChange, Queues, Segments, Semaphores, StatBy};
pub use kernel::Kernel;
pub use limits::{Limit, Limits, Numbers};
pub use namespace::{Join, JoinError, JoinErrorKind};
pub use path::PathBuf;
pub use process::ProcessReport;
pub use queue::{InPlace, MessageReport, QueueReport, WaiterReport, Wants};
pub use segment::{AttachmentReport, SegmentReport};
pub use semaphore::{SetPart, SetReport};
pub use table::LAYOUT_VERSION;
