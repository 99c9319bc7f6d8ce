//! What the fleet shares: mutexes, semaphores, pools of items, readers and a writer, database servers.

use crate::database::DatabaseServer;
use crate::{Micros, Need, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something leased fleet-wide, as it is declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// What kind of thing it is.
    pub kind: ResourceKind,
    /// How many may hold some of it at once: of semaphores and databases (0 for as many as its connections allow); see [`Resource::total`] for all of them.
    pub seats: u32,
    /// The items of a pool.
    pub items: Vec<Item>,
    /// What is done with it, beside leasing it.
    pub hooks: Hooks,
    /// The server, of a database.
    pub server: Option<DatabaseServer>,
}

/// What kinds of resources there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// One holder at a time.
    Mutex,
    /// As many seats as it says.
    Semaphore,
    /// Items, each with one holder at a time, whose values the holder is told.
    Pool,
    /// Any number of readers, or one writer.
    ReadersWriter,
    /// A database server: as many leases as its connections allow.
    Database,
}

/// One item of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Item {
    /// Its name, unique in the pool.
    pub name: Arc<str>,
    /// What needs may ask for.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What its holder is told: values by name.
    pub values: BTreeMap<Arc<str>, Arc<str>>,
}

/// What is done with a resource, beside leasing it: commands of whoever declared it, run by the coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hooks {
    /// Before an item is leased for the first time.
    pub prepare: Option<Hook>,
    /// Now and then, and after a failure: whether it is well.
    pub check: Option<Hook>,
    /// Between leases.
    pub reset: Option<Hook>,
    /// When it is not offered any more.
    pub dispose: Option<Hook>,
}

/// A command, and how long and how often it is tried.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hook {
    /// The program and its arguments.
    pub argv: Vec<Arc<str>>,
    /// After this it is killed, and has failed.
    pub timeout: Micros,
    /// How often it is tried again, with back-off.
    pub retries: u16,
    /// How long from one check to the next.
    pub every: Micros,
}

/// A resource as it stands among those who want it: declared, and what people have decided about it since.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offer {
    /// What was declared.
    pub resource: Arc<Resource>,
    /// Nobody is granted any of it any more.
    pub drained: bool,
    /// What is kept from everybody for a while: items that are drained, and items or seats that people have reserved.
    pub withheld: Vec<Withheld>,
}

/// Some of a resource that nobody is granted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Withheld {
    /// The item, where it is one; else seats.
    pub item: Option<Arc<str>>,
    /// How many seats; 1 for an item.
    pub seats: u32,
    /// Until when; `None` for as long as nobody says otherwise.
    pub until: Option<Time>,
    /// By whom, and for what: for people.
    pub by: Arc<str>,
}

/// What a lease holds of one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Held {
    /// The resource.
    pub resource: Arc<str>,
    /// How many seats.
    pub seats: u32,
    /// Which items, where it is a pool.
    pub items: Vec<Arc<str>>,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Mutex, Self::Semaphore, Self::Pool, Self::ReadersWriter, Self::Database];

    /// Its name in configuration and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::Semaphore => "semaphore",
            Self::Pool => "pool",
            Self::ReadersWriter => "readers-writer",
            Self::Database => "database",
        }
    }
}

impl Resource {
    /// Readers that a resource of readers and a writer may have at once: more than there are slots in the design's fleet.
    pub const READERS: u32 = 1 << 20;

    /// Leases that a database server is taken to carry while nobody has told how many its connections allow: those of a
    /// server with the usual 100 connections, 80 of them to be used less 8 of our own, at 5 for each lease.
    pub const LEASES: u32 = 14;

    /// A mutex, or a semaphore of so many seats.
    #[must_use]
    pub fn of_seats(seats: u32) -> Self {
        let kind = if seats == 1 { ResourceKind::Mutex } else { ResourceKind::Semaphore };
        Self { kind, seats, items: Vec::new(), hooks: Hooks::default(), server: None }
    }

    /// A pool of items.
    #[must_use]
    pub fn pool(items: Vec<Item>) -> Self {
        Self { kind: ResourceKind::Pool, seats: 0, items, hooks: Hooks::default(), server: None }
    }

    /// How many may hold some of it at once.
    #[must_use]
    pub fn total(&self) -> u32 {
        match self.kind {
            ResourceKind::Mutex => 1,
            ResourceKind::Semaphore => self.seats,
            ResourceKind::Database if self.seats == 0 => Self::LEASES,
            ResourceKind::Database => self.seats,
            ResourceKind::Pool => u32::try_from(self.items.len()).unwrap_or(u32::MAX),
            ResourceKind::ReadersWriter => Self::READERS,
        }
    }

    /// Whether there could ever be enough of it for the need, were nobody else there.
    #[must_use]
    pub fn suffices(&self, need: &Need) -> bool {
        let total = match self.kind {
            ResourceKind::Pool => self.items.iter().filter(|item| need.fits(item)).count(),
            _ if !need.wants.is_empty() => 0,
            _ => self.total() as usize,
        };
        total > 0 && need.of(self.total()) as usize <= total
    }
}

impl From<Resource> for Offer {
    fn from(resource: Resource) -> Self {
        Self { resource: Arc::new(resource), drained: false, withheld: Vec::new() }
    }
}

/// Seats.
impl From<u32> for Offer {
    fn from(seats: u32) -> Self {
        Resource::of_seats(seats).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Relation, Want};

    fn item(name: &str, os: &str, api: &str) -> Item {
        let labels = BTreeMap::from([("os".into(), os.into()), ("api".into(), api.into())]);
        Item { name: name.into(), labels, values: BTreeMap::new() }
    }

    #[test]
    fn what_could_never_be_had_is_known_beforehand() {
        let phones =
            Resource::pool(vec![item("a", "android", "34"), item("b", "android", "9"), item("c", "ios", "17")]);
        let wants = |seats, wants: &[(&str, Relation, &str)]| {
            let wants = wants.iter().map(|&(label, relation, value)| Want {
                label: label.into(),
                relation,
                value: value.into(),
            });
            phones.suffices(&Need { wants: wants.collect(), ..Need::new("phone", seats) })
        };
        assert!(wants(3, &[]) && !wants(4, &[]));
        assert!(wants(2, &[("os", Relation::Is, "android")]) && !wants(3, &[("os", Relation::Is, "android")]));
        assert!(wants(1, &[("os", Relation::Is, "android"), ("api", Relation::AtLeast, "33")]));
        assert!(!wants(1, &[("os", Relation::Is, "ios"), ("api", Relation::AtLeast, "33")]));
        assert!(!Resource::of_seats(4).suffices(&Need {
            wants: vec![Want { label: "os".into(), relation: Relation::Is, value: "x".into() }],
            ..Need::new("s", 1)
        }));
        assert!(Resource::of_seats(4).suffices(&Need::new("s", Need::ALL)));
    }
}
