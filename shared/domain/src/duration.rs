//! Durations as people write them: `30s`, `5m`, `1h30m`, `250ms`.
//!
//! The one reader and the one writer of that notation, for configuration, arguments and filters alike.

use crate::Micros;
use std::fmt;

/// The units from the largest to the smallest, in microseconds.
const UNITS: [(&str, u64); 5] = [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// Nothing was written.
    Empty,
    /// There is no whole number where one should be.
    Number,
    /// A number without a unit, or a unit that is not known.
    Unit,
    /// Units have to go from large to small, each at most once.
    Order,
    /// More than 2⁶⁴ microseconds.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a duration is missing",
            Self::Number => "a duration starts with a whole number",
            Self::Unit => "a duration needs one of the units h, m, s, ms, us after each number",
            Self::Order => "the units of a duration go from large to small",
            Self::TooLong => "the duration is too long",
        })
    }
}

impl std::error::Error for Error {}

/// Reads a duration.
///
/// # Errors
/// When `text` is not one.
pub fn parse(text: &str) -> Result<Micros, Error> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(Error::Empty);
    }
    let mut total = 0_u64;
    let mut units = &UNITS[..];
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        if number.is_empty() {
            return Err(Error::Number);
        }
        let number: u64 = number.parse().map_err(|_| Error::TooLong)?;
        let Some(at) = units.iter().position(|(name, _)| *name == unit) else {
            return Err(if UNITS.iter().any(|(name, _)| *name == unit) { Error::Order } else { Error::Unit });
        };
        let span = number.checked_mul(units[at].1).ok_or(Error::TooLong)?;
        total = total.checked_add(span).ok_or(Error::TooLong)?;
        units = &units[at + 1..];
        rest = after;
    }
    Ok(Micros(total))
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// Writes a duration so that [`parse`] reads it back.
#[must_use]
pub fn text(span: Micros) -> String {
    let mut rest = span.0;
    let mut text = String::new();
    for (name, unit) in UNITS {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let cases = [
            ("30s", Ok(30_000_000)),
            (" 5m ", Ok(300_000_000)),
            ("1h30m", Ok(5_400_000_000)),
            ("250ms", Ok(250_000)),
            ("1s500ms", Ok(1_500_000)),
            ("7us", Ok(7)),
            ("0s", Ok(0)),
            ("", Err(Error::Empty)),
            ("s", Err(Error::Number)),
            ("-1s", Err(Error::Number)),
            ("30", Err(Error::Unit)),
            ("1.5s", Err(Error::Unit)),
            ("3days", Err(Error::Unit)),
            ("1m1h", Err(Error::Order)),
            ("1s1s", Err(Error::Order)),
            ("9999999999h", Err(Error::TooLong)),
            ("99999999999999999999s", Err(Error::TooLong)),
        ];
        for (given, wanted) in cases {
            assert_eq!(parse(given).map(|span| span.0), wanted, "{given:?}");
        }
    }

    #[test]
    fn a_duration_survives_its_text_form() {
        for span in [0, 1, 999, 1_000, 1_001, 61_000_000, 5_400_250_000, u64::MAX] {
            assert_eq!(parse(&text(Micros(span))), Ok(Micros(span)));
        }
        assert_eq!(text(Micros(5_400_250_000)), "1h30m250ms");
    }
}
