//! Measured figures, as they are kept in JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::Placement;
use crate::machine::Machine;
use crate::statistics::{Latency, Summary};

/// What is measured against what: everything that a line of a table says on its left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Case {
    /// The operation.
    pub name: String,
    /// On which processors.
    pub placement: Placement,
    /// Bytes concerned.
    pub size: Option<usize>,
    /// How many there are of something else.
    pub number: Option<usize>,
}

/// One subject's figures in one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was measured.
    pub case: Case,
    /// Whose.
    pub subject: String,
    /// Nanoseconds for one operation, over the rounds.
    pub each: Summary,
    /// Nanoseconds of processor time for one operation, of all processes together.
    pub processor: Summary,
    /// `each` as a part of the reference's, round by round. The reference has none.
    pub ratio: Option<Summary>,
    /// Single operations.
    pub latency: Option<Latency>,
    /// The slowest process's count as a part of the fastest one's: the middle of the rounds.
    pub fairness: Option<f64>,
    /// A round trip of a spinning cache line between the two processors in the same rounds: the machine's mode.
    pub mode: Option<Summary>,
}

/// What could not be measured, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// What would have been measured.
    pub case: String,
    /// Whose.
    pub subject: String,
    /// Why it was not.
    pub why: String,
}

/// One section of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Seconds since the Epoch at the section's end.
    pub at: u64,
    /// Seconds that it took.
    pub took: f64,
    /// The source's commit.
    pub commit: String,
    /// Figures.
    pub measurements: Vec<Measurement>,
    /// What is missing.
    pub skipped: Vec<Skipped>,
}

/// A run, section by section: each may be of another time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Where it ran.
    pub machine: Machine,
    /// By name.
    pub sections: BTreeMap<String, Section>,
}

impl Results {
    /// No results yet.
    pub fn new() -> Results {
        Results {
            machine: Machine::here(),
            sections: BTreeMap::new(),
        }
    }

    /// Reads what an earlier run has written.
    ///
    /// # Errors
    /// In words that name the file.
    pub fn read(path: &Path) -> Result<Results, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: not results of this benchmark: {e}", path.display()))
    }

    /// Writes them, a measurement a line, so that two runs can be compared by eye as well.
    ///
    /// # Errors
    /// In words that name the file.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let value = serde_json::to_value(self).map_err(|e| e.to_string())?;
        let mut text = String::new();
        spread(&value, 0, &mut text);
        fs::write(path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))
    }

    /// All figures.
    pub fn measurements(&self) -> impl Iterator<Item = &Measurement> {
        self.sections.values().flat_map(|section| &section.measurements)
    }

    /// The figures of a section, if it ran.
    pub fn of(&self, section: &str) -> &[Measurement] {
        self.sections.get(section).map_or(&[], |section| &section.measurements)
    }
}

/// What contains what, as deep as to a section's measurements.
const DEPTH: usize = 4;

/// JSON with a line for each thing that is not too deep inside others, and with the digits of a number that say something.
fn spread(value: &Value, depth: usize, text: &mut String) {
    let (open, close, inside): (_, _, Vec<(String, &Value)>) = match value {
        Value::Object(fields) => {
            let inside = fields
                .iter()
                .map(|(name, value)| (format!("{}:", Value::from(name.as_str())), value));
            ('{', '}', inside.collect())
        }
        Value::Array(values) => ('[', ']', values.iter().map(|value| (String::new(), value)).collect()),
        Value::Number(number) if number.is_f64() => {
            let value = number.as_f64().unwrap_or_default();
            // Whatever is written so is read again as a number.
            *text += &format!("{value:.3e}").parse::<f64>().unwrap_or(value).to_string();
            return;
        }
        plain => {
            *text += &plain.to_string();
            return;
        }
    };
    let is_spread = depth < DEPTH && !inside.is_empty();
    let begin = |depth| {
        if is_spread {
            format!("\n{:1$}", "", 2 * depth)
        } else {
            String::new()
        }
    };
    text.push(open);
    for (index, (name, value)) in inside.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        *text += &begin(depth + 1);
        *text += &name;
        spread(value, depth + 1, text);
    }
    *text += &begin(depth);
    text.push(close);
}

impl Default for Results {
    fn default() -> Results {
        Results::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_a_line_and_is_read_again() {
        let summary = Summary::of([1234.567, 0.000_123_456, 5e12]).unwrap();
        let measurement = Measurement {
            case: Case {
                name: "a \"b\"".to_owned(),
                placement: Placement::One,
                size: Some(64),
                number: None,
            },
            subject: "sysv".to_owned(),
            each: summary,
            processor: summary,
            ratio: None,
            latency: None,
            fairness: Some(0.5),
            mode: None,
        };
        let section = Section {
            at: 1_700_000_000,
            took: 1.0,
            commit: "0123456".to_owned(),
            measurements: vec![measurement.clone(), measurement],
            skipped: Vec::new(),
        };
        let mut results = Results::new();
        results.sections.insert("calls".to_owned(), section);
        let mut text = String::new();
        spread(&serde_json::to_value(&results).unwrap(), 0, &mut text);
        assert_eq!(text.lines().filter(|line| line.contains("sysv\"")).count(), 2, "{text}");
        let read: Results = serde_json::from_str(&text).unwrap();
        let (read, written) = (&read.of("calls")[1], &results.of("calls")[1]);
        assert_eq!((&read.case, read.fairness), (&written.case, written.fairness));
        assert_eq!((read.each.minimum, read.each.median), (0.000_123_5, 1235.0));
    }
}
