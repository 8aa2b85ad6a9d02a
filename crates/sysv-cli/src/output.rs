//! Standard output: tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// Writes text, or a name that need not be text.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())
        .and_then(|()| out.flush())
        .map_err(|e| Failure::output(&e))
}

/// Says something on standard error. If nobody listens there, the command goes on.
pub(crate) fn complain(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes a value as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(serde_json::to_string_pretty(value)? + "\n")
}

/// A table for standard output: without lines, its columns two spaces apart. Those whose name is in `right` are numbers.
pub(crate) fn table(header: &[&str], right: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let table = plain_table(header, right, rows);
    match table.split_once('\n') {
        Some((heading, rest)) if colours() => format!("\x1b[1m{heading}\x1b[0m\n{rest}"),
        _ => table,
    }
}

/// The same for anywhere.
pub(crate) fn plain_table(header: &[&str], right: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table.add_rows(rows);
    for (index, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if right.contains(name) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Whether standard output is a terminal that may be written to in colours (no-color.org).
fn colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let unable = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    io::stdout().is_terminal() && !unwanted && !unable
}

/// A name that others chose, without what would move a terminal's cursor.
pub(crate) fn printable(name: &str) -> String {
    name.replace(char::is_control, "?")
}

/// Seconds since the Epoch, for JSON.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// How long ago, in the largest unit that fits.
pub(crate) fn ago(time: Option<SystemTime>) -> String {
    let Some(time) = time else { return "never".to_owned() };
    let seconds = SystemTime::now().duration_since(time).map_or(0, |d| d.as_secs());
    let (count, unit) = match seconds {
        0 => return "just now".to_owned(),
        1..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86400 => (seconds / 3600, "hour"),
        _ => (seconds / 86400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ages_are_told_in_the_largest_unit() {
        let before = |seconds| ago(Some(SystemTime::now() - Duration::from_secs(seconds)));
        assert_eq!(before(1), "1 second ago");
        assert_eq!(before(59), "59 seconds ago");
        assert_eq!(before(119), "1 minute ago");
        assert_eq!(before(7200), "2 hours ago");
        assert_eq!(before(86400 * 400), "400 days ago");
        assert_eq!(ago(None), "never");
        assert_eq!(ago(Some(SystemTime::now() + Duration::from_secs(100))), "just now");
    }

    #[test]
    fn numbers_stand_to_the_right_and_lines_end_where_their_text_does() {
        let rows = [["a", "1", "x"], ["bb", "100", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&["N", "COUNT", "T"], &["COUNT"], rows),
            "N   COUNT  T\na       1  x\nbb    100\n"
        );
    }
}
