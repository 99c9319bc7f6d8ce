//! What the fleet of a world shares, who looks after it, and who meddles with it.
//!
//! The keeper stands for the shell: it brings things back into order between two leases, one errand a thing at a time, and after a
//! restart everything that nobody holds. Its checker is told from the journal alone: nothing is held by two, nothing is held that
//! was not brought into order, every item is what was asked for, and tokens only grow.

use super::Simulation;
use super::checkers::Checked;
use super::faults::{Class, pick};
use super::world::Happening;
use regatta_core::{Command, Event, Health, ReplyTo};
use regatta_domain::resource::{Hook, Hooks, Withheld};
use regatta_domain::{Held, Item, Micros, Need, Needs, Offer, Relation, Resource, ResourceKind, Token, Want, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A resource without items, or an item: by their places in [`all`].
pub(super) type Thing = (u8, Option<u8>);

/// What each worker has of its own, one of it.
pub(super) const GPU: &str = "worker.gpu";

/// The resources of every world.
#[must_use]
pub(super) fn all() -> Vec<(&'static str, Resource)> {
    let hook = Hook { argv: vec!["reset".into()], timeout: Micros(1), retries: 0, every: Micros(1) };
    let hooks = || Hooks { reset: Some(hook.clone()), ..Hooks::default() };
    let item = |name: &str, os: &str, api: &str| Item {
        name: name.into(),
        labels: BTreeMap::from([("os".into(), os.into()), ("api".into(), api.into())]),
        values: BTreeMap::new(),
    };
    let phones = vec![item("p1", "android", "34"), item("p2", "ios", "17"), item("p3", "android", "30")];
    vec![
        ("db", Resource { hooks: hooks(), ..Resource::of_seats(1) }),
        ("pool", Resource::of_seats(2)),
        ("phone", Resource { hooks: hooks(), ..Resource::pool(phones) }),
        ("cache", Resource { kind: ResourceKind::ReadersWriter, ..Resource::of_seats(0) }),
    ]
}

/// As they are offered when nobody meddles.
#[must_use]
pub(super) fn offers() -> BTreeMap<Arc<str>, Offer> {
    all().into_iter().map(|(name, resource)| (name.into(), resource.into())).collect()
}

/// What tests may need of them.
#[must_use]
pub(super) fn needs() -> Vec<Needs> {
    let want = |label: &str, relation, value: &str| Want { label: label.into(), relation, value: value.into() };
    let android = |seats| Need { wants: vec![want("os", Relation::Is, "android")], ..Need::new("phone", seats) };
    let new = Need { wants: vec![want("api", Relation::AtLeast, "34")], ..Need::new("phone", 1) };
    let one = |name: &str| Need::new(name, 1);
    let all: [Vec<Need>; 10] = [
        vec![one("db")],
        vec![one("pool")],
        vec![Need::new("pool", 2)],
        vec![one("db"), one("pool")],
        vec![android(1)],
        vec![new, android(1)],
        vec![one("cache")],
        vec![Need::new("cache", Need::ALL)],
        vec![one(GPU)],
        vec![one("phone"), one("db"), one(GPU)],
    ];
    all.into_iter().map(Needs::all).collect()
}

fn name_of((resource, item): Thing) -> (Arc<str>, Option<Arc<str>>) {
    let all = all();
    let (name, resource) = &all[usize::from(resource)];
    ((*name).into(), item.map(|item| Arc::clone(&resource.items[usize::from(item)].name)))
}

/// Everything that is brought back into order between two leases.
fn kept() -> Vec<Thing> {
    let mut things = Vec::new();
    for (at, (_, resource)) in (0_u8..).zip(all()).filter(|(_, (_, resource))| resource.hooks.reset.is_some()) {
        if resource.items.is_empty() {
            things.push((at, None));
        }
        things.extend((0_u8..).zip(&resource.items).map(|(item, _)| (at, Some(item))));
    }
    things
}

fn thing(resource: &str, item: Option<&str>) -> Thing {
    let all = all();
    let at = all.iter().position(|(name, _)| *name == resource).expect("worlds have no other resources");
    let item = item.map(|item| all[at].1.items.iter().position(|known| *known.name == *item).expect("nor other items"));
    (u8::try_from(at).expect("few"), item.map(|item| u8::try_from(item).expect("few")))
}

/// Who brings things back into order.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// The errand under way for each thing; an older one is void.
    errands: BTreeMap<Thing, u64>,
    /// The last lease on each that it knows to have ended.
    after: BTreeMap<Thing, Token>,
    last: u64,
}

impl Simulation {
    /// A lease has ended: what it held is brought back into order.
    pub(super) fn reset(&mut self, resource: &str, items: &[Arc<str>], token: Token) {
        let things: Vec<Thing> = match items {
            [] => vec![thing(resource, None)],
            items => items.iter().map(|item| thing(resource, Some(item))).collect(),
        };
        for thing in things {
            self.keeper.after.insert(thing, token);
            self.restore(thing);
        }
    }

    fn restore(&mut self, thing: Thing) {
        self.keeper.last += 1;
        self.keeper.errands.insert(thing, self.keeper.last);
        let wait = Micros::from_ms(self.chance.below(400));
        self.world.after(wait, Happening::Restored(thing, self.keeper.last));
    }

    pub(super) fn restored(&mut self, thing: Thing, errand: u64) -> Checked {
        if self.keeper.errands.get(&thing) != Some(&errand) || !self.coordinator.is_up() {
            return Ok(());
        }
        if self.swarm.has(Class::Meddle) && !self.is_calm() && self.chance.below(5) == 0 {
            // It failed, and is tried again after a while.
            self.restore(thing);
            return self.examined(thing, Health::Ill);
        }
        self.keeper.errands.remove(&thing);
        self.checkers.things.restored(thing);
        self.examined(thing, Health::Well)
    }

    fn examined(&mut self, thing: Thing, health: Health) -> Checked {
        let (resource, item) = name_of(thing);
        let after = self.keeper.after.get(&thing).copied().unwrap_or_default();
        self.command(Command::Examined { resource, item, health, after })
    }

    /// The coordinator has started: nobody knows what was brought into order, so everything is that nobody holds.
    pub(super) fn keeper_starts(&mut self) -> Checked {
        self.keeper.errands.clear();
        self.keeper.after.clear();
        self.command(Command::Offer { resources: self.offers.clone() })?;
        for thing in kept() {
            let (resource, item) = name_of(thing);
            let held = self.coordinator.durable.held.get(&resource);
            let held = held.is_some_and(|held| item.as_ref().is_none_or(|item| held.items.contains_key(item)));
            if !held {
                self.examined(thing, Health::Busy)?;
                self.restore(thing);
            }
        }
        Ok(())
    }

    /// Somebody takes something back by force, keeps something from everybody for a while, or finds it ill.
    pub(super) fn meddle(&mut self) -> Checked {
        let all = all();
        let at = pick(&mut self.chance, all.len());
        let (name, resource) = &all[at];
        let item = (!resource.items.is_empty()).then(|| pick(&mut self.chance, resource.items.len()));
        let (name, item_name): (Arc<str>, _) =
            ((*name).into(), item.map(|item| Arc::clone(&resource.items[item].name)));
        match self.chance.below(3) {
            0 => self.command(Command::Revoke { resource: name, item: item_name, reply: ReplyTo(u64::MAX) }),
            1 => {
                let until = (self.world.now + Micros::from_ms(self.chance.below(6_000))).min(self.calm_at);
                let offer = self.offers.get_mut(&name).expect("nobody withdraws anything");
                offer.withheld =
                    vec![Withheld { item: item_name, seats: 1, until: Some(until), by: "somebody".into() }];
                self.command(Command::Offer { resources: self.offers.clone() })
            }
            _ => {
                let thing = (u8::try_from(at).expect("few"), item.map(|item| u8::try_from(item).expect("few")));
                self.restore(thing);
                self.examined(thing, Health::Ill)
            }
        }
    }
}

/// What must be true of everything that is held.
#[derive(Debug, Default)]
pub(super) struct Things {
    held: BTreeMap<Token, (WorkerId, Vec<Held>)>,
    /// What was held, and was not brought into order since.
    dirty: BTreeSet<Thing>,
    newest: BTreeMap<Thing, Token>,
}

fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Things {
    fn restored(&mut self, thing: Thing) {
        self.dirty.remove(&thing);
    }

    /// Facts became durable; `needs` are those of a lease that was granted.
    pub(super) fn fact(&mut self, event: &Event, needs: &Needs) -> Checked {
        match event {
            Event::ShardLeased { token, worker, holds, .. } => {
                self.leased(*token, holds, needs)?;
                self.held.insert(*token, (*worker, holds.clone()));
                self.counted()
            }
            Event::LeaseEnded { token, .. } => {
                let kept = kept();
                let holds = self.held.remove(token).map(|(_, holds)| holds).unwrap_or_default();
                let of = holds.iter().filter(|held| *held.resource != *GPU).flat_map(things_of);
                self.dirty.extend(of.filter(|thing| kept.contains(thing)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn leased(&mut self, token: Token, holds: &[Held], needs: &Needs) -> Checked {
        let mut names: Vec<&str> = needs.iter().map(|need| &*need.resource).collect();
        names.dedup();
        let has: Vec<&str> = holds.iter().map(|held| &*held.resource).collect();
        ensure(names == has, || format!("V3: {token} needs {names:?} and holds {has:?}"))?;
        for held in holds.iter().filter(|held| *held.resource != *GPU) {
            let all = all();
            let (_, resource) =
                all.iter().find(|(name, _)| *name == &*held.resource).ok_or("V3: held, and not there")?;
            let mine = needs.iter().filter(|need| need.resource == held.resource);
            let asked: u32 = mine.clone().map(|need| need.of(resource.total())).sum();
            ensure(held.seats == asked, || {
                format!("V3: {token} holds {} of {}, not {asked}", held.seats, held.resource)
            })?;
            if resource.kind == ResourceKind::Pool {
                let items: Vec<&Item> = resource.items.iter().filter(|item| held.items.contains(&item.name)).collect();
                ensure(items.len() == asked as usize, || format!("V3: {token} holds {:?} of {asked}", held.items))?;
                for need in mine {
                    let fitting = items.iter().filter(|item| need.fits(item)).count();
                    ensure(fitting >= need.seats as usize, || {
                        format!("V3: {:?} is not what {token} needs", held.items)
                    })?;
                }
            }
            for thing in things_of(held) {
                ensure(!self.dirty.contains(&thing), || format!("V3: {thing:?} goes to {token} as somebody left it"))?;
                let newest = self.newest.insert(thing, token).unwrap_or_default();
                ensure(newest < token, || format!("V3: {thing:?} goes to {token} after {newest}"))?;
            }
        }
        Ok(())
    }

    /// Nothing is held beyond what there is.
    fn counted(&self) -> Checked {
        let mut seats: BTreeMap<&str, u32> = BTreeMap::new();
        let mut on: BTreeMap<WorkerId, u32> = BTreeMap::new();
        let mut items: BTreeSet<(&str, &str)> = BTreeSet::new();
        for (worker, holds) in self.held.values() {
            for held in holds {
                if *held.resource == *GPU {
                    *on.entry(*worker).or_default() += held.seats;
                    continue;
                }
                *seats.entry(&held.resource).or_default() += held.seats;
                for item in &held.items {
                    ensure(items.insert((&held.resource, item)), || format!("V3: {item} is held twice"))?;
                }
            }
        }
        ensure(on.values().all(|&held| held <= 1), || format!("V3: a worker divides more than it has: {on:?}"))?;
        all().iter().try_for_each(|(name, resource)| {
            let held = seats.get(name).copied().unwrap_or_default();
            ensure(held <= resource.total(), || {
                format!("V3: {held} of {name} are held, and there are {}", resource.total())
            })
        })
    }
}

fn things_of(held: &Held) -> Vec<Thing> {
    match &held.items[..] {
        [] => vec![thing(&held.resource, None)],
        items => items.iter().map(|item| thing(&held.resource, Some(item))).collect(),
    }
}
