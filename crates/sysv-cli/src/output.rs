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
    print(json(value)?)
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_lines_end_where_their_text_does() {
        let rows = [["a", "1", "x"], ["bb", "100", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&["N", "COUNT", "T"], &["COUNT"], rows),
            "N   COUNT  T\na       1  x\nbb    100\n"
        );
    }
}
