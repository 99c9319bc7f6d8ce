//! Filters in the file.

use crate::config::decode::{Decode, Mistakes, Value};
use crate::error::Mistake;
use regatta_domain::filter::Filter;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// The tests that a filter selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selected(pub(crate) Filter);

impl Decode for Selected {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let text = String::decode(key, value, told)?;
        let error = match Filter::parse(&text) {
            Ok(filter) => return Some(Self(filter)),
            Err(error) => error,
        };
        // Where the string stands in the file as it is, the caret can point into it; with escapes, only at all of it.
        let span = value.span();
        let inside = span.start + 1..span.end.saturating_sub(1);
        let mistake = if told.text().get(inside.clone()) == Some(&text) {
            Mistake::in_filter(&error, told.place(inside))
        } else {
            Mistake::in_filter(&error, told.place(span.clone())).at(told.place(span.clone()))
        };
        told.tell_placed(span.start, mistake);
        None
    }
}

impl JsonSchema for Selected {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "filter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "examples": ["suite(api) & tag(db) - test(#*[sqlite*])"] })
    }
}
