//! Figures in words: units, names of cases, tables for a terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::results::{Case, Measurement};

/// A time in the unit that suits it.
pub fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// Three digits that count.
pub fn digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A ratio: three digits that count, below one as well.
pub fn ratio(value: f64) -> String {
    match value {
        v if v < 0.1 => format!("{v:.3}"),
        v => digits(v),
    }
}

/// A number of bytes.
pub fn bytes(size: usize) -> String {
    match size {
        n if n >= 1 << 20 && n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        n if n >= 1 << 10 && n.is_multiple_of(1 << 10) => format!("{} KiB", n >> 10),
        n => format!("{n} B"),
    }
}

/// A case in words, without its placement.
pub fn name(case: &Case) -> String {
    let mut name = case.name.clone();
    if let Some(size) = case.size {
        name = format!("{name}, {}", bytes(size));
    }
    if let Some(number) = case.number {
        name = format!("{name}, {number}");
    }
    name
}

/// A table for a terminal.
pub fn terminal(measurements: &[Measurement]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "OPERATION",
        "WHERE",
        "WHOSE",
        "TIME",
        "MINIMUM",
        "SPREAD",
        "CPU",
        "RATIO",
    ]);
    let mut last = None;
    for m in measurements {
        let is_new = last != Some(&m.case);
        last = Some(&m.case);
        table.add_row([
            if is_new { name(&m.case) } else { String::new() },
            if is_new {
                m.case.placement.name().to_owned()
            } else {
                String::new()
            },
            m.subject.clone(),
            time(m.each.median),
            time(m.each.minimum),
            format!("{:.0} %", 100.0 * m.each.spread()),
            if m.processor.median > 0.0 {
                time(m.processor.median)
            } else {
                String::new()
            },
            m.ratio.map_or(String::new(), |summary| ratio(summary.median)),
        ]);
    }
    for column in 0..8 {
        if let Some(column_) = table.column_mut(column) {
            column_.set_padding((0, 2));
            if column >= 3 {
                column_.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_that_count() {
        assert_eq!(
            [
                time(4.567),
                time(45.67),
                time(456.7),
                time(4567.0),
                time(4.567e6),
                time(4.567e9)
            ],
            ["4.57 ns", "45.7 ns", "457 ns", "4.57 µs", "4.57 ms", "4.57 s"]
        );
        assert_eq!(
            [ratio(0.0342), ratio(0.342), ratio(3.42), ratio(34.2)],
            ["0.034", "0.34", "3.42", "34.2"]
        );
    }

    #[test]
    fn sizes_are_told_in_the_largest_unit_that_fits() {
        assert_eq!(
            [bytes(8), bytes(1000), bytes(1 << 10), bytes(3 << 19), bytes(64 << 20)],
            ["8 B", "1000 B", "1 KiB", "1536 KiB", "64 MiB"]
        );
    }
}
