//! `sysv doctor`: what is wrong or soon will be, and what helps.

mod facility;
mod logind;
mod storage;

use clap::Args;
use serde::Serialize;
use sysv::Namespace;

use crate::failure::Failure;
use crate::target::Target;
use crate::{output, wording};

/// Check a namespace and the kernel's facility, and say what helps
///
/// Checked are: whether the namespace can be used at all, limits that are nearly exhausted and by whom, queues that are
/// nearly full, what the dead left, the file system that carries the namespace, temporary namespaces that nobody removed,
/// and settings that remove objects behind a program's back (logind's RemoveIPC, kernel.shm_rmid_forced).
///
/// Unless --namespace or --kernel is given, both the namespace that `sysv ls` shows and the kernel's own facility are
/// checked.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 if nothing is wrong, notices apart; 1 if a problem was found; 2 if the command line is wrong.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,

    /// Print JSON, as docs/json.md describes it
    #[arg(long)]
    json: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// As it should be.
    Good,
    /// Worth knowing, and may be meant.
    Notice,
    /// Something fails, or soon will.
    Problem,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    level: Level,
    /// What it is about: a word that does not change.
    check: &'static str,
    what: String,
    /// What helps.
    remedy: Option<String>,
}

impl Finding {
    fn good(check: &'static str, what: impl Into<String>) -> Finding {
        Finding {
            level: Level::Good,
            check,
            what: what.into(),
            remedy: None,
        }
    }

    fn notice(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding {
            level: Level::Notice,
            remedy: Some(remedy.into()),
            ..Finding::good(check, what)
        }
    }

    fn problem(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding {
            level: Level::Problem,
            ..Finding::notice(check, what, remedy)
        }
    }
}

/// What was found of one facility.
#[derive(Serialize)]
struct Examined {
    namespace: Option<String>,
    #[serde(skip)]
    name: String,
    findings: Vec<Finding>,
}

pub(crate) fn doctor(arguments: &Arguments) -> Result<(), Failure> {
    let examined = examine(arguments)?;
    let problems = examined.iter().flat_map(|one| &one.findings);
    let problems = problems.filter(|finding| finding.level == Level::Problem).count();
    if arguments.json {
        output::print_json(&examined)?;
    } else {
        output::print(examined.iter().map(in_words).collect::<Vec<_>>().join("\n"))?;
    }
    match problems {
        0 => Ok(()),
        n => Err(Failure::new(wording::counted(n as u64, "problem", "problems"))),
    }
}

fn examine(arguments: &Arguments) -> Result<Vec<Examined>, Failure> {
    let mut examined = Vec::new();
    let target = &arguments.target;
    if let Some(directory) = target.directory()? {
        let mut findings = Vec::new();
        // What cannot be opened is what the doctor is asked about.
        match Namespace::remains(&directory).and_then(|remains| Ok((remains, Namespace::open(&directory)?))) {
            Ok((remains, namespace)) => {
                findings.push(Finding::good(
                    "layout",
                    "it can be used, and its layout is this version's",
                ));
                findings.extend(facility::check(&namespace));
                findings.push(facility::remains(&remains, &directory));
                findings.extend(storage::check(&directory));
            }
            Err(error) => findings.push(Finding::problem("layout", error.to_string(), "see above")),
        }
        findings.extend(storage::abandoned());
        findings.extend(logind::check(Some(&directory)));
        examined.push(Examined {
            namespace: Some(directory.display().to_string()),
            name: format!("namespace {}", directory.display()),
            findings,
        });
    }
    if target.includes_kernel() {
        let kernel = Namespace::kernel();
        let mut findings: Vec<Finding> = facility::check(&kernel);
        findings.extend(facility::removes_unattached());
        findings.extend(logind::check(None));
        examined.push(Examined {
            namespace: None,
            name: kernel.location().to_string(),
            findings,
        });
    }
    Ok(examined)
}

fn in_words(examined: &Examined) -> String {
    let mut text = format!("{}:\n", examined.name);
    for finding in &examined.findings {
        let level = match finding.level {
            Level::Good => "good   ",
            Level::Notice => "notice ",
            Level::Problem => "PROBLEM",
        };
        text += &format!("  {level}  {}\n", finding.what);
        if let Some(remedy) = finding.remedy.as_deref().filter(|remedy| *remedy != "see above") {
            text += &format!("           {remedy}\n");
        }
    }
    text
}
