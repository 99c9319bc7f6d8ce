//! Commands: a list of arguments, or a line for the shell.

use crate::config::decode::{Decode, Mistakes, Value, refuse};
use crate::error::Mistake;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use toml::de::DeValue;

/// A command as a list of arguments. A string in the file is a line for `sh -c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argv(pub(crate) Vec<String>);

impl Decode for Argv {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => {
                let line = String::decode(key, value, told)?;
                Some(Self(vec!["sh".to_owned(), "-c".to_owned(), line]))
            }
            DeValue::Array(items) if items.is_empty() => {
                told.tell(value.span(), Mistake::new(format!("`{key}` needs at least the name of a program")));
                None
            }
            DeValue::Array(_) => Vec::decode(key, value, told).map(Self),
            _ => {
                refuse(key, "a command: a list of strings, or one string for the shell", value, told);
                None
            }
        }
    }
}

impl JsonSchema for Argv {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "command".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 }
            ]
        })
    }
}
