//! What is wrong with a message, and where in it.

use std::fmt;

/// A message that says something no message may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The path of the field, from the message down: `entries[3].result.attempt`.
    pub field: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not there, or empty, and has to be there.
    Missing,
    /// It is not a UUID.
    NotAnId(String),
    /// It is not a digest of this many hexadecimal digits.
    NotADigest(usize),
    /// It is not one of the values this side knows.
    Unknown(String),
    /// It is longer than it may be, in bytes.
    TooLong {
        /// How long it may be.
        most: usize,
        /// How long it is.
        found: usize,
    },
    /// It has more items than it may have.
    TooMany {
        /// How many it may have.
        most: usize,
        /// How many it has.
        found: usize,
    },
    /// It is a number out of its range.
    OutOfRange {
        /// The number.
        found: u64,
        /// The least it may be.
        least: u64,
        /// The greatest it may be.
        most: u64,
    },
    /// Something else, in words.
    Other(String),
}

impl Invalid {
    /// A field, and what is wrong with it.
    #[must_use]
    pub fn new(field: &str, why: Why) -> Self {
        Self { field: field.to_owned(), why }
    }

    /// The same mistake, seen from the message that holds this one in its field `outer`.
    #[must_use]
    pub fn within(mut self, outer: impl fmt::Display) -> Self {
        self.field = format!("{outer}.{}", self.field);
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field `{}` {}", self.field, self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::NotAnId(text) => write!(f, "should be a UUID, and is `{text}`"),
            Self::NotADigest(digits) => write!(f, "should be {digits} lower-case hexadecimal digits"),
            Self::Unknown(value) => {
                write!(f, "has the value {value}, which is not known here; is the other side newer?")
            }
            Self::TooLong { most, found } => write!(f, "is {found} bytes long, and may be {most}"),
            Self::TooMany { most, found } => write!(f, "has {found} items, and may have {most}"),
            Self::OutOfRange { found, least, most } => {
                write!(f, "is {found}, and should be between {least} and {most}")
            }
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Invalid {}

/// Adds to a mistake in a nested message the field that holds it.
pub(crate) trait Within<T> {
    fn within(self, outer: &str) -> Result<T, Invalid>;
    fn within_item(self, outer: &str, at: usize) -> Result<T, Invalid>;
}

impl<T> Within<T> for Result<T, Invalid> {
    fn within(self, outer: &str) -> Self {
        self.map_err(|invalid| invalid.within(outer))
    }

    fn within_item(self, outer: &str, at: usize) -> Self {
        self.map_err(|invalid| invalid.within(format_args!("{outer}[{at}]")))
    }
}

/// A nested message that has to be there.
pub(crate) fn present<T>(field: &str, message: Option<T>) -> Result<T, Invalid> {
    message.ok_or_else(|| Invalid::new(field, Why::Missing))
}

/// A text within its bound.
pub(crate) fn text<T>(field: &str, text: String, most: usize) -> Result<T, Invalid>
where
    T: From<String>,
{
    if text.len() > most {
        return Err(Invalid::new(field, Why::TooLong { most, found: text.len() }));
    }
    Ok(T::from(text))
}

/// A text within its bound that may not be empty.
pub(crate) fn label<T: From<String>>(field: &str, label: String, most: usize) -> Result<T, Invalid> {
    if label.is_empty() {
        return Err(Invalid::new(field, Why::Missing));
    }
    text(field, label, most)
}

/// A list within its bound.
pub(crate) fn count<T>(field: &str, items: Vec<T>, most: usize) -> Result<Vec<T>, Invalid> {
    if items.len() > most {
        return Err(Invalid::new(field, Why::TooMany { most, found: items.len() }));
    }
    Ok(items)
}

/// Every item of a list, converted; a mistake names its place.
pub(crate) fn each<T, U>(field: &str, items: Vec<T>, most: usize) -> Result<Vec<U>, Invalid>
where
    U: TryFrom<T, Error = Invalid>,
{
    let convert = |(at, item)| U::try_from(item).within_item(field, at);
    count(field, items, most)?.into_iter().enumerate().map(convert).collect()
}

/// A number that fits the smaller type, from `least` on.
pub(crate) fn u16_from(field: &str, found: u32, least: u16) -> Result<u16, Invalid> {
    let out_of_range = || {
        let (least, most) = (u64::from(least), u64::from(u16::MAX));
        Invalid::new(field, Why::OutOfRange { found: u64::from(found), least, most })
    };
    u16::try_from(found).ok().filter(|number| *number >= least).ok_or_else(out_of_range)
}
