//! Single operations in one process, made ready in a worker.

mod posix;
mod queues;
mod segments;
mod semaphores;

use crate::job::{Among, Api};

pub(crate) use queues::BURST;

/// An operation that can be done again and again.
pub(crate) type Operation = Box<dyn FnMut()>;

/// An operation on a scene, all of which stays as long as the operation.
fn on<S: 'static>(mut scene: S, mut act: impl FnMut(&mut S) + 'static) -> Operation {
    Box::new(move || act(&mut scene))
}

/// Makes the operation of that name ready, or says why it cannot be had.
pub(crate) fn prepare(call: &str, size: usize, among: Among, api: Api) -> Result<Operation, String> {
    if api == Api::Rust {
        return crate::rust_api::prepare(call, size);
    }
    let found = segments::prepare(call, size, among)
        .or_else(|| semaphores::prepare(call, among))
        .or_else(|| queues::prepare(call, size, among))
        .or_else(|| posix::prepare(call, size));
    found.ok_or_else(|| format!("there is no operation called {call:?}"))
}
