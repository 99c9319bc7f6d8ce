//! JSON in the shapes that tools write: seconds by id (pytest-split) or by file (Knapsack), or a list of cases (CircleCI).

use super::{Broken, Named, Timings, number};
use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// What the keys of an object mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whatever they look like.
    Any,
    /// Ids of tests.
    Ids,
    /// Paths of files.
    Files,
    /// Nothing: it is a list of cases.
    Cases,
}

impl Kind {
    const fn expected(self) -> &'static str {
        match self {
            Self::Any => {
                "seconds by test or file, {\"tests/test_a.py::test_b\": 1.5}, or a list of cases, {\"tests\": [{\"file\": …, \
                 \"name\": …, \"run_time\": …}]}"
            }
            Self::Ids => "seconds by test: {\"tests/test_a.py::test_b\": 1.5}",
            Self::Files => "seconds by file: {\"spec/cart_spec.rb\": 1.5}",
            Self::Cases => {
                "a list of cases: {\"tests\": [{\"file\": …, \"classname\": …, \"name\": …, \"run_time\": …}]}"
            }
        }
    }
}

/// Reads a file.
pub(super) fn read(text: &str, kind: Kind) -> Result<Timings, Broken> {
    let shape: Shape = serde_json::from_str(&without_nan(text)).map_err(|error| {
        // The text says the place at its end, and more plainly here.
        let what = error.to_string();
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
        Broken::new(format!("line {}, column {}: {what}", error.line(), error.column())).expected(kind.expected())
    })?;
    let wrong = |what: &str| Err(Broken::new(what.to_owned()).expected(kind.expected()));
    let mut timings = Timings::default();
    match shape {
        Shape::Object(members) => {
            if let Some(Value::Array(cases)) = one(&members, "tests").filter(|_| kind != Kind::Ids) {
                return cases_of(cases, kind);
            }
            if kind == Kind::Cases {
                return wrong("it has no list called `tests`");
            }
            // pytest-split writes no file without tests, and Knapsack none with ids.
            let ids = kind == Kind::Ids || (kind == Kind::Any && members.iter().any(|(key, _)| key.contains("::")));
            for (key, value) in members {
                let named = if ids && key.contains("::") { Named::Id(key) } else { Named::File(key) };
                match &value {
                    Value::Number(_) | Value::String(_) | Value::Null => timings.add(named, seconds(&value), None),
                    _ => return wrong(&format!("the value of `{}` is no number of seconds", named.text())),
                }
            }
        }
        Shape::List(items) => {
            if items.iter().any(Value::is_object) || items.is_empty() {
                return cases_of(&items, kind);
            }
            // As early versions of pytest-split had it.
            for (at, item) in items.iter().enumerate() {
                match item.as_array().map(Vec::as_slice) {
                    Some([Value::String(id), value]) => timings.add(Named::Id(id.clone()), seconds(value), None),
                    _ => return wrong(&format!("item {} of the list is no test with a time", at + 1)),
                }
            }
        }
    }
    Ok(timings)
}

/// Cases as CircleCI keeps them.
fn cases_of(cases: &[Value], kind: Kind) -> Result<Timings, Broken> {
    let mut timings = Timings::default();
    for (at, case) in cases.iter().enumerate() {
        let text = |key: &str| case.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let name = text("name").or_else(|| text("test_name"));
        let class = text("classname").or_else(|| text("class_name"));
        let file = text("file").or_else(|| text("filename")).or_else(|| text("path"));
        let named = match (name, class, file) {
            (Some(name), None, None) if name.contains("::") => Named::Id(name),
            (Some(name), class, file) => Named::Case { class: class.unwrap_or_default(), name, file },
            (None, _, Some(file)) => Named::File(file),
            (None, _, None) => {
                let what = format!("item {} of the list names neither a test nor a file", at + 1);
                return Err(Broken::new(what).expected(kind.expected()));
            }
        };
        let time = ["run_time", "time", "duration", "seconds"].iter().find_map(|key| case.get(key));
        timings.add(named, time.and_then(seconds), None);
    }
    Ok(timings)
}

fn seconds(value: &Value) -> Option<f64> {
    match value {
        Value::Number(seconds) => seconds.as_f64(),
        Value::String(text) => number(text),
        _ => None,
    }
}

fn one<'a>(members: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The outermost value, with all of its members: a name that comes twice is two timings, not one.
enum Shape {
    Object(Vec<(String, Value)>),
    List(Vec<Value>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Outermost;

        impl<'de> Visitor<'de> for Outermost {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or a list")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Shape::Object(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Shape::List(items))
            }
        }

        deserializer.deserialize_any(Outermost)
    }
}

/// The text with what Python writes for numbers that are none replaced by a negative one of the same length, which is left
/// out later: places in messages stay as they are.
pub(super) fn without_nan(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    let mut quoted = false;
    while let Some(char) = rest.chars().next() {
        let odd = ["NaN", "-Infinity", "Infinity"].into_iter().find(|odd| !quoted && rest.starts_with(odd));
        if let Some(odd) = odd {
            clean.push_str(&format!("{:<width$}", "-1", width = odd.len()));
            rest = &rest[odd.len()..];
            continue;
        }
        let escaped = if quoted && char == '\\' { rest[1..].chars().next().map_or(0, char::len_utf8) } else { 0 };
        quoted ^= char == '"';
        let taken = char.len_utf8() + escaped;
        clean.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    Cow::Owned(clean)
}
