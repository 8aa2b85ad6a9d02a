//! The report: Markdown and plots from results.

mod again;
mod plots;
pub mod readme;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::results::{Measurement, Results, Section as Ran};
use crate::sections::{SECTIONS, Section};
use crate::tables::{name, ratio, time};
use crate::targets::{self, Verdict};

/// The file of the results, beside the report.
pub const RESULTS: &str = "results.json";
/// The file of a second run's results.
pub const AGAIN: &str = "again.json";
/// The report.
pub const REPORT: &str = "report.md";

/// Writes the report and its plots into a directory. If there was a second run, the report says how far it agrees.
///
/// # Errors
/// In words that name the file.
pub fn write(results: &Results, second: Option<&Results>, directory: &Path) -> Result<(), String> {
    let put = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    let mut text = head(results);
    text += &verdicts(&targets::verdicts(results), second.map(targets::verdicts));
    if let Some(second) = second {
        text += &again::told(results, second);
    }
    for section in SECTIONS {
        let Some(ran) = results.sections.get(section.name) else {
            continue;
        };
        text += &told(section, ran);
        for (file, svg) in plots::plots(section.name, &ran.measurements) {
            let _ = writeln!(text, "![{}]({file})\n", section.title);
            put(&file, &svg)?;
        }
        text += &table(&ran.measurements);
        text += &missing(ran);
    }
    put(REPORT, &(text.trim_end().to_owned() + "\n"))
}

fn head(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = String::from("# Measured side by side\n\n");
    text += "Written by `cargo run --profile library -p sysv-bench -- report`; how to read it is told in \
             [README.md](README.md). Compare ratios: absolute times are this machine's.\n\n| machine | |\n|---|---|\n";
    let memory = format!("{:.0} GiB", machine.memory as f64 / (1u64 << 30) as f64);
    let rows = [
        ("processors", format!("{} × {}", machine.processors, machine.processor)),
        ("virtualisation", machine.virtualisation.clone()),
        ("memory", memory),
        ("system", format!("{}, Linux {}", machine.system, machine.kernel)),
    ];
    let rows = rows.map(|(name, value)| (name.to_owned(), value));
    for (name, value) in rows.iter().chain(&machine.versions) {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    let seconds: f64 = results.sections.values().map(|section| section.took).sum();
    let _ = writeln!(text, "| time taken | {seconds:.0} s |\n");
    text
}

fn verdicts(verdicts: &[Verdict], again: Option<Vec<Verdict>>) -> String {
    let met = verdicts.iter().filter(|verdict| verdict.met == Some(true)).count();
    let mut text = format!(
        "## Targets\n\nRatios to the kernel's time in the same run, through the C ABI. {met} of {} are met.\n\n",
        verdicts.len()
    );
    let second = if again.is_some() { " again |" } else { "" };
    let _ = writeln!(
        text,
        "| what | target | measured |{second} | what bounds it, where it is missed |"
    );
    let _ = writeln!(
        text,
        "|---|---|---|{}---|---|",
        if again.is_some() { "---|" } else { "" }
    );
    for (index, verdict) in verdicts.iter().enumerate() {
        let repeated = again.as_ref().and_then(|again| again.get(index));
        let _ = writeln!(
            text,
            "| {} | {} | {} |{} {} | {} |",
            verdict.name,
            verdict.target,
            verdict.told,
            repeated.map_or_else(String::new, |again| format!(" {} |", again.told)),
            word(verdict),
            bound(verdict),
        );
    }
    text + "\n"
}

/// Why it is missed, if it is.
fn bound(verdict: &Verdict) -> &'static str {
    match (verdict.met, verdict.bounded_by) {
        (Some(false), "") => "not known yet",
        (Some(false), why) => why,
        _ => "",
    }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict.met {
        Some(true) => "met",
        Some(false) if verdict.within_spread => "within its spread",
        Some(false) => "**missed**",
        None => "",
    }
}

fn told(section: &Section, ran: &Ran) -> String {
    format!(
        "## {}\n\n{}\n\n`report --only {}`, {:.0} s, source {}.\n\n",
        section.title, section.about, section.name, ran.took, ran.commit
    )
}

/// A column: its heading and what a measurement has to say in it.
type Column = (&'static str, fn(&Measurement) -> String);

const COLUMNS: &[Column] = &[
    ("time", |m| time(m.each.median)),
    ("minimum", |m| time(m.each.minimum)),
    ("spread", |m| format!("{:.0} %", 100.0 * m.each.spread())),
    ("processor", |m| {
        some(Some(m.processor.median).filter(|value| *value > 0.0), time)
    }),
    ("ratio", |m| some(m.ratio.map(|summary| summary.median), ratio)),
    ("its quartiles", |m| {
        m.ratio.map_or(String::new(), |summary| {
            format!("{}–{}", ratio(summary.lower), ratio(summary.upper))
        })
    }),
    ("median alone", |m| some(m.latency.map(|latency| latency.median), time)),
    ("99 %", |m| some(m.latency.map(|latency| latency.p99), time)),
    ("99.9 %", |m| some(m.latency.map(|latency| latency.p999), time)),
    ("longest", |m| some(m.latency.map(|latency| latency.maximum), time)),
    ("fairness", |m| some(m.fairness, ratio)),
    ("cache line", |m| some(m.mode.map(|summary| summary.median), time)),
];

fn some(value: Option<f64>, tell: fn(f64) -> String) -> String {
    value.map_or_else(String::new, tell)
}

/// With the columns that anybody has something to say in.
fn table(measurements: &[Measurement]) -> String {
    let has = |column: &&Column| measurements.iter().any(|m| !column.1(m).is_empty());
    let columns: Vec<&Column> = COLUMNS.iter().filter(has).collect();
    let mut text = String::from("| operation | where | whose |");
    for (heading, _) in &columns {
        let _ = write!(text, " {heading} |");
    }
    text += "\n|---|---|---|";
    text += &"---:|".repeat(columns.len());
    text.push('\n');
    let mut last = None;
    for m in measurements {
        let (mut operation, mut place) = (String::new(), "");
        if last != Some(&m.case) {
            (operation, place) = (name(&m.case), m.case.placement.name());
            last = Some(&m.case);
        }
        let _ = write!(text, "| {operation} | {place} | {} |", m.subject);
        for (_, tell) in &columns {
            let _ = write!(text, " {} |", tell(m));
        }
        text.push('\n');
    }
    text + "\n"
}

fn missing(ran: &Ran) -> String {
    let mut text = String::new();
    for missing in &ran.skipped {
        let _ = writeln!(
            text,
            "- Not measured: {}, {}: {}.",
            missing.case, missing.subject, missing.why
        );
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}
