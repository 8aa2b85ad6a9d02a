//! stress-ng, which uses the three facilities as hard as it can and verifies what it gets.
//!
//! It is bounded in operations; `SYSV_STRESS_OPS` multiplies them.

use std::time::Duration;

use programs::{Facility, Place, finish_within, found};

/// How often the usual number of operations is done.
fn times() -> u64 {
    let times = std::env::var("SYSV_STRESS_OPS").ok();
    times.map_or(1, |times| times.parse().expect("SYSV_STRESS_OPS is a number"))
}

/// Runs a stressor on both facilities: it must find nothing wrong, and leave nothing behind.
#[track_caller]
fn stress(stressor: &str, instances: u64, operations: u64, options: &[&str]) {
    if !found(&["stress-ng", "ipcs"]) {
        return;
    }
    let place = Place::in_memory();
    let facilities = [Facility::kernel(), Some(Facility::namespace(place.join("namespace")))];
    for facility in facilities.iter().flatten() {
        let mut command = facility.command("stress-ng");
        command
            .arg(format!("--{stressor}"))
            .arg(instances.to_string())
            .arg(format!("--{stressor}-ops"))
            .arg((operations * times()).to_string())
            .args(["--verify", "--metrics-brief", "--timeout", "3600"])
            .arg("--temp-path")
            .arg(place.path())
            .args(options);
        let report = finish_within(Duration::from_secs(110 * times()), &mut command).success();
        let done: u64 = report
            .lines()
            .find_map(|line| line.split_once(&format!("] {stressor} "))?.1.split_whitespace().next())
            .and_then(|count| count.parse().ok())
            .unwrap_or_else(|| panic!("no metrics in\n{report}"));
        assert!(
            done >= operations,
            "on {}: {done} operations\n{report}",
            facility.name()
        );
        assert!(!report.contains("fail:"), "on {}:\n{report}", facility.name());
        let listed = programs::finish(&mut facility.command("ipcs")).success();
        assert!(!listed.contains("0x"), "left on {}:\n{listed}", facility.name());
    }
}

#[test]
fn semaphores_under_stress() {
    stress("sem-sysv", 4, 100_000, &[]);
}

#[test]
fn semaphores_under_stress_by_more_processes() {
    stress("sem-sysv", 2, 50_000, &["--sem-sysv-procs", "8"]);
}

#[test]
fn queues_under_stress() {
    stress("msg", 4, 200_000, &[]);
}

#[test]
fn queues_of_several_types_under_stress() {
    stress("msg", 2, 50_000, &["--msg-types", "50"]);
}

#[test]
fn segments_under_stress() {
    stress("shm-sysv", 2, 30, &["--shm-sysv-segs", "4", "--shm-sysv-bytes", "1M"]);
}
