//! One thing that hooks are run for: an item of a pool, or a resource without items. What it still owes before it may be
//! leased, what runs for it, and whether that is tried at all right now.

use super::{Key, Stage};
use regatta_core::Health;
use regatta_domain::resource::{Hook, Hooks};
use regatta_domain::{Micros, Token};
use regatta_runtime::backoff::Backoff;
use regatta_runtime::breaker::Breaker;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The time from one check to the next where none is said, and the least that there is.
const EVERY: Duration = Duration::from_secs(30);
const EVERY_LEAST: Duration = Duration::from_secs(1);

/// The first wait before a hook that failed with all its tries is tried once more, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// How a subject is cared for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Care {
    pub(super) hooks: Hooks,
    pub(super) values: BTreeMap<Arc<str>, Arc<str>>,
}

impl Care {
    pub(super) const fn hook(&self, stage: Stage) -> Option<&Hook> {
        match stage {
            Stage::Prepare => self.hooks.prepare.as_ref(),
            Stage::Reset => self.hooks.reset.as_ref(),
            Stage::Check => self.hooks.check.as_ref(),
            Stage::Dispose => self.hooks.dispose.as_ref(),
        }
    }

    /// Whether what was prepared under `self` is as good under `other`.
    fn prepares_like(&self, other: &Self) -> bool {
        self.values == other.values
            && self.hooks.prepare == other.hooks.prepare
            && self.hooks.dispose == other.hooks.dispose
    }
}

/// One thing that hooks are run for.
#[derive(Debug)]
pub(super) struct Subject {
    care: Care,
    /// What has to succeed before it may be leased.
    owed: BTreeSet<Stage>,
    running: Option<Stage>,
    breaker: Breaker,
    check_at: Option<Instant>,
    /// It was prepared, and so has to be disposed of.
    prepared: bool,
    /// It is not offered any more, or is to be prepared anew: it is disposed of once nobody holds it.
    leaving: bool,
    /// What comes after it.
    heir: Option<Care>,
    since: Instant,
    reason: String,
    /// What the core believes.
    pub(super) told: Health,
    /// The last lease on it that is known to have ended.
    pub(super) after: Token,
    /// When it stands in the agenda.
    pub(super) wake: Option<Instant>,
}

/// What is to be done for a subject now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) stage: Stage,
    /// Once and no more: it is seen whether a hook that failed succeeds again.
    pub(super) once: bool,
}

impl Subject {
    /// Something that is offered from now on. What a lease holds already was prepared by whoever granted it; what nobody holds
    /// is prepared, and where a coordinator before may have leased it, reset.
    pub(super) fn new(care: Care, is_held: bool, may_be_used: bool, now: Instant) -> Self {
        let mut owed = BTreeSet::new();
        if !is_held && care.hooks.prepare.is_some() {
            owed.insert(Stage::Prepare);
        }
        if !is_held && may_be_used && care.hooks.reset.is_some() {
            owed.insert(Stage::Reset);
        }
        let prepared = owed.first() != Some(&Stage::Prepare);
        let mut subject = Self {
            care,
            owed,
            running: None,
            breaker: Breaker::new(Backoff::even(WAITS.0, WAITS.1), Duration::ZERO),
            check_at: None,
            prepared,
            leaving: false,
            heir: None,
            since: now,
            reason: String::new(),
            told: Health::Well,
            after: Token::default(),
            wake: None,
        };
        subject.plan_check(now);
        subject
    }

    pub(super) const fn care(&self) -> &Care {
        &self.care
    }

    /// It is declared anew.
    pub(super) fn redeclare(&mut self, care: Care, now: Instant) {
        if self.leaving {
            self.heir = Some(care);
        } else if self.care.prepares_like(&care) {
            self.owed.retain(|&stage| care.hook(stage).is_some());
            if self.care.hooks.check != care.hooks.check {
                self.check_at = None;
            }
            self.care = care;
            self.plan_check(now);
            // Nothing is left that could close it.
            if self.owed.is_empty() {
                _ = self.breaker.succeed();
            }
        } else {
            (self.leaving, self.heir) = (true, Some(care));
        }
    }

    /// It is not offered any more.
    pub(super) fn withdraw(&mut self) {
        (self.leaving, self.heir) = (true, None);
    }

    /// A lease on it has ended, and the core keeps it back until it was reset.
    pub(super) fn soil(&mut self, after: Token) {
        (self.told, self.after) = (Health::Busy, after);
        if self.care.hooks.reset.is_some() {
            self.owed.insert(Stage::Reset);
        }
    }

    /// A test failed while it was held.
    pub(super) fn suspect(&mut self, now: Instant) {
        let every = self.every();
        if let Some(at) = &mut self.check_at {
            *at = now.max(*at - every + EVERY_LEAST);
        }
    }

    fn every(&self) -> Duration {
        match self.care.hooks.check.as_ref().map(|check| check.every) {
            None | Some(Micros::ZERO) => EVERY,
            Some(every) => Duration::from(every).max(EVERY_LEAST),
        }
    }

    fn plan_check(&mut self, now: Instant) {
        self.check_at = match &self.care.hooks.check {
            Some(_) => Some(self.check_at.unwrap_or(now + self.every())),
            None => None,
        };
    }

    /// When something is to be done for it; `None` while nothing is, as far as time goes.
    pub(super) fn due(&self, is_held: bool, now: Instant) -> Option<Instant> {
        if self.running.is_some() {
            return None;
        }
        if self.leaving {
            return (!is_held).then_some(now);
        }
        let free = |stage: &Stage| !is_held || *stage == Stage::Check;
        match self.owed.first() {
            Some(stage) => free(stage).then(|| self.breaker.opens_at().unwrap_or(now)),
            None => self.check_at,
        }
    }

    /// Begins what is to be done now.
    pub(super) fn begin(&mut self, is_held: bool, now: Instant) -> Option<Due> {
        if self.due(is_held, now).is_none_or(|at| at > now) {
            return None;
        }
        if self.leaving {
            // Where there is nothing to be run, it leaves all the same, by the same way.
            self.running = Some(Stage::Dispose);
            return Some(Due { stage: Stage::Dispose, once: false });
        }
        if !self.breaker.may_try(now) {
            return None;
        }
        let stage = self.owed.first().copied().unwrap_or(Stage::Check);
        self.running = Some(stage);
        Some(Due { stage, once: !self.breaker.is_closed() })
    }

    /// What was begun has ended. Tells whether there is nothing more to care for.
    pub(super) fn end(&mut self, stage: Stage, ended: Result<(), String>, now: Instant) -> bool {
        self.running = None;
        if stage == Stage::Dispose {
            let Some(heir) = self.heir.take() else { return true };
            let (told, after) = (self.told, self.after);
            *self = Self { told, after, ..Self::new(heir, false, false, now) };
            return false;
        }
        if stage == Stage::Check {
            self.check_at = None;
            self.plan_check(now);
        }
        match ended {
            Ok(()) => {
                self.prepared |= stage == Stage::Prepare;
                self.owed.remove(&stage);
                if self.owed.is_empty() && !self.breaker.is_closed() {
                    _ = self.breaker.succeed();
                }
                if self.owed.is_empty() {
                    (self.since, self.reason) = (now, String::new());
                }
            }
            Err(reason) => {
                if self.breaker.is_closed() {
                    self.since = now;
                }
                self.owed.insert(stage);
                self.breaker.fail(now, now);
                self.reason = reason;
            }
        }
        false
    }

    /// Whether there is anything to do at this stage. What leaves is disposed of if it was ever prepared: what prepared it may
    /// have left something running, also where no hook says how to end it.
    pub(super) fn is_to_be_run(&self, stage: Stage) -> bool {
        match stage {
            Stage::Dispose => self.prepared && (self.care.hooks.dispose.is_some() || self.care.hooks.prepare.is_some()),
            _ => self.care.hook(stage).is_some(),
        }
    }

    /// How it is.
    pub(super) fn health(&self) -> Health {
        if self.leaving && self.heir.is_none() {
            return Health::Well;
        }
        if !self.breaker.is_closed() {
            return Health::Ill;
        }
        let is_busy = self.leaving || self.owed.contains(&Stage::Prepare) || self.owed.contains(&Stage::Reset);
        if is_busy { Health::Busy } else { Health::Well }
    }

    /// Since when it is as it is, and what the last hook that failed said.
    pub(super) fn account(&self) -> (Instant, &str) {
        (self.since, &self.reason)
    }

    /// What of it is told about in a log.
    pub(super) fn name(key: &Key) -> String {
        key.1.as_ref().map_or_else(|| key.0.to_string(), |item| format!("{}/{item}", key.0))
    }
}
