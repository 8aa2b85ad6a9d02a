//! The numbers and structures of the Linux ABI, as `<sys/ipc.h>`, `<sys/shm.h>`, `<sys/sem.h>` and `<sys/msg.h>` give
//! them on x86-64 with the GNU C library. Facts only: nothing here computes. Padding is spelled out, so that a copy of a
//! structure holds no byte that nobody set.

mod ipc;
mod msg;
mod sem;
mod shm;

pub use ipc::*;
pub use msg::*;
pub use sem::*;
pub use shm::*;
