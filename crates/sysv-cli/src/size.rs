//! Numbers of bytes, as people write them.

use std::str::FromStr;

/// A number with an optional suffix: K, M, G or T, powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Size, Self::Err> {
        const EXPECTED: &str = "expected a number, as in 4096, 64K, 1M, 2G or 1T";
        let digits = text.trim_end_matches(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't']);
        let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return Err(EXPECTED),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(EXPECTED);
        }
        let number: u64 = digits.parse().map_err(|_| "too large for 64 bits")?;
        number.checked_mul(1 << shift).map(Size).ok_or("too large for 64 bits")
    }
}

impl Size {
    pub(crate) fn bytes(self) -> usize {
        // The system has 64 bits.
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64K", 65536),
            ("1m", 1 << 20),
            ("2G", 2 << 30),
            ("3t", 3 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in [
            "",
            "K",
            "1KK",
            "1KM",
            "-1",
            "+1",
            "1.5G",
            "1 K",
            "18446744073709551616",
            "16777216T",
            "0x10",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
