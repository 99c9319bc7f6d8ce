//! Resources on the wire: as they are declared, and as a lease holds them.

use crate::database::words;
use crate::invalid::{Within as _, count, each, label, present, text, u16_from};
use crate::limits::{ARGUMENTS, ITEMS_PER_POOL, LABEL_BYTES, LABELS, SEATS, VARIABLE_BYTES};
use crate::verdict::{Closed as _, closed};
use crate::{Invalid, Why, v1};
use regatta_domain::resource::{Hook, Hooks, Item, Resource, ResourceKind};
use regatta_domain::{Held, Micros};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A resource under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub resource: Resource,
}

impl TryFrom<v1::Resource> for Named {
    type Error = Invalid;

    fn try_from(given: v1::Resource) -> Result<Self, Invalid> {
        let kind = ResourceKind::field("kind", given.kind)?;
        let items: Vec<Item> = each("items", given.items, ITEMS_PER_POOL)?;
        let seats = matches!(kind, ResourceKind::Semaphore | ResourceKind::Database);
        if kind == ResourceKind::Semaphore && !(1..=SEATS).contains(&given.seats) {
            let (least, most) = (1, SEATS.into());
            return Err(Invalid::new("seats", Why::OutOfRange { found: given.seats.into(), least, most }));
        }
        if (kind == ResourceKind::Pool) == items.is_empty() {
            let why = "a pool, and nothing else, has items: at least one".to_owned();
            return Err(Invalid::new("items", Why::Other(why)));
        }
        let mut names: Vec<&str> = items.iter().map(|item| &*item.name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Invalid::new("items", Why::Other(format!("has two items called `{}`", twice[0]))));
        }
        if (kind == ResourceKind::Database) != given.server.is_some() {
            return Err(Invalid::new("server", Why::Other("belongs to a database, and to nothing else".to_owned())));
        }
        let resource = Resource {
            kind,
            seats: if seats { given.seats } else { 0 },
            items,
            hooks: given.hooks.unwrap_or_default().try_into().within("hooks")?,
            server: given.server.map(|server| server.try_into().within("server")).transpose()?,
        };
        Ok(Self { name: label("name", given.name, LABEL_BYTES)?, resource })
    }
}

impl From<&Named> for v1::Resource {
    fn from(named: &Named) -> Self {
        let Named { name, resource } = named;
        Self {
            name: name.to_string(),
            kind: v1::ResourceKind::from(resource.kind).into(),
            seats: resource.seats,
            items: resource.items.iter().map(Into::into).collect(),
            hooks: Some((&resource.hooks).into()),
            server: resource.server.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::PoolItem> for Item {
    type Error = Invalid;

    fn try_from(item: v1::PoolItem) -> Result<Self, Invalid> {
        Ok(Self {
            name: label("name", item.name, LABEL_BYTES)?,
            labels: pairs("labels", item.labels)?,
            values: pairs("values", item.values)?,
        })
    }
}

fn pairs(field: &str, given: Vec<v1::Variable>) -> Result<BTreeMap<Arc<str>, Arc<str>>, Invalid> {
    let pair = |variable: v1::Variable| {
        Ok((label(field, variable.name, LABEL_BYTES)?, text(field, variable.value, VARIABLE_BYTES)?))
    };
    count(field, given, LABELS)?.into_iter().map(pair).collect()
}

fn variables(pairs: &BTreeMap<Arc<str>, Arc<str>>) -> Vec<v1::Variable> {
    let variable =
        |(name, value): (&Arc<str>, &Arc<str>)| v1::Variable { name: name.to_string(), value: value.to_string() };
    pairs.iter().map(variable).collect()
}

impl From<&Item> for v1::PoolItem {
    fn from(item: &Item) -> Self {
        Self { name: item.name.to_string(), labels: variables(&item.labels), values: variables(&item.values) }
    }
}

impl TryFrom<v1::Hooks> for Hooks {
    type Error = Invalid;

    fn try_from(hooks: v1::Hooks) -> Result<Self, Invalid> {
        let hook = |name: &str, hook: Option<v1::Hook>| hook.map(|hook| hook.try_into().within(name)).transpose();
        Ok(Self {
            prepare: hook("prepare", hooks.prepare)?,
            check: hook("check", hooks.check)?,
            reset: hook("reset", hooks.reset)?,
            dispose: hook("dispose", hooks.dispose)?,
        })
    }
}

impl From<&Hooks> for v1::Hooks {
    fn from(hooks: &Hooks) -> Self {
        let hook = |hook: &Option<Hook>| hook.as_ref().map(Into::into);
        Self {
            prepare: hook(&hooks.prepare),
            check: hook(&hooks.check),
            reset: hook(&hooks.reset),
            dispose: hook(&hooks.dispose),
        }
    }
}

impl TryFrom<v1::Hook> for Hook {
    type Error = Invalid;

    fn try_from(hook: v1::Hook) -> Result<Self, Invalid> {
        let argv = words("argv", hook.argv, ARGUMENTS)?;
        if argv.first().is_none_or(|program| program.is_empty()) {
            return Err(Invalid::new("argv", Why::Missing));
        }
        let (timeout, every) = (Micros(hook.timeout), Micros(hook.every));
        Ok(Self { argv, timeout, retries: u16_from("retries", hook.retries, 0)?, every })
    }
}

impl From<&Hook> for v1::Hook {
    fn from(hook: &Hook) -> Self {
        Self {
            argv: hook.argv.iter().map(ToString::to_string).collect(),
            timeout: hook.timeout.0,
            retries: hook.retries.into(),
            every: hook.every.0,
        }
    }
}

/// What a lease holds, with what its holder is told of it.
#[must_use]
pub fn held(held: &Held, resource: Option<&Resource>) -> v1::Held {
    let values = |name: &Arc<str>| {
        let item = resource.and_then(|resource| resource.items.iter().find(|item| item.name == *name));
        item.map(|item| variables(&item.values)).unwrap_or_default()
    };
    let items = held.items.iter().map(|name| v1::HeldItem { name: name.to_string(), values: values(name) });
    v1::Held { resource: held.resource.to_string(), seats: held.seats, items: items.collect() }
}

/// A resource as it is named in a message, which must be there.
///
/// # Errors
/// When it is missing, or makes no sense.
pub fn named(field: &str, resource: Option<v1::Resource>) -> Result<Named, Invalid> {
    present(field, resource)?.try_into().within(field)
}

closed! {
    ResourceKind as v1::ResourceKind:
    Mutex = Mutex,
    Semaphore = Semaphore,
    Pool = Pool,
    ReadersWriter = ReadersWriter,
    Database = Database,
}
