//! `sysv run --ephemeral`: signals, what is left behind, and that the namespace is gone however it ends.

mod place;

use std::fs;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use place::{Place, Running, am_root, succeeds, sysv, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// `sysv run --ephemeral` of a shell that tells its namespace and process id first.
fn shell(options: &[&str], script: &str) -> (Running, PathBuf, i32) {
    let mut command = sysv();
    command.args(["run", "--ephemeral"]).args(options);
    command.args(["--", "sh", "-c", &format!("echo $SYSV_NAMESPACE; echo $$; {script}")]);
    started(command)
}

fn started(mut command: Command) -> (Running, PathBuf, i32) {
    // A process group with a parent outside it: one without (whoever runs the tests may have made ours so) does not stop at
    // SIGTSTP.
    command.process_group(0);
    let mut running = Running::start(command);
    let directory = PathBuf::from(running.line());
    assert!(directory.is_absolute());
    let pid = running.line().parse().unwrap();
    (running, directory, pid)
}

/// Nothing of it is left, its unguessable directory included.
fn gone(directory: &Path) -> bool {
    !directory.exists() && (directory.parent() == Some(Path::new("/dev/shm")) || !directory.parent().unwrap().exists())
}

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The state that ps(1) shows: R, S, T, Z…
fn state(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

const CREATE: &str = "perl -e 'shmget(42, 100, 0600 | 01000); shmget(0, 5000, 0600 | 01000)';";

#[test]
fn what_is_left_behind_is_reported_and_removed() {
    let (running, directory, _) = shell(&[], &format!("{CREATE} exit 0"));
    let (status, report) = running.end();
    assert_eq!(status.code(), Some(0));
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), 3, "{report}");
    assert_eq!(lines[0], "sysv run: the program left behind, now removed:");
    assert!(
        lines[1].contains(", key 0x0000002a, 100 bytes, created by perl (pid "),
        "{report}"
    );
    assert!(lines[2].contains("5000 bytes") && !lines[2].contains("key"), "{report}");
    assert!(gone(&directory));
}

#[test]
fn a_leak_fails_the_run_if_that_is_asked_for() {
    for (options, script, expected) in [
        (&["--fail-on-leak"][..], format!("{CREATE} exit 0"), 1),
        (&["--fail-on-leak"], format!("{CREATE} exit 7"), 7),
        (&["--fail-on-leak"], "exit 0".to_owned(), 0),
        (&[], format!("{CREATE} exit 0"), 0),
    ] {
        let (running, directory, _) = shell(options, &script);
        let (status, report) = running.end();
        assert_eq!(status.code(), Some(expected), "{options:?} {script}: {report}");
        assert_eq!(report.contains("left behind"), script.contains("shmget"));
        assert!(gone(&directory));
    }
}

#[test]
fn what_the_program_removed_is_no_leak() {
    let (running, directory, _) = shell(
        &["--fail-on-leak"],
        "perl -e '$id = shmget(42, 100, 0600 | 01000); shmctl($id, 0, 0) or die'; exit 0",
    );
    let (status, report) = running.end();
    assert!(status.success() && report.is_empty(), "{report}");
    assert!(gone(&directory));
}

/// The holder is the demonstration's: a process that attaches and waits.
#[test]
fn a_child_that_outlives_the_program_is_named_and_keeps_its_memory() {
    let mut command = sysv();
    let script = "echo $SYSV_NAMESPACE; echo $$; sysv=\"$0\"; $sysv create 4096 --key 0x64656d6f >&2; \
         $sysv demo --role hold & read line; exit 0";
    command.args([
        "run",
        "--ephemeral",
        "--",
        "sh",
        "-c",
        script,
        env!("CARGO_BIN_EXE_sysv"),
    ]);
    let (mut running, directory, _) = started(command);
    let told = running.line();
    let holder: i32 = told.split_whitespace().nth(1).unwrap().parse().unwrap();
    running.write("\n");
    // The holder has our pipes open; what is read ends with it.
    wait_until("the namespace is removed", || gone(&directory));
    assert_eq!(state(holder), 'S', "the holder lives on");
    kill(holder, Signal::KILL);
    let (status, report) = running.end();
    assert!(status.success());
    assert!(report.contains("4096 bytes, created by sysv (pid "), "{report}");
    assert!(
        report.contains(&format!(", still attached by sysv (pid {holder})")),
        "{report}"
    );
}

/// The last process that has a removed segment attached is killed, and nobody makes a call any more: the program, whose
/// child it was, lives on and waits.
#[test]
fn the_memory_of_a_removed_segment_is_back_at_once_when_its_last_user_is_killed() {
    let mut command = sysv();
    let script = "echo $SYSV_NAMESPACE; echo $$; sysv=\"$0\"; $sysv create 4096 --key 0x64656d6f >&2; \
         $sysv demo --role hold & read line; $sysv rm --force --key 0x64656d6f >/dev/null; echo removed; read line; exit 0";
    command.args([
        "run",
        "--ephemeral",
        "--",
        "sh",
        "-c",
        script,
        env!("CARGO_BIN_EXE_sysv"),
    ]);
    let (mut running, directory, program) = started(command);
    let told = running.line();
    let holder: i32 = told.split_whitespace().nth(1).unwrap().parse().unwrap();
    running.write("\n");
    assert_eq!(running.line(), "removed");
    let files = || fs::read_dir(directory.join("shm")).unwrap().count();
    // Time enough to notice that somebody has it.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(files(), 1, "it is attached");
    kill(holder, Signal::KILL);
    wait_until("the segment's file is removed", || files() == 0);
    assert_eq!(state(program), 'S', "the program waits");
    running.write("\n");
    let (status, report) = running.end();
    assert!(status.success() && report.lines().count() == 1, "{report}");
    assert!(gone(&directory));
}

#[test]
fn signals_reach_the_program_and_the_namespace_goes_with_it() {
    for (signal, number) in [
        (Signal::TERM, 15),
        (Signal::INT, 2),
        (Signal::HUP, 1),
        (Signal::QUIT, 3),
    ] {
        // Whoever catches it ends as it likes.
        let (running, directory, _) = shell(
            &[],
            &format!("trap 'exit 9' {number}; echo; while :; do sleep 0.01; done"),
        );
        let mut running = running;
        running.line();
        assert!(directory.join("table").exists());
        running.signal(signal);
        assert_eq!(running.end().0.code(), Some(9), "signal {number}");
        assert!(gone(&directory));

        // Whom it kills, kills the command, after the namespace is removed.
        let (running, directory, _) = shell(&[], "exec sleep 60");
        running.signal(signal);
        assert_eq!(running.end().0.signal(), Some(number));
        assert!(gone(&directory));
    }
}

#[test]
fn a_program_killed_for_good_leaves_no_namespace() {
    let (running, directory, pid) = shell(&[], &format!("{CREATE} echo; exec sleep 60"));
    let mut running = running;
    running.line();
    kill(pid, Signal::KILL);
    let (status, report) = running.end();
    assert_eq!(status.signal(), Some(9));
    assert!(report.contains("key 0x0000002a"), "{report}");
    assert!(gone(&directory));
}

/// Signals do not end a container's first process; its exit status says which one ended the program.
#[test]
fn as_a_containers_first_process_it_says_how_the_program_died() {
    let contained = |script: &str| {
        let mut command = Command::new("unshare");
        command.args([
            "--pid",
            "--fork",
            "--map-root-user",
            env!("CARGO_BIN_EXE_sysv"),
            "run",
            "--ephemeral",
            "--",
        ]);
        command
            .args(["sh", "-c", script])
            .stderr(std::process::Stdio::null())
            .status()
    };
    if !contained("exit 0").is_ok_and(|status| status.success()) {
        eprintln!("skipped: no pid namespace can be made");
        return;
    }
    assert_eq!(contained("kill -TERM $$").unwrap().code(), Some(128 + 15));
    assert_eq!(contained("exit 5").unwrap().code(), Some(5));
}

#[test]
fn the_command_stops_and_goes_on_with_the_program() {
    let (running, directory, pid) = shell(&[], "exec sleep 60");
    wait_until("the program runs", || state(pid) == 'S');
    running.signal(Signal::TSTP);
    wait_until("both stop", || state(pid) == 'T' && state(running.pid()) == 'T');
    running.signal(Signal::CONT);
    wait_until("both go on", || state(pid) == 'S' && state(running.pid()) == 'S');
    running.signal(Signal::TERM);
    assert_eq!(running.end().0.signal(), Some(15));
    assert!(gone(&directory));
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let mut command = Command::new("sh");
    let inner = "echo $SYSV_NAMESPACE; echo $$; read line; echo alive; exit 4";
    command.args([
        "-c",
        "trap '' HUP; exec \"$0\" run --ephemeral -- sh -c \"$1\"",
        env!("CARGO_BIN_EXE_sysv"),
        inner,
    ]);
    let (mut running, directory, pid) = started(command);
    running.signal(Signal::HUP);
    kill(pid, Signal::HUP);
    running.write("go\n");
    assert_eq!(running.line(), "alive");
    assert_eq!(running.end().0.code(), Some(4));
    assert!(gone(&directory));
}

#[test]
fn a_program_of_roots_goes_on_as_another_user() {
    if !am_root() {
        return;
    }
    let script = r#"
        my $public = shmget(1, 100, 0666 | 01000); my $private = shmget(2, 100, 0600 | 01000);
        shmwrite($public, "from root", 0, 9) or die "shmwrite: $!";
        $) = "65534 65534"; $( = 65534; $< = $> = 65534;
        shmread(shmget(1, 0, 0), my $text, 0, 9) or die "shmread: $!";
        shmwrite($public, "and back", 20, 8) or die "shmwrite: $!";
        shmread($private, my $none, 0, 1) and die "read what is root's";
        print "$!\n";
        defined(my $own = shmget(3, 100, 0600 | 01000)) or die "shmget: $!";
        shmwrite($own, "mine", 0, 4) or die "shmwrite: $!";
        # A new program finds its way, too.
        system("perl", "-e", q(shmread(shmget(3, 0, 0), $_, 0, 4) or die "shmread: $!"; print "$text $_\n")) == 0 or die;
    "#;
    let mut command = sysv();
    command.args(["run", "--ephemeral", "--", "perl", "-e", script]);
    let output = command.output().unwrap();
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{report}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "Permission denied\n mine\n");
    assert_eq!(report.lines().count(), 4, "{report}");
}

#[test]
fn ephemeral_namespaces_do_not_see_each_other() {
    let place = Place::new();
    place.prints(&["create", "10", "--key", "42"]);
    let script = "defined shmget(42, 0, 0) and die 'seen'; print \"alone\\n\"";
    assert_eq!(place.prints(&["run", "-e", "perl", "-e", script]), "alone\n");
    let inner = format!("{CREATE} \"$0\" run -e -- perl -e '{script}'; \"$0\" rm -K 42 >&2");
    let mut command = sysv();
    command.args([
        "run",
        "--ephemeral",
        "--",
        "sh",
        "-c",
        &inner,
        env!("CARGO_BIN_EXE_sysv"),
    ]);
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "alone\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 3);
}

#[test]
fn the_demonstration_holds() {
    let mut command = sysv();
    command.arg("demo");
    let told = succeeds(command);
    assert_eq!(told.matches("      ok: ").count(), 9, "{told}");
    assert!(told.contains("(perl) found segment"), "{told}");
}

#[test]
fn the_demonstration_says_so_if_perl_is_missing() {
    let mut command = sysv();
    command.arg("demo").env("PATH", "/no/such/directory");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("needs perl; install it"), "{complaint}");
}

/// The terminal tells the whole process group, and the command adds nothing to that: a program that has left the group
/// is not interrupted, and one in it is interrupted once.
#[test]
fn what_the_terminal_sends_is_not_forwarded() {
    if !Command::new("script")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("skipped: no script(1)");
        return;
    }
    for (leave, interrupts) in [("setpgrp;", 0), ("", 1)] {
        let counts = format!(
            "$| = 1; $n = 0; $SIG{{INT}} = sub {{ $n++ }}; {leave} print \"$ENV{{SYSV_NAMESPACE}}\\nready\\n\"; \
             select undef, undef, undef, 0.5 for 1, 2; print \"interrupted $n\\n\"; exit 6"
        );
        let program = format!(
            "exec {} run --ephemeral -- perl -e '{counts}'",
            env!("CARGO_BIN_EXE_sysv")
        );
        let mut command = Command::new("script");
        command.args(["-qec", &program, "/dev/null"]);
        let mut running = Running::start(command);
        let directory = PathBuf::from(running.line());
        assert_eq!(running.line(), "ready");
        running.write("\x03");
        // The terminal echoes what was typed.
        assert_eq!(running.line().replace("^C", ""), format!("interrupted {interrupts}"));
        assert_eq!(running.end().0.code(), Some(6));
        assert!(gone(&directory));
    }
}

/// Whoever reads may have had enough before everything is said.
#[test]
fn the_namespace_goes_also_when_nobody_listens() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let file = Place::new();
    let told = file.path("told");
    let mut command = sysv();
    let script = format!("echo $SYSV_NAMESPACE > {}; {CREATE} exit 3", told.display());
    command
        .args(["run", "--ephemeral", "--", "sh", "-c", &script])
        .stderr(writer);
    assert_eq!(command.status().unwrap().code(), Some(3));
    assert!(gone(Path::new(fs::read_to_string(told).unwrap().trim_end())));

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = sysv();
    let output = command
        .arg("demo")
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = output.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
