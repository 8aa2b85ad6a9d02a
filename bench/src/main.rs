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
use sysv_bench::compare::{self, Agreement};
use sysv_bench::contest::Effort;
use sysv_bench::launch::Launcher;
use sysv_bench::results::{Results, Section as Ran};
use sysv_bench::sections::{SECTIONS, Section};
use sysv_bench::{report, run, sections, tables, worker};

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
        /// Run a second time, and let the report say how far both runs agree
        #[arg(long)]
        again: bool,
        /// Run nothing: write the report anew from the results that are there
        #[arg(long, conflicts_with_all = ["only", "again"])]
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
            again,
            render,
            once,
            without_peers,
            readme,
            output,
        }) => {
            let run = || run_into(&only, again, once, !without_peers, &output);
            let ran = if render { Ok(()) } else { run() };
            ran.and_then(|()| report(&output, readme.as_deref()))
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

/// Writes the report from the results that are there.
fn report(output: &Path, readme: Option<&Path>) -> Result<(), String> {
    let results = Results::read(&output.join(report::RESULTS))?;
    let again = output.join(report::AGAIN);
    let again = again.exists().then(|| Results::read(&again)).transpose()?;
    report::write(&results, again.as_ref(), output)?;
    println!("{}", output.join(report::REPORT).display());
    readme.map_or(Ok(()), |readme| report::readme::update(&results, readme))
}

/// Sections are written as they are done, so that a run that is cut short can be gone on with.
fn run_into(only: &[String], again: bool, once: bool, with_peers: bool, output: &Path) -> Result<(), String> {
    std::fs::create_dir_all(output).map_err(|e| format!("{}: {e}", output.display()))?;
    let path = output.join(if again { report::AGAIN } else { report::RESULTS });
    let mut results = match !only.is_empty() && path.exists() {
        true => Results::read(&path)?,
        false => Results::new(),
    };
    let effort = if once { Effort::ONCE } else { Effort::FULL };
    let sections = chosen(only)?;
    let launcher = launcher(with_peers)?;
    let mut left: u64 = sections.iter().map(|section| section.seconds).sum();
    if !once {
        println!("{} sections, {}", sections.len(), minutes(left));
    }
    for section in sections {
        let ran = run::run(section.name, (section.contests)(effort), &launcher, effort);
        left -= section.seconds;
        println!(
            "{}: {} figures in {:.0} s; {} left",
            section.name,
            ran.measurements.len(),
            ran.took,
            minutes(if once { 0 } else { left })
        );
        results.sections.insert(section.name.to_owned(), ran);
        results.write(&path)?;
    }
    Ok(())
}

fn minutes(seconds: u64) -> String {
    match seconds {
        0 => "nothing".to_owned(),
        s if s < 90 => format!("about {s} s"),
        s => format!("about {} minutes", (s + 30) / 60),
    }
}

/// Exit status 1 if ratios differ for no reason that shows, 2 if there is nothing to compare.
fn compared(first: &Path, second: &Path) -> ExitCode {
    let (first, second) = match (Results::read(first), Results::read(second)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("sysv-bench: {why}");
            return ExitCode::from(2);
        }
    };
    let in_section = |section: &Section| compare::section(section.name, &first, &second);
    let pairs: Vec<_> = SECTIONS.iter().flat_map(in_section).collect();
    let count = |agreement| pairs.iter().filter(|pair| pair.agreement() == agreement).count();
    for pair in &pairs {
        let why = match pair.agreement() {
            Agreement::Same => continue,
            Agreement::OtherDistance => "; the processors were not as far apart",
            Agreement::Varies => "; in each run it varies more",
            Agreement::Different => "",
        };
        println!(
            "{}, {}, {}: {} and {}, {:.0} % apart{why}",
            tables::name(&pair.case),
            pair.case.placement.name(),
            pair.subject,
            tables::ratio(pair.ratios[0].median),
            tables::ratio(pair.ratios[1].median),
            100.0 * pair.difference()
        );
    }
    println!(
        "{} ratios within a fifth, {} at another distance of the processors, {} that vary more, {} that differ",
        count(Agreement::Same),
        count(Agreement::OtherDistance),
        count(Agreement::Varies),
        count(Agreement::Different)
    );
    match (pairs.len(), count(Agreement::Different)) {
        (0, _) => ExitCode::from(2),
        (_, 0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
