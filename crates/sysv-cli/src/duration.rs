//! Lengths of time, as people write them.

use std::str::FromStr;
use std::time::Duration;

/// A number of seconds, or of what the suffix says: s, m, h or d.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Span, Self::Err> {
        const EXPECTED: &str = "expected a length of time, as in 90, 90s, 15m, 12h or 7d";
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(EXPECTED),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(EXPECTED);
        }
        let number: u64 = digits.parse().map_err(|_| "longer than time lasts")?;
        let seconds = number.checked_mul(unit).ok_or("longer than time lasts")?;
        Ok(Span(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_parse_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("12h", 43200),
            ("7d", 604_800),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        for text in [
            "",
            "d",
            "1w",
            "-1",
            "+1",
            "1.5h",
            "1 h",
            "1hh",
            "18446744073709551616",
            "18446744073709551615d",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
