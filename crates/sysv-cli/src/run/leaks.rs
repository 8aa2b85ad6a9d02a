//! What a program left behind in its ephemeral namespace.

use std::time::{Duration, Instant};

use sysv::{Namespace, Segment, SegmentReport};

use crate::ls::{creator, process};

/// How long processes that outlive the program may take to detach: those of a service end shortly after it.
const GRACE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(10);

/// One line for each object that is left.
pub(super) fn find(namespace: &Namespace) -> Result<Vec<String>, sysv::ReportError> {
    let begun = Instant::now();
    loop {
        let left = namespace.report()?;
        // What only dead processes held is gone from the report, and what is idle stays so.
        if left.iter().all(|segment| segment.stat.attachments == 0) || begun.elapsed() >= GRACE {
            return Ok(left.iter().map(|segment| describe(namespace, segment)).collect());
        }
        std::thread::sleep(STEP);
    }
}

fn describe(namespace: &Namespace, segment: &SegmentReport) -> String {
    let stat = &segment.stat;
    let key = if stat.key.is_private() {
        String::new()
    } else {
        format!(", key {}", stat.key)
    };
    let attachments = Segment::from_id(namespace, stat.id).attachments().unwrap_or_default();
    let mut holders: Vec<String> = attachments.iter().map(|a| process(&a.process)).collect();
    holders.dedup();
    let held = match holders.as_slice() {
        [] => String::new(),
        holders => format!(", still attached by {}", holders.join(", ")),
    };
    format!(
        "segment {}{key}, {} bytes, created by {}{held}",
        stat.id,
        stat.size,
        creator(segment)
    )
}
