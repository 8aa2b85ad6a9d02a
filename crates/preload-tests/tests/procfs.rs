//! The facility's files under /proc show the namespace.

use std::fs;
use std::path::Path;

use sysv_preload_tests::{LIBRARY, Namespace, Program, Run, assert_same};

fn am_root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|status| std::os::unix::fs::MetadataExt::uid(&status) == 0);
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

#[test]
fn they_read_as_the_kernels_however_they_are_opened() {
    assert_same(&Program::compile("procfs"), "read");
}

#[test]
fn they_are_known_by_any_path() {
    assert_same(&Program::compile("procfs"), "paths");
}

#[test]
fn other_files_and_bad_paths_are_not_touched() {
    assert_same(&Program::compile("procfs"), "others");
}

#[test]
fn they_can_be_asked_about() {
    assert_same(&Program::compile("procfs"), "status");
}

#[test]
fn what_is_written_to_a_limit_counts_at_the_next_call() {
    if am_root() {
        assert_same(&Program::compile("procfs"), "write");
    }
}

#[test]
fn the_namespaces_owner_needs_not_be_root_to_write_a_limit() {
    let namespace = Namespace::fresh();
    let program = Program::compile("procfs");
    let mut run = program.run().arg("write");
    if am_root() {
        run = run.user(65534);
    }
    let outcome = run.on_library(&namespace);
    assert_eq!((outcome.code, outcome.signal), (Some(0), None), "{outcome:?}");
    assert!(outcome.stdout.contains("kernel.shmmni = 80"), "{outcome:?}");
}

#[test]
fn others_than_the_namespaces_owner_may_not_write_a_limit() {
    if !am_root() {
        return;
    }
    let namespace = Namespace::shared();
    let script = "echo 5 > /proc/sys/kernel/shmmni";
    let refused = Run::of("sh").arg("-c").arg(script).user(65534).on_library(&namespace);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stderr.contains("Permission denied"), "{refused:?}");
    let seen = Run::of("cat").arg("/proc/sys/kernel/shmmni").on_library(&namespace);
    assert_eq!(seen.stdout, "4096\n", "{seen:?}");
}

#[test]
fn they_are_there_even_if_the_kernel_has_none() {
    if !am_root() {
        return;
    }
    let namespace = Namespace::fresh();
    let program = Program::compile("procfs");
    let script = format!(
        "mount -t tmpfs none /proc/sysvipc && LD_PRELOAD={LIBRARY} SYSV_NAMESPACE={} exec {} absent",
        namespace.directory().display(),
        program.path().display(),
    );
    let absent = Run::of("unshare").arg("-m").arg("sh").arg("-c").arg(script).on_kernel();
    let expected = program.run().arg("absent").on_library(&Namespace::fresh());
    // Without its kernel's file, a descriptor is the lowest all the same.
    absent.assert_is(&expected, "absent");
    assert!(!Path::new("/proc/sysvipc/nothing").exists());
}

#[test]
fn ipcs_and_lsipc_print_the_same() {
    for command in [
        "ipcs -m",
        "ipcs -m -i $id",
        "ipcs -m -l",
        "ipcs -m -u",
        "lsipc -m -i $id",
        "lsipc -g | grep SHM",
    ] {
        // Ids and keys are the facility's own, and times pass.
        let script = format!(
            "id=$(ipcmk -M 5000 -p 0640 | tr -dc 0-9); {command} \
             | sed \"s/0x[0-9a-f]\\{{8\\}}/KEY/; s/KEY $id */KEY ID /; s/shmid=$id/ID/; s/^ID: *$id *$/ID/; s/[0-9]*:[0-9:]*/TIME/g; s/\\(_time=\\|pid=\\).*/\\1/; \
                s/^\\(Creator PID\\|Creation time\\|Last\\).*//\"; ipcrm -m $id"
        );
        let program = || Run::of("sh").arg("-c").arg(&script);
        let expected = program().on_kernel();
        assert!(expected.stdout.lines().count() > 2, "{command}: {expected:?}");
        program()
            .with_kernel_calls()
            .on_library(&Namespace::fresh())
            .assert_is(&expected, command);
    }
}
