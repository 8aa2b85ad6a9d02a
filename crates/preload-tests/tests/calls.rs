//! The calls themselves, as C programs make them.

use sysv_preload_tests::{Linked, Namespace, Program, assert_same};

#[test]
fn the_four_calls_do_what_the_kernels_do() {
    assert_same(&Program::compile("calls"), "direct");
}

#[test]
fn made_by_number_through_syscall_they_do_the_same() {
    assert_same(&Program::compile("calls"), "syscall");
}

#[test]
fn ftok_makes_the_c_librarys_keys() {
    assert_same(&Program::compile("key"), "");
}

#[test]
fn bad_pointers_are_efault() {
    assert_same(&Program::compile("pointers"), "");
}

#[test]
fn a_program_linked_with_the_archive_needs_no_preloading() {
    for (name, mode) in [("calls", "direct"), ("calls", "syscall"), ("key", ""), ("pointers", "")] {
        let expected = Program::compile(name).run().arg(mode).on_kernel();
        for linked in [Linked::WithArchive, Linked::Statically] {
            let program = Program::compile_as(name, linked);
            let actual = program.run().arg(mode).alone(&Namespace::fresh());
            actual.assert_is(&expected, &format!("{name} {mode} {linked:?}"));
        }
    }
}
