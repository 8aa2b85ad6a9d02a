//! `sysv trace`: what it shows of real programs, in a namespace and on the kernel's facility.

mod place;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use place::{Place, Running, am_root, complains, sysv};
use rustix::process::Signal;
use serde_json::Value;

/// The trace of a perl script, and how the command ended.
fn traced(place: &Place, options: &[&str], script: &str) -> (String, Option<i32>) {
    let file = place.path("trace");
    let mut command = place.sysv(&["trace", "-o", file.to_str().unwrap()]);
    command.args(options).args(["--", "perl", "-e", script]);
    let status = command.status().unwrap();
    (fs::read_to_string(file).unwrap(), status.code())
}

/// The lines without times and process ids, which stand before the call's name and after its result.
fn calls(trace: &str) -> Vec<String> {
    let call = |line: &str| {
        let begin = line.find("] ").unwrap() + 2;
        let end = line.rfind(" <").unwrap_or(line.len());
        line[begin..end].to_owned()
    };
    trace.lines().map(call).collect()
}

fn objects(trace: &str) -> Vec<Value> {
    trace.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every mechanism, by functions that perl has built in; removes what it makes.
const EVERYTHING: &str = r#"
    my $set = semget(0, 2, 0600);
    semop($set, pack("s6", 0, 2, 0, 1, 1, 0x1000));
    semop($set, pack("s3", 0, -3, 04000));
    semctl($set, 0, 17, pack("S2", 3, 4));
    semctl($set, 1, 0, 0);
    my $queue = msgget(0, 0640);
    msgsnd($queue, pack("l! a*", 7, "tab\there"), 0);
    msgrcv($queue, my $got, 100, 0, 04000);
    msgrcv($queue, $got, 100, -9, 04000);
    msgctl($queue, 0, 0);
    my $segment = shmget(0, 5000, 01644);
    shmwrite($segment, "x", 0, 1);
    shmctl($segment, 0, 0);
    shmget(0, 0, 0600);
"#;

fn shows_everything(place: &Place, options: &[&str]) {
    let (trace, status) = traced(place, options, EVERYTHING);
    assert_eq!(status, Some(0));
    let shown = calls(&trace);
    let (set, queue, segment) = (
        shown[0].rsplit(' ').next().unwrap().to_owned(),
        shown
            .iter()
            .find(|call| call.starts_with("msgget"))
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned(),
        shown
            .iter()
            .find(|call| call.starts_with("shmget"))
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned(),
    );
    for wanted in [
        "semget(IPC_PRIVATE, 2, 0600) = ".to_owned() + &set,
        format!("semop({set}, [{{0, 2, 0}}, {{1, 1, SEM_UNDO}}], 2) = 0"),
        format!("semop({set}, [{{0, -3, IPC_NOWAIT}}], 1) = -1 EAGAIN (Resource temporarily unavailable)"),
        format!("semctl({set}, 0, SETALL, [3, 4]) = 0"),
        format!("semctl({set}, 1, IPC_RMID) = 0"),
        format!("msgsnd({queue}, {{7, \"tab\\there\"}}, 8, 0) = 0"),
        format!("msgrcv({queue}, {{7, \"tab\\there\"}}, 100, 0, IPC_NOWAIT) = 8"),
        format!("msgctl({queue}, IPC_RMID) = 0"),
        "shmget(IPC_PRIVATE, 5000, IPC_CREAT|0644) = ".to_owned() + &segment,
        format!("shmctl({segment}, IPC_RMID) = 0"),
        "shmget(IPC_PRIVATE, 0, 0600) = -1 EINVAL (Invalid argument)".to_owned(),
    ] {
        assert!(shown.contains(&wanted), "{wanted} is not in\n{trace}");
    }
    let failed = shown.iter().find(|call| call.contains(", -9, IPC_NOWAIT)")).unwrap();
    assert!(failed.ends_with("= -1 ENOMSG (No message of desired type)"), "{failed}");
    let attached = shown.iter().find(|call| call.starts_with("shmat")).unwrap();
    assert!(attached.contains("= 0x"), "{attached}");
}

#[test]
fn calls_are_shown_as_a_c_program_writes_them() {
    shows_everything(&Place::new(), &[]);
    shows_everything(&Place::new(), &["--ephemeral"]);
}

#[test]
fn the_kernels_facility_is_traced_in_the_same_form() {
    let place = Place::new();
    shows_everything(&place, &["--kernel"]);
    assert!(place.namespace.report().unwrap().is_empty());
}

#[test]
fn the_program_goes_on_as_it_would_without() {
    let place = Place::new();
    let script = r#"$! = 0; shmget(77, 0, 0600); print $!+0, "\n"; print STDERR "said\n"; exit 3"#;
    let mut command = place.sysv(&["trace", "--", "perl", "-e", script]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "2\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("said\n") && said.contains("shmget(0x4d, 0, 0600) = -1 ENOENT"),
        "{said}"
    );

    let mut running = Running::start(place.sysv(&["trace", "--", "perl", "-e", "$| = 1; print \"here\\n\"; sleep 60"]));
    assert_eq!(running.line(), "here");
    running.signal(Signal::TERM);
    let (status, _) = running.end();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
}

#[test]
fn children_are_traced_whatever_they_do_to_descriptors_and_environment() {
    let place = Place::new();
    let script = r#"
        %ENV = (); for (3 .. 100) { require POSIX; POSIX::close($_) }
        if (!fork) { exec($^X, "-e", "msgget(91, 0)") } wait; semget(92, 1, 0);
    "#;
    let (trace, _) = traced(&place, &[], script);
    // The child was started without the environment that says what to preload.
    assert_eq!(
        calls(&trace),
        ["semget(0x5c, 1, 0000) = -1 ENOENT (No such file or directory)"]
    );
    let script = r#"for my $n (1 .. 5) { if (!fork) { msgget($n, 0); exec($^X, "-e", "msgget(90 + $n, 0)") } } 1 while wait > 0"#;
    let (trace, _) = traced(&place, &["--calls", "msgget"], script);
    let mut shown = calls(&trace);
    shown.sort();
    assert_eq!(shown.len(), 10, "{trace}");
    assert!(shown[0].starts_with("msgget(0x1,"), "{trace}");
}

#[test]
fn a_call_that_waits_is_shown_before_it_returns_and_one_that_is_killed_at_the_end() {
    let place = Place::new();
    let file = place.path("trace");
    let script = r#"$q = msgget(5, 01600); $p = fork; if (!$p) { msgrcv($q, $b, 10, 0, 0) } <STDIN>; kill 9, $p; wait"#;
    let command = place.sysv(&["trace", "-o", file.to_str().unwrap(), "perl", "-e", script]);
    let mut running = Running::start(command);
    place::wait_until("the waiting call is shown", || {
        let trace = fs::read_to_string(&file).unwrap_or_default();
        trace
            .lines()
            .any(|line| line.contains("msgrcv(") && line.ends_with(" <waiting>"))
    });
    running.write("\n");
    assert!(running.end().0.success());
    let trace = fs::read_to_string(&file).unwrap();
    assert!(trace.trim_end().ends_with(", 10, 0, 0) <unfinished>"), "{trace}");
}

#[test]
fn json_has_an_object_for_each_call() {
    let place = Place::new();
    let (trace, _) = traced(&place, &["--json"], EVERYTHING);
    let objects = objects(&trace);
    let named = |name: &str| {
        objects
            .iter()
            .filter(|o| o["call"] == name)
            .cloned()
            .collect::<Vec<_>>()
    };
    let operations = &named("semop")[0];
    assert_eq!(
        operations["arguments"]["sops"],
        serde_json::json!([{ "semnum": 0, "op": 2, "flags": "0" }, { "semnum": 1, "op": 1, "flags": "SEM_UNDO" }])
    );
    assert_eq!((&operations["result"], &operations["errno"]), (&0.into(), &Value::Null));
    assert_eq!(named("semop")[1]["errno"], "EAGAIN");
    let sent = &named("msgsnd")[0]["arguments"]["message"];
    assert_eq!((&sent["type"], &sent["text"]), (&7.into(), &"tab\\there".into()));
    for object in &objects {
        assert!(
            object["pid"].as_u64().unwrap() > 0 && object["seconds"].as_f64().unwrap() > 0.0,
            "{object}"
        );
    }
}

#[test]
fn a_summary_counts_calls_and_errors() {
    let place = Place::new();
    let (trace, _) = traced(&place, &["--summary"], EVERYTHING);
    assert!(trace.starts_with("% TIME"), "{trace}");
    let row = |name: &str| {
        let row = trace.lines().find(|line| line.ends_with(name)).unwrap();
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("  semop")[4..6], ["2", "1"]);
    assert_eq!(row("  shmget")[4..6], ["2", "1"]);
    let (trace, _) = traced(&place, &["--summary", "--json"], EVERYTHING);
    let summary = &objects(&trace)[0];
    let semop = summary["calls"]
        .as_array()
        .unwrap()
        .iter()
        .find(|call| call["call"] == "semop")
        .unwrap();
    assert_eq!((&semop["calls"], &semop["errors"]), (&2.into(), &1.into()));
}

#[test]
fn thousands_of_calls_of_many_processes_are_all_shown() {
    let place = Place::new();
    let script = r#"for (1 .. 8) { if (!fork) { msgget($_, 0) for 1 .. 1000; exit } } 1 while wait > 0"#;
    let (trace, _) = traced(&place, &[], script);
    assert_eq!(trace.lines().filter(|line| line.contains("msgget(")).count(), 8000);
}

/// A program that has become another user still finds who listens.
#[test]
fn a_program_that_drops_its_privileges_is_traced_on() {
    if !am_root() {
        return;
    }
    let place = Place::new();
    let script = r#"msgget(1, 0); $< = $> = 65534; msgget(2, 0)"#;
    let (trace, status) = traced(&place, &["--ephemeral"], script);
    assert_eq!((calls(&trace).len(), status), (2, Some(0)), "{trace}");
}

#[test]
fn the_program_survives_its_tracer() {
    let place = Place::new();
    let done = place.path("done");
    let script = format!(
        r#"$| = 1; print "here\n"; msgget(1, 0), select(undef, undef, undef, 0.001) while getppid != 1 && time < $^T + 20;
           msgget(1, 0) for 1 .. 100; open F, ">", "{}"; print F "done"; close F"#,
        done.display()
    );
    let mut running = Running::start(place.sysv(&["trace", "-o", "/dev/null", "--", "perl", "-e", &script]));
    assert_eq!(running.line(), "here");
    running.signal(Signal::KILL);
    let begun = Instant::now();
    while fs::read_to_string(&done).unwrap_or_default() != "done" {
        assert!(begun.elapsed() < Duration::from_secs(60), "the program did not go on");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(running);
    // The name of a socket whose owner was killed stays; it is this test's.
    for entry in fs::read_dir("/tmp").unwrap().flatten() {
        let dead = entry.file_name().to_string_lossy().starts_with("sysv-trace-")
            && std::os::unix::net::UnixDatagram::unbound()
                .unwrap()
                .connect(entry.path().join("s"))
                .is_err();
        if dead {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[test]
fn what_cannot_be_traced_is_said_with_the_statuses_of_run() {
    let with = |arguments: &[&str]| {
        let mut command: Command = sysv();
        command.arg("trace").args(arguments);
        command
    };
    assert!(complains(125, with(&["--calls", "open", "--", "true"])).contains("the calls are shmget, shmat"));
    assert!(complains(127, with(&["--", "/nonexistent/program"])).contains("/nonexistent/program"));
    assert!(complains(125, with(&["-o", "/nonexistent/file", "--", "true"])).contains("/nonexistent/file"));
    complains(125, with(&[]));
}
