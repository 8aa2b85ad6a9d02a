//! A PostgreSQL server on one of the facilities.

#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::command::{die_with_us, finish};
use crate::facility::Facility;
use crate::place::Place;
use crate::skip::{found, is_root, skipped};
use crate::user::User;

/// Debian's place for the programs of version 15.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// How long the server may take to do what a signal or a start asks for.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIGURATION: &str = "
shared_memory_type = sysv
dynamic_shared_memory_type = sysv
shared_buffers = 16MB
listen_addresses = ''
fsync = off
";

/// A database cluster whose processes use System V shared memory on a facility.
pub struct Cluster {
    facility: Facility,
    /// Whom the server runs as: somebody else if root runs the tests, because it refuses root.
    user: Option<User>,
    /// Data, log and socket.
    place: Place,
    /// The namespace, if it is ours.
    _memory: Option<Place>,
}

/// A session that does nothing until it is dropped.
pub struct Session {
    psql: Child,
    backend: u32,
}

/// A running server.
pub struct Server<'a> {
    cluster: &'a Cluster,
    postmaster: Child,
}

impl Cluster {
    /// Makes one on the kernel's facility; `None` after saying that the test is skipped.
    pub fn on_the_kernel() -> Option<Cluster> {
        let user = possible_user()?;
        let facility = Facility::kernel()?;
        Some(Cluster::initialised(facility, user, None))
    }

    /// Makes one on a namespace of its user's; `None` after saying that the test is skipped.
    pub fn on_a_namespace() -> Option<Cluster> {
        let user = possible_user()?;
        let memory = owned(Place::in_memory(), user.as_ref());
        let facility = Facility::namespace_for(user.as_ref(), memory.join("namespace"));
        Some(Cluster::initialised(facility, user, Some(memory)))
    }

    fn initialised(facility: Facility, user: Option<User>, memory: Option<Place>) -> Cluster {
        let place = owned(Place::on_disk(), user.as_ref());
        let cluster = Cluster {
            facility,
            user,
            place,
            _memory: memory,
        };
        let mut initdb = cluster.program("initdb");
        initdb.args([
            "--auth",
            "trust",
            "--username",
            "tester",
            "--no-sync",
            "--no-locale",
            "--no-instructions",
            "--pgdata",
        ]);
        finish(initdb.arg(cluster.data())).success();
        let configuration = OpenOptions::new()
            .append(true)
            .open(cluster.data().join("postgresql.conf"));
        writeln!(
            configuration.expect("postgresql.conf"),
            "{CONFIGURATION}unix_socket_directories = '{}'",
            cluster.place.path().display()
        )
        .expect("writing postgresql.conf");
        cluster
    }

    /// Starts the server.
    ///
    /// # Panics
    /// With its log, when it does not get ready.
    #[track_caller]
    pub fn start(&self) -> Server<'_> {
        let mut server = self.launch();
        let is_ready = || self.log().contains("database system is ready to accept connections");
        let ended = within_patience(|| {
            let ended = server.postmaster.try_wait().expect("waiting for the postmaster");
            (ended.is_some() || is_ready()).then_some(ended)
        });
        assert!(
            ended == Some(None),
            "the server did not start: {ended:?}\n{}",
            self.log()
        );
        server
    }

    /// Starts the server, which must refuse, and returns what it said.
    #[track_caller]
    pub fn fail_to_start(&self) -> String {
        let mut server = self.launch();
        let ended = within_patience(|| server.postmaster.try_wait().expect("waiting for the postmaster"));
        let failed = ended.is_some_and(|status| status.code().is_some_and(|code| code != 0));
        assert!(failed, "the server did not refuse to start: {ended:?}\n{}", self.log());
        self.log()
    }

    fn launch(&self) -> Server<'_> {
        let log = File::create(self.place.join("log")).expect("making the log");
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(self.data()).stdin(Stdio::null());
        postgres.stdout(log.try_clone().expect("dup")).stderr(log);
        die_with_us(&mut postgres);
        Server {
            cluster: self,
            postmaster: postgres.spawn().expect("starting postgres"),
        }
    }

    /// A program of PostgreSQL's on the facility.
    pub fn program(&self, name: &str) -> Command {
        self.command(Path::new(PROGRAMS).join(name))
    }

    /// A client of PostgreSQL's, told where the server is.
    pub fn client(&self, name: &str) -> Command {
        let mut command = self.program(name);
        command.args(["--username", "tester", "--host"]).arg(self.place.path());
        command
    }

    /// What the server answers to a statement.
    #[track_caller]
    pub fn query(&self, statement: &str) -> String {
        let mut psql = self.client("psql");
        psql.args([
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--command",
            statement,
            "postgres",
        ]);
        finish(&mut psql).success().trim().to_owned()
    }

    /// Waits until the server answers a statement so.
    #[track_caller]
    pub fn wait_for_answer(&self, statement: &str, answer: &str) {
        let mut last = String::new();
        let answered = within_patience(|| {
            last = self.query(statement);
            (last == answer).then_some(())
        });
        assert!(answered.is_some(), "{statement} is {last:?}, not {answer:?}");
    }

    /// The segments on the facility: how many processes are attached to each.
    #[track_caller]
    pub fn attachments(&self) -> Vec<u32> {
        let mut ipcs = self.command("ipcs");
        let output = finish(ipcs.args(["--shmems"]).env("LC_ALL", "C")).success();
        let rows = output.lines().filter(|line| line.starts_with("0x"));
        rows.map(|row| {
            row.split_whitespace()
                .nth(5)
                .and_then(|count| count.parse().ok())
                .expect(row)
        })
        .collect()
    }

    /// Waits until there are as many segments: a process that is done with one has yet to say so.
    #[track_caller]
    pub fn wait_for_segments(&self, count: usize) {
        let mut last = Vec::new();
        let reached = within_patience(|| {
            last = self.attachments();
            (last.len() == count).then_some(())
        });
        assert!(reached.is_some(), "not {count} segments, but attached: {last:?}");
    }

    /// Waits until all processes of the server but those named are gone.
    #[track_caller]
    pub fn wait_until_gone_but(&self, expected: &[u32]) {
        let mut left = Vec::new();
        let gone = within_patience(|| {
            left = self.processes();
            left.retain(|pid| !expected.contains(pid));
            left.is_empty().then_some(())
        });
        assert!(
            gone.is_some(),
            "the server's processes {left:?} are still there\n{}",
            self.log()
        );
    }

    /// Waits until the server has logged something, and after that something else.
    #[track_caller]
    pub fn wait_for_log(&self, texts: &[&str]) {
        let logged = || {
            let log = self.log();
            let mut rest = log.as_str();
            texts.iter().try_for_each(|text| {
                rest = rest.split_once(text)?.1;
                Some(())
            })
        };
        assert!(
            within_patience(logged).is_some(),
            "not logged: {texts:?}\n{}",
            self.log()
        );
    }

    /// A session of `psql`.
    #[track_caller]
    pub fn session(&self) -> Session {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "postgres"]);
        die_with_us(&mut psql);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let psql = psql.spawn().expect("starting psql");
        let mut session = Session { psql, backend: 0 };
        let input = session.psql.stdin.as_mut().expect("a pipe");
        writeln!(input, "select pg_backend_pid();").expect("asking psql");
        let output = session.psql.stdout.take().expect("a pipe");
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut answer = String::new();
            let _ = BufReader::new(output).read_line(&mut answer);
            // Nobody listens if it was too late.
            let _ = sender.send(answer);
        });
        let answer = receiver.recv_timeout(PATIENCE).unwrap_or_default();
        let backend = answer.trim().parse();
        session.backend = backend.unwrap_or_else(|_| panic!("{answer:?} is no process id\n{}", self.log()));
        session
    }

    /// What the server has logged since it was started.
    pub fn log(&self) -> String {
        let log = fs::read(self.place.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The directory of the data.
    pub fn data(&self) -> PathBuf {
        self.place.join("data")
    }

    /// The processes of the server: every one of them works in the directory of the data.
    fn processes(&self) -> Vec<u32> {
        let data = self.data();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let works_here = |pid: &u32| {
            let is_dead = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == data) && !is_dead()
        };
        processes
            .filter_map(|process| process.file_name().to_str()?.parse().ok())
            .filter(works_here)
            .collect()
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.facility.command_as(self.user.as_ref(), program);
        command.current_dir(self.place.path()).env("HOME", self.place.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for pid in self.processes() {
            send(pid, libc::SIGKILL);
        }
    }
}

impl Session {
    /// The server's process that serves it.
    pub fn backend(&self) -> u32 {
        self.backend
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

impl Server<'_> {
    /// Kills the postmaster as the kernel does that is out of memory, and nothing else.
    pub fn kill_postmaster(mut self) {
        self.postmaster.kill().expect("killing the postmaster");
        self.postmaster.wait().expect("waiting for the postmaster");
    }

    /// Stops the server as `pg_ctl stop` does.
    #[track_caller]
    pub fn stop(mut self) {
        send(self.postmaster.id(), libc::SIGINT);
        let ended = self.wait();
        assert!(
            ended.is_some_and(|status| status.success()),
            "{ended:?}\n{}",
            self.cluster.log()
        );
    }

    fn wait(&mut self) -> Option<ExitStatus> {
        within_patience(|| self.postmaster.try_wait().expect("waiting for the postmaster"))
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if matches!(self.postmaster.try_wait(), Ok(None)) {
            // Its children follow it, and whoever does not is found by the cluster's end.
            let _ = self.postmaster.kill();
            let _ = self.postmaster.wait();
        }
    }
}

/// Sends a signal to a process of a server's.
pub fn send(pid: u32, signal: i32) {
    // SAFETY: the call takes no pointer.
    unsafe { libc::kill(pid as i32, signal) };
}

/// Asks until there is an answer, at most for [`PATIENCE`].
fn within_patience<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask() {
            None if Instant::now() < end => thread::sleep(Duration::from_millis(10)),
            answer => return answer,
        }
    }
}

/// Who can run a server here; the outer `None` after saying that the test is skipped.
#[allow(clippy::option_option)]
fn possible_user() -> Option<Option<User>> {
    if !found(&[&format!("{PROGRAMS}/postgres"), "ipcs"]) {
        return None;
    }
    if !is_root() {
        return Some(None);
    }
    match User::named("postgres").or_else(|| User::named("nobody")) {
        Some(user) => Some(Some(user)),
        None => {
            skipped("the server does not run as root, and there is no user postgres");
            None
        }
    }
}

fn owned(place: Place, user: Option<&User>) -> Place {
    match user {
        Some(user) => place.owned_by(user),
        None => place,
    }
}
