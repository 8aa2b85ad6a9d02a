//! Each harness, bounded so that all of them together take a minute or two. `docs/testing.md` has the commands for the whole.

use std::process::Command;

fn endurance(args: &[&str]) {
    let run = Command::new(env!("CARGO_BIN_EXE_endurance")).args(args).output();
    let run = run.unwrap_or_else(|error| panic!("endurance cannot be run: {error}"));
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    let complained = String::from_utf8_lossy(&run.stderr);
    assert!(
        run.status.success(),
        "endurance {}: {}\n{said}\n{complained}",
        args.join(" "),
        run.status
    );
}

#[test]
fn an_operation_killed_at_some_instruction_happens_wholly_or_not_at_all() {
    endurance(&["kill-points", "--quick", "--sample", "4", "--jobs", "2"]);
}
