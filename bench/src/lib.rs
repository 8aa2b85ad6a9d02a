//! Every operation on the kernel's facility and on ours, and on their rivals, in turns in one run.
//!
//! A [`Contest`](contest::Contest) is one case and its contestants, most of them [worker] processes: the same
//! program started once on the kernel and once under `libsysv.so`, calling the C library as any program does. They take
//! turns, round by round, so that what drifts with the machine falls out of the ratio. Sections of contests become
//! [`Results`](results::Results), which are kept as JSON and told as tables and plots.

mod bystanders;
mod c_api;
mod calls;
pub mod compare;
pub mod contest;
mod crew;
pub mod job;
pub mod launch;
pub mod locks;
mod machine;
pub mod message;
mod mourning;
pub mod plot;
mod program;
pub mod report;
pub mod results;
pub mod run;
mod rust_api;
pub mod sections;
pub mod statistics;
mod system;
pub mod tables;
pub mod targets;
pub mod ways;
pub mod worker;
pub use machine::Machine;
pub use system::{Words, now, processors};
