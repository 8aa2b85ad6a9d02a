//! How far a second run agrees with the first.

use std::fmt::Write;

use crate::compare::{self, Agreement, Pair};
use crate::results::Results;
use crate::sections::SECTIONS;
use crate::statistics::Summary;
use crate::tables::{name, ratio, time};

/// How a ratio may stand to that of the other run, and how that is said.
const WORDS: &[(Agreement, &str)] = &[
    (Agreement::Same, "within a fifth"),
    (Agreement::OtherDistance, "other distance"),
    (Agreement::Varies, "varies more"),
    (Agreement::Different, "differs"),
];

/// A count for each section, and every ratio that is not within a fifth.
pub(super) fn told(first: &Results, second: &Results) -> String {
    let mut text = String::from(
        "## A second run\n\nEvery ratio twice. *Other distance*: not within a fifth, and a cache line took another time from one \
         processor to the other than in the first run. *Varies more*: not within a fifth, but the middle halves of both runs' \
         rounds overlap. *Differs*: neither.\n\n| section | ratios |",
    );
    for (_, word) in WORDS {
        let _ = write!(text, " {word} |");
    }
    text += "\n|---|---:|---:|---:|---:|---:|\n";
    let mut apart = Vec::new();
    for section in SECTIONS {
        let pairs = compare::section(section.name, first, second);
        if pairs.is_empty() {
            continue;
        }
        let _ = write!(text, "| {} | {} |", section.title, pairs.len());
        for (agreement, _) in WORDS {
            let count = pairs.iter().filter(|pair| pair.agreement() == *agreement).count();
            let _ = write!(text, " {count} |");
        }
        text.push('\n');
        apart.extend(pairs.into_iter().filter(|pair| pair.agreement() != Agreement::Same));
    }
    if !apart.is_empty() {
        text += "\n| operation | where | whose | first | its quartiles | second | its quartiles | cache line | |\n\
                 |---|---|---|---:|---:|---:|---:|---:|---|\n";
        apart.iter().for_each(|pair| text += &row(pair));
    }
    text + "\n"
}

fn row(pair: &Pair) -> String {
    let quartiles = |summary: Summary| format!("{}–{}", ratio(summary.lower), ratio(summary.upper));
    let distances = pair.distances.map(|distances| distances.map(time).join(", "));
    let agreement = pair.agreement();
    let word = WORDS.iter().find(|(known, _)| *known == agreement);
    let [first, second] = pair.ratios;
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        name(&pair.case),
        pair.case.placement.name(),
        pair.subject,
        ratio(first.median),
        quartiles(first),
        ratio(second.median),
        quartiles(second),
        distances.unwrap_or_default(),
        word.map_or("", |(_, word)| word)
    )
}
