//! What of the fleet's resources is free right now: what is offered, less what leases hold, what people keep, and what is
//! not well. Derived from all of these, and kept so that a decision costs a look-up.
//!
//! Its invariant: nothing is chosen that somebody else holds, and everything that is needed is chosen at once or not at all.

mod assign;

use crate::command::OF_WORKERS;
use crate::mutant::{self, Mutant};
use crate::state::{Holding, ResourceIx, Run, State};
use regatta_domain::{Held, Item, Need, NeedsIx, Offer, ResourceKind, RunId, Time, Token, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How an item (or a resource without items) is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It may be leased.
    #[default]
    Well,
    /// It is being prepared, or reset between two leases.
    Busy,
    /// Its hooks fail: nobody is granted it until one succeeds again.
    Ill,
}

/// The resources of the fleet as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    places: BTreeMap<Arc<str>, usize>,
    accounts: Vec<Account>,
    /// How many seats (or items) are free, and how many there are at all, by account: what nearly every decision asks of nearly
    /// every resource, and so kept together.
    counts: Vec<Count>,
    /// The accounts with something that is ill.
    ill: BTreeSet<usize>,
    /// What each run needs, by account.
    runs: BTreeMap<RunId, Wanted>,
}

/// How much there is of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Count {
    free: u32,
    total: u32,
}

/// What a run needs, by [`NeedsIx`] less one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Wanted {
    /// The account of each resource that the run names.
    resources: Vec<usize>,
    parts: Vec<Box<[Part]>>,
}

/// So much of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Part {
    place: u32,
    seats: u32,
    /// It is not the fleet's, but each worker's own.
    local: bool,
}

/// One resource as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Account {
    name: Arc<str>,
    /// What the fleet offers of it; nothing for what each worker has of its own.
    offer: Option<Offer>,
    /// What is not well, and the lease after which it is to be brought into order.
    health: BTreeMap<Option<Arc<str>>, (Health, Token)>,
}

impl Account {
    fn health(&self, item: Option<&Arc<str>>) -> Health {
        if self.health.is_empty() {
            return Health::Well;
        }
        self.health.get(&item.cloned()).map_or(Health::Well, |&(health, _)| health)
    }

    /// Whether an item may be granted, to somebody whom it fits.
    fn is_free(&self, item: &Item, holding: Option<&Holding>, now: Time) -> bool {
        let Some(offer) = &self.offer else { return false };
        let held = holding.is_some_and(|holding| holding.items.contains_key(&item.name));
        let withheld = |kept: &regatta_domain::resource::Withheld| {
            kept.item.as_ref() == Some(&item.name) && kept.until.is_none_or(|until| now < until)
        };
        !held && !offer.withheld.iter().any(withheld) && self.health(Some(&item.name)) == Health::Well
    }

    /// How many seats (or items) are free.
    fn free(&self, holding: Option<&Holding>, now: Time) -> u32 {
        let Some(offer) = &self.offer else { return 0 };
        if offer.drained || self.health(None) != Health::Well {
            return 0;
        }
        if offer.resource.kind == ResourceKind::Pool {
            let free = offer.resource.items.iter().filter(|item| self.is_free(item, holding, now)).count();
            return u32::try_from(free).unwrap_or(u32::MAX);
        }
        let kept = offer.withheld.iter().filter(|kept| kept.until.is_none_or(|until| now < until));
        let kept: u32 = kept.map(|kept| kept.seats).sum();
        let taken = holding.map_or(0, |holding| holding.seats);
        offer.resource.total().saturating_sub(taken).saturating_sub(kept)
    }
}

impl Ledger {
    /// What is offered now. What is not among it any more is offered no more; what is held of it stays held.
    pub(crate) fn offer(&mut self, offers: &BTreeMap<Arc<str>, Offer>, state: &State, now: Time) {
        for account in &mut self.accounts {
            account.offer = None;
        }
        for (name, offer) in offers {
            let at = self.place(name);
            self.accounts[at].offer = Some(offer.clone());
        }
        self.count(state, now);
    }

    /// Counts everything anew: a moment may have come at which something is not kept any more.
    pub(crate) fn count(&mut self, state: &State, now: Time) {
        for at in 0..self.accounts.len() {
            self.count_at(at, state, now);
        }
    }

    fn count_at(&mut self, at: usize, state: &State, now: Time) {
        let account = &self.accounts[at];
        let total = account.offer.as_ref().map_or(0, |offer| offer.resource.total());
        self.counts[at] = Count { free: account.free(state.held.get(&account.name), now), total };
    }

    /// What leases hold of these has changed.
    pub(crate) fn recount<'a>(&mut self, names: impl Iterator<Item = &'a Arc<str>>, state: &State, now: Time) {
        for name in names {
            let at = self.place(name);
            self.count_at(at, state, now);
        }
    }

    /// A lease on a resource, or an item of it, has ended: it is to be brought into order before the next.
    pub(crate) fn soil(&mut self, name: &Arc<str>, item: Option<Arc<str>>, token: Token) {
        let at = self.place(name);
        self.accounts[at].health.insert(item, (Health::Busy, token));
        self.note_ill(at);
    }

    fn note_ill(&mut self, at: usize) {
        if self.accounts[at].health.values().any(|&(health, _)| health == Health::Ill) {
            self.ill.insert(at);
        } else {
            self.ill.remove(&at);
        }
    }

    /// How a resource, or an item of it, was found by somebody who knew of leases on it up to `after`.
    pub(crate) fn examined(&mut self, name: &Arc<str>, item: Option<Arc<str>>, health: Health, after: Token) {
        let at = self.place(name);
        let awaits = self.accounts[at].health.get(&item).map_or(Token::default(), |&(_, token)| token);
        if after < awaits && !mutant::is(Mutant::StaleWordBelieved) {
            return;
        }
        if health == Health::Well {
            self.accounts[at].health.remove(&item);
        } else {
            self.accounts[at].health.insert(item, (health, awaits));
        }
        self.note_ill(at);
    }

    /// Takes note of a run that needs resources.
    pub(crate) fn enter(&mut self, run: &Run) {
        if run.resources.is_empty() {
            return;
        }
        let resources: Vec<usize> = run.resources.iter().map(|name| self.place(name)).collect();
        let part = |(need, ix): (&Need, ResourceIx)| Part {
            place: u32::try_from(resources[ix.at()]).expect("there are fewer resources than that"),
            seats: need.seats,
            local: need.resource.starts_with(OF_WORKERS),
        };
        let parts = (1..=run.needs.len()).map(|at| run.parts(NeedsIx::nth(at)).map(part).collect()).collect();
        self.runs.insert(run.id, Wanted { resources, parts });
    }

    /// The run needs nothing any more.
    pub(crate) fn leave(&mut self, run: RunId) {
        self.runs.remove(&run);
    }

    fn place(&mut self, name: &Arc<str>) -> usize {
        if let Some(&at) = self.places.get(name) {
            return at;
        }
        let at = self.accounts.len();
        self.places.insert(Arc::clone(name), at);
        self.accounts.push(Account { name: Arc::clone(name), offer: None, health: BTreeMap::new() });
        self.counts.push(Count::default());
        at
    }

    fn account(&self, name: &str) -> Option<&Account> {
        self.places.get(name).map(|&at| &self.accounts[at])
    }

    /// How many may hold some of a resource of a run at once; 1 where nobody knows.
    pub(crate) fn total(&self, run: RunId, ix: ResourceIx) -> u32 {
        self.runs.get(&run).map_or(1, |wanted| self.counts[wanted.resources[ix.at()]].total).max(1)
    }

    /// How a resource, or an item of it, is.
    #[must_use]
    pub fn health(&self, name: &str, item: Option<&Arc<str>>) -> Health {
        self.account(name).map_or(Health::Well, |account| account.health(None).max(account.health(item)))
    }

    /// The resources of which something is ill.
    pub(crate) fn ill(&self) -> impl Iterator<Item = &Arc<str>> {
        self.ill.iter().map(|&at| &self.accounts[at].name)
    }

    /// Whether something of what a lease holds is ill.
    pub(crate) fn holds_ill(&self, holds: &[Held]) -> bool {
        let is_ill = |held: &Held, item: Option<&Arc<str>>| self.health(&held.resource, item) == Health::Ill;
        holds.iter().any(|held| is_ill(held, None) || held.items.iter().any(|item| is_ill(held, Some(item))))
    }

    /// The offer of a resource.
    #[must_use]
    pub fn offered(&self, name: &str) -> Option<&Offer> {
        self.account(name).and_then(|account| account.offer.as_ref())
    }

    /// How many seats of a resource are free.
    #[must_use]
    pub fn free(&self, name: &str) -> u32 {
        self.places.get(name).map_or(0, |&at| self.counts[at].free)
    }

    /// The needs of a test, each with where the account of its resource is.
    fn needs<'a>(&'a self, run: &'a Run, needs: NeedsIx) -> impl Iterator<Item = (&'a Need, usize)> {
        let places = self.runs.get(&run.id).map_or(&[][..], |wanted| &wanted.resources);
        run.parts(needs).map(move |(need, ix)| (need, places[ix.at()]))
    }

    /// Asks of what a run needs, many times for one look-up.
    pub(crate) fn view(&self, run: RunId) -> View<'_> {
        View { counts: &self.counts, parts: self.runs.get(&run).map_or(&[], |wanted| &wanted.parts) }
    }

    /// Whether there could be enough for these needs if nobody else held any: of what the fleet offers.
    pub(crate) fn suffices(&self, need: &Need) -> bool {
        self.offered(&need.resource).is_some_and(|offer| offer.resource.suffices(need))
    }

    /// Everything that is needed, all at once; nothing where something is missing.
    pub(crate) fn choose(&self, run: &Run, needs: NeedsIx, state: &State, now: Time) -> Option<Vec<Held>> {
        let mut chosen: Vec<Held> = Vec::new();
        let all: Vec<(&Need, usize)> = self.needs(run, needs).collect();
        // Needs of the same resource stand together, since they are ordered by it.
        for alike in all.chunk_by(|a, b| a.1 == b.1) {
            let (account, Count { free, total }) = (&self.accounts[alike[0].1], self.counts[alike[0].1]);
            let resource = Arc::clone(&account.name);
            let Some(offer) = account.offer.as_ref() else {
                let seats = alike.iter().map(|(need, _)| need.seats).fold(0, u32::saturating_add);
                chosen.push(Held { resource, seats, items: Vec::new() });
                continue;
            };
            let seats: u32 = alike.iter().map(|(need, _)| need.of(total)).fold(0, u32::saturating_add);
            if free < seats && !mutant::is(Mutant::SeatsUncounted) {
                return None;
            }
            let items = if offer.resource.kind == ResourceKind::Pool {
                let holding = state.held.get(&account.name);
                let free = offer.resource.items.iter().filter(|item| account.is_free(item, holding, now));
                let free: Vec<&Item> = free.collect();
                assign::assign(alike.iter().map(|&(need, _)| (need, need.of(total))), &free)?
            } else {
                Vec::new()
            };
            chosen.push(Held { resource, seats, items });
        }
        Some(chosen)
    }

    /// Whether what is free is what is offered less what is held: what every step has to keep true.
    ///
    /// # Errors
    /// The first account that is not, in words.
    pub fn check(&self, state: &State, now: Time) -> Result<(), String> {
        for (account, count) in self.accounts.iter().zip(&self.counts) {
            let free = account.free(state.held.get(&account.name), now);
            if free != count.free {
                return Err(format!("{} has {free} free, and says {}", account.name, count.free));
            }
        }
        Ok(())
    }
}

/// What is free of what a run needs.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    counts: &'a [Count],
    parts: &'a [Box<[Part]>],
}

impl View<'_> {
    /// How many shards with these needs could begin now, as far as the fleet's resources go and as counting tells, which for
    /// items under conditions may be too many.
    pub(crate) fn shards(self, needs: NeedsIx) -> u32 {
        let left = |part: &Part| {
            let Count { free, total } = self.counts[part.place as usize];
            match part.seats {
                _ if part.local => u32::MAX,
                Need::ALL => u32::from(free == total && total > 0),
                seats => free / seats.max(1),
            }
        };
        needs.at().checked_sub(1).and_then(|at| self.parts.get(at)?.iter().map(left).min()).unwrap_or_default()
    }

    /// Whether any of it is each worker's own.
    pub(crate) fn is_local(self, needs: NeedsIx) -> bool {
        let parts = needs.at().checked_sub(1).and_then(|at| self.parts.get(at));
        parts.is_some_and(|parts| parts.iter().any(|part| part.local))
    }
}

/// What of itself a worker has left, of what it offers.
pub(crate) fn left_on(capacity: u32, holding: Option<&Holding>, worker: WorkerId) -> u32 {
    let taken = holding.and_then(|holding| holding.on.get(&worker)).copied().unwrap_or_default();
    let taken = if mutant::is(Mutant::OwnUncounted) { 0 } else { taken };
    capacity.saturating_sub(taken)
}
