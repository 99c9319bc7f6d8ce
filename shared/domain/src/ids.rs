//! The names of things: ids that travel, and dense indexes that stand for them inside a run.
//!
//! Each is a type of its own, so that two of them cannot be swapped. Indexes are only meaningful within one run.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The id whose 128 bits are `bits`.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// Parses the hyphenated form.
            ///
            /// # Errors
            /// When `text` is not a UUID.
            pub fn parse(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id! {
    /// One execution of one or more suites. Chosen by the client, so that a repeated submission is the same run.
    RunId
}
uuid_id! {
    /// One worker process, from its start to its end.
    WorkerId
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $int);

        impl $name {
            /// The index for use with a slice.
            #[must_use]
            pub const fn at(self) -> usize {
                self.0 as usize
            }

            /// The `position`th index.
            ///
            /// # Panics
            /// When a run holds more of them than `limits.rs` allows.
            #[must_use]
            pub fn nth(position: usize) -> Self {
                Self(<$int>::try_from(position).expect("indexes stay within limits.rs"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

index! {
    /// A test within its run.
    TestIx(u32)
}
index! {
    /// A file (or test binary, or any other unit that is listed as one) within its run.
    FileIx(u32)
}
index! {
    /// A group within its run.
    GroupIx(u32)
}
index! {
    /// A suite within its run.
    SuiteIx(u16)
}
index! {
    /// A policy within its run.
    PolicyIx(u16)
}
index! {
    /// What a test needs, within its run: 0 is nothing, and n stands for the n-th of the submission's `needs`.
    NeedsIx(u16)
}
index! {
    /// A slot within its worker.
    SlotIx(u16)
}

/// A fencing token: names one lease, and is greater than that of every lease granted before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub u64);

impl Token {
    /// The token that comes after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Parses the lower-case hexadecimal form; `None` when `text` is anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let mut bytes = [0; $bytes];
                if text.len() != 2 * $bytes || !text.is_ascii() {
                    return None;
                }
                for (at, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
                }
                Some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Digests travel by the hundred thousand: formatting byte by byte would be seen in profiles.
                let mut text = [0_u8; 2 * $bytes];
                for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
                    pair[0] = HEX[usize::from(byte >> 4)];
                    pair[1] = HEX[usize::from(byte & 15)];
                }
                f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

digest! {
    /// A test across runs: a stable hash of project, suite, file and name. History hangs on it.
    TestKey, 16
}
digest! {
    /// A file's content address together with everything its listing depends on (configuration chain, environment).
    FileKey, 16
}
digest! {
    /// The address of a blob: the BLAKE3 hash of its content.
    Digest, 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_text_form() {
        let key = FileKey([0xab; 16]);
        assert_eq!(FileKey::parse(&key.to_string()), Some(key));
        assert_eq!(FileKey::parse("abc"), None);
        assert_eq!(FileKey::parse(&"zz".repeat(16)), None);
    }
}
