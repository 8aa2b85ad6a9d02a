//! Attachments that a program unmaps, replaces or moves by itself.

use sysv_preload_tests::{Program, assert_same};

#[test]
fn what_is_unmapped_replaced_or_moved_is_counted_as_the_kernel_counts_it() {
    assert_same(&Program::compile("mappings"), "direct");
}

#[test]
fn by_number_it_is_the_same() {
    assert_same(&Program::compile("mappings"), "syscall");
}
