//! Which plots a section has.

use crate::contest::{KERNEL, SYSV};
use crate::job::Placement;
use crate::plot::{Row, Series, dots, lines};
use crate::results::{Case, Measurement};
use crate::tables::{bytes, name, ratio, time};

/// File names and pictures.
pub(super) fn plots(section: &str, measurements: &[Measurement]) -> Vec<(String, String)> {
    let file = |part: &str| format!("{section}{part}.svg");
    let found = match section {
        "calls" => vec![(file(""), ratios(measurements))],
        "turns" => [Placement::Two, Placement::One]
            .map(|placement| {
                let part = if placement == Placement::Two { "-two" } else { "-one" };
                (
                    file(part),
                    tails("round trip: median, 99 %, 99.9 %", placement, measurements),
                )
            })
            .into(),
        "wakes" => vec![(
            file(""),
            tails("wake-up: median, 99 %, 99.9 %", Placement::Two, measurements),
        )],
        "sizes" => ["copy", "exchange"]
            .map(|case| {
                let series = series(measurements, |m| m.case.name == case, |case| case.size);
                let size = |value: f64| bytes(value as usize);
                (file(&format!("-{case}")), lines(case, "bytes", size, time, &series))
            })
            .into(),
        "locks" => {
            let series = series(
                measurements,
                |m| m.case.placement == Placement::Free,
                |case| case.number,
            );
            let title = "one acquisition of a mutex around 100 ns of work";
            vec![(file(""), lines(title, "processes", plain, time, &series))]
        }
        "growth" => growth(measurements),
        _ => Vec::new(),
    };
    found.into_iter().filter_map(|(file, svg)| Some((file, svg?))).collect()
}

fn plain(value: f64) -> String {
    format!("{value}")
}

/// Whether the kernel does the same, so that the ratio is to its time.
fn has_kernel(measurements: &[Measurement], ours: &Measurement) -> bool {
    measurements.iter().any(|m| m.case == ours.case && m.subject == KERNEL)
}

/// Each operation of ours as a part of the kernel's.
fn ratios(measurements: &[Measurement]) -> Option<String> {
    let ours = measurements
        .iter()
        .filter(|m| m.subject == SYSV && m.case.placement == Placement::One && has_kernel(measurements, m));
    let rows = ours.filter_map(|m| {
        Some(Row {
            name: name(&m.case),
            values: vec![m.ratio?.median],
        })
    });
    let rows: Vec<Row> = rows.collect();
    dots(
        "sysv's time as a part of the kernel's; left of the line is faster",
        ratio,
        Some(1.0),
        &rows,
    )
}

/// Distributions of single operations.
fn tails(title: &str, placement: Placement, measurements: &[Measurement]) -> Option<String> {
    let here = measurements.iter().filter(|m| m.case.placement == placement);
    let rows = here.filter_map(|m| {
        let latency = m.latency?;
        Some(Row {
            name: m.subject.clone(),
            values: vec![latency.median, latency.p99, latency.p999],
        })
    });
    let rows: Vec<Row> = rows.collect();
    dots(&format!("{title}, {}", placement.name()), time, None, &rows)
}

/// A line for each subject, of the measurements wanted.
fn series(
    measurements: &[Measurement],
    wanted: impl Fn(&Measurement) -> bool,
    x: impl Fn(&Case) -> Option<usize>,
) -> Vec<Series> {
    let mut all = Vec::new();
    for m in measurements.iter().filter(|m| wanted(m)) {
        if let Some(at) = x(&m.case) {
            let colour = all.len();
            continued(&mut all, m.subject.clone(), colour, false, (at, m.each.median));
        }
    }
    all
}

/// Adds a point to the line of that name, which begins with it if there is none.
fn continued(all: &mut Vec<Series>, name: String, colour: usize, dashed: bool, (x, y): (usize, f64)) {
    let point = (x as f64, y);
    match all.iter_mut().find(|series| series.name == name) {
        Some(series) => series.points.push(point),
        None => all.push(Series {
            name,
            colour,
            dashed,
            points: vec![point],
        }),
    }
}

/// A plot for each kind of thing that there is more and more of: the kernel's lines dashed, ours in the same colours.
fn growth(measurements: &[Measurement]) -> Vec<(String, Option<String>)> {
    let kinds = [
        "segments",
        "semaphore sets",
        "queues",
        "attachments",
        "processes",
        "waiters",
    ];
    let plots = kinds.map(|kind| {
        let suffix = format!(", among {kind}");
        let (mut all, mut calls) = (Vec::new(), Vec::new());
        for m in measurements {
            let (Some(call), Some(number)) = (m.case.name.strip_suffix(&suffix), m.case.number) else {
                continue;
            };
            let known = calls.iter().position(|known| *known == call);
            let colour = known.unwrap_or_else(|| {
                calls.push(call);
                calls.len() - 1
            });
            let name = format!("{}: {call}", m.subject);
            continued(&mut all, name, colour, m.subject == KERNEL, (number, m.each.median));
        }
        let title = format!("with more and more {kind}");
        (
            format!("growth-{}.svg", kind.replace(' ', "-")),
            lines(&title, kind, plain, time, &all),
        )
    });
    plots.into()
}
