//! What else looks into a program, or stands in front of the C library, finds what it would find without the library.

use std::process::Command;

use sysv_preload_tests::{LIBRARY, Linked, Namespace, Outcome, Program, Run, assert_same};

#[test]
fn a_cancelled_thread_runs_its_cleanup() {
    assert_same(&Program::compile("cancelled"), "");
}

#[test]
fn a_thread_is_cancelled_while_it_waits_at_a_queue() {
    assert_same(&Program::compile("cancelled_queues"), "");
}

#[test]
fn another_preloaded_library_is_called_as_before() {
    let other = Program::compile_as("interposer", Linked::AsModule);
    let program = Program::compile("interposed");
    let kernel = program.run().preload(other.path()).on_kernel();
    assert!(kernel.stdout.contains("interposed sigaction: 11"), "{kernel:?}");
    program
        .run()
        .preload(other.path())
        .on_library(&Namespace::fresh())
        .assert_is(&kernel, "before ours");
    // Behind ours it sees what ours does not keep to itself: not the two faults.
    let behind = program
        .run()
        .preload(LIBRARY)
        .preload(other.path())
        .named("/dev/shm/sysv-preload-test-behind");
    let _ = std::fs::remove_dir_all("/dev/shm/sysv-preload-test-behind");
    let expected: String = kernel
        .stdout
        .lines()
        .filter(|line| *line != "interposed sigaction: 11")
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(behind.stdout, expected, "{behind:?}");
}

fn debugged(commands: &[&str], mode: &str) -> Outcome {
    let program = Program::compile("handlers");
    let mut run = Run::of("gdb")
        .arg("-nx")
        .arg("-batch")
        .arg("-ex")
        .arg("set startup-with-shell off");
    for command in commands {
        run = run.arg("-ex").arg(command);
    }
    run.arg("--args")
        .arg(program.path())
        .arg(mode)
        .on_library(&Namespace::fresh())
}

fn has_gdb() -> bool {
    let found = Command::new("gdb")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: needs gdb");
    }
    found
}

#[test]
fn a_debugger_sees_a_fault_where_it_happens() {
    if !has_gdb() {
        return;
    }
    let outcome = debugged(&["handle SIGSEGV nostop noprint", "run", "bt"], "none_fault");
    assert!(outcome.stdout.contains("terminated with signal SIGSEGV"), "{outcome:?}");

    // Passing over the bad pointer, whose fault is not the program's.
    let outcome = debugged(&["run", "continue", "bt 2"], "none_fault");
    let (first, second) = outcome
        .stdout
        .split_once("bad pointer: -1 EFAULT")
        .expect("the call returns under a debugger");
    assert!(
        first.contains("SIGSEGV") && first.contains("sysv_usercopy"),
        "{outcome:?}"
    );
    assert!(
        second.contains("SIGSEGV") && second.contains("own_fault (address="),
        "{outcome:?}"
    );
    assert!(second.contains("#1 ") && second.contains("none_fault"), "{outcome:?}");
}

#[test]
fn a_debugger_sees_through_the_signal_frame() {
    if !has_gdb() {
        return;
    }
    let outcome = debugged(
        &["handle SIGSEGV nostop noprint", "break reporting", "run", "bt"],
        "sent",
    );
    assert!(outcome.stdout.contains("<signal handler called>"), "{outcome:?}");
    assert!(
        outcome.stdout.contains("in kill ()") || outcome.stdout.contains("kill ("),
        "{outcome:?}"
    );
    assert!(outcome.stdout.contains("in sent ()"), "{outcome:?}");
}

#[test]
fn a_core_dump_shows_the_programs_own_fault() {
    if !has_gdb() {
        return;
    }
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim() != "core" {
        eprintln!("skipped: cores do not go to the working directory");
        return;
    }
    let directory = std::env::temp_dir().join(format!("sysv-core-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let program = Program::compile("handlers");
    let script = format!("ulimit -c unlimited; exec {} none_fault", program.path().display());
    let outcome = Run::of("sh")
        .arg("-c")
        .arg(script)
        .directory(&directory)
        .on_library(&Namespace::fresh());
    let core = std::fs::read_dir(&directory)
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().as_encoded_bytes().starts_with(b"core"));
    let shown = core.map(|core| {
        let gdb = Command::new("gdb")
            .args(["-nx", "-batch", "-ex", "bt 2"])
            .arg(program.path())
            .arg(core.path())
            .output();
        String::from_utf8_lossy(&gdb.expect("gdb starts").stdout).into_owned()
    });
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(outcome.signal, Some(11), "{outcome:?}");
    let shown = shown.expect("the program dumps its core");
    assert!(
        shown.contains("own_fault (address=") && shown.contains("none_fault"),
        "{shown}"
    );
}
