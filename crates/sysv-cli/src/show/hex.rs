//! Bytes for people: sixteen in a line, as numbers and as text.

use std::fmt::Write;

const ROW: usize = 16;

/// The bytes, of which the first stands at `offset`. Rows that are like the one above are left out, and a star says so.
pub(super) fn view(bytes: &[u8], offset: usize) -> String {
    let mut text = String::new();
    let mut above: Option<&[u8]> = None;
    let mut left_out = false;
    for (number, row) in bytes.chunks(ROW).enumerate() {
        let last = (number + 1) * ROW >= bytes.len();
        if above == Some(row) && !last {
            if !left_out {
                text += "*\n";
            }
            left_out = true;
            continue;
        }
        (above, left_out) = (Some(row), false);
        write_row(&mut text, offset + number * ROW, row);
    }
    text
}

fn write_row(text: &mut String, at: usize, row: &[u8]) {
    let _ = write!(text, "{at:08x} ");
    for place in 0..ROW {
        let gap = if place % (ROW / 2) == 0 { " " } else { "" };
        let _ = match row.get(place) {
            Some(byte) => write!(text, "{gap}{byte:02x} "),
            None => write!(text, "{gap}   "),
        };
    }
    let printed = row.iter().map(|&byte| match byte {
        b' '..=b'~' => char::from(byte),
        _ => '.',
    });
    let _ = writeln!(text, " |{}|", printed.collect::<String>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stand_as_numbers_and_as_text() {
        assert_eq!(
            view(b"Hello, world!\n\0\xff\x01", 0x1000),
            "00001000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 0a 00 ff  |Hello, world!...|\n\
             00001010  01                                                |.|\n"
        );
        assert_eq!(view(b"", 0), "");
    }

    #[test]
    fn rows_like_the_one_above_are_left_out_but_for_the_last() {
        let lines = view(&[0; 96], 0);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("00000000") && lines[1] == "*" && lines[2].starts_with("00000050"));
    }
}
