//! Running sections, with word of the progress.

use std::io::{IsTerminal, Write};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::contest::{Contest, Effort, Standing};
use crate::launch::Launcher;
use crate::machine::said;
use crate::results::Section;

/// Word of what is being measured, on standard error, if that is a terminal.
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Shown where somebody looks.
    pub fn new() -> Progress {
        let shown = std::io::stderr().is_terminal();
        Progress { shown }
    }

    fn say(&self, text: &str) {
        if self.shown {
            // Nobody is left to tell if this fails.
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        }
    }
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.say("");
    }
}

/// Runs contests one after another, sitting by sitting.
pub fn run(name: &str, contests: Vec<Contest<'_>>, launcher: &Launcher, effort: Effort) -> Section {
    let (begun, progress) = (Instant::now(), Progress::new());
    let mut standings: Vec<Standing<'_>> = contests
        .into_iter()
        .map(|contest| Standing::new(contest, effort))
        .collect();
    let total = standings.len();
    for sitting in 0..effort.sittings {
        for (index, standing) in standings.iter_mut().enumerate() {
            let case = standing.case();
            let (place, sittings) = (case.placement.name(), effort.sittings);
            progress.say(&format!(
                "{name}, sitting {} of {sittings}, {}/{total}: {}, {place}",
                sitting + 1,
                index + 1,
                case.name
            ));
            standing.sit(launcher, sitting);
        }
    }
    let (mut measurements, mut skipped) = (Vec::new(), Vec::new());
    for (measured, missing) in standings.into_iter().map(Standing::end) {
        measurements.extend(measured);
        // The same is missing at each size and each number.
        for one in missing {
            if !skipped.contains(&one) {
                skipped.push(one);
            }
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Section {
        at: now.map_or(0, |time| time.as_secs()),
        took: begun.elapsed().as_secs_f64(),
        commit: said("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_default(),
        measurements,
        skipped,
    }
}
