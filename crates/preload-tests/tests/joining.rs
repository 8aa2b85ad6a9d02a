//! The first call joins the namespace, whatever else goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sysv_preload_tests::{Linked, Namespace, Outcome, Program, assert_same};

fn run(mode: &str, namespace: &Namespace) -> Outcome {
    Program::compile("joining").run().arg(mode).on_library(namespace)
}

#[test]
fn many_threads_join_at_once() {
    for _ in 0..10 {
        assert_same(&Program::compile("joining"), "threads");
    }
}

#[test]
fn a_child_forked_in_the_middle_joins_by_itself() {
    let outcome = run("forked_in_the_middle", &Namespace::fresh());
    let ok = "shmget(0x77, 100, IPC_CREAT | 0600): ok\n";
    assert_eq!(
        outcome.stdout,
        format!("letting them go on\n{ok}{ok}status 0\nmade by one of us\n"),
        "{outcome:?}"
    );
}

/// What `c/joining.c` says when everything fails with `errno`.
fn refusals(errno: &str) -> String {
    format!(
        "shmget(IPC_PRIVATE, 100, 0600): {errno}\nshmget(IPC_PRIVATE, 100, 0600): {errno}\nshmat(0, NULL, 0): {errno}\n\
         shmdt(&ds): {errno}\nshmctl(-1, -1, NULL): {errno}\nshmctl(0, IPC_STAT, &ds): {errno}\nopen(\"/proc/sysvipc/shm\", O_RDONLY): {errno}\n\
         fopen(\"/proc/sysvipc/shm\", \"r\"): {errno}\n\
         shmget(IPC_PRIVATE, 100, 0600): {errno}\nmunmap(memory, 4096): ok\n"
    )
}

#[test]
fn a_namespace_that_cannot_be_used_is_refused_with_one_line() {
    let namespace = Namespace::fresh();
    fs::write(namespace.directory(), "no directory").unwrap();
    let outcome = run("refused", &namespace);
    assert_eq!(outcome.stdout, refusals("ENOSYS"));
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert!(outcome.stderr.starts_with("libsysv: "), "{outcome:?}");
    assert!(
        outcome.stderr.contains(namespace.directory().to_str().unwrap()),
        "{outcome:?}"
    );
    fs::remove_file(namespace.directory()).unwrap();
}

#[test]
fn a_namespace_that_others_may_change_is_refused() {
    let namespace = Namespace::fresh();
    fs::create_dir(namespace.directory()).unwrap();
    fs::set_permissions(namespace.directory(), fs::Permissions::from_mode(0o777)).unwrap();
    let outcome = run("refused", &namespace);
    assert_eq!(outcome.stdout, refusals("EACCES"));
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
}

#[test]
fn a_name_that_is_none_is_refused() {
    let program = Program::compile("joining");
    for (name, count) in [("x".repeat(5000), 1), (format!("/nonexistent/{}", "x".repeat(100)), 1)] {
        let outcome = program.run().arg("refused").named(&name);
        assert_eq!(outcome.stdout, refusals("ENOSYS"), "{name}");
        assert_eq!(outcome.stderr.lines().count(), count, "{outcome:?}");
    }
}

#[test]
fn a_daemon_that_clears_its_environment_stays_in_its_namespace() {
    let namespace = Namespace::fresh();
    let outcome = run("cleared_environment", &namespace);
    assert_eq!(outcome.stdout.matches(": ok").count(), 2, "{outcome:?}");
    assert!(namespace.directory().join("table").exists());
}

#[test]
fn a_program_may_choose_another_namespace_before_its_first_call() {
    let namespace = Namespace::fresh();
    let outcome = run("changed_environment", &namespace);
    assert!(outcome.stdout.ends_with(": ok\n"), "{outcome:?}");
    assert!(!namespace.directory().exists());
    let other = format!("{}-other", namespace.directory().display());
    assert!(fs::exists(format!("{other}/table")).unwrap());
    fs::remove_dir_all(other).unwrap();
}

#[test]
fn a_namespace_named_from_the_working_directory_stays_the_same() {
    let namespace = Namespace::fresh();
    fs::create_dir(namespace.directory()).unwrap();
    let outcome = Program::compile("joining")
        .run()
        .arg("relative")
        .directory(namespace.directory())
        .named("inner");
    assert_eq!(outcome.stdout.matches(": ok").count(), 3, "{outcome:?}");
    assert!(outcome.stdout.ends_with("attached 1\n"), "{outcome:?}");
    assert!(namespace.directory().join("inner/table").exists());
}

#[test]
fn without_a_call_nothing_happens() {
    assert_same(&Program::compile("joining"), "no_call");
}

#[test]
fn without_descriptors_the_call_fails_and_says_why() {
    let outcome = run("no_descriptors", &Namespace::fresh());
    assert_eq!(
        outcome.stdout, "shmget(0x77, 100, IPC_CREAT | 0600): ENFILE\n",
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("open files"), "{outcome:?}");
}

#[test]
fn the_dynamic_linkers_last_error_is_left_alone() {
    assert_same(&Program::compile("joining"), "linkers_error");
}

#[test]
fn a_static_program_joins_as_well() {
    let program = Program::compile_as("joining", Linked::Statically);
    for mode in ["threads", "no_call"] {
        let expected = Program::compile("joining").run().arg(mode).on_kernel();
        program
            .run()
            .arg(mode)
            .alone(&Namespace::fresh())
            .assert_is(&expected, mode);
    }
}
