//! What people decide about resources: each decision changes the catalogue, or is refused in words.

use super::{Catalogue, Declared, Drain, ENTRIES, Reservation, check_name, few, find_item};
use regatta_domain::{Item, Micros, Resource, ResourceKind, Time};
use regatta_wire::Failure;
use std::sync::Arc;

/// The longest that anything is reserved for: what is kept longer is drained, or declared as another resource.
pub(crate) const RESERVED_AT_MOST: Micros = Micros::from_secs(24 * 3600);

/// How an item stands right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// A lease holds it.
    pub(crate) held: bool,
    /// Its hooks fail.
    pub(crate) ill: bool,
}

/// What somebody wants to keep.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    /// The resource.
    pub(crate) name: Arc<str>,
    /// The item; any of a pool where none is named.
    pub(crate) item: Option<Arc<str>>,
    /// Seats, where it is no pool.
    pub(crate) seats: u32,
    /// For how long from now on.
    pub(crate) time: Micros,
    /// Who.
    pub(crate) by: Arc<str>,
}

/// What somebody keeps now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// The item, where it is one.
    pub(crate) item: Option<Item>,
}

impl Catalogue {
    /// Declares a resource, or declares it anew.
    ///
    /// # Errors
    /// When the configuration declares it, or it cannot be.
    pub(crate) fn declare(
        &mut self,
        name: &Arc<str>,
        resource: Resource,
        by: &Arc<str>,
        at: Time,
    ) -> Result<(), Failure> {
        check_name(name)?;
        self.refuse_configured(name, "declared anew")?;
        if resource.kind == ResourceKind::Pool && resource.items.is_empty() {
            return Err(Failure::Invalid(format!(
                "the pool `{name}` has no items: a pool that its prepare hook fills belongs into the coordinator's configuration"
            )));
        }
        if self.said.declared.len() >= ENTRIES && !self.said.declared.contains_key(name) {
            return Err(Failure::TooLarge(format!("{ENTRIES} resources are declared already; withdraw some")));
        }
        let declared = Declared { resource: Arc::new(resource), by: Arc::clone(by), at };
        self.said.declared.insert(Arc::clone(name), declared);
        Ok(())
    }

    /// Takes back what was declared over the service, and what was decided about it.
    ///
    /// # Errors
    /// When nothing of that name was.
    pub(crate) fn withdraw(&mut self, name: &str) -> Result<(), Failure> {
        self.refuse_configured(name, "withdrawn")?;
        if self.said.declared.remove(name).is_none() {
            return Err(self.unknown(name));
        }
        self.said.drains.retain(|drain| *drain.resource != *name);
        self.said.reservations.retain(|kept| *kept.resource != *name);
        Ok(())
    }

    fn refuse_configured(&self, name: &str, what: &str) -> Result<(), Failure> {
        if !self.configured.contains_key(name) {
            return Ok(());
        }
        Err(Failure::Unfit(format!(
            "`{name}` is configured where the coordinator is started (`--resource` or `--resources`), and cannot be {what} from \
             here; change it there, and start the coordinator again"
        )))
    }

    /// Grants nobody any more of a resource or an item; or grants again.
    ///
    /// # Errors
    /// When there is no such thing.
    pub(crate) fn drain(
        &mut self,
        (name, item): (&Arc<str>, Option<&Arc<str>>),
        undo: bool,
        by: &Arc<str>,
        at: Time,
    ) -> Result<(), Failure> {
        let resource = self.find(name)?;
        if let Some(item) = item {
            find_item(name, resource, item)?;
        }
        let is_meant = |drain: &Drain| drain.resource == *name && drain.item.as_ref() == item;
        if undo {
            self.said.drains.retain(|drain| !is_meant(drain));
        } else if !self.said.drains.iter().any(is_meant) {
            let (resource, item) = (Arc::clone(name), item.cloned());
            self.said.drains.push(Drain { resource, item, by: Arc::clone(by), at });
        }
        Ok(())
    }

    /// Keeps an item, or seats, for somebody. Whoever keeps it already keeps the same for longer. Where no item is named, one
    /// is chosen: rather one that nobody holds.
    ///
    /// # Errors
    /// When there is no such thing, or nothing is left to be kept.
    pub(crate) fn reserve(
        &mut self,
        wanted: &Reserve,
        now: Time,
        standing: impl Fn(&Item) -> Standing,
    ) -> Result<Reserved, Failure> {
        let Reserve { name, item, seats, time, by } = wanted;
        if *time > RESERVED_AT_MOST {
            return Err(Failure::Invalid(format!(
                "a reservation lasts 24h at most, and {} was asked for; reserve again when it ends, or drain `{name}`",
                regatta_domain::duration::text(*time)
            )));
        }
        self.said.reservations.retain(|kept| now < kept.until);
        let resource = Arc::clone(self.find(name)?);
        let chosen = match (item, resource.kind) {
            (Some(item), _) => Some(self.named(name, &resource, item, by, now)?),
            (None, ResourceKind::Pool) => Some(self.any(name, &resource, by, now, standing)?),
            (None, _) => None,
        };
        let seats = if chosen.is_some() { 1 } else { self.seats(name, &resource, *seats, by, now)? };
        let item = chosen.map(|item| Arc::clone(&item.name));
        let is_same = |kept: &Reservation| kept.resource == *name && kept.item == item && kept.by == *by;
        self.said.reservations.retain(|kept| !is_same(kept));
        if self.said.reservations.len() >= ENTRIES {
            return Err(Failure::TooLarge(format!("{ENTRIES} reservations stand already; wait until some end")));
        }
        let (resource, by) = (Arc::clone(name), Arc::clone(by));
        self.said.reservations.push(Reservation { resource, item, seats, until: now + *time, by, at: now });
        Ok(Reserved { item: chosen.cloned() })
    }

    /// Gives back what somebody keeps of a resource. Tells how many reservations those were.
    ///
    /// # Errors
    /// When there is no such resource or item.
    pub(crate) fn give_back(&mut self, wanted: &Reserve, now: Time) -> Result<usize, Failure> {
        let Reserve { name, item, by, .. } = wanted;
        let resource = self.find(name)?;
        if let Some(item) = item {
            find_item(name, resource, item)?;
        }
        let before = self.reservations(name, now).count();
        let is_meant =
            |kept: &Reservation| kept.resource == *name && kept.by == *by && (item.is_none() || kept.item == *item);
        self.said.reservations.retain(|kept| now < kept.until && !is_meant(kept));
        Ok(before - self.reservations(name, now).count())
    }

    /// The item that is asked for, unless somebody else keeps it.
    fn named<'a>(
        &self,
        name: &str,
        resource: &'a Resource,
        item: &str,
        by: &str,
        now: Time,
    ) -> Result<&'a Item, Failure> {
        let found = find_item(name, resource, item)?;
        match self.reservations(name, now).find(|kept| kept.item.as_deref() == Some(item) && *kept.by != *by) {
            None => Ok(found),
            Some(kept) => Err(Failure::Unfit(format!(
                "{} keeps `{name}/{item}` for another {}; ask them, or reserve another item",
                kept.by,
                regatta_domain::duration::text(Micros(kept.until.since(now).0 / 1_000_000 * 1_000_000))
            ))),
        }
    }

    /// The best item that nobody else keeps: one that is kept already by the same person, one that is well, one that nobody
    /// holds.
    fn any<'a>(
        &self,
        name: &str,
        resource: &'a Resource,
        by: &str,
        now: Time,
        standing: impl Fn(&Item) -> Standing,
    ) -> Result<&'a Item, Failure> {
        let is_drained = |item: &Item| {
            let drained = |drain: &Drain| *drain.resource == *name && drain.item.as_ref() == Some(&item.name);
            self.said.drains.iter().any(drained)
        };
        let keeper = |item: &Item| self.reservations(name, now).find(|kept| kept.item.as_ref() == Some(&item.name));
        let may_be = |item: &&Item| match keeper(item) {
            Some(kept) => *kept.by == *by,
            None => !is_drained(item),
        };
        let rank = |item: &&Item| {
            let Standing { held, ill } = standing(item);
            (keeper(item).is_none(), ill, held)
        };
        resource.items.iter().filter(may_be).min_by_key(rank).ok_or_else(|| {
            let who: std::collections::BTreeSet<&str> =
                self.reservations(name, now).filter(|kept| kept.item.is_some()).map(|kept| &*kept.by).collect();
            let who = if who.is_empty() { String::new() } else { format!(" (by {})", few(who.into_iter())) };
            Failure::Unfit(format!(
                "all {} items of `{name}` are drained or reserved{who}; wait until one is given back, or name one",
                resource.items.len()
            ))
        })
    }

    /// How many seats are meant, unless others keep too many.
    fn seats(&self, name: &str, resource: &Resource, seats: u32, by: &str, now: Time) -> Result<u32, Failure> {
        let total = resource.total();
        // A person who works with what tests read and write keeps both from it.
        let seats = if resource.kind == ResourceKind::ReadersWriter { total } else { seats.max(1) };
        let kept = self.reservations(name, now).filter(|kept| *kept.by != *by).map(|kept| kept.seats).sum::<u32>();
        let left = total.saturating_sub(kept);
        if total > 0 && seats > left {
            return Err(Failure::Unfit(match resource.kind {
                ResourceKind::ReadersWriter | ResourceKind::Mutex => format!("`{name}` is reserved by somebody else"),
                _ => {
                    format!("`{name}` has {total} seats, {kept} of them reserved by others; {seats} cannot be reserved")
                }
            }));
        }
        Ok(seats)
    }
}
