//! However a program ends, its attachments are gone, and not before.

use sysv_preload_tests::{Linked, Namespace, Program, assert_same};

#[test]
fn every_end_detaches() {
    let program = Program::compile("ends");
    for way in [
        "return",
        "exit",
        "exit_with_threads",
        "_exit",
        "quick_exit",
        "abort",
        "kill",
        "thread_exits",
        "exec",
    ] {
        assert_same(&program, way);
    }
}

#[test]
fn an_orderly_end_is_noted_when_it_happens() {
    assert_same(&Program::compile("ends"), "late/exit");
    assert_same(&Program::compile("ends"), "late/return");
}

#[test]
fn no_descriptor_is_kept_open_or_needed() {
    assert_same(&Program::compile("ends"), "closefrom");
}

#[test]
fn a_static_program_ends_as_well() {
    let program = Program::compile_as("ends", Linked::Statically);
    for way in [
        "return",
        "exit",
        "exit_with_threads",
        "_exit",
        "kill",
        "exec",
        "closefrom",
    ] {
        let expected = Program::compile("ends").run().arg(way).on_kernel();
        program
            .run()
            .arg(way)
            .alone(&Namespace::fresh())
            .assert_is(&expected, way);
    }
}
