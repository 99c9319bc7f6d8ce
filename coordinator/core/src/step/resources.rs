//! What the fleet shares changes: it is declared anew, found ill or well, taken back by somebody, or will never be there.

use super::{Core, Turn};
use crate::Refusal;
use crate::agenda::Deadline;
use crate::command::{OF_WORKERS, ReplyTo};
use crate::effect::{Effect, ToWorker};
use crate::event::{Event, LeaseEnd};
use crate::ledger::Health;
use crate::mutant::{self, Mutant};
use crate::state::{Phase, Run};
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{Held, Need, NeedsIx, Offer, RunId, SuiteIx, Time, Token};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a run looks whether what waits can ever run: this part of its patience.
const LOOKS: u64 = 4;

impl Core {
    /// Sets the clock to the moment at which the next thing is not kept from everybody any more.
    pub(super) fn await_unkept(&mut self, now: Time) {
        let kept = self.setup.resources.values().flat_map(|offer| &offer.withheld).filter_map(|kept| kept.until);
        match kept.filter(|&until| until > now).min() {
            Some(until) => self.agenda.set(Deadline::Unkept, until),
            None => self.agenda.clear(Deadline::Unkept),
        }
    }
}

impl Turn<'_> {
    pub(super) fn offer(&mut self, resources: BTreeMap<Arc<str>, Offer>) {
        self.core.ledger.offer(&resources, &self.core.state, self.now);
        self.core.setup.resources = resources;
        self.core.await_unkept(self.now);
    }

    pub(super) fn examined(&mut self, resource: &Arc<str>, item: Option<Arc<str>>, health: Health, after: Token) {
        self.core.ledger.examined(resource, item, health, after);
        self.core.ledger.recount(std::iter::once(resource), &self.core.state, self.now);
    }

    /// A lease has ended: what it held is brought back into order before anybody else is granted it.
    pub(super) fn reset(&mut self, holds: &[Held], token: Token) {
        for held in holds {
            let offer = self.core.ledger.offered(&held.resource);
            let resets = offer.is_some_and(|offer| offer.resource.hooks.reset.is_some());
            if !resets || mutant::is(Mutant::LeftAsItWas) {
                continue;
            }
            let (resource, items) = (Arc::clone(&held.resource), held.items.clone());
            for item in &items {
                self.core.ledger.soil(&resource, Some(Arc::clone(item)), token);
            }
            if items.is_empty() {
                self.core.ledger.soil(&resource, None, token);
            }
            self.out.effects.push(Effect::Reset { resource, items, token });
        }
    }

    pub(super) fn revoke(&mut self, resource: &Arc<str>, item: Option<&Arc<str>>, reply: ReplyTo) {
        let offered = self.core.setup.resources.contains_key(resource);
        let Some(holding) = self.core.state.held.get(resource) else {
            return self.reply(reply, if offered { Ok(()) } else { Err(Refusal::NoSuchResource) });
        };
        let holders: Vec<Token> = match item {
            Some(item) => holding.items.get(item).copied().into_iter().collect(),
            None => holding.tokens.iter().copied().collect(),
        };
        for token in holders {
            let worker = self.core.state.leases[&token].worker;
            self.send(worker, ToWorker::Stop { token, kill: true });
            self.end_lease(token, LeaseEnd::Revoked);
        }
        self.reply(reply, Ok(()));
    }

    /// What could not be run as the fleet stands for as long as is waited for is given up, with the reason.
    pub(super) fn lose_patience(&mut self, run: RunId) {
        let patience = self.core.setup.tuning.patience;
        let Some(found) = self.run(run).filter(|run| run.phase == Phase::Running) else { return };
        let suites = (0..found.suites.len()).map(SuiteIx::nth);
        let waiting = suites.flat_map(|suite| found.suite(suite).queues.keys().map(move |&needs| (suite, needs)));
        let hopeless: BTreeMap<_, _> =
            waiting.filter_map(|at| self.obstacle(found, at.0, at.1).map(|why| ((run, at.0, at.1), why))).collect();
        self.core.presence.hopeless.retain(|kind, _| kind.0 != run || hopeless.contains_key(kind));
        for (kind, message) in hopeless {
            let since = *self.core.presence.hopeless.entry(kind).or_insert(self.now);
            // A run that has just come is given the time to find the workers that are just coming.
            if self.now.since(since) >= patience {
                let (run, suite, needs) = kind;
                let place = Arc::clone(&self.core.state.runs[&run].suite(suite).suite.name);
                let error = RunError { kind: RunErrorKind::Infrastructure, place, message: message.into() };
                self.record(Event::WaitGivenUp { run, suite, needs, error });
            }
        }
        self.core.agenda.set(Deadline::Patience(run), self.now + patience / LOOKS);
    }

    /// Why what waits can never run as the fleet stands, in words; nothing where it can, or where nobody is there at all.
    fn obstacle(&self, run: &Run, suite: SuiteIx, needs: NeedsIx) -> Option<String> {
        let requires = &run.suite(suite).suite.requires;
        if !self.core.presence.workers().is_empty() && self.core.presence.capacity(requires) == 0 {
            let labels = requires.join(", ");
            return Some(format!(
                "no worker carries the labels {labels}; start one with them (`regatta worker --label`)"
            ));
        }
        run.needs_of(needs).iter().find_map(|need| self.lack(need, requires))
    }

    fn lack(&self, need: &Need, requires: &[Arc<str>]) -> Option<String> {
        let name = &need.resource;
        if name.starts_with(OF_WORKERS) {
            let most = self.core.presence.most_owned(requires, name);
            let lacks = !self.core.presence.workers().is_empty() && most < need.seats;
            let lack = || {
                let own = name.trim_start_matches(OF_WORKERS);
                let seats = need.seats;
                format!(
                    "no worker offers {seats} of `{name}`: {most} at most; start one that does (`regatta worker --offer {own}={seats}`)"
                )
            };
            return lacks.then(lack);
        }
        match self.core.ledger.offered(name) {
            None => Some(format!(
                "the resource `{name}` is not offered any more; declare it again (`regatta resources declare`)"
            )),
            Some(_) if !self.core.ledger.suffices(need) => Some(format!(
                "there is less of the resource `{name}` than is needed; declare more of it (`regatta resources declare`)"
            )),
            Some(_) => None,
        }
    }
}
