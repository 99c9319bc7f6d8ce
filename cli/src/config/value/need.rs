//! What tests need beside a slot, and what suites require of a worker: resources and labels.

use crate::config::decode::{Decode, Mistakes, Value};
use crate::error::Mistake;
use regatta_domain::{Need, Relation, Want};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

use super::Name;

/// The most seats that a resource may have.
pub(crate) const MAX_SEATS: u32 = 100_000;

/// Seats of a resource: "db", "licence:2" for more than one, "db:all" for all of it, "cache:read" and "cache:write",
/// "phone:os=android,api>=34" for an item that is like that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NeedWord(pub(crate) Need);

/// What a worker carries and a suite may require: "gpu", "os:windows".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) String);

impl NeedWord {
    /// What a need looks like, for the schema.
    pub(crate) const PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:((0*[1-9][0-9]{0,5}|all|read|write|[^0-9=<>!,][^=<>!,]*(=|!=|>=|<=)[^,]+)(,|$))+)?$";

    /// Reads a need.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let (name, parts) = text.split_once(':').map_or((text, None), |(name, parts)| (name, Some(parts)));
        Name::check("a resource", name)?;
        let mut need = Need::new(name, 1);
        for part in parts.into_iter().flat_map(|parts| parts.split(',')) {
            match part {
                "read" => need.seats = 1,
                "all" | "write" => need.seats = Need::ALL,
                _ if part.starts_with(|c: char| c.is_ascii_digit()) => need.seats = seats(text, name, part)?,
                _ => need.wants.push(want(text, name, part)?),
            }
        }
        Ok(Self(need))
    }
}

fn seats(text: &str, name: &str, part: &str) -> Result<u32, Mistake> {
    part.parse().ok().filter(|seats| (1..=MAX_SEATS).contains(seats)).ok_or_else(|| {
        Mistake::new(format!("`{text}` does not say how many seats of `{name}`"))
            .help(format!("write `{name}` for one seat, or `{name}:2` for two; at most {MAX_SEATS}"))
    })
}

fn want(text: &str, name: &str, part: &str) -> Result<Want, Mistake> {
    let mut found = Relation::ALL.iter().filter_map(|&(relation, sign)| {
        let (label, value) = part.split_once(sign)?;
        let bare = !label.is_empty() && !value.is_empty() && !label.contains(['!', '<', '>']);
        bare.then(|| Want { label: label.into(), relation, value: value.into() })
    });
    found.next().ok_or_else(|| {
        Mistake::new(format!("`{part}` in `{text}` is no condition on `{name}`")).help(format!(
            "write `{name}:2` for two of it, `{name}:all` for all, `{name}:read` or `{name}:write`, or conditions on an item such \
             as `{name}:os=android,api>=34` (with =, !=, >= or <=)"
        ))
    })
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
            "type": "string", "pattern": Self::PATTERN,
            "examples": ["db", "licence:2", "cache:read", "phone:os=android,api>=34"]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_says_how_much_and_what_it_must_be_like() {
        let need = |text: &str| NeedWord::parse(text).expect(text).0;
        assert_eq!(need("db"), Need::new("db", 1));
        assert_eq!(need("licence:2"), Need::new("licence", 2));
        assert_eq!((need("cache:read").seats, need("cache:write").seats), (1, Need::ALL));
        let phone = need("phone:2,os=android,api>=34,maker!=x");
        assert_eq!(phone.seats, 2);
        let wants: Vec<String> =
            phone.wants.iter().map(|want| format!("{}{}{}", want.label, want.relation.sign(), want.value)).collect();
        assert_eq!(wants, ["os=android", "api>=34", "maker!=x"]);
    }

    #[test]
    fn what_is_no_need_is_told_with_what_is() {
        for text in ["db:", "db:0", "db:x", "db:=1", "db:os=", "db:9999999", ":1", "db:a<3"] {
            let told = NeedWord::parse(text).expect_err(text);
            assert!(format!("{told:?}").contains("write `") || text.starts_with(':'), "{text}: {told:?}");
        }
    }
}
