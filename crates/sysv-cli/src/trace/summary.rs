//! How often each function was called, how long it took, and how often it failed.

use std::collections::BTreeMap;

use serde_json::json;
use sysv_engine::trace::{Call, Report};

use super::print::seconds;
use crate::output;

#[derive(Default)]
struct Sum {
    calls: u64,
    errors: u64,
    took: u64,
    longest: u64,
}

#[derive(Default)]
pub(super) struct Summary {
    sums: BTreeMap<Call, Sum>,
    unfinished: u64,
}

impl Summary {
    pub(super) fn add(&mut self, report: &Report<'_>) {
        let sum = self.sums.entry(report.call).or_default();
        sum.calls += 1;
        sum.errors += u64::from(report.result == -1 && report.errno != 0);
        sum.took += report.took;
        sum.longest = sum.longest.max(report.took);
    }

    pub(super) fn add_unfinished(&mut self) {
        self.unfinished += 1;
    }

    /// The calls that took most first.
    fn sorted(&self) -> Vec<(Call, &Sum)> {
        let mut sums: Vec<_> = self.sums.iter().map(|(call, sum)| (*call, sum)).collect();
        sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.took));
        sums
    }

    fn total(&self) -> Sum {
        self.sums.values().fold(Sum::default(), |total, sum| Sum {
            calls: total.calls + sum.calls,
            errors: total.errors + sum.errors,
            took: total.took + sum.took,
            longest: total.longest.max(sum.longest),
        })
    }

    pub(super) fn text(&self) -> String {
        let total = self.total();
        let row = |name: &str, sum: &Sum| {
            vec![
                format!("{:.1}", 100.0 * seconds(sum.took) / seconds(total.took.max(1))),
                format!("{:.6}", seconds(sum.took)),
                format!("{:.2}", seconds(sum.took) * 1e6 / sum.calls.max(1) as f64),
                format!("{:.2}", seconds(sum.longest) * 1e6),
                sum.calls.to_string(),
                sum.errors.to_string(),
                name.to_owned(),
            ]
        };
        let mut rows: Vec<_> = self
            .sorted()
            .into_iter()
            .map(|(call, sum)| row(call.name(), sum))
            .collect();
        rows.push(row("total", &total));
        let header = ["% TIME", "SECONDS", "µS/CALL", "LONGEST µS", "CALLS", "ERRORS", "CALL"];
        let mut text = output::plain_table(&header, &header[..6], rows);
        if self.unfinished > 0 {
            text += &format!("calls that never returned: {}\n", self.unfinished);
        }
        text
    }

    pub(super) fn json(&self, lost: u64) -> String {
        let calls: Vec<_> = self
            .sorted()
            .into_iter()
            .map(|(call, sum)| {
                json!({
                    "call": call.name(),
                    "calls": sum.calls,
                    "errors": sum.errors,
                    "seconds": seconds(sum.took),
                    "longest_seconds": seconds(sum.longest),
                })
            })
            .collect();
        json!({ "calls": calls, "unfinished": self.unfinished, "lost": lost }).to_string()
    }
}
