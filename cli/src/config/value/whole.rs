//! Whole numbers with bounds.

use crate::config::decode::{Decode, Mistakes, Value, refuse};
use crate::error::Mistake;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use toml::de::DeValue;

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// The number as a narrower type, of which `MAX` is a value.
    pub(crate) fn get<T: TryFrom<u64>>(self) -> T {
        T::try_from(self.0).ok().expect("the bound fits the type")
    }
}

impl<const MIN: u64, const MAX: u64> Decode for Whole<MIN, MAX> {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let DeValue::Integer(number) = value.get_ref() else {
            refuse(key, "a whole number", value, told);
            return None;
        };
        // Further than an i128 is out of every bound, too.
        let number = i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX);
        match u64::try_from(number) {
            Ok(number) if (MIN..=MAX).contains(&number) => Some(Self(number)),
            _ => {
                let bounds = format!("`{key}` must be between {MIN} and {MAX}");
                told.tell(value.span(), Mistake::new(bounds));
                None
            }
        }
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Whole<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("whole-{MIN}-{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}
