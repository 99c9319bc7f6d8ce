//! Durations: those that may be nothing, and those that limit something.

use crate::config::decode::{Decode, Mistakes, Value, refuse};
use crate::error::Mistake;
use regatta_domain::{Micros, duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use toml::de::DeValue;

/// The notation; that there is a number at all, the second pattern sees to.
const PATTERN: &str = "^([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?([0-9]{1,9}us)?$";

/// A duration, which may be nothing: "1s", "250ms", "0s".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Micros);

/// A duration that limits something, and so is not nothing: "30s", "5m", "1h30m".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Micros);

fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Micros> {
    let DeValue::String(text) = value.get_ref() else {
        refuse(key, "a duration in quotes, like \"30s\"", value, told);
        return None;
    };
    duration::parse(text)
        .map_err(|error| {
            let mistake = Mistake::new(format!("`{key}`: {error}")).help("for example \"250ms\", \"30s\" or \"1h30m\"");
            told.tell(value.span(), mistake);
        })
        .ok()
}

impl Decode for Wait {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        decode(key, value, told).map(Self)
    }
}

impl Decode for Limit {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let span = decode(key, value, told)?;
        if span == Micros::ZERO {
            told.tell(value.span(), Mistake::new(format!("`{key}` must be longer than nothing")));
            return None;
        }
        Some(Self(span))
    }
}

impl JsonSchema for Wait {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "wait".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "minLength": 2, "examples": ["250ms", "1s"] })
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": PATTERN, "allOf": [{ "pattern": "[1-9]" }], "examples": ["30s", "1h30m"]
        })
    }
}
