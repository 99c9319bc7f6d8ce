//! What tests need beside a slot: seats of resources that the whole fleet shares.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a test needs, all of it at once, for as long as the shard lasts that holds it. Ordered by name, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Needs(Vec<Need>);

/// Seats of one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Need {
    /// The resource.
    pub resource: Arc<str>,
    /// How many seats; at least one.
    pub seats: u32,
}

impl Needs {
    /// All of these; seats of the same resource add up.
    #[must_use]
    pub fn all(needs: impl IntoIterator<Item = Need>) -> Self {
        let mut all: Vec<Need> = Vec::new();
        for need in needs {
            match all.iter_mut().find(|known| known.resource == need.resource) {
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

    #[test]
    fn needs_are_ordered_and_each_resource_is_named_once() {
        let need = |resource: &str, seats| Need { resource: resource.into(), seats };
        let needs = Needs::all([need("db", 1), need("api", 0), need("db", 2)]);
        assert_eq!(needs.iter().cloned().collect::<Vec<_>>(), [need("api", 1), need("db", 3)]);
    }
}
