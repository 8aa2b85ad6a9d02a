//! Programs that start as root and become somebody else may use what that user may use, from then on.

use sysv_preload_tests::{Namespace, Program};

#[test]
fn every_change_of_credentials_counts_at_the_next_call() {
    let program = Program::compile("credentials");
    if !std::fs::metadata("/proc/self").is_ok_and(|status| std::os::unix::fs::MetadataExt::uid(&status) == 0) {
        eprintln!("skipped: needs root");
        return;
    }
    let kernel = program.run().on_kernel();
    assert!(kernel.stdout.contains("EACCES"), "{kernel:?}");
    program
        .run()
        .on_library(&Namespace::shared())
        .assert_is(&kernel, "credentials");
}
