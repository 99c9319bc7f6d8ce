//! Plain values: text, switches, lists, and words of which only a few are allowed.

use super::{Decode, Mistakes, Value, kind};
use crate::error::Mistake;
use regatta_domain::filter::nearest;
use std::collections::BTreeMap;
use toml::de::DeValue;

/// Tells that a value is of the wrong kind.
pub(crate) fn refuse(key: &str, wanted: &str, value: &Value<'_>, told: &mut Mistakes) {
    told.tell(value.span(), Mistake::new(format!("`{key}` must be {wanted}, not {}", kind(value.get_ref()))));
}

impl Decode for String {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) if text.is_empty() => {
                told.tell(value.span(), Mistake::new(format!("`{key}` must not be empty")));
                None
            }
            DeValue::String(text) => Some(text.clone().into_owned()),
            _ => {
                refuse(key, "a string", value, told);
                None
            }
        }
    }
}

impl Decode for bool {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let decoded = value.get_ref().as_bool();
        if decoded.is_none() {
            refuse(key, "true or false", value, told);
        }
        decoded
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let DeValue::Array(items) = value.get_ref() else {
            refuse(key, "a list", value, told);
            return None;
        };
        let decoded: Self = items.iter().filter_map(|item| T::decode(key, item, told)).collect();
        (decoded.len() == items.len()).then_some(decoded)
    }
}

impl Decode for BTreeMap<String, String> {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            refuse(key, "a table of strings", value, told);
            return None;
        };
        let mut decoded = Self::new();
        for (name, value) in table {
            match value.get_ref() {
                DeValue::String(text) => {
                    decoded.insert(name.get_ref().clone().into_owned(), text.clone().into_owned());
                }
                _ => refuse(&format!("{key}.{}", name.get_ref()), "a string", value, told),
            }
        }
        Some(decoded)
    }
}

/// A value that is one of a few words.
pub(crate) trait Choice: Copy + 'static {
    /// The words.
    const WORDS: &'static [(&'static str, Self)];
}

/// Finds the choice that is called `word`; else what is wrong with it.
pub(crate) fn choose<T: Choice>(key: &str, word: &str) -> Result<T, Mistake> {
    let words = || T::WORDS.iter().map(|(word, _)| *word);
    T::WORDS.iter().find(|(known, _)| *known == word).map(|(_, choice)| *choice).ok_or_else(|| {
        let mistake = Mistake::new(format!("`{key}` cannot be `{word}`"));
        match nearest(word, words()) {
            Some(nearest) => mistake.help(format!("did you mean `{nearest}`?")),
            None => mistake.help(format!("possible values: {}", words().collect::<Vec<_>>().join(", "))),
        }
    })
}

impl<T: Choice> Decode for T {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let DeValue::String(word) = value.get_ref() else {
            refuse(key, "a string", value, told);
            return None;
        };
        choose(key, word).map_err(|mistake| told.tell(value.span(), mistake)).ok()
    }
}
