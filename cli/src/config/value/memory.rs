//! Amounts of memory: "512MB", "2GB".

use crate::config::decode::{Decode, Mistakes, Value, refuse};
use crate::error::Mistake;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::str::FromStr;
use toml::de::DeValue;

/// An amount of memory in megabytes (of 1024 × 1024 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// How many megabytes.
    pub(crate) mb: u32,
}

impl Memory {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let factor = match &text[digits.len()..] {
            "MB" => 1,
            "GB" => 1024,
            _ => return None,
        };
        let number: u32 = digits.parse().ok().filter(|number| (1..=999_999).contains(number))?;
        Some(Self { mb: number * factor })
    }
}

impl Memory {
    /// The same in bytes.
    pub(crate) fn bytes(self) -> u64 {
        u64::from(self.mb) * 1024 * 1024
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "it must be a whole number of MB or GB, for example 512MB or 2GB".to_owned())
    }
}

impl Decode for Memory {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let DeValue::String(text) = value.get_ref() else {
            refuse(key, "an amount in quotes, like \"512MB\"", value, told);
            return None;
        };
        let memory = Self::parse(text);
        if memory.is_none() {
            let mistake = Mistake::new(format!("`{key}` must be a whole number of MB or GB"));
            told.tell(value.span(), mistake.help("for example \"512MB\" or \"2GB\""));
        }
        memory
    }
}

impl JsonSchema for Memory {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "memory".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^0*[1-9][0-9]{0,5}(MB|GB)$", "examples": ["512MB", "2GB"] })
    }
}
