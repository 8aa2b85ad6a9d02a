//! Everything that is measured runs once: no figure is judged here.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

const BENCH: &str = env!("CARGO_BIN_EXE_sysv-bench");

/// A directory that is removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let path = std::env::temp_dir().join(format!("sysv-bench-once-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a temporary directory");
        Place(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.arg(Duration::from_secs(420).as_secs().to_string());
    command.arg(BENCH).args(arguments).output().expect("timeout(1)")
}

#[test]
fn every_case_runs_and_is_reported() {
    let place = Place::new();
    let output = place.0.to_str().expect("a path in UTF-8");
    let mut arguments = vec!["report", "--once", "--without-peers", "--output", output];
    // Servers and stress-ng run for seconds even once; whoever changes them runs them.
    for section in [
        "calls", "turns", "wakes", "streams", "sizes", "locks", "deaths", "growth", "loading",
    ] {
        arguments.extend(["--only", section]);
    }
    let ran = run(&arguments);
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {said}", ran.status);

    let results = std::fs::read_to_string(place.0.join("results.json")).expect("results");
    let results: sysv_bench::results::Results = serde_json::from_str(&results).expect("JSON");
    let mut failed = Vec::new();
    for missing in results.sections.values().flat_map(|section| &section.skipped) {
        // What a machine, or a run without peers, cannot have is told so; a worker that dies is a defect.
        if missing.why.contains("the worker") {
            failed.push(missing);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    for subject in ["kernel", "sysv", "sysv (Rust)"] {
        let of = |section: &str| results.of(section).iter().filter(|m| m.subject == subject).count();
        assert!(of("calls") >= 30, "{subject}: {} calls", of("calls"));
    }

    let report = std::fs::read_to_string(place.0.join("report.md")).expect("the report");
    assert!(
        !report.contains("| not measured |"),
        "a target names what nothing measures:\n{report}"
    );
    for plot in [
        "calls.svg",
        "turns-two.svg",
        "sizes-copy.svg",
        "locks.svg",
        "growth-queues.svg",
    ] {
        assert!(place.0.join(plot).exists(), "{plot}");
    }

    let file = place.0.join("results.json");
    let file = file.to_str().expect("a path in UTF-8");
    let same = run(&["compare", file, file]);
    assert!(same.status.success(), "a run differs from itself");
}
