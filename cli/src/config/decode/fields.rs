//! Reading a table key by key: what was asked for is known, and what is left over is a mistake.

use super::{Decode, Mistakes, Value, kind};
use crate::config::At;
use crate::error::Mistake;
use regatta_domain::filter::nearest;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A table that is being read.
pub(crate) struct Fields<'t, 'i> {
    what: &'static str,
    table: &'t DeTable<'i>,
    span: Range<usize>,
    known: Vec<&'static str>,
}

impl<'t, 'i> Fields<'t, 'i> {
    /// Begins to read `table`, which is `what`: "a suite", "a profile".
    pub(crate) fn of(what: &'static str, table: &'t DeTable<'i>, span: Range<usize>) -> Self {
        Self { what, table, span, known: Vec::new() }
    }

    /// The same, of a value that should be a table.
    pub(crate) fn of_value(what: &'static str, key: &str, value: &'t Value<'i>, told: &mut Mistakes) -> Option<Self> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(Self::of(what, table, value.span()));
        }
        told.tell(value.span(), Mistake::new(format!("`{key}` must be a table, not {}", kind(value.get_ref()))));
        None
    }

    /// The value of a key, as it stands.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<&'t Value<'i>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// The value of a key, read.
    pub(crate) fn take<T: Decode>(&mut self, key: &'static str, told: &mut Mistakes) -> Option<At<T>> {
        self.value(key).and_then(|value| At::decode(key, value, told))
    }

    /// The value of a key that has to be there.
    pub(crate) fn require<T: Decode>(
        &mut self,
        key: &'static str,
        example: &str,
        told: &mut Mistakes,
    ) -> Option<At<T>> {
        if self.value(key).is_none() {
            let mistake = Mistake::new(format!("{} needs the key `{key}`", self.what));
            told.tell(self.span.clone(), mistake.help(format!("for example `{key} = {example}`")));
        }
        self.take(key, told)
    }

    /// Ends reading: what nobody asked for is a mistake.
    pub(crate) fn finish(self, told: &mut Mistakes) {
        for (name, _) in self.table {
            let key: &str = name.get_ref();
            if self.known.contains(&key) {
                continue;
            }
            let mistake = Mistake::new(format!("there is no key `{key}` in {}", self.what));
            told.tell(
                name.span(),
                match nearest(key, self.known.iter().copied()) {
                    Some(nearest) => mistake.help(format!("did you mean `{nearest}`?")),
                    None => mistake.help(format!("the keys are {}", self.known.join(", "))),
                },
            );
        }
    }
}
