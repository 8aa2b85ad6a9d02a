//! Children, however they are made, have their parent's attachments, and they are counted.

use sysv_preload_tests::{Linked, Namespace, Program, assert_same};

#[test]
fn children_of_every_kind_are_counted() {
    let program = Program::compile("forks");
    for way in [
        "fork",
        "_Fork",
        "clone",
        "clone_files",
        "by_number_fork",
        "by_number_clone",
        "by_number_clone3",
        "by_number_clone3_clear",
    ] {
        assert_same(&program, way);
    }
}

#[test]
fn a_child_made_past_everything_is_counted_from_its_first_call() {
    assert_same(&Program::compile("forks"), "late/past_everything");
}

#[test]
fn a_killed_child_is_not_counted() {
    assert_same(&Program::compile("forks"), "killed");
}

#[test]
fn a_child_that_became_another_program_is_not_counted() {
    assert_same(&Program::compile("forks"), "exec");
}

#[test]
fn children_that_share_the_memory_are_not_counted() {
    assert_same(&Program::compile("forks"), "sharing");
    assert_same(&Program::compile("forks"), "sharing_clone");
}

#[test]
fn a_child_has_only_what_its_parent_had_then() {
    assert_same(&Program::compile("forks"), "detached_before");
}

#[test]
fn every_generation_is_counted() {
    assert_same(&Program::compile("forks"), "generations");
}

#[test]
fn a_child_outlives_its_parent() {
    assert_same(&Program::compile("forks"), "orphan");
}

#[test]
fn children_made_while_threads_call_are_whole() {
    assert_same(&Program::compile("forks"), "threads");
}

#[test]
fn a_static_program_counts_its_children() {
    let program = Program::compile_as("forks", Linked::Statically);
    for way in [
        "fork",
        "late/_Fork",
        "late/clone",
        "by_number_fork",
        "by_number_clone3",
        "exec",
        "sharing",
        "threads",
    ] {
        let expected = Program::compile("forks").run().arg(way).on_kernel();
        program
            .run()
            .arg(way)
            .alone(&Namespace::fresh())
            .assert_is(&expected, way);
    }
}
