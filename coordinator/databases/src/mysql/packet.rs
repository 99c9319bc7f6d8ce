//! What the packets of a reply mean, whatever they hold. Sending and receiving them is left to `wire`.

use std::{fmt, io};

/// A line of a result; `None` is NULL.
pub(super) type Row = Vec<Option<String>>;

/// Why something was not answered.
#[derive(Debug)]
pub enum Error {
    /// The server says no.
    Refused {
        /// The server's number for it.
        code: u16,
        /// What it says.
        message: String,
    },
    /// There is no connection any more.
    Lost(io::Error),
    /// What came is not what the protocol allows here.
    Garbled(&'static str),
}

/// `0xfe` and at most eight bytes end a list; a line that begins like that is longer.
pub(super) fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

/// A line of as many columns.
pub(super) fn row(mut packet: &[u8], columns: u64) -> Result<Row, Error> {
    (0..columns)
        .map(|_| {
            if let Some((0xfb, rest)) = packet.split_first() {
                packet = rest;
                return Ok(None);
            }
            let length = usize::try_from(number(&mut packet)?).map_err(|_| SHORT)?;
            let (text, rest) = packet.split_at_checked(length).ok_or(SHORT)?;
            packet = rest;
            Ok(Some(String::from_utf8_lossy(text).into_owned()))
        })
        .collect()
}

const SHORT: Error = Error::Garbled("a packet that ends early");

/// A number of variable length, taken off the front.
pub(super) fn number(packet: &mut &[u8]) -> Result<u64, Error> {
    let (&first, rest) = packet.split_first().ok_or(SHORT)?;
    let bytes = match first {
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xfb | 0xff => return Err(Error::Garbled("a number that is none")),
        small => {
            *packet = rest;
            return Ok(u64::from(small));
        }
    };
    let (digits, rest) = rest.split_at_checked(bytes).ok_or(SHORT)?;
    *packet = rest;
    Ok(digits.iter().rev().fold(0, |number, &digit| number << 8 | u64::from(digit)))
}

/// A number of two bytes.
pub(super) fn word(packet: &[u8]) -> Result<u16, Error> {
    packet.first_chunk().map(|&bytes| u16::from_le_bytes(bytes)).ok_or(SHORT)
}

/// What a refusal says.
pub(super) fn refusal(packet: &[u8]) -> Error {
    let Ok(code) = word(packet.get(1..).unwrap_or_default()) else { return SHORT };
    let rest = &packet[3..];
    // `#` and five letters that say the same as the number.
    let message = if rest.first() == Some(&b'#') { rest.get(6..).unwrap_or_default() } else { rest };
    Error::Refused { code, message: String::from_utf8_lossy(message).into_owned() }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } => {
                write!(f, "the MariaDB server refused a statement of ours ({code}): {message}")
            }
            Self::Lost(error) => write!(f, "the connection to the MariaDB server was lost: {error}"),
            Self::Garbled(what) => write!(f, "the MariaDB server sent {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lost(error) => Some(error),
            Self::Refused { .. } | Self::Garbled(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_with_their_nulls_and_what_is_cut_off_is_refused() {
        let packet = [3, b'a', b'b', b'c', 0xfb, 0, 0xfc, 1, 0, b'x'];
        let read = row(&packet, 4).unwrap();
        assert_eq!(read, [Some("abc".to_owned()), None, Some(String::new()), Some("x".to_owned())]);
        for cut in 0..packet.len() {
            assert!(row(&packet[..cut], 4).is_err(), "{cut}");
        }
    }

    #[test]
    fn numbers_of_every_length_are_read() {
        for (mut bytes, want) in [
            (&[250][..], 250),
            (&[0xfc, 1, 2], 0x201),
            (&[0xfd, 1, 2, 3], 0x3_0201),
            (&[0xfe, 1, 0, 0, 0, 0, 0, 0, 1], 0x0100_0000_0000_0001),
        ] {
            assert_eq!(number(&mut bytes).unwrap(), want);
            assert!(bytes.is_empty());
        }
        assert!(number(&mut &[0xff][..]).is_err());
    }

    #[test]
    fn refusals_carry_their_number_and_text() {
        let packet = [&[0xff, 0x76, 4][..], b"#42000denied"].concat();
        assert!(matches!(refusal(&packet), Error::Refused { code: 1142, message } if message == "denied"));
        assert!(matches!(refusal(&[0xff, 1]), Error::Garbled(_)));
    }
}
