//! Measured figures, as they are kept in JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

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

    /// Writes them.
    ///
    /// # Errors
    /// In words that name the file.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
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

impl Default for Results {
    fn default() -> Results {
        Results::new()
    }
}
