//! Each harness, bounded so that all of them together take a minute or two. `docs/testing.md` has the commands for the whole.

use std::process::Command;

/// The same at each run of the tests, so that a change is tested against what it was tested against before; the whole, and other
/// seeds, are for `docs/testing.md`'s commands.
const SEED: &str = "1";

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
    // Without those that take hundreds of thousands of instructions; the whole is for `docs/testing.md`'s commands.
    endurance(&[
        "kill-points",
        "--sample",
        "3",
        "--jobs",
        "2",
        "--quick",
        "--operations",
        "24",
        "--seed",
        SEED,
    ]);
}

#[test]
fn of_two_processes_at_a_lock_either_can_be_killed() {
    let owners = ["ipc-set", "semop-several", "sem-exit-undo", "msg-rmid"];
    endurance(&[&["pairs", "--sample", "1", "--jobs", "2", "--seed", SEED], &owners[..]].concat());
}

#[test]
fn processes_killed_at_random_lose_nothing() {
    endurance(&["storm", "--seconds", "10"]);
}

#[test]
fn lies_in_the_shared_memory_harm_nobody() {
    endurance(&["lies", "--images", "120000", "--seed", SEED]);
}

#[test]
fn a_liar_at_work_during_the_calls_harms_nobody() {
    endurance(&["lies", "--images", "40000", "--liar", "--seed", SEED]);
}

#[test]
fn no_image_that_once_did_harm_does_any_now() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/lies");
    let images = std::fs::read_dir(corpus).unwrap();
    let images: Vec<String> = images
        .map(|image| image.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    assert!(images.len() > 5, "{images:?}");
    let args: Vec<&str> = ["lies"].into_iter().chain(images.iter().map(String::as_str)).collect();
    endurance(&args);
}
