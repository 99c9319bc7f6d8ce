//! What tests need beside a slot, and what suites require of a worker: resources and labels.

use crate::config::decode::{Decode, Mistakes, Value};
use crate::error::Mistake;
use regatta_domain::Need;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

use super::Name;

/// The most seats that a resource may have.
pub(crate) const MAX_SEATS: u32 = 100_000;

/// Seats of a resource: "db", or "licence:2" for more than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NeedWord(pub(crate) Need);

/// What a worker carries and a suite may require: "gpu", "os:windows".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) String);

impl NeedWord {
    /// Reads a need.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let (name, seats) = text.split_once(':').map_or((text, None), |(name, seats)| (name, Some(seats)));
        Name::check("a resource", name)?;
        let seats = match seats.map(str::parse::<u32>) {
            None => 1,
            Some(Ok(seats)) if (1..=MAX_SEATS).contains(&seats) => seats,
            Some(_) => {
                return Err(Mistake::new(format!("`{text}` does not say how many seats of `{name}`"))
                    .help(format!("write `{name}` for one seat, or `{name}:2` for two; at most {MAX_SEATS}")));
            }
        };
        Ok(Self(Need { resource: name.into(), seats }))
    }
}

impl Label {
    /// What a label looks like, for the schema.
    pub(crate) const PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}$";

    /// Checks a label; else what is wrong with it.
    pub(crate) fn check(text: &str) -> Result<(), Mistake> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if (1..=64).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with(['-', '.', ':']) {
            return Ok(());
        }
        Err(Mistake::new(format!("`{text}` cannot be a label")).help(
            "a label is made of letters, digits, `_`, `-`, `.` and `:`, begins with a letter, a digit or `_`, and has at most \
             64 of them, such as gpu or os:windows",
        ))
    }
}

impl Decode for NeedWord {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let text = String::decode(key, value, told)?;
        Self::parse(&text).map_err(|mistake| told.tell(value.span(), mistake)).ok()
    }
}

impl Decode for Label {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let text = String::decode(key, value, told)?;
        match Self::check(&text) {
            Ok(()) => Some(Self(text)),
            Err(mistake) => {
                told.tell(value.span(), mistake);
                None
            }
        }
    }
}

impl JsonSchema for NeedWord {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "need".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:0*[1-9][0-9]{0,5})?$",
            "examples": ["db", "licence:2"]
        })
    }
}

impl JsonSchema for Label {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "label".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN, "examples": ["gpu", "os:windows"] })
    }
}
