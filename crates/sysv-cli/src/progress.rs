//! Long work, told on a terminal: one line that is written over.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Nothing is said about work that takes no longer.
const SOON: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(100);

/// A line on standard error, if that is a terminal, for as long as this lives.
pub(crate) struct Progress {
    what: &'static str,
    /// How much there is to do; `None` if nobody knows.
    all: Option<u64>,
    done: u64,
    terminal: bool,
    begun: Instant,
    said: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, all: u64) -> Progress {
        Progress::of(what, Some(all))
    }

    /// Of work whose end nobody knows.
    pub(crate) fn of(what: &'static str, all: Option<u64>) -> Progress {
        Progress {
            what,
            all,
            done: 0,
            terminal: stderr().is_terminal(),
            begun: Instant::now(),
            said: None,
        }
    }

    /// So much more is done.
    pub(crate) fn advance(&mut self, by: u64) {
        self.done += by;
        if !self.terminal || self.begun.elapsed() < SOON || self.said.is_some_and(|said| said.elapsed() < STEP) {
            return;
        }
        self.said = Some(Instant::now());
        // Whether anybody sees it changes nothing.
        let _ = write!(stderr(), "\r\x1b[K{}", line(self.what, self.done, self.all));
    }

    /// Wipes the line away.
    pub(crate) fn finish(&mut self) {
        if self.said.take().is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn line(what: &str, done: u64, all: Option<u64>) -> String {
    match all {
        Some(all) => {
            let share = done.saturating_mul(100).checked_div(all).unwrap_or(100);
            format!("{what}: {done} of {all}, {share} %")
        }
        None => format!("{what}: {done}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is() {
        assert_eq!(line("removing", 30, Some(120)), "removing: 30 of 120, 25 %");
        assert_eq!(line("removing", 0, Some(0)), "removing: 0 of 0, 100 %");
        assert_eq!(line("writing", 30, None), "writing: 30");
    }
}
