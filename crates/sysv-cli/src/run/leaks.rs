//! What a program left behind in its ephemeral namespace.

use std::time::{Duration, Instant};

use sysv::{Mechanism, Namespace, Object};

use crate::wording;

/// How long processes that outlive the program may take to detach: those of a service end shortly after it.
const GRACE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(10);

/// One line for each object that is left.
pub(super) fn find(namespace: &Namespace) -> Result<Vec<String>, sysv::ReportError> {
    let begun = Instant::now();
    loop {
        let left = namespace.snapshot(&Mechanism::ALL)?.objects;
        // What only dead processes held is gone from the report, and what is idle stays so.
        if !left.iter().any(Object::is_in_use) || begun.elapsed() >= GRACE {
            return Ok(left.iter().map(describe).collect());
        }
        std::thread::sleep(STEP);
    }
}

fn describe(object: &Object) -> String {
    let held = match (object.parties.is_empty(), object.mechanism) {
        (true, _) => String::new(),
        (false, Mechanism::Segment) => format!(", still attached by {}", wording::parties(object, usize::MAX)),
        (false, _) => format!(", still used by {}", wording::parties(object, usize::MAX)),
    };
    format!(
        "{}, created by {}{held}",
        wording::title(object),
        wording::creator(object)
    )
}
