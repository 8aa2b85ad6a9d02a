//! The examples do what they say.

use std::path::PathBuf;
use std::process::Command;

/// `cargo test` builds the examples beside the tests, unless it is told to build only some of these.
fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples").join(example);
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(cargo.args(["build", "--examples"]).status().unwrap().success());
    }
    program
}

fn output_of(example: &str) -> String {
    let output = Command::new(program(example)).output().unwrap();
    assert!(output.status.success(), "{example}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nothing_is_lost_under_a_semaphore() {
    assert_eq!(output_of("under_a_semaphore"), "200000 additions by two processes\n");
}

#[test]
fn nothing_is_lost_under_locks() {
    assert_eq!(output_of("under_a_lock"), "16000000 in 16 accounts\n");
}
