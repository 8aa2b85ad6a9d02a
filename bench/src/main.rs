//! The benchmark's command line: the whole report, parts of it, and comparing two of them.
//!
//! ```sh
//! cargo run --profile library -p sysv-bench -- report          # everything, into docs/benchmarks
//! cargo run --profile library -p sysv-bench -- run turns       # one section, as a table
//! cargo run --profile library -p sysv-bench -- semaphores      # what concerns one mechanism, or has this in its name
//! ```

mod library;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sysv_bench::contest::Effort;
use sysv_bench::launch::Launcher;
use sysv_bench::results::{Results, Section as Ran};
use sysv_bench::sections::{SECTIONS, Section};
use sysv_bench::{compare, report, run, sections, tables, worker};

/// Every operation on the kernel's facility, on ours and on their rivals, in turns in one run.
#[derive(Debug, Parser)]
#[command(
    name = "sysv-bench",
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: print what concerns `segments`, `semaphores` or `queues`, or has this in its name
    filter: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run sections and print what was measured
    Run {
        /// Sections; all if none is named
        sections: Vec<String>,
        /// Each case once, to see that it runs; the figures mean nothing
        #[arg(long)]
        once: bool,
        /// Print the results as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run everything and write the report, its plots and the results
    Report {
        /// Run this section only, and keep the results of the others; may be repeated
        #[arg(long, value_name = "SECTION")]
        only: Vec<String>,
        /// Run nothing: write the report anew from the results that are there
        #[arg(long, conflicts_with = "only")]
        render: bool,
        /// Each case once, to see that it runs; the figures mean nothing
        #[arg(long)]
        once: bool,
        /// Leave out iceoryx2, ipc-channel and Boost.Interprocess, which take minutes to build
        #[arg(long)]
        without_peers: bool,
        /// Put the table of figures into this README as well
        #[arg(long, value_name = "FILE")]
        readme: Option<PathBuf>,
        /// Where it goes
        #[arg(long, value_name = "DIRECTORY", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks"))]
        output: PathBuf,
    },
    /// Say whether two runs give the same ratios, within a fifth
    Compare {
        /// Results of one run
        first: PathBuf,
        /// Results of another
        second: PathBuf,
    },
    /// Do a job; for the benchmark's own processes
    #[command(hide = true)]
    Worker {
        /// The job, in JSON
        job: String,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Run { sections, once, json }) => print_sections(&sections, once, json),
        Some(Command::Report {
            only,
            render,
            once,
            without_peers,
            readme,
            output,
        }) => {
            let launching = |results: &mut Results| run_into(results, &only, once, !without_peers, &output);
            report(render, !only.is_empty(), &output, readme.as_deref(), launching)
        }
        Some(Command::Compare { first, second }) => return compared(&first, &second),
        Some(Command::Worker { job }) => worker::serve(&job, &worker::SUPPLY).map_err(|e| e.to_string()),
        None => print_what_concerns(&cli.filter.unwrap_or_default()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sysv-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn launcher(with_peers: bool) -> Result<Launcher, String> {
    let peers = match with_peers {
        true => library::peers(),
        false => Err("not wanted".to_owned()),
    };
    if let (true, Err(why)) = (with_peers, &peers) {
        eprintln!("sysv-bench: other people's ways are skipped: {why}");
    }
    Ok(Launcher {
        program: std::env::current_exe().map_err(|e| e.to_string())?,
        arguments: vec!["worker".into()],
        library: library::library()?,
        peers,
    })
}

/// The sections of those names, or all.
fn chosen(names: &[String]) -> Result<Vec<&'static Section>, String> {
    if names.is_empty() {
        return Ok(SECTIONS.iter().collect());
    }
    let find = |name: &String| {
        let known: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
        let section = SECTIONS.iter().find(|section| section.name == name);
        section.ok_or_else(|| format!("there is no section {name:?}, but {}", known.join(", ")))
    };
    names.iter().map(find).collect()
}

fn print_sections(names: &[String], once: bool, json: bool) -> Result<(), String> {
    let effort = if once { Effort::ONCE } else { Effort::FULL };
    let (launcher, mut results) = (launcher(true)?, Results::new());
    for section in chosen(names)? {
        let ran = run::run(section.name, (section.contests)(effort), &launcher, effort);
        if !json {
            print(section.title, &ran);
        }
        results.sections.insert(section.name.to_owned(), ran);
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&results).map_err(|e| e.to_string())?);
    }
    Ok(())
}

fn print(title: &str, ran: &Ran) {
    println!("{title} ({:.0} s)\n\n{}", ran.took, tables::terminal(&ran.measurements));
    for missing in &ran.skipped {
        println!("skipped: {}, {}: {}", missing.case, missing.subject, missing.why);
    }
}

fn print_what_concerns(filter: &str) -> Result<(), String> {
    let contests = sections::concerning(filter, Effort::FULL);
    if contests.is_empty() {
        return Err(format!("nothing that is measured concerns {filter:?}"));
    }
    let ran = run::run(filter, contests, &launcher(false)?, Effort::FULL);
    print(filter, &ran);
    Ok(())
}

/// Writes the report, from results that are there, that are run, or both.
fn report(
    render: bool,
    only_some: bool,
    output: &Path,
    readme: Option<&Path>,
    run: impl FnOnce(&mut Results) -> Result<(), String>,
) -> Result<(), String> {
    std::fs::create_dir_all(output).map_err(|e| format!("{}: {e}", output.display()))?;
    let path = output.join(report::RESULTS);
    let mut results = match (render, only_some) {
        (true, _) => Results::read(&path)?,
        (false, true) if path.exists() => Results::read(&path)?,
        _ => Results::new(),
    };
    if !render {
        run(&mut results)?;
    }
    report::write(&results, output)?;
    println!("{}", output.join(report::REPORT).display());
    readme.map_or(Ok(()), |readme| report::readme::update(&results, readme))
}

/// Sections are written as they are done, so that a run that is cut short can be gone on with.
fn run_into(results: &mut Results, only: &[String], once: bool, with_peers: bool, output: &Path) -> Result<(), String> {
    let effort = if once { Effort::ONCE } else { Effort::FULL };
    let launcher = launcher(with_peers)?;
    for section in chosen(only)? {
        let ran = run::run(section.name, (section.contests)(effort), &launcher, effort);
        println!(
            "{}: {} figures in {:.0} s",
            section.name,
            ran.measurements.len(),
            ran.took
        );
        results.sections.insert(section.name.to_owned(), ran);
        results.write(&output.join(report::RESULTS))?;
    }
    Ok(())
}

/// Exit status 1 if ratios differ by more than a fifth, 2 if there is nothing to compare.
fn compared(first: &Path, second: &Path) -> ExitCode {
    let (first, second) = match (Results::read(first), Results::read(second)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("sysv-bench: {why}");
            return ExitCode::from(2);
        }
    };
    let pairs = compare::compare(&first, &second);
    let (same, different): (Vec<_>, Vec<_>) = pairs.into_iter().partition(compare::Pair::agrees);
    for pair in &different {
        println!(
            "{}, {}, {}: {} and {}, {:.0} % apart",
            tables::name(&pair.case),
            pair.case.placement.name(),
            pair.subject,
            tables::ratio(pair.first),
            tables::ratio(pair.second),
            100.0 * pair.difference()
        );
    }
    println!("{} ratios within a fifth, {} not", same.len(), different.len());
    match (same.len(), different.len()) {
        (0, 0) => ExitCode::from(2),
        (_, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
