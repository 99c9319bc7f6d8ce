//! From TOML to types, without stopping at the first mistake.
//!
//! Everything that is read knows where it was written. What cannot be read is told to [`Mistakes`] and left out, so that
//! one pass finds all there is to say. It knows the notation, and leaves what the keys mean to the sections.

mod fields;
mod mistakes;
mod scalar;

pub(crate) use fields::Fields;
pub(crate) use mistakes::Mistakes;
pub(crate) use scalar::{Choice, choose, refuse};

use super::At;
use toml::Spanned;
use toml::de::DeValue;

/// A value as the parser gives it.
pub(crate) type Value<'i> = Spanned<DeValue<'i>>;

/// Something that can be read from a value.
pub(crate) trait Decode: Sized {
    /// Reads `value`, which the file calls `key`; tells what is wrong with it.
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self>;
}

impl<T: Decode> Decode for At<T> {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        T::decode(key, value, told).map(|decoded| Self { value: decoded, span: value.span() })
    }
}

/// "a string", "a table", …: what a value is, for messages.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
