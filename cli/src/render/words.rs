//! Numbers and times in words, as people read them.

use regatta_domain::Micros;

/// `1,234`.
pub(crate) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 test`, `2 tests`.
pub(crate) fn count_of(number: usize, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A time that has passed, as a clock shows it: `00:05`, `1:02:03`.
pub(crate) fn clock(span: Micros) -> String {
    let seconds = span.0 / 1_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

/// A span as it is said: `5.26s`, `40.1s`, `3m 05s`, `1h 02m`.
pub(crate) fn span(span: Micros) -> String {
    let seconds = span.as_secs_f64();
    match span.0 {
        0..9_995_000 => format!("{seconds:.2}s"),
        9_995_000..59_950_000 => format!("{seconds:.1}s"),
        _ => {
            let whole = (span.0 + 500_000) / 1_000_000;
            if whole < 3_600 {
                format!("{}m {:02}s", whole / 60, whole % 60)
            } else {
                format!("{}h {:02}m", whole / 3_600, whole / 60 % 60)
            }
        }
    }
}

/// A span that may be far below a second: `0.31ms`, `12.4ms`, `312ms`, and beyond as [`span`] has it.
pub(crate) fn fine(span: Micros) -> String {
    let ms = span.as_secs_f64() * 1_000.0;
    match span.0 {
        0..9_995 => format!("{ms:.2}ms"),
        9_995..99_950 => format!("{ms:.1}ms"),
        99_950..999_500 => format!("{ms:.0}ms"),
        _ => self::span(span),
    }
}

/// A span that is only guessed: `12s`, `3m`, `1h 02m`.
pub(crate) fn about(span: Micros) -> String {
    let whole = span.0.div_ceil(1_000_000);
    match whole {
        0..100 => format!("{whole}s"),
        100..6_000 => format!("{}m", (whole + 30) / 60),
        _ => format!("{}h {:02}m", whole / 3_600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        let cases = [(0_u64, "0"), (12, "12"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, wanted) in cases {
            assert_eq!(count(number), wanted);
        }
        assert_eq!(count_of(1, "test"), "1 test");
        assert_eq!(count_of(1_000, "test"), "1,000 tests");
    }

    #[test]
    fn short_spans_are_told_in_milliseconds() {
        let cases = [
            (0, "0.00ms"),
            (314, "0.31ms"),
            (9_999, "10.0ms"),
            (12_440, "12.4ms"),
            (99_990, "100ms"),
            (312_400, "312ms"),
            (999_700, "1.00s"),
            (61_000_000, "1m 01s"),
        ];
        for (micros, wanted) in cases {
            assert_eq!(fine(Micros(micros)), wanted);
        }
    }

    #[test]
    fn spans_are_told_as_exactly_as_it_helps() {
        let cases = [
            (0, "0.00s", "0s", "00:00"),
            (5_264_000, "5.26s", "6s", "00:05"),
            (9_999_000, "10.0s", "10s", "00:09"),
            (40_120_000, "40.1s", "41s", "00:40"),
            (59_990_000, "1m 00s", "60s", "00:59"),
            (185_000_000, "3m 05s", "3m", "03:05"),
            (3_725_000_000, "1h 02m", "62m", "1:02:05"),
            (36_000_000_000, "10h 00m", "10h 00m", "10:00:00"),
        ];
        for (micros, said, guessed, shown) in cases {
            let micros = Micros(micros);
            assert_eq!((span(micros).as_str(), about(micros).as_str(), clock(micros).as_str()), (said, guessed, shown));
        }
    }
}
