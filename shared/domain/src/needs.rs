//! What tests need beside a slot: of resources that the whole fleet shares.

use crate::resource::Item;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// What a test needs, all of it at once, for as long as the shard lasts that holds it. Ordered by name; seats of the same
/// resource under the same conditions stand together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Needs(Vec<Need>);

/// Seats, or items, of one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Need {
    /// The resource.
    pub resource: Arc<str>,
    /// How many; at least one. [`Need::ALL`] for everything there is of it.
    pub seats: u32,
    /// What each item must be like: all of these.
    pub wants: Vec<Want>,
}

/// A condition on the labels of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Want {
    /// The label.
    pub label: Arc<str>,
    /// How its value stands to the one asked for.
    pub relation: Relation,
    /// The value asked for.
    pub value: Arc<str>,
}

/// How a label's value stands to the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The same.
    Is,
    /// Another one; or the item has no such label.
    IsNot,
    /// At least: versions and numbers by their parts.
    AtLeast,
    /// At most.
    AtMost,
}

impl Relation {
    /// Every relation with its sign; those of two characters first, so that they are found first.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::IsNot, "!="), (Self::AtLeast, ">="), (Self::AtMost, "<="), (Self::Is, "=")];

    /// Its sign.
    #[must_use]
    pub fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(relation, _)| *relation == self).map_or("=", |(_, sign)| sign)
    }
}

impl Want {
    /// Whether an item is like that.
    #[must_use]
    pub fn holds(&self, item: &Item) -> bool {
        let value = item.labels.get(&self.label);
        match self.relation {
            Relation::Is => value.is_some_and(|value| *value == self.value),
            Relation::IsNot => value.is_none_or(|value| *value != self.value),
            Relation::AtLeast => value.is_some_and(|value| compare(value, &self.value) != Ordering::Less),
            Relation::AtMost => value.is_some_and(|value| compare(value, &self.value) != Ordering::Greater),
        }
    }
}

/// Compares versions: part by part, numbers as numbers; what is shorter and otherwise equal is less.
fn compare(this: &str, that: &str) -> Ordering {
    let (mut these, mut those) = (this.split(['.', '-', '_']), that.split(['.', '-', '_']));
    loop {
        let order = match (these.next(), those.next()) {
            (None, None) => return Ordering::Equal,
            (this, that) => match (this.map(str::parse::<u64>), that.map(str::parse::<u64>)) {
                (Some(Ok(this)), Some(Ok(that))) => this.cmp(&that),
                _ => this.cmp(&that),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

impl Need {
    /// Everything there is of a resource.
    pub const ALL: u32 = u32::MAX;

    /// So many seats or items of a resource.
    pub fn new(resource: impl Into<Arc<str>>, seats: u32) -> Self {
        Self { resource: resource.into(), seats, wants: Vec::new() }
    }

    /// How many seats that is of a resource with `total` of them.
    #[must_use]
    pub const fn of(&self, total: u32) -> u32 {
        match self.seats {
            Self::ALL => total,
            0 => 1,
            seats => seats,
        }
    }

    /// Whether an item is what is asked for.
    #[must_use]
    pub fn fits(&self, item: &Item) -> bool {
        self.wants.iter().all(|want| want.holds(item))
    }
}

/// As it is written in configuration: `phone:2,os=android`.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        let mut between = ':';
        match self.seats {
            0 | 1 => {}
            Self::ALL => {
                f.write_str(":all")?;
                between = ',';
            }
            seats => {
                write!(f, ":{seats}")?;
                between = ',';
            }
        }
        for Want { label, relation, value } in &self.wants {
            write!(f, "{between}{label}{}{value}", relation.sign())?;
            between = ',';
        }
        Ok(())
    }
}

impl Needs {
    /// All of these; seats of the same resource under the same conditions add up.
    #[must_use]
    pub fn all(needs: impl IntoIterator<Item = Need>) -> Self {
        let mut all: Vec<Need> = Vec::new();
        for mut need in needs {
            need.wants.sort();
            need.wants.dedup();
            match all.iter_mut().find(|known| known.resource == need.resource && known.wants == need.wants) {
                Some(known) => known.seats = known.seats.saturating_add(need.seats.max(1)),
                None => all.push(Need { seats: need.seats.max(1), ..need }),
            }
        }
        all.sort();
        Self(all)
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Need> {
        self.0.iter()
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Need] {
        &self.0
    }

    /// Whether nothing is needed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn needs_are_ordered_and_each_resource_is_named_once() {
        let needs = Needs::all([Need::new("db", 1), Need::new("api", 0), Need::new("db", 2)]);
        assert_eq!(needs.iter().cloned().collect::<Vec<_>>(), [Need::new("api", 1), Need::new("db", 3)]);
    }

    #[test]
    fn items_under_other_conditions_are_another_need() {
        let want = |value: &str| Want { label: "os".into(), relation: Relation::Is, value: value.into() };
        let phone = |value: &str| Need { wants: vec![want(value)], ..Need::new("phone", 1) };
        assert_eq!(
            Needs::all([phone("ios"), phone("android"), phone("ios")]).iter().map(|n| n.seats).collect::<Vec<_>>(),
            [1, 2]
        );
    }

    #[test]
    fn versions_are_compared_by_their_parts() {
        for (this, that) in [("9", "34"), ("1.9", "1.10"), ("1", "1.0"), ("1.2-beta", "1.3")] {
            assert_eq!(
                (compare(this, that), compare(that, this)),
                (Ordering::Less, Ordering::Greater),
                "{this} {that}"
            );
        }
        assert_eq!(compare("14.2", "14_2"), Ordering::Equal);
        let labels = BTreeMap::from([("api".into(), "34".into())]);
        let item = Item { name: "a".into(), labels, values: BTreeMap::new() };
        let holds = |label: &str, relation, value: &str| {
            Want { label: label.into(), relation, value: value.into() }.holds(&item)
        };
        assert!(holds("api", Relation::AtLeast, "34") && holds("api", Relation::AtMost, "34"));
        assert!(!holds("api", Relation::AtLeast, "35") && !holds("api", Relation::AtMost, "9"));
        assert!(holds("gone", Relation::IsNot, "x") && !holds("gone", Relation::AtMost, "x"));
    }
}
