//! PostgreSQL 15 with all its shared memory from System V: it counts on `nattch` to know whether anybody still uses the data.

use std::process::Stdio;
use std::time::Duration;

use programs::{Cluster, finish, finish_within, send};

/// How long `pgbench` runs, in seconds; more on demand.
fn seconds() -> u64 {
    let seconds = std::env::var("PGBENCH_SECONDS").ok();
    seconds.map_or(5, |seconds| seconds.parse().expect("PGBENCH_SECONDS is a number"))
}

/// Runs each test on the kernel's facility and on a namespace: both must do what the test says.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod kernel {
            $(#[test] fn $test() { programs::Cluster::on_the_kernel().iter().for_each(super::$test); })*
        }
        mod namespace {
            $(#[test] fn $test() { programs::Cluster::on_a_namespace().iter().for_each(super::$test); })*
        }
    };
}

on_both!(
    pgbench_runs_on_system_v_memory,
    parallel_queries_use_segments_that_come_and_go,
    the_server_restarts_after_its_postmaster_was_killed,
    the_server_refuses_to_start_while_an_old_backend_lives,
    a_second_server_on_the_same_data_is_refused,
    a_crash_of_a_backend_makes_new_segments,
);

/// Makes the tables of `pgbench`.
fn fill(cluster: &Cluster) {
    finish(cluster.client("pgbench").args(["--initialize", "--quiet", "postgres"])).success();
}

fn pgbench_runs_on_system_v_memory(cluster: &Cluster) {
    assert!(cluster.attachments().is_empty());
    let server = cluster.start();
    assert_eq!(cluster.query("show shared_memory_type"), "sysv");
    assert_eq!(cluster.query("show dynamic_shared_memory_type"), "sysv");
    // The one that guards the data, the one that holds the buffers, and the dynamic ones' control segment.
    let attachments = cluster.attachments();
    assert!(
        attachments.len() >= 2 && attachments.iter().all(|count| *count > 0),
        "{attachments:?}"
    );

    fill(cluster);
    let seconds = seconds();
    let mut pgbench = cluster.client("pgbench");
    pgbench.args(["--client=4", "--jobs=2", &format!("--time={seconds}"), "postgres"]);
    let report = finish_within(Duration::from_secs(seconds + 60), &mut pgbench).success();
    assert!(report.contains("number of failed transactions: 0 "), "{report}");
    assert_eq!(
        cluster.query("select sum(delta) = (select sum(abalance) from pgbench_accounts) from pgbench_history"),
        "t"
    );
    server.stop();
    assert!(cluster.attachments().is_empty(), "{:?}", cluster.attachments());
    assert!(
        !cluster.log().contains("ERROR") && !cluster.log().contains("PANIC"),
        "{}",
        cluster.log()
    );
}

fn parallel_queries_use_segments_that_come_and_go(cluster: &Cluster) {
    let server = cluster.start();
    fill(cluster);
    let before = cluster.attachments().len();
    let parallel = "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
        set max_parallel_workers_per_gather = 2;";
    let plan = cluster.query(&format!(
        "{parallel} explain (analyze, costs off) select count(*) from pgbench_accounts"
    ));
    assert!(plan.contains("Workers Launched: 2"), "{plan}");
    for _ in 0..20 {
        let count = cluster.query(&format!(
            "{parallel} select count(*) from pgbench_accounts where abalance = 0"
        ));
        assert!(count.ends_with("100000"), "{count}");
    }
    cluster.wait_for_segments(before);
    server.stop();
}

fn the_server_restarts_after_its_postmaster_was_killed(cluster: &Cluster) {
    let server = cluster.start();
    fill(cluster);
    let mut pgbench = cluster.client("pgbench");
    pgbench
        .args(["--client=4", "--time=60", "postgres"])
        .stdin(Stdio::null());
    let mut busy = pgbench
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting pgbench");
    cluster.wait_for_answer("select count(*) > 100 from pgbench_history", "t");
    server.kill_postmaster();
    busy.wait().expect("waiting for pgbench");
    cluster.wait_until_gone_but(&[]);
    // What the dead left behind is there, used by nobody.
    let left = cluster.attachments();
    assert!(left.len() >= 2 && left.iter().all(|count| *count == 0), "{left:?}");

    let server = cluster.start();
    assert!(
        cluster.log().contains("database system was not properly shut down"),
        "{}",
        cluster.log()
    );
    assert_eq!(
        cluster.query("select sum(delta) = (select sum(abalance) from pgbench_accounts) from pgbench_history"),
        "t"
    );
    let now = cluster.attachments();
    assert!(
        now.len() <= left.len() && now.iter().all(|count| *count > 0),
        "{now:?} after {left:?}"
    );
    server.stop();
    assert!(cluster.attachments().is_empty(), "{:?}", cluster.attachments());
}

fn the_server_refuses_to_start_while_an_old_backend_lives(cluster: &Cluster) {
    let server = cluster.start();
    let session = cluster.session();
    let backend = session.backend();
    // A backend that does not notice the postmaster's end.
    send(backend, libc::SIGSTOP);
    server.kill_postmaster();
    cluster.wait_until_gone_but(&[backend]);

    let refused =
        |log: &str| log.contains("FATAL:  pre-existing shared memory block (key ") && log.contains(" is still in use");
    let log = cluster.fail_to_start();
    assert!(refused(&log), "{log}");
    // Nor does it if the operator removes the file in its way.
    std::fs::remove_file(cluster.data().join("postmaster.pid")).expect("removing postmaster.pid");
    let log = cluster.fail_to_start();
    assert!(refused(&log), "{log}");

    send(backend, libc::SIGKILL);
    cluster.wait_until_gone_but(&[]);
    let server = cluster.start();
    assert_eq!(cluster.query("select 1"), "1");
    server.stop();
    assert!(cluster.attachments().is_empty(), "{:?}", cluster.attachments());
}

fn a_second_server_on_the_same_data_is_refused(cluster: &Cluster) {
    let server = cluster.start();
    let pid_file = cluster.data().join("postmaster.pid");
    std::fs::remove_file(pid_file).expect("removing postmaster.pid");
    let log = cluster.fail_to_start();
    assert!(
        log.contains("pre-existing shared memory block") || log.contains("is another postmaster"),
        "{log}"
    );
    drop(server);
    cluster.wait_until_gone_but(&[]);
}

fn a_crash_of_a_backend_makes_new_segments(cluster: &Cluster) {
    let server = cluster.start();
    let before = cluster.attachments().len();
    let session = cluster.session();
    send(session.backend(), libc::SIGKILL);
    cluster.wait_for_log(&[
        "all server processes terminated; reinitializing",
        "ready to accept connections",
    ]);
    assert_eq!(cluster.query("select 1"), "1");
    assert_eq!(cluster.attachments().len(), before);
    server.stop();
    assert!(cluster.attachments().is_empty(), "{:?}", cluster.attachments());
}
