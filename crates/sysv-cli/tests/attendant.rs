//! The attendant of plain `sysv run`: memory is back at once when the last process is killed that has a removed segment attached, and
//! nobody notices who sees to that.

mod place;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use place::{Place, Running, am_root, sysv, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use sysv::{Members, Namespace};

/// A namespace that no test process is a member of.
struct Unjoined(Place);

impl Unjoined {
    fn new() -> Unjoined {
        let place = Place::new();
        Namespace::create(place.path("ipc"), Members::OneUser).unwrap();
        Unjoined(place)
    }

    fn directory(&self) -> std::path::PathBuf {
        self.0.path("ipc")
    }

    fn sysv(&self, arguments: &[&str]) -> Command {
        let mut command = sysv();
        command.args(arguments).env("SYSV_NAMESPACE", self.directory());
        command
    }

    /// `sysv run` of a shell.
    fn shell(&self, script: &str) -> Command {
        self.sysv(&["run", "--", "sh", "-c", script, env!("CARGO_BIN_EXE_sysv")])
    }
}

/// The attendants of a namespace.
fn attendants(directory: &Path) -> Vec<i32> {
    let words = ["attend", "again"].map(|role| format!("sysv-attendant\0{role}\0{}\0", directory.display()));
    let processes = fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| words.contains(&line)))
        .collect()
}

fn files(directory: &Path) -> usize {
    fs::read_dir(directory.join("shm")).unwrap().count()
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// A shell that starts a holder of a removed segment. Both say a line: the holder its process id, the shell `removed`.
const HOLDER: &str = "$0 create 4096 --key 0x64656d6f >&2; $0 demo --role hold & read line; \
     $0 rm --force --key 0x64656d6f >/dev/null; echo removed;";

/// The holder's process id, once its segment is removed.
fn holder(running: &mut Running) -> i32 {
    let told = running.line();
    let pid = told.split_whitespace().nth(1).unwrap().parse().unwrap();
    running.write("\n");
    assert_eq!(running.line(), "removed");
    pid
}

#[test]
fn the_memory_of_a_removed_segment_is_back_when_its_last_user_is_killed_and_nobody_calls() {
    let namespace = Unjoined::new();
    let mut running = Running::start(namespace.shell(&format!("{HOLDER} read line; exit 7")));
    let holder = holder(&mut running);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(files(&namespace.directory()), 1, "it is attached");
    kill(holder);
    wait_until("the segment's file is removed", || files(&namespace.directory()) == 0);
    running.write("\n");
    let (status, complaint) = running.end();
    assert_eq!((status.code(), complaint.as_str()), (Some(7), "49152\n"));
    wait_until("its attendant ends", || attendants(&namespace.directory()).is_empty());
}

#[test]
fn a_child_that_outlives_the_program_is_attended_to() {
    let namespace = Unjoined::new();
    let mut running = Running::start(namespace.shell(&format!("{HOLDER} exit 0")));
    let holder = holder(&mut running);
    wait_until("the shell ends", || {
        fs::read_to_string(format!("/proc/{}/stat", running.pid())).map_or(true, |stat| stat.contains(") Z "))
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(files(&namespace.directory()), 1, "it is attached");
    assert_eq!(attendants(&namespace.directory()).len(), 1);
    kill(holder);
    wait_until("the segment's file is removed", || files(&namespace.directory()) == 0);
    wait_until("its attendant ends", || attendants(&namespace.directory()).is_empty());
}

/// Its own process id, the same as without; no child; the status; and who reads what it writes, by whatever descriptor, sees the
/// end when it ends, although the attendant stays.
#[test]
fn the_program_is_what_it_would_be_without() {
    let namespace = Unjoined::new();
    let mut other = Running::start(namespace.shell(&format!("{HOLDER} read line")));
    let holder = holder(&mut other);
    let script = "exec 9>&1 8>&2; exec \"$0\" run -- perl -e \
         '$| = 1; print \"$$\\n\"; print wait(), \"\\n\"; kill 9, $$'";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_sysv")])
        .env("SYSV_NAMESPACE", namespace.directory())
        .env_remove("LD_PRELOAD")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut printed, mut complaint) = (String::new(), String::new());
    // A watchdog: whoever held the pipe open ends with this.
    let pid = child.id();
    let (done, waits) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if waits.recv_timeout(Duration::from_secs(60)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("the pipe of process {pid} stays open");
            std::process::abort();
        }
    });
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    drop(done);
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert_eq!((printed, complaint.as_str()), (format!("{pid}\n-1\n"), ""));
    kill(holder);
}

#[test]
fn an_attendant_holds_no_file_no_directory_and_no_terminal() {
    let namespace = Unjoined::new();
    let mut command = namespace.shell("echo; read line");
    command.current_dir(namespace.0.path("ipc").parent().unwrap());
    let mut running = Running::start(command);
    running.line();
    wait_until("there is one", || attendants(&namespace.directory()).len() == 1);
    let [pid] = attendants(&namespace.directory())[..] else {
        panic!("there is one");
    };
    let of = |name: &str| format!("/proc/{pid}/{name}");
    wait_until("it is at work", || {
        fs::read_to_string(of("comm")).unwrap() == "sysv-attendant\n"
    });
    assert_eq!(fs::read_link(of("cwd")).unwrap(), Path::new("/"));
    let table = namespace.directory().join("table");
    for entry in fs::read_dir(of("fd")).unwrap() {
        let held = fs::read_link(entry.unwrap().path()).unwrap();
        let shown = held.to_str().unwrap();
        assert!(
            held == Path::new("/dev/null") || held == table || shown.contains("pidfd"),
            "{shown}"
        );
    }
    let stat = fs::read_to_string(of("stat")).unwrap();
    let fields: Vec<i64> = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .skip(1)
        .take(4)
        .map(|f| f.parse().unwrap())
        .collect();
    let [parent, group, session, terminal] = fields[..] else {
        panic!("{stat}")
    };
    assert_ne!(parent, i64::from(running.pid()));
    assert_eq!((group, session, terminal), (pid.into(), pid.into(), 0));
    running.write("\n");
    assert!(running.end().0.success());
    wait_until("it ends", || attendants(&namespace.directory()).is_empty());
}

/// One after the other, many at a time: none is left, and whoever waits for its turn ends with its program.
#[test]
fn attendants_end_with_their_programs() {
    let namespace = Unjoined::new();
    let many: Vec<Running> = (0..5)
        .map(|_| {
            let mut running = Running::start(namespace.shell("echo; read line"));
            running.line();
            running
        })
        .collect();
    wait_until("each has one", || attendants(&namespace.directory()).len() == 5);
    let mut many = many.into_iter();
    // The first, whose attendant may be the one at work, goes last.
    let mut first = many.next().unwrap();
    for mut running in many {
        running.write("\n");
        assert!(running.end().0.success());
    }
    wait_until("only one is left", || attendants(&namespace.directory()).len() <= 2);
    first.write("\n");
    assert!(first.end().0.success());
    wait_until("none is left", || attendants(&namespace.directory()).is_empty());
}

/// The orphans of a pid namespace's first process are its children.
#[test]
fn a_container_s_first_process_has_none() {
    if !am_root() {
        return;
    }
    let namespace = Unjoined::new();
    let mut command = Command::new("unshare");
    command
        .args([
            "--pid",
            "--fork",
            "--mount-proc",
            env!("CARGO_BIN_EXE_sysv"),
            "run",
            "--",
        ])
        .args(["perl", "-e", "print \"$$ \", wait(), \"\\n\""])
        .env("SYSV_NAMESPACE", namespace.directory())
        .env_remove("LD_PRELOAD");
    let output = command.output().unwrap();
    if !output.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 -1\n");
}
