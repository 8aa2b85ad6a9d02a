//! The trace itself: a line for each call, or a summary of all.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use sysv_engine::Errno;
use sysv_engine::trace::{Report, Stage};

use super::decode;
use super::summary::Summary;

/// A call that waits for longer is shown while it does.
const PATIENCE: Duration = Duration::from_millis(200);

/// A call that has begun.
struct Waiting {
    since: Instant,
    began: u64,
    text: String,
    json: Value,
    shown: bool,
}

pub(super) struct Printer {
    output: BufWriter<Box<dyn Write + Send>>,
    json: bool,
    summary: Option<Summary>,
    begun: u64,
    waiting: BTreeMap<(u32, u32), Waiting>,
    lost: u64,
    /// Why nothing is written any more; the program goes on.
    failed: Option<io::Error>,
}

impl Printer {
    pub(super) fn new(output: Box<dyn Write + Send>, json: bool, summary: bool) -> Printer {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Printer {
            output: BufWriter::new(output),
            json,
            summary: summary.then(Summary::default),
            begun: now.as_nanos() as u64,
            waiting: BTreeMap::new(),
            lost: 0,
            failed: None,
        }
    }

    pub(super) fn take(&mut self, report: &Report<'_>) {
        self.lost += u64::from(report.lost);
        let caller = (report.pid, report.tid);
        match (report.stage, &mut self.summary) {
            (Stage::Begins, _) => {
                self.waiting.insert(
                    caller,
                    Waiting {
                        since: Instant::now(),
                        began: report.began,
                        text: called(report),
                        json: object(report),
                        shown: false,
                    },
                );
            }
            (Stage::Returned, Some(summary)) => {
                self.waiting.remove(&caller);
                summary.add(report);
            }
            (Stage::Returned, None) => {
                self.waiting.remove(&caller);
                self.returned(report);
            }
        }
    }

    fn returned(&mut self, report: &Report<'_>) {
        if self.json {
            let mut object = object(report);
            let failed = report.result == -1 && report.errno != 0;
            let errno = Errno::from_raw(report.errno).name().map(str::to_owned);
            object["result"] = report.result.into();
            object["errno"] = if failed {
                errno.unwrap_or_else(|| report.errno.to_string()).into()
            } else {
                Value::Null
            };
            object["seconds"] = seconds(report.took).into();
            self.line(&object.to_string());
        } else {
            let line = format!(
                "{} {} = {} <{:.6}>",
                self.place(report.began, report.pid, report.tid),
                called(report),
                decode::result(report),
                seconds(report.took)
            );
            self.line(&line);
        }
    }

    /// Shows those that wait for long, and writes out what has come together.
    pub(super) fn show_waiting(&mut self) {
        if !self.json && self.summary.is_none() {
            let mut lines = Vec::new();
            for (&(pid, tid), waiting) in &mut self.waiting {
                if !waiting.shown && waiting.since.elapsed() >= PATIENCE {
                    waiting.shown = true;
                    lines.push((waiting.began, pid, tid, waiting.text.clone()));
                }
            }
            for (began, pid, tid, text) in lines {
                let line = format!("{} {text} <waiting>", self.place(began, pid, tid));
                self.line(&line);
            }
        }
        let flushed = self.output.flush();
        self.note(flushed);
    }

    /// The end: what never returned, the summary, and what is missing.
    pub(super) fn finish(mut self) -> io::Result<()> {
        for ((pid, tid), mut waiting) in std::mem::take(&mut self.waiting) {
            if let Some(summary) = &mut self.summary {
                summary.add_unfinished();
            } else if self.json {
                for name in ["result", "errno", "seconds"] {
                    waiting.json[name] = Value::Null;
                }
                self.line(&waiting.json.to_string());
            } else {
                let line = format!("{} {} <unfinished>", self.place(waiting.began, pid, tid), waiting.text);
                self.line(&line);
            }
        }
        if let Some(summary) = self.summary.take() {
            let text = if self.json {
                summary.json(self.lost)
            } else {
                summary.text()
            };
            self.line(text.trim_end());
        } else if self.lost > 0 && self.json {
            self.line(&json!({ "lost": self.lost }).to_string());
        }
        if self.lost > 0 && !self.json {
            let line = format!(
                "{} reports are missing: their processes had no descriptor left to send them",
                self.lost
            );
            self.line(&line);
        }
        let flushed = self.output.flush();
        self.note(flushed);
        self.failed.map_or(Ok(()), Err)
    }

    /// When, and who.
    fn place(&self, began: u64, pid: u32, tid: u32) -> String {
        let since = seconds(began.saturating_sub(self.begun));
        if pid == tid {
            format!("{since:10.6} [{pid}]")
        } else {
            format!("{since:10.6} [{pid}/{tid}]")
        }
    }

    fn line(&mut self, line: &str) {
        if self.failed.is_none() {
            let written = writeln!(self.output, "{line}");
            self.note(written);
        }
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }
}

/// The call as C writes it.
fn called(report: &Report<'_>) -> String {
    let texts: Vec<String> = decode::arguments(report).into_iter().map(|a| a.text).collect();
    format!("{}({})", report.call.name(), texts.join(", "))
}

/// The call as JSON, without how it ended.
fn object(report: &Report<'_>) -> Value {
    let arguments = decode::arguments(report)
        .into_iter()
        .map(|a| (a.name.to_owned(), a.json));
    json!({
        "pid": report.pid,
        "tid": report.tid,
        "began": seconds(report.began),
        "call": report.call.name(),
        "arguments": arguments.collect::<Map<_, _>>(),
    })
}

pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
