//! Semaphore sets, as C programs use them.

use sysv_preload_tests::{Program, assert_same};

#[test]
fn the_four_calls_do_what_the_kernels_do() {
    assert_same(&Program::compile("semaphores"), "direct");
}

#[test]
fn made_by_number_through_syscall_they_do_the_same() {
    assert_same(&Program::compile("semaphores"), "syscall");
}
