//! Switches that may also say how much: `fail-fast` and `shuffle`.

use super::Whole;
use crate::config::decode::{Decode, Mistakes, Value, refuse};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use toml::de::DeValue;

/// After how many failures a run ends; `None` for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailFast(pub(crate) Option<u32>);

/// In which order groups are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shuffle {
    /// Longest first.
    Off,
    /// At random, from a seed that is drawn and printed.
    Drawn,
    /// At random, from this seed.
    Seed(u64),
}

/// The seeds that TOML can write.
pub(crate) const MAX_SEED: u64 = i64::MAX as u64;

impl Decode for FailFast {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(on) => Some(Self(on.then_some(1))),
            DeValue::Integer(_) => {
                Whole::<1, { u32::MAX as u64 }>::decode(key, value, told).map(|n| Self(Some(n.get())))
            }
            _ => {
                refuse(key, "true, false, or a number of failures", value, told);
                None
            }
        }
    }
}

impl Decode for Shuffle {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(true) => Some(Self::Drawn),
            DeValue::Boolean(false) => Some(Self::Off),
            DeValue::Integer(_) => Whole::<0, MAX_SEED>::decode(key, value, told).map(|seed| Self::Seed(seed.0)),
            _ => {
                refuse(key, "true, false, or a seed", value, told);
                None
            }
        }
    }
}

impl JsonSchema for FailFast {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "fail-fast".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "integer", "minimum": 1, "maximum": u32::MAX }] })
    }
}

impl JsonSchema for Shuffle {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "shuffle".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "integer", "minimum": 0, "maximum": MAX_SEED }] })
    }
}
