//! What leases hold, since when, and how much of the time resources were held: kept outside the core, for people and for
//! hooks.
//!
//! Written by the driver alone, as its events become durable. A lease that outlived its coordinator counts from the moment at
//! which the next one began.

use regatta_domain::{Held, Offer, ResourceKind, Time, Token};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What leases hold. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    leases: HashMap<Token, Taken>,
    accounts: BTreeMap<Arc<str>, Account>,
}

/// What a lease holds.
#[derive(Debug)]
struct Taken {
    since: Time,
    holds: Vec<Held>,
}

/// How much of a resource was held: areas of seats over time.
#[derive(Debug, Default)]
struct Account {
    /// Seats that are held now.
    seats: u32,
    /// Leases that hold some of it, and items that are held.
    leases: u32,
    items: BTreeMap<Arc<str>, Token>,
    /// All seats that count; for readers and a writer it is in use, or it is not.
    total: u32,
    shared: bool,
    /// Up to when the areas reach.
    at: Time,
    taken: u128,
    offered: u128,
}

impl Account {
    fn pass(&mut self, now: Time) {
        let time = u128::from(now.since(self.at).0);
        let seats = if self.shared { self.seats.min(1) } else { self.seats };
        // What was withdrawn and is still held counts for nothing that is offered.
        self.taken += time * u128::from(seats.min(self.total));
        self.offered += time * u128::from(self.total);
        self.at = now;
    }
}

impl Usage {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Each use leaves the table whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lease began.
    pub(crate) fn begin(&self, now: Time, token: Token, holds: &[Held]) {
        if holds.is_empty() {
            return;
        }
        let mut table = self.table();
        for held in holds {
            let account = table.accounts.entry(Arc::clone(&held.resource)).or_default();
            account.pass(now);
            account.seats += held.seats;
            account.leases += 1;
            account.items.extend(held.items.iter().map(|item| (Arc::clone(item), token)));
        }
        table.leases.insert(token, Taken { since: now, holds: holds.to_vec() });
    }

    /// A lease ended. Gives what it held.
    pub(crate) fn end(&self, now: Time, token: Token) -> Vec<Held> {
        let mut table = self.table();
        let Some(Taken { holds, .. }) = table.leases.remove(&token) else { return Vec::new() };
        for held in &holds {
            if let Some(account) = table.accounts.get_mut(&held.resource) {
                account.pass(now);
                account.seats = account.seats.saturating_sub(held.seats);
                account.leases = account.leases.saturating_sub(1);
                account.items.retain(|_, holder| *holder != token);
            }
        }
        holds
    }

    /// These are offered from now on.
    pub(crate) fn offer(&self, now: Time, offers: &BTreeMap<Arc<str>, Offer>) {
        let mut table = self.table();
        table.accounts.retain(|name, account| account.leases > 0 || offers.contains_key(name));
        for (name, account) in &mut table.accounts {
            account.pass(now);
            if !offers.contains_key(name) {
                (account.total, account.taken, account.offered) = (0, 0, 0);
            }
        }
        for (name, offer) in offers {
            let fresh = || Account { at: now, ..Account::default() };
            let account = table.accounts.entry(Arc::clone(name)).or_insert_with(fresh);
            account.shared = offer.resource.kind == ResourceKind::ReadersWriter;
            account.total = if account.shared { 1 } else { offer.resource.total() };
        }
    }

    /// What a lease holds.
    pub(crate) fn holds(&self, token: Token) -> Vec<Held> {
        self.table().leases.get(&token).map(|taken| taken.holds.clone()).unwrap_or_default()
    }

    /// Since when a lease holds what it holds.
    pub(crate) fn since(&self, token: Token) -> Option<Time> {
        self.table().leases.get(&token).map(|taken| taken.since)
    }

    /// Whether a lease holds the item; of a resource without items, any of it.
    pub(crate) fn is_held(&self, name: &str, item: Option<&Arc<str>>) -> bool {
        let table = self.table();
        let Some(account) = table.accounts.get(name) else { return false };
        item.map_or(account.leases > 0, |item| account.items.contains_key(item))
    }

    /// How many leases hold some of it.
    pub(crate) fn leases(&self, name: &str, item: Option<&Arc<str>>) -> u32 {
        let table = self.table();
        let Some(account) = table.accounts.get(name) else { return 0 };
        item.map_or(account.leases, |item| u32::from(account.items.contains_key(item)))
    }

    /// Thousandths of what was offered of a resource since then that was held.
    pub(crate) fn thousandths(&self, now: Time, name: &str) -> u32 {
        let mut table = self.table();
        let Some(account) = table.accounts.get_mut(name) else { return 0 };
        account.pass(now);
        let held = (account.taken * 1_000).checked_div(account.offered).unwrap_or_default();
        u32::try_from(held).unwrap_or(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::{Micros, Resource};

    const T0: Time = Time(1_000_000);

    fn after(seconds: u64) -> Time {
        T0 + Micros::from_secs(seconds)
    }

    fn held(name: &str, seats: u32, items: &[&str]) -> Held {
        Held { resource: name.into(), seats, items: items.iter().map(|item| (*item).into()).collect() }
    }

    fn offers(of: &[(&str, Resource)]) -> BTreeMap<Arc<str>, Offer> {
        of.iter().map(|(name, resource)| ((*name).into(), resource.clone().into())).collect()
    }

    #[test]
    fn utilisation_is_the_area_of_what_was_held_in_what_was_offered() {
        let usage = Usage::default();
        usage.offer(T0, &offers(&[("db", Resource::of_seats(4))]));
        usage.begin(after(10), Token(1), &[held("db", 2, &[])]);
        usage.begin(after(10), Token(2), &[held("db", 1, &[])]);
        assert_eq!(usage.end(after(20), Token(1)), [held("db", 2, &[])]);
        // 30 of 80 seat seconds.
        assert_eq!(usage.thousandths(after(20), "db"), 375);
        // With twice the seats: 40 of 160.
        usage.offer(after(20), &offers(&[("db", Resource::of_seats(8))]));
        assert_eq!(usage.thousandths(after(30), "db"), 250);
        assert_eq!(usage.leases("db", None), 1);
        assert_eq!(usage.thousandths(after(30), "gone"), 0);
    }

    #[test]
    fn readers_count_once_however_many_they_are() {
        let usage = Usage::default();
        let cache = Resource { kind: ResourceKind::ReadersWriter, ..Resource::of_seats(0) };
        usage.offer(T0, &offers(&[("cache", cache)]));
        usage.begin(after(5), Token(1), &[held("cache", 1, &[])]);
        usage.begin(after(5), Token(2), &[held("cache", 1, &[])]);
        assert_eq!(usage.thousandths(after(10), "cache"), 500);
    }

    #[test]
    fn an_item_is_held_until_its_lease_ends_also_when_it_is_withdrawn() {
        let usage = Usage::default();
        let phone = Some(Arc::from("p1"));
        usage.begin(T0, Token(1), &[held("phone", 1, &["p1"])]);
        assert!(usage.is_held("phone", phone.as_ref()) && usage.is_held("phone", None));
        usage.offer(after(1), &offers(&[]));
        assert!(usage.is_held("phone", phone.as_ref()), "it was withdrawn, and is still held");
        assert_eq!(usage.since(Token(1)), Some(T0));
        usage.end(after(2), Token(1));
        assert!(!usage.is_held("phone", phone.as_ref()) && !usage.is_held("phone", None));
        assert_eq!(usage.since(Token(1)), None);
    }
}
