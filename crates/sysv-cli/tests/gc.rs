//! `sysv gc`: what only the dead held goes, what the living hold stays.

mod place;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use place::{Place, Running, succeeds, sysv, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sysv::{Key, NewSegment, Segment};

/// The key of the demonstration's segment, which its role `hold` attaches.
const KEY: &str = "0x64656d6f";

/// A process that has the demonstration's segment attached.
fn holder(place: &Place) -> Running {
    let mut holder = Running::start(place.sysv(&["demo", "--role", "hold"]));
    assert!(holder.line().contains(" attached segment "));
    holder
}

/// `sysv gc` of the place's namespace alone.
fn gc(place: &Place, arguments: &[&str]) -> String {
    let directory = place.directory().to_str().unwrap();
    place.prints(&[&["gc", "--namespace", directory], arguments].concat())
}

fn removed(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let told: Value = serde_json::from_str(&gc(place, &[&["--json"], arguments].concat())).unwrap();
    assert_eq!(told["namespace"], place.directory().to_str().unwrap());
    assert_eq!(told["dry_run"], arguments.contains(&"--dry-run"));
    told["removed"].as_array().unwrap().clone()
}

fn files(directory: &Path) -> usize {
    fs::read_dir(directory.join("shm")).unwrap().count()
}

#[test]
fn what_a_killed_process_held_is_named_and_removed_and_what_a_living_one_holds_is_not() {
    let place = Place::new();
    let id = place.prints(&["create", "5000", "--key", KEY]).trim_end().to_owned();
    let (first, second) = (holder(&place), holder(&place));
    place.prints(&["rm", "--force", "--key", KEY]);
    let pids = [first.pid(), second.pid()];

    first.signal(Signal::KILL);
    first.end();
    let told = gc(&place, &["--dry-run"]);
    assert!(
        told.contains(&format!(
            "(pid {}): the process is dead; it had 1 attachment\n",
            pids[0]
        )),
        "{told}"
    );
    assert!(!told.contains(&id) && !told.contains(&pids[1].to_string()), "{told}");
    let now = removed(&place, &[]);
    assert!(
        now.iter().any(|r| r["kind"] == "process" && r["pid"] == pids[0]),
        "{now:?}"
    );
    assert!(
        now.iter().all(|r| r["kind"] == "process" && r["pid"] != pids[1]),
        "{now:?}"
    );
    assert_eq!(files(place.directory()), 1, "it is still attached");

    second.signal(Signal::KILL);
    second.end();
    let sentence = format!("segment {id}, 5000 bytes: removed, and every process that had it attached is dead\n");
    for _ in 0..2 {
        let told = gc(&place, &["--dry-run"]);
        assert!(
            told.starts_with("would remove:\n") && told.contains(&sentence),
            "{told}"
        );
        assert_eq!(files(place.directory()), 1, "a dry run removes nothing");
    }
    let now = removed(&place, &[]);
    assert_eq!(now.len(), 2, "{now:?}");
    assert!(
        now.iter().any(|r| r["kind"] == "process" && r["pid"] == pids[1]),
        "{now:?}"
    );
    let segment = now.iter().find(|r| r["kind"] == "segment").unwrap();
    assert_eq!(segment["id"].to_string(), id);
    assert_eq!(segment["bytes"], 5000);
    assert_eq!(files(place.directory()), 0);
    assert_eq!(gc(&place, &[]), "nothing to remove\n");
}

#[test]
fn orphans_go_only_if_asked_for_and_only_if_unused_for_so_long() {
    let place = Place::new();
    let used = place.prints(&["create", "5000", "--key", KEY]);
    let holder = holder(&place);
    let unused = place.prints(&["create", "100", "--key", "77"]);
    let unused = unused.trim_end();
    std::thread::sleep(Duration::from_millis(2100));
    let fresh = Segment::create(&place.namespace, Key::new(78), NewSegment::of_size(100)).unwrap();

    for nothing in [&[][..], &["--orphans"], &["--orphans=1h"], &["--orphans=60"]] {
        assert_eq!(gc(&place, nothing), "nothing to remove\n", "{nothing:?}");
    }
    let told = gc(&place, &["--dry-run", "--orphans=2"]);
    let sentence = format!("segment {unused}, key 0x0000004d, 100 bytes, created by sysv (pid ");
    assert!(told.contains(&sentence), "{told}");
    assert!(
        told.contains("): nobody has it in use, and it was last used "),
        "{told}"
    );
    assert_eq!(told.lines().count(), 2, "{told}");
    let now = removed(&place, &["--orphans=2"]);
    assert_eq!(now.len(), 1, "{now:?}");
    assert_eq!(now[0]["id"].to_string(), unused);

    let left = place.prints(&["ls"]);
    assert!(
        left.contains(used.trim_end()) && left.contains(&fresh.id().to_string()),
        "{left}"
    );
    assert!(!left.contains(unused), "{left}");
    // However long it is attached already.
    let now = removed(&place, &["--orphans=0"]);
    assert_eq!(now.len(), 1, "{now:?}");
    assert_eq!(now[0]["id"], fresh.id().get());
    drop(holder);
}

#[test]
fn a_namespace_that_is_not_there_is_an_error_only_if_it_was_named() {
    let place = Place::new();
    let nowhere = place.path("nowhere");
    let complaint = place.complains(1, &["gc", "-n", nowhere.to_str().unwrap()]);
    assert!(complaint.contains("there is no namespace in"), "{complaint}");
    let mut command = place.sysv(&["gc", "--dry-run"]);
    command.env("SYSV_NAMESPACE", &nowhere);
    succeeds(command);
    assert!(!nowhere.exists());
}

/// Kills a process when dropped that is not this one's child.
struct Killed(i32);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_raw(self.0).unwrap(), Signal::KILL);
    }
}

#[test]
fn the_namespace_of_a_killed_run_goes_when_its_last_process_has_ended() {
    let place = Place::new();
    let mut command = sysv();
    let script = format!(
        "echo $SYSV_NAMESPACE; sysv=\"$0\"; $sysv create 4096 --key {KEY} >/dev/null; exec $sysv demo --role hold"
    );
    command.args([
        "run",
        "--ephemeral",
        "--",
        "sh",
        "-c",
        &script,
        env!("CARGO_BIN_EXE_sysv"),
    ]);
    let mut run = Running::start(command);
    let directory = PathBuf::from(run.line());
    let holder = Killed(run.line().split_whitespace().nth(1).unwrap().parse().unwrap());
    let shown = format!("namespace {}: ", directory.display());

    assert!(!place.prints(&["gc"]).contains(&shown), "its maker lives");
    run.signal(Signal::KILL);
    wait_until("the run is dead", || {
        fs::read_to_string(format!("/proc/{}/stat", run.pid())).is_ok_and(|stat| stat.contains(") Z"))
    });
    assert!(!place.prints(&["gc"]).contains(&shown), "a member lives");
    assert!(directory.join("table").exists());

    drop(holder);
    // Who has exited need not be dead wholly yet.
    wait_until("gc finds it", || place.prints(&["gc", "--dry-run"]).contains(&shown));
    assert!(directory.join("table").exists());
    // Another test's may have removed it already.
    place.prints(&["gc"]);
    assert!(!directory.exists());
    let above = directory.parent().unwrap();
    assert!(above == Path::new("/dev/shm") || !above.exists());
}
