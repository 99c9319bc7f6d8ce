//! Who looks after resources: which hook is to be run when, and how each item is.
//!
//! A state machine: moments and facts come in, jobs and news of health come out. It leaves running hooks to [`hook`], and what
//! a lease may hold to the core. Its invariants: an item is not well before it was prepared, and reset after the last lease;
//! no two hooks run for it at once; what prepares or resets it never runs while a lease holds it.

pub(super) mod hook;
pub(super) mod provide;
mod subject;
#[cfg(test)]
mod tests;

use regatta_core::Health;
use regatta_domain::Token;
use regatta_domain::resource::Hook;
use regatta_domain::{Resource, ResourceKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use subject::{Care, Due, Subject};
use tokio::time::Instant;

/// An item of a resource, or a resource without items.
pub(super) type Key = (Arc<str>, Option<Arc<str>>);

/// When a hook is run. Those that are owed go in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Before the first lease.
    Prepare,
    /// Between two leases.
    Reset,
    /// Now and then.
    Check,
    /// At the end.
    Dispose,
}

impl Stage {
    /// Its name, as the hook is told it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Reset => "reset",
            Self::Check => "check",
            Self::Dispose => "dispose",
        }
    }
}

/// A hook that is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) key: Key,
    pub(super) stage: Stage,
    /// Nothing where there is only something to be stopped.
    pub(super) hook: Option<Hook>,
    /// What the item's holder is told: so is the hook.
    pub(super) values: BTreeMap<Arc<str>, Arc<str>>,
}

/// Something is as the core does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) resource: Arc<str>,
    pub(super) item: Option<Arc<str>>,
    pub(super) health: Health,
    /// The last lease on it that is known to have ended.
    pub(super) after: Token,
}

/// How something is, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// How it is.
    pub(crate) health: Health,
    /// Since when.
    pub(crate) since: Instant,
    /// What the last hook that failed said.
    pub(crate) reason: String,
}

/// Whether a lease holds something.
pub(super) type IsHeld<'a> = &'a dyn Fn(&Key) -> bool;

/// Who looks after resources.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    subjects: BTreeMap<Key, Subject>,
    /// When something is to be done for whom.
    agenda: BTreeSet<(Instant, Key)>,
    jobs: Vec<Job>,
    news: Vec<News>,
}

impl Keeper {
    /// These are the resources from now on. `at_start` says that leases of a coordinator before may have used them.
    pub(super) fn declare(
        &mut self,
        resources: &BTreeMap<Arc<str>, Arc<Resource>>,
        at_start: bool,
        is_held: IsHeld<'_>,
        now: Instant,
    ) {
        let mut gone: BTreeSet<Key> = self.subjects.keys().cloned().collect();
        for (name, resource) in resources {
            for (key, care) in cared_for(name, resource) {
                gone.remove(&key);
                match self.subjects.get_mut(&key) {
                    Some(subject) => subject.redeclare(care, now),
                    None => {
                        let subject = Subject::new(care, is_held(&key), at_start, now);
                        self.subjects.insert(key.clone(), subject);
                    }
                }
                self.look_at(&key, is_held, now);
            }
        }
        for key in gone {
            if let Some(subject) = self.subjects.get_mut(&key) {
                subject.withdraw();
            }
            self.look_at(&key, is_held, now);
        }
    }

    /// A lease has ended, and the core keeps these back until they were reset.
    pub(super) fn reset(
        &mut self,
        resource: &Arc<str>,
        items: &[Arc<str>],
        after: Token,
        is_held: IsHeld<'_>,
        now: Instant,
    ) {
        for key in keys(resource, items) {
            match self.subjects.get_mut(&key) {
                Some(subject) => {
                    subject.soil(after);
                    self.look_at(&key, is_held, now);
                }
                // It was declared anew without hooks meanwhile, and nobody else would free it.
                None => self.news.push(News { resource: key.0, item: key.1, health: Health::Well, after }),
            }
        }
    }

    /// A lease that held these has ended.
    pub(super) fn freed(&mut self, resource: &Arc<str>, items: &[Arc<str>], is_held: IsHeld<'_>, now: Instant) {
        for key in keys(resource, items) {
            self.look_at(&key, is_held, now);
        }
    }

    /// A test failed under a lease that holds these.
    pub(super) fn suspect(&mut self, resource: &Arc<str>, items: &[Arc<str>], is_held: IsHeld<'_>, now: Instant) {
        for key in keys(resource, items) {
            if let Some(subject) = self.subjects.get_mut(&key) {
                subject.suspect(now);
                self.look_at(&key, is_held, now);
            }
        }
    }

    /// A job has ended.
    pub(super) fn done(
        &mut self,
        key: &Key,
        stage: Stage,
        ended: Result<(), String>,
        is_held: IsHeld<'_>,
        now: Instant,
    ) {
        let Some(subject) = self.subjects.get_mut(key) else { return };
        if let Err(reason) = &ended {
            tracing::warn!(subject = %Subject::name(key), hook = stage.name(), %reason, "a hook failed");
        }
        if subject.end(stage, ended, now) {
            self.tell(key);
            let subject = self.subjects.remove(key);
            if let Some(at) = subject.and_then(|subject| subject.wake) {
                self.agenda.remove(&(at, key.clone()));
            }
            return;
        }
        self.look_at(key, is_held, now);
    }

    /// Time has passed.
    pub(super) fn pass(&mut self, is_held: IsHeld<'_>, now: Instant) {
        while let Some((_, key)) = self.agenda.first().filter(|(at, _)| *at <= now).cloned() {
            self.look_at(&key, is_held, now);
        }
    }

    /// When time matters next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// What is to be run now; each is answered by [`Keeper::done`].
    pub(super) fn jobs(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.jobs)
    }

    /// What the core is to be told.
    pub(super) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// How everything is that hooks are run for.
    pub(super) fn conditions(&self) -> BTreeMap<Key, Condition> {
        let condition = |(key, subject): (&Key, &Subject)| {
            let (since, reason) = subject.account();
            (key.clone(), Condition { health: subject.health(), since, reason: reason.to_owned() })
        };
        self.subjects.iter().map(condition).collect()
    }

    /// What is run when the coordinator ends: what nobody holds is disposed of. What a lease holds outlives the coordinator.
    pub(super) fn close(&self, is_held: IsHeld<'_>) -> Vec<Job> {
        let leaves = |(key, subject): &(&Key, &Subject)| !is_held(key) && subject.is_to_be_run(Stage::Dispose);
        self.subjects.iter().filter(leaves).map(|(key, subject)| job(key, subject, Stage::Dispose)).collect()
    }

    /// Begins what is due for a subject, tells how it is, and notes when to look again.
    fn look_at(&mut self, key: &Key, is_held: IsHeld<'_>, now: Instant) {
        let Some(subject) = self.subjects.get_mut(key) else { return };
        let held = is_held(key);
        if let Some(Due { stage, once }) = subject.begin(held, now) {
            if !subject.is_to_be_run(stage) {
                return self.done(key, stage, Ok(()), is_held, now);
            }
            let mut job = job(key, subject, stage);
            if let Some(hook) = job.hook.as_mut().filter(|_| once) {
                hook.retries = 0;
            }
            self.jobs.push(job);
        }
        let wake = subject.due(held, now);
        if subject.wake != wake {
            if let Some(at) = std::mem::replace(&mut subject.wake, wake) {
                self.agenda.remove(&(at, key.clone()));
            }
            self.agenda.extend(wake.map(|at| (at, key.clone())));
        }
        self.tell(key);
    }

    fn tell(&mut self, key: &Key) {
        let Some(subject) = self.subjects.get_mut(key) else { return };
        let health = subject.health();
        if subject.told != health {
            subject.told = health;
            let after = subject.after;
            self.news.push(News { resource: Arc::clone(&key.0), item: key.1.clone(), health, after });
        }
    }
}

fn job(key: &Key, subject: &Subject, stage: Stage) -> Job {
    let care = subject.care();
    Job { key: key.clone(), stage, hook: care.hook(stage).cloned(), values: care.values.clone() }
}

/// What hooks are run for: each item of a pool, or the resource itself.
fn cared_for(name: &Arc<str>, resource: &Resource) -> Vec<(Key, Care)> {
    let hooks = &resource.hooks;
    if *hooks == regatta_domain::resource::Hooks::default() {
        return Vec::new();
    }
    if resource.kind != ResourceKind::Pool {
        return vec![((Arc::clone(name), None), Care { hooks: hooks.clone(), values: BTreeMap::new() })];
    }
    let item = |item: &regatta_domain::Item| {
        let key = (Arc::clone(name), Some(Arc::clone(&item.name)));
        (key, Care { hooks: hooks.clone(), values: item.values.clone() })
    };
    resource.items.iter().map(item).collect()
}

fn keys(resource: &Arc<str>, items: &[Arc<str>]) -> Vec<Key> {
    if items.is_empty() {
        return vec![(Arc::clone(resource), None)];
    }
    items.iter().map(|item| (Arc::clone(resource), Some(Arc::clone(item)))).collect()
}
