//! `sysv bench`: the kernel's facility and ours on this machine, in turns.

use std::path::PathBuf;

use clap::Args;
use sysv_bench::contest::Effort;
use sysv_bench::launch::Launcher;
use sysv_bench::results::Results;
use sysv_bench::{run, sections, tables, worker};

use crate::failure::Failure;
use crate::output;
use crate::run::library;

const EXAMPLES: &str = "\
Examples:
  sysv bench              everything, in less than a minute
  sysv bench msgsnd       what has \"msgsnd\" in its name
  sysv bench --json       for keeping and comparing

RATIO is ours to the kernel's time for the same, round by round, in the middle of the rounds; below 1 is faster. TIME and \
CPU are for one operation, CPU of all processes together. SPREAD is the distance between the quartiles. Let nothing else run.";

/// Measure the kernel's facility and ours on this machine, in turns
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Measure only what has this in its name
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What one of the benchmark's own processes does
    #[arg(long, hide = true, value_name = "JOB")]
    worker: Option<String>,
    /// Each case once, to see that it runs; the figures mean nothing
    #[arg(long, hide = true)]
    once: bool,
}

pub(crate) fn bench(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(job) = &arguments.worker {
        return Ok(worker::serve(job, &worker::SUPPLY)?);
    }
    let launcher = Launcher {
        program: program()?,
        arguments: vec!["bench".into(), "--worker".into()],
        library: library::place().map_err(Failure::new)?,
        peers: Err("not part of the short form".to_owned()),
    };
    let mut contests = sections::short();
    if let Some(name) = &arguments.name {
        contests.retain(|contest| contest.case.name.contains(name));
        if contests.is_empty() {
            return Err(Failure::new(format_args!(
                "nothing that is measured has {name:?} in its name"
            )));
        }
    }
    let effort = if arguments.once { Effort::ONCE } else { Effort::SHORT };
    let ran = run::run("sysv bench", contests, &launcher, effort);
    for missing in &ran.skipped {
        output::complain(format_args!(
            "sysv bench: skipped: {}, {}: {}",
            missing.case, missing.subject, missing.why
        ));
    }
    if arguments.json {
        let mut results = Results::new();
        results.sections.insert("short".to_owned(), ran);
        return output::print_json(&results);
    }
    output::print(tables::terminal(&ran.measurements))?;
    let modes = ran.measurements.iter().filter_map(|m| m.mode);
    let (least, most) = modes.fold((f64::INFINITY, 0.0_f64), |(least, most), mode| {
        (least.min(mode.minimum), most.max(mode.upper))
    });
    if most > 0.0 {
        output::print(format!(
            "\nA cache line went from one processor to the other and back in {} to {} meanwhile.\n",
            tables::time(least),
            tables::time(most)
        ))?;
    }
    Ok(())
}

fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|e| Failure::new(format_args!("cannot find this program: {e}")))
}
