//! System V semaphores: a unit given and taken.

use super::{End, Way};
use crate::c_api::{Set, by};
use crate::job::Api;

/// A semaphore that nobody may pass yet.
pub(super) fn semaphore(api: Api) -> Result<Box<dyn Way>, String> {
    match api {
        Api::C => Ok(Box::new(Set::new(1, 0))),
        Api::Rust => crate::rust_api::semaphore_way(),
    }
}

impl Way for Set {
    fn sender(&self) -> End<'_> {
        self.value(0);
        let mut give = [by(0, 1, 0)];
        Box::new(move |_| self.op(&mut give))
    }

    fn receiver(&self) -> End<'_> {
        self.value(0);
        let mut take = [by(0, -1, 0)];
        Box::new(move |_| self.op(&mut take))
    }
}
