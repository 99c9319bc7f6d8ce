//! Templates: databases that were migrated once and are copied for every test.
//!
//! A template is named by the digest of what it is built from, so versions stand side by side and runs share them. Whoever has
//! the workspace builds it: [`Registry`] says to whom, and remembers what came of it. One builds, the others wait; a builder
//! that was fenced hands over to the next; a failure is told once to each run. Making the place to build in, and finishing what
//! was built, are left to `stock`.

pub(crate) mod finish;

use crate::limits;
use regatta_domain::{Digest, RunId, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use tokio::sync::watch;

/// One order to build a template. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildId(pub u64);

/// Where a template is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// On the server of all clones: every level but exclusive.
    Shared,
    /// As the image of private servers: exclusive. With servers of our own it is the same as `Shared`.
    Private,
}

/// Who needs a template.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which.
    pub template: Digest,
    /// Where.
    pub place: Place,
    /// Extensions that only an administrator may create, and that are there before the migrations run.
    pub extensions: Vec<String>,
    /// Under which lease the migrations would run.
    pub token: Token,
    /// For which run.
    pub run: RunId,
}

/// What is to be done about a template.
#[derive(Debug)]
pub enum Prepared {
    /// Nothing: it is there.
    Ready,
    /// The caller builds it, and says so by [`crate::Postgres::built`].
    Build(BuildOrder),
    /// Somebody else builds it: wait, and ask again.
    Building(Building),
    /// It was tried, and failed.
    Failed {
        /// What the build said, or why what it built cannot be a template.
        log: String,
        /// Whether this run has been told before.
        told: bool,
    },
}

/// An empty database to run migrations against.
#[derive(Clone, Debug)]
pub struct BuildOrder {
    /// The order.
    pub id: BuildId,
    /// The template.
    pub template: Digest,
    /// The URL of the database, as its owner.
    pub url: String,
    /// The same as environment variables.
    pub variables: Vec<(String, String)>,
}

/// A build that somebody else has in hand.
#[derive(Debug)]
pub struct Building(watch::Receiver<u64>);

impl Building {
    /// Waits until something has become of it.
    pub async fn ended(mut self) {
        let _ = self.0.changed().await;
    }
}

/// What is known of all templates. `S` is the place where one is being built, `R` what serves a finished one.
#[derive(Debug)]
pub(crate) struct Registry<S, R> {
    states: BTreeMap<(Digest, Place), State<S, R>>,
    changed: watch::Sender<u64>,
    next: u64,
}

#[derive(Debug)]
enum State<S, R> {
    Building { id: BuildId, by: Token, run: RunId, site: Option<S> },
    Finishing { id: BuildId },
    Ready { stock: R, used: Instant },
    Failed { log: String, at: Instant, run: RunId, told: BTreeSet<RunId> },
}

/// What [`Registry::claim`] says.
#[derive(Debug)]
pub(crate) enum Claim {
    Ready,
    Build(BuildId),
    Building(Building),
    Failed { log: String, told: bool },
}

impl<S, R: Clone> Registry<S, R> {
    pub(crate) fn new() -> Self {
        Self { states: BTreeMap::new(), changed: watch::channel(0).0, next: 1 }
    }

    /// What is to be done about a template. Whoever is told to build has the build until it is fenced.
    pub(crate) fn claim(&mut self, key: (Digest, Place), by: Token, run: RunId, now: Instant) -> Claim {
        match self.states.get_mut(&key) {
            Some(State::Ready { used, .. }) => {
                *used = now;
                return Claim::Ready;
            }
            Some(State::Building { .. } | State::Finishing { .. }) => {
                return Claim::Building(Building(self.changed.subscribe()));
            }
            Some(State::Failed { log, at, run: of, told })
                if *of == run || now.saturating_duration_since(*at) < limits::FAILURE =>
            {
                if told.len() >= limits::TOLD && !told.contains(&run) {
                    told.pop_first();
                }
                return Claim::Failed { log: log.clone(), told: !told.insert(run) };
            }
            Some(State::Failed { .. }) | None => {}
        }
        let id = BuildId(self.next);
        self.next += 1;
        self.states.insert(key, State::Building { id, by, run, site: None });
        Claim::Build(id)
    }

    /// The place to build in is there. It comes back if the builder has been fenced meanwhile.
    pub(crate) fn opened(&mut self, id: BuildId, place: S) -> Result<(), S> {
        for state in self.states.values_mut() {
            if let State::Building { id: of, site, .. } = state
                && *of == id
            {
                *site = Some(place);
                return Ok(());
            }
        }
        Err(place)
    }

    /// The build ended well or not; what was built is now being finished by the caller alone. Nothing if the order is not valid
    /// any more.
    pub(crate) fn finishing(&mut self, id: BuildId) -> Option<((Digest, Place), RunId, S)> {
        let key = self.key(id)?;
        match self.states.get_mut(&key) {
            Some(State::Building { run, site, .. }) => {
                let (run, site) = (*run, site.take()?);
                self.states.insert(key, State::Finishing { id });
                Some((key, run, site))
            }
            _ => None,
        }
    }

    /// The template is there.
    pub(crate) fn ready(&mut self, key: (Digest, Place), stock: R, now: Instant) {
        self.states.insert(key, State::Ready { stock, used: now });
        self.tell();
    }

    /// The template cannot be built from what there is.
    pub(crate) fn failed(&mut self, key: (Digest, Place), run: RunId, log: &str, now: Instant) {
        let from = (log.len().saturating_sub(limits::BUILD_LOG)..=log.len())
            .find(|&at| log.is_char_boundary(at))
            .unwrap_or(log.len());
        let log = log[from..].to_owned();
        self.states.insert(key, State::Failed { log, at: now, run, told: BTreeSet::new() });
        self.tell();
    }

    /// Nothing came of it, and nobody is to blame: the next one tries again.
    pub(crate) fn forget(&mut self, key: (Digest, Place)) {
        self.states.remove(&key);
        self.tell();
    }

    /// Forgets a failure, so that the next one builds.
    pub(crate) fn retry(&mut self, template: Digest) {
        self.states.retain(|key, state| key.0 != template || !matches!(state, State::Failed { .. }));
        self.tell();
    }

    /// Takes the builds of `token` away from it. Returns the places that nobody needs any more.
    pub(crate) fn fence(&mut self, token: Token) -> Vec<S> {
        let fenced: Vec<_> = self
            .states
            .iter()
            .filter(|(_, state)| matches!(state, State::Building { by, .. } if *by == token))
            .map(|(key, _)| *key)
            .collect();
        let mut places = Vec::new();
        for key in &fenced {
            if let Some(State::Building { site: Some(place), .. }) = self.states.remove(key) {
                places.push(place);
            }
        }
        if !fenced.is_empty() {
            self.tell();
        }
        places
    }

    /// What serves a template.
    pub(crate) fn stock(&mut self, key: (Digest, Place), now: Instant) -> Option<R> {
        match self.states.get_mut(&key) {
            Some(State::Ready { stock, used }) => {
                *used = now;
                Some(stock.clone())
            }
            _ => None,
        }
    }

    /// All that serve, least recently used first.
    pub(crate) fn stocks(&self) -> Vec<((Digest, Place), R)> {
        let mut stocks: Vec<_> = self
            .states
            .iter()
            .filter_map(|(key, state)| match state {
                State::Ready { stock, used } => Some((*used, *key, stock.clone())),
                _ => None,
            })
            .collect();
        stocks.sort_by_key(|(used, ..)| *used);
        stocks.into_iter().map(|(_, key, stock)| (key, stock)).collect()
    }

    /// Takes all places where something was being built, at the end.
    pub(crate) fn abandon(&mut self) -> Vec<S> {
        let states = std::mem::take(&mut self.states);
        self.tell();
        states
            .into_values()
            .filter_map(|state| if let State::Building { site, .. } = state { site } else { None })
            .collect()
    }

    fn key(&self, id: BuildId) -> Option<(Digest, Place)> {
        let is = |state: &State<S, R>| matches!(state, State::Building { id: of, .. } | State::Finishing { id: of } if *of == id);
        self.states.iter().find(|(_, state)| is(state)).map(|(key, _)| *key)
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const KEY: (Digest, Place) = (Digest([1; 32]), Place::Shared);
    const RUN: RunId = RunId::from_bits(1);
    const OTHER: RunId = RunId::from_bits(2);

    fn registry() -> (Registry<&'static str, &'static str>, Instant) {
        (Registry::new(), Instant::now())
    }

    fn build(registry: &mut Registry<&'static str, &'static str>, token: u64, run: RunId, now: Instant) -> BuildId {
        match registry.claim(KEY, Token(token), run, now) {
            Claim::Build(id) => id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_builds_and_the_others_wait() {
        let (mut registry, now) = registry();
        let id = build(&mut registry, 1, RUN, now);
        assert!(matches!(registry.claim(KEY, Token(2), RUN, now), Claim::Building(_)));
        registry.opened(id, "place").unwrap();
        assert!(matches!(registry.claim(KEY, Token(2), OTHER, now), Claim::Building(_)));
        assert_eq!(registry.finishing(id), Some((KEY, RUN, "place")));
        assert_eq!(registry.finishing(id), None, "told twice, finished once");
        registry.ready(KEY, "stock", now);
        assert!(matches!(registry.claim(KEY, Token(3), RUN, now), Claim::Ready));
        assert_eq!(registry.stock(KEY, now), Some("stock"));
    }

    #[test]
    fn a_fenced_builder_hands_over_and_is_not_heard_any_more() {
        let (mut registry, now) = registry();
        let first = build(&mut registry, 1, RUN, now);
        registry.opened(first, "one").unwrap();
        assert_eq!(registry.fence(Token(9)), Vec::<&str>::new());
        assert_eq!(registry.fence(Token(1)), ["one"]);
        let second = build(&mut registry, 2, RUN, now);
        assert_eq!(registry.finishing(first), None);
        assert_eq!(registry.opened(first, "late"), Err("late"));
        registry.opened(second, "two").unwrap();
        assert_eq!(registry.finishing(second), Some((KEY, RUN, "two")));
    }

    #[test]
    fn a_failure_is_told_once_to_each_run_and_tried_again_later_or_on_request() {
        let (mut registry, now) = registry();
        let id = build(&mut registry, 1, RUN, now);
        registry.opened(id, "place").unwrap();
        registry.finishing(id).unwrap();
        registry.failed(KEY, RUN, "no such column", now);
        let told = |claim: Claim| match claim {
            Claim::Failed { log, told } => {
                assert_eq!(log, "no such column");
                told
            }
            other => panic!("{other:?}"),
        };
        assert!(!told(registry.claim(KEY, Token(2), RUN, now)));
        assert!(told(registry.claim(KEY, Token(3), RUN, now)));
        assert!(!told(registry.claim(KEY, Token(4), OTHER, now)));
        let later = now + limits::FAILURE + Duration::from_secs(1);
        assert!(told(registry.claim(KEY, Token(5), RUN, later)), "the run that failed has failed");
        let _ = build(&mut registry, 6, OTHER, later);
        registry.fence(Token(6));
        let id = build(&mut registry, 7, OTHER, later);
        registry.opened(id, "place").unwrap();
        registry.finishing(id).unwrap();
        registry.failed(KEY, OTHER, "again", later);
        registry.retry(KEY.0);
        let _ = build(&mut registry, 8, OTHER, later);
    }

    #[test]
    fn the_end_of_a_long_log_is_kept() {
        let (mut registry, now) = registry();
        registry.failed(KEY, RUN, &format!("{}the error", "ö".repeat(limits::BUILD_LOG)), now);
        match registry.claim(KEY, Token(1), RUN, now) {
            Claim::Failed { log, .. } => assert!(log.ends_with("the error") && log.len() <= limits::BUILD_LOG),
            other => panic!("{other:?}"),
        }
    }
}
