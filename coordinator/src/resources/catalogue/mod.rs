//! What the fleet shares, as it is declared: by the coordinator's configuration and over its service, and what people have
//! decided about it since: what is drained, and what is reserved.
//!
//! It leaves keeping it to [`kept`], and who holds what to the core. Its invariant: what the configuration declares is never
//! changed here, and what is offered is what is declared less what is drained or reserved.

mod decide;
pub(crate) mod kept;
#[cfg(test)]
mod tests;

pub(crate) use decide::{Reserve, Standing};

use regatta_core::command::OF_WORKERS;
use regatta_domain::filter::nearest;
use regatta_domain::resource::Withheld;
use regatta_domain::{Item, Offer, Resource, ResourceKind, Time};
use regatta_wire::Failure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the fleet offers, by name.
pub(crate) type Offers = BTreeMap<Arc<str>, Offer>;

/// Resources that may be declared over the service, and reservations that may stand: a fleet has some hundreds.
pub(crate) const ENTRIES: usize = 10_000;

/// All resources, and what was decided about them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    /// By the coordinator's configuration.
    configured: BTreeMap<Arc<str>, Arc<Resource>>,
    /// What was said over the service, and outlives the coordinator.
    said: Said,
    /// The leases that the connections of database servers allow, once that is known.
    allowed: BTreeMap<Arc<str>, u32>,
}

/// What was said over the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    declared: BTreeMap<Arc<str>, Declared>,
    drains: Vec<Drain>,
    reservations: Vec<Reservation>,
}

/// A resource that was declared over the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Declared {
    resource: Arc<Resource>,
    by: Arc<str>,
    at: Time,
}

/// A resource, or an item of it, that nobody is granted any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Drain {
    resource: Arc<str>,
    item: Option<Arc<str>>,
    by: Arc<str>,
    at: Time,
}

/// An item, or seats, that somebody keeps for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reservation {
    resource: Arc<str>,
    item: Option<Arc<str>>,
    seats: u32,
    until: Time,
    by: Arc<str>,
    at: Time,
}

impl Catalogue {
    pub(crate) fn new(configured: BTreeMap<Arc<str>, Arc<Resource>>, said: Said) -> Self {
        for name in said.declared.keys().filter(|name| configured.contains_key(*name)) {
            tracing::warn!(resource = %name, "was declared over the service and is configured now: the configuration counts");
        }
        Self { configured, said, allowed: BTreeMap::new() }
    }

    /// What was said over the service: what has to be kept.
    pub(crate) const fn said(&self) -> &Said {
        &self.said
    }

    /// Every resource by its name.
    pub(crate) fn resources(&self) -> BTreeMap<Arc<str>, Arc<Resource>> {
        let declared =
            self.said.declared.iter().map(|(name, declared)| (Arc::clone(name), Arc::clone(&declared.resource)));
        declared
            .chain(self.configured.iter().map(|(name, resource)| (Arc::clone(name), Arc::clone(resource))))
            .collect()
    }

    /// The connections of a database server allow so many leases: whether that is news.
    pub(crate) fn allow(&mut self, resource: Arc<str>, leases: u32) -> bool {
        self.allowed.insert(resource, leases) != Some(leases)
    }

    /// What is offered from now on.
    pub(crate) fn offers(&self, now: Time) -> Offers {
        self.resources()
            .into_iter()
            .map(|(name, resource)| (Arc::clone(&name), self.offer(&name, resource, now)))
            .collect()
    }

    fn offer(&self, name: &str, resource: Arc<Resource>, now: Time) -> Offer {
        // As many leases as its connections allow, where nobody has said how many.
        let allowed = self.allowed.get(name).filter(|_| resource.kind == ResourceKind::Database && resource.seats == 0);
        let resource = allowed
            .map_or_else(|| Arc::clone(&resource), |&seats| Arc::new(Resource { seats, ..Resource::clone(&resource) }));
        let drains = self.said.drains.iter().filter(|drain| *drain.resource == *name);
        let (mut drained, mut withheld) = (false, Vec::new());
        for drain in drains {
            match &drain.item {
                None => drained = true,
                Some(item) => {
                    let (item, by) = (Some(Arc::clone(item)), format!("drained by {}", drain.by).into());
                    withheld.push(Withheld { item, seats: 1, until: None, by });
                }
            }
        }
        withheld.extend(self.reservations(name, now).map(|kept| Withheld {
            item: kept.item.clone(),
            seats: kept.seats,
            until: Some(kept.until),
            by: Arc::clone(&kept.by),
        }));
        Offer { resource, drained, withheld }
    }

    /// The reservations of a resource that still stand.
    fn reservations(&self, name: &str, now: Time) -> impl Iterator<Item = &Reservation> {
        self.said.reservations.iter().filter(move |kept| *kept.resource == *name && now < kept.until)
    }

    /// Whether a resource was declared over the service.
    pub(crate) fn is_declared(&self, name: &str) -> bool {
        !self.configured.contains_key(name) && self.said.declared.contains_key(name)
    }

    /// The resource of that name.
    ///
    /// # Errors
    /// When there is none: with the nearest name.
    pub(crate) fn find(&self, name: &str) -> Result<&Arc<Resource>, Failure> {
        let declared = self.said.declared.get(name).map(|declared| &declared.resource);
        self.configured.get(name).or(declared).ok_or_else(|| self.unknown(name))
    }

    /// There is no resource of that name.
    pub(crate) fn unknown(&self, name: &str) -> Failure {
        let all = self.resources();
        let known = || all.keys().map(|known| &**known);
        let hint = match nearest(name, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if all.is_empty() => "none is declared".to_owned(),
            None => format!("there are {}", few(known())),
        };
        Failure::NotFound(format!("there is no resource `{name}`; {hint}"))
    }
}

/// The item of that name.
///
/// # Errors
/// When the resource has none: with the nearest name.
pub(crate) fn find_item<'a>(name: &str, resource: &'a Resource, item: &str) -> Result<&'a Item, Failure> {
    if resource.kind != ResourceKind::Pool {
        let kind = resource.kind.name();
        return Err(Failure::Unfit(format!("`{name}` is a {kind}, and has no items; name it without `/{item}`")));
    }
    resource.items.iter().find(|known| *known.name == *item).ok_or_else(|| {
        let known = || resource.items.iter().map(|known| &*known.name);
        let hint = nearest(item, known())
            .map_or_else(|| format!("there are {}", few(known())), |near| format!("did you mean `{near}`?"));
        Failure::NotFound(format!("the pool `{name}` has no item `{item}`; {hint}"))
    })
}

/// The first of some names, and how many more there are.
pub(crate) fn few<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const TOLD: usize = 10;
    let all: Vec<&str> = names.collect();
    let told = all.iter().take(TOLD).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// Whether tests could ever need something by that name.
///
/// # Errors
/// When they could not, with what a name is made of.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) || name.starts_with(['-', '.']) {
        return Err(Failure::Invalid(format!(
            "`{name}` cannot be the name of a resource: a name is made of letters, digits, `_`, `-` and `.`, begins with a \
             letter, a digit or `_`, and has at most 64 of them"
        )));
    }
    if name.starts_with(OF_WORKERS) {
        return Err(Failure::Invalid(format!(
            "`{name}` cannot be declared: what begins with `{OF_WORKERS}` is what each worker has of its own (`regatta worker \
             --offer`)"
        )));
    }
    Ok(())
}
