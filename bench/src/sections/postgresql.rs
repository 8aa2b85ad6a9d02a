//! PostgreSQL with its shared memory on both facilities.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Section;
use crate::contest::{Contest, Contestant, Effort, KERNEL, SYSV};
use crate::job::{Placement, Request, Sample};
use crate::launch::Launcher;
use crate::program::{self, Ground};

pub(super) const SECTION: Section = Section {
    name: "postgresql",
    title: "PostgreSQL",
    about: "`pgbench`, four clients, against a server with `shared_memory_type = sysv` on the kernel's facility and one on \
            ours, in turns; the time is for one transaction. Its semaphores are not System V's as Debian builds it, so this \
            shows that nothing is lost, not that something is gained.",
    seconds: 90,
    contests,
};

/// Seconds of a round.
const SECONDS: u64 = 2;
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

const CONFIGURATION: &str = "
shared_memory_type = sysv
dynamic_shared_memory_type = sysv
shared_buffers = 64MB
listen_addresses = ''
fsync = off
autovacuum = off
";

/// A running server, which ends and whose data goes when this is dropped.
struct Server {
    ground: Ground,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    place: PathBuf,
    postmaster: Option<Child>,
    select_only: bool,
    seconds: u64,
}

impl Server {
    fn start(launcher: &Launcher, ours: bool, select_only: bool, seconds: u64) -> Result<Server, String> {
        let programs = programs().ok_or("PostgreSQL is not installed")?;
        let user = match program::is_root() {
            true => Some(program::lesser_user().ok_or("the server refuses root, and there is no other user")?),
            false => None,
        };
        let which = if ours { "namespace" } else { "kernel" };
        let place = std::env::temp_dir().join(format!("sysv-bench-{}-{which}-{select_only}", std::process::id()));
        fs::create_dir(&place).map_err(|e| format!("{}: {e}", place.display()))?;
        let mut server = Server {
            ground: Ground::Kernel,
            programs,
            user,
            place,
            postmaster: None,
            select_only,
            seconds,
        };
        server.prepare(launcher, ours).map(|()| server)
    }

    fn prepare(&mut self, launcher: &Launcher, ours: bool) -> Result<(), String> {
        let told = |e: std::io::Error| e.to_string();
        if let Some((uid, gid)) = self.user {
            chown(&self.place, Some(uid), Some(gid)).map_err(told)?;
        }
        if ours {
            let library = self.place.join("libsysv.so");
            fs::copy(&launcher.library, &library).map_err(told)?;
            fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).map_err(told)?;
            self.ground = Ground::namespace(library)?;
        }
        let data = self.place.join("data");
        let mut initdb = self.command("initdb");
        initdb.args([
            "--auth",
            "trust",
            "--username",
            "bench",
            "--no-sync",
            "--no-locale",
            "--pgdata",
        ]);
        program::output(initdb.arg(&data))?;
        let configuration = OpenOptions::new().append(true).open(data.join("postgresql.conf"));
        let socket = self.place.display();
        writeln!(
            configuration.map_err(told)?,
            "{CONFIGURATION}unix_socket_directories = '{socket}'"
        )
        .map_err(told)?;
        let log = File::create(self.place.join("log")).map_err(told)?;
        let mut postgres = self.command("postgres");
        postgres
            .arg("-D")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.postmaster = Some(postgres.spawn().map_err(told)?);
        self.wait_until_ready()?;
        let mut fill = self.pgbench();
        program::output(fill.args(["--initialize", "--quiet", "--scale", "5", "postgres"])).map(drop)
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let log = fs::read_to_string(self.place.join("log")).unwrap_or_default();
            if log.contains("ready to accept connections") {
                return Ok(());
            }
            let ended = self
                .postmaster
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || begun.elapsed() > PATIENCE {
                return Err(format!(
                    "the server did not start: {}",
                    log.lines().last().unwrap_or_default()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.ground.command(&self.programs.join(program));
        program::become_user(&mut command, self.user);
        command.current_dir(&self.place).env("HOME", &self.place);
        command
    }

    fn pgbench(&self) -> Command {
        let mut pgbench = self.command("pgbench");
        pgbench.args(["--username", "bench", "--host"]).arg(&self.place);
        pgbench
    }
}

impl Contestant for Server {
    fn round(&mut self, _: &Request) -> Result<Sample, String> {
        let mut pgbench = self.pgbench();
        pgbench.args(["--no-vacuum", "--client", "4", "--time"]);
        pgbench.arg(self.seconds.to_string());
        if self.select_only {
            pgbench.arg("--select-only");
        }
        let said = program::output(pgbench.arg("postgres"))?;
        transactions(&said).ok_or_else(|| format!("pgbench did not say what it did: {said}"))
    }
}

/// From transactions a second, without the time for connecting.
fn transactions(said: &str) -> Option<Sample> {
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    let rate: f64 = rate.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        count: rate as u64,
        elapsed_ns: 1_000_000_000,
        ..Sample::default()
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            let pid = rustix::process::Pid::from_child(&postmaster);
            // A fast shutdown, which removes its segment.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            let _ = postmaster.wait();
        }
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// Where Debian, or whoever made the first `pgbench` found, has the programs.
fn programs() -> Option<PathBuf> {
    let debian = Path::new("/usr/lib/postgresql");
    let versions = fs::read_dir(debian).into_iter().flatten().flatten();
    let mut candidates: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    candidates.sort();
    candidates.extend(program::find("initdb").and_then(|path| Some(path.parent()?.to_owned())));
    candidates.into_iter().rfind(|bin| {
        ["postgres", "initdb", "pgbench"]
            .iter()
            .all(|name| bin.join(name).is_file())
    })
}

fn contests(effort: Effort) -> Vec<Contest<'static>> {
    let seconds = if effort == Effort::ONCE { 1 } else { SECONDS };
    let contests = [(false, "pgbench, TPC-B"), (true, "pgbench, select only")].map(|(select_only, name)| {
        let mut contest = Contest::new(name, Placement::Free);
        for ours in [false, true] {
            let start = move |launcher: &Launcher| {
                let server = Server::start(launcher, ours, select_only, seconds)?;
                Ok(Box::new(server) as Box<dyn Contestant>)
            };
            let subject = if ours { SYSV } else { KERNEL };
            contest.entries.push((subject.to_owned(), Box::new(start)));
        }
        contest.rounds = Some(8);
        contest.at_once = true;
        // It has a length of its own.
        contest.turn_ns = Some(1);
        contest
    });
    contests.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read() {
        let said = "latency average = 0.5 ms\ntps = 8000.250000 (without initial connection time)\n";
        let sample = transactions(said).unwrap();
        assert_eq!((sample.count, sample.each()), (8000, 125_000.0));
        assert_eq!(transactions("no such thing"), None);
    }
}
