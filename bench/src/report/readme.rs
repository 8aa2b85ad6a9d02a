//! The table "How fast" of the project's README.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::contest::{KERNEL, SYSV};
use crate::job::Placement;
use crate::results::{Measurement, Results};
use crate::tables::{name, ratio, time};

const BEGIN: &str = "<!-- figures of docs/benchmarks -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Puts the table between its marks.
///
/// # Errors
/// In words that name the file, when it has no marks.
pub fn update(results: &Results, readme: &Path) -> Result<(), String> {
    let told = |why: String| format!("{}: {why}", readme.display());
    let text = fs::read_to_string(readme).map_err(|e| told(e.to_string()))?;
    let text = replaced(&text, &table(results)).ok_or_else(|| told(format!("no {BEGIN:?} and {END:?}")))?;
    fs::write(readme, text).map_err(|e| told(e.to_string()))
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

/// Ours and the kernel's, from C, where each section stands for what users ask first.
fn table(results: &Results) -> String {
    let mut text = String::from("| operation | kernel | sysv | ratio |\n|---|---|---|---|\n");
    let wanted = |section: &str, m: &Measurement| match section {
        "calls" => m.case.placement == Placement::One,
        "turns" => m.case.placement != Placement::Free,
        "streams" => m.case.placement != Placement::One && m.case.number.is_some_and(|number| number <= 8),
        "locks" => m.case.placement == Placement::Free && m.case.number == Some(8),
        _ => true,
    };
    for section in ["calls", "turns", "streams", "locks", "postgresql", "stress-ng"] {
        let measurements = results.of(section);
        for ours in measurements.iter().filter(|m| wanted(section, m)) {
            let Some(what) = ours.subject.strip_prefix(SYSV) else {
                continue;
            };
            let kernel = format!("{KERNEL}{what}");
            let kernel = measurements.iter().find(|m| m.case == ours.case && m.subject == kernel);
            let (Some(kernel), Some(summary)) = (kernel, ours.ratio) else {
                continue;
            };
            let (case, place) = (&ours.case, ours.case.placement.name());
            let operation = match section {
                "turns" => format!("{}{what}, {place}", case.name),
                "streams" => format!("messages {}, {place}", case.name),
                "locks" => format!("{}{what}, {} processes", case.name, case.number.unwrap_or(0)),
                _ => name(case),
            };
            let mut told = ratio(summary.median);
            if summary.median > 1.0 {
                told = format!("**{told}**");
            }
            let (theirs, ours) = (time(kernel.each.median), time(ours.each.median));
            let _ = writeln!(text, "| {operation} | {theirs} | {ours} | {told} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        assert_eq!(
            replaced(&text, "new\n").unwrap(),
            format!("before\n{BEGIN}new\n{END}after\n")
        );
        assert_eq!(replaced("no marks", "new"), None);
    }
}
