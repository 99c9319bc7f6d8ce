//! Names of suites, profiles and groups.

use crate::config::decode::{Decode, Mistakes, Value};
use crate::error::Mistake;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// A name that can be written anywhere without quotes: letters, digits, `_`, `-` and `.`, at most 64 of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) String);

impl Name {
    /// What a name looks like, for the schema.
    pub(crate) const PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$";

    /// Checks a name; else what is wrong with it.
    pub(crate) fn check(what: &str, text: &str) -> Result<(), Mistake> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if (1..=64).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with(['-', '.']) {
            return Ok(());
        }
        let mistake = Mistake::new(format!("`{text}` cannot be the name of {what}"));
        Err(mistake.help("a name is made of letters, digits, `_`, `-` and `.`, begins with a letter, a digit or `_`, and has at most 64 of them"))
    }
}

impl Decode for Name {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let text = String::decode(key, value, told)?;
        match Self::check(&format!("`{key}`"), &text) {
            Ok(()) => Some(Self(text)),
            Err(mistake) => {
                told.tell(value.span(), mistake);
                None
            }
        }
    }
}

impl JsonSchema for Name {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}
