//! What the steward does all day: wishes, errands, hooks that end, and time that passes, one after another.

use super::open::Opening;
use super::{Ask, Granted, Overview, Wish};
use crate::driver::{DriverHandle, Gone};
use crate::error::in_one_line;
use crate::resources::acts::{Act, Acts};
use crate::resources::catalogue::kept::Shelf;
use crate::resources::catalogue::{Catalogue, Offers, Reserve, Standing};
use crate::resources::keeper::hook::{self, Left};
use crate::resources::keeper::{Job, Keeper, Key, News, Stage};
use crate::resources::usage::Usage;
use crate::resources::{Databases, Errand, databases_among};
use regatta_core::{Health, Refusal};
use regatta_domain::{Micros, Time, duration};
use regatta_wire::Failure;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long everything that is disposed of at the end may take together.
const END: Duration = Duration::from_secs(60);

/// What the steward works with.
pub(super) struct Office {
    catalogue: Catalogue,
    shelf: Shelf,
    acts: Acts,
    keeper: Keeper,
    usage: Usage,
    driver: DriverHandle,
    databases: Databases,
    tell: watch::Sender<Arc<Offers>>,
    hooks: JoinSet<(Job, Result<hook::Output, String>)>,
    permits: Arc<Semaphore>,
    /// Processes that hooks left running.
    left: BTreeMap<Key, Left>,
    /// What ends pools that a hook filled.
    dispose: Vec<Job>,
}

impl Office {
    pub(super) fn new(
        opening: Opening,
        (driver, databases): (DriverHandle, Databases),
        usage: Usage,
        tell: watch::Sender<Arc<Offers>>,
    ) -> Self {
        let Opening { shelf, acts, catalogue, permits, made } = opening;
        Self {
            catalogue,
            shelf,
            acts,
            keeper: Keeper::default(),
            usage,
            driver,
            databases,
            tell,
            hooks: JoinSet::new(),
            permits,
            left: made.left,
            dispose: made.dispose,
        }
    }

    /// Offers what there is for the first time.
    pub(super) async fn begin(&mut self) -> Result<(), Gone> {
        self.publish(true).await
    }

    /// Works until it is asked to stop, or nobody is left to ask.
    pub(super) async fn work(mut self, mut asked: mpsc::Receiver<Ask>, mut errands: mpsc::Receiver<Errand>) {
        loop {
            let next = self.keeper.next();
            let worked = tokio::select! {
                ask = asked.recv() => match ask {
                    None => return,
                    Some(Ask::Stop(done)) => {
                        self.end().await;
                        // Whoever asked for the end may have gone away.
                        let _gone = done.send(());
                        return;
                    }
                    Some(Ask::Look(answer)) => {
                        let _gone = answer.send(self.overview());
                        Ok(())
                    }
                    Some(Ask::Wish { wish, by, answer }) => {
                        let granted = self.grant(wish, by).await;
                        let _gone = answer.send(granted);
                        self.perform().await
                    }
                },
                Some(errand) = errands.recv() => self.run(errand).await,
                Some(ended) = self.hooks.join_next() => match ended {
                    Ok((job, output)) => self.note(job, output).await,
                    Err(error) => {
                        tracing::error!(%error, "what runs hooks failed, which is a mistake in Regatta");
                        Ok(())
                    }
                },
                () = sleep(next) => self.wake().await,
            };
            // Without a driver nothing can be granted any more; its end stops everything.
            if worked.is_err() {
                tracing::debug!("the steward's driver is gone");
            }
        }
    }

    async fn run(&mut self, errand: Errand) -> Result<(), Gone> {
        let (usage, now) = (self.usage.clone(), Instant::now());
        let is_held = |key: &Key| usage.is_held(&key.0, key.1.as_ref());
        match errand {
            Errand::Reset { resource, items, token } => self.keeper.reset(&resource, &items, token, &is_held, now),
            Errand::Freed(holds) => {
                for held in holds {
                    self.keeper.freed(&held.resource, &held.items, &is_held, now);
                }
            }
            Errand::Allows(resource, leases) => {
                if self.catalogue.allow(resource, leases) {
                    return self.publish(false).await;
                }
            }
            Errand::Failed(holds) => {
                for held in holds {
                    self.keeper.suspect(&held.resource, &held.items, &is_held, now);
                }
            }
        }
        self.perform().await
    }

    async fn note(&mut self, job: Job, output: Result<hook::Output, String>) -> Result<(), Gone> {
        let Job { key, stage, .. } = job;
        let ended = output.map(|output| self.left.extend(output.left.map(|left| (key.clone(), left))));
        if stage == Stage::Dispose {
            self.left.remove(&key);
        }
        let (usage, now) = (self.usage.clone(), Instant::now());
        self.keeper.done(&key, stage, ended, &|key| usage.is_held(&key.0, key.1.as_ref()), now);
        self.perform().await
    }

    async fn wake(&mut self) -> Result<(), Gone> {
        let usage = self.usage.clone();
        self.keeper.pass(&|key| usage.is_held(&key.0, key.1.as_ref()), Instant::now());
        self.perform().await
    }

    /// Runs what is due, and tells the core what it does not know.
    async fn perform(&mut self) -> Result<(), Gone> {
        for job in self.keeper.jobs() {
            let permits = Arc::clone(&self.permits);
            // Only what is known to have ended is forgotten: a hook may be given up at the end, and is run once more then.
            let left = self.left.get(&job.key).filter(|_| job.stage == Stage::Dispose).cloned();
            self.hooks.spawn(async move {
                let output = hook::perform(&job, &permits).await;
                if let Some(left) = left {
                    left.stop().await;
                }
                (job, output)
            });
        }
        let news = self.keeper.news();
        self.tell_news(news).await
    }

    async fn tell_news(&self, news: Vec<News>) -> Result<(), Gone> {
        for News { resource, item, health, after } in news {
            self.driver.examined(resource, item, health, after).await?;
        }
        Ok(())
    }

    /// Tells everybody what is offered from now on.
    async fn publish(&mut self, at_start: bool) -> Result<(), Gone> {
        let (usage, now) = (self.usage.clone(), Time(regatta_runtime::clock::now_us()));
        let offers = self.catalogue.offers(now);
        let is_held = |key: &Key| usage.is_held(&key.0, key.1.as_ref());
        self.keeper.declare(&self.catalogue.resources(), at_start, &is_held, Instant::now());
        // What has to be prepared first is kept back before it is offered; what is free of that, after.
        let (well, unwell): (Vec<News>, Vec<News>) =
            self.keeper.news().into_iter().partition(|news| news.health == Health::Well);
        self.databases.declare(databases_among(&offers));
        self.tell_news(unwell).await?;
        self.driver.offer(offers.clone()).await?;
        self.tell_news(well).await?;
        self.usage.offer(now, &offers);
        self.tell.send_replace(Arc::new(offers));
        self.perform().await
    }

    fn overview(&self) -> Overview {
        let offers = self.catalogue.offers(Time(regatta_runtime::clock::now_us()));
        let declared = offers.keys().filter(|name| self.catalogue.is_declared(name)).cloned().collect();
        Overview { offers, declared, conditions: self.keeper.conditions() }
    }

    async fn grant(&mut self, wish: Wish, by: Arc<str>) -> Result<Granted, Failure> {
        let at = Time(regatta_runtime::clock::now_us());
        let act = |act: &'static str, name: &str, item: Option<&Arc<str>>, details: String| Act {
            at,
            by: by.to_string(),
            act,
            resource: name.to_owned(),
            item: item.map(ToString::to_string),
            details,
        };
        match wish {
            Wish::Declare(named) => {
                let named = *named;
                let details = format!("{} of {}", named.resource.kind.name(), named.resource.total());
                let act = act("declare", &named.name, None, details);
                self.decide(act, |catalogue| catalogue.declare(&named.name, named.resource, &by, at)).await?;
                Ok(Granted::default())
            }
            Wish::Withdraw { name } => {
                let held = self.usage.leases(&name, None);
                let act = act("withdraw", &name, None, format!("held by {}", leases(held)));
                self.decide(act, |catalogue| catalogue.withdraw(&name)).await?;
                Ok(Granted { leases: held, ..Granted::default() })
            }
            Wish::Drain { name, item, undo } => {
                let act = act(if undo { "undrain" } else { "drain" }, &name, item.as_ref(), String::new());
                self.decide(act, |catalogue| catalogue.drain((&name, item.as_ref()), undo, &by, at)).await?;
                Ok(Granted { leases: self.usage.leases(&name, item.as_ref()), ..Granted::default() })
            }
            Wish::Release { name, item } => {
                self.is_known(&name, item.as_ref())?;
                let held = self.usage.leases(&name, item.as_ref());
                let act = act("release", &name, item.as_ref(), leases(held));
                self.record(act, None).await?;
                match self.driver.revoke(name, item).await? {
                    Ok(()) | Err(Refusal::NoSuchResource) => Ok(Granted { leases: held, ..Granted::default() }),
                    Err(refusal) => Err(Failure::Broken(format!("the core refuses: {refusal:?}"))),
                }
            }
            Wish::Reserve(wanted) if wanted.time == Micros::ZERO => {
                let act = act("give-back", &wanted.name, wanted.item.as_ref(), String::new());
                let back = self.decide(act, |catalogue| catalogue.give_back(&wanted, at)).await?;
                if back == 0 {
                    let what = crate::resources::told(&wanted.name, wanted.item.as_deref());
                    return Err(Failure::NotFound(format!("{by} keeps nothing of `{what}`; `--by` says for whom")));
                }
                Ok(Granted::default())
            }
            Wish::Reserve(wanted) => {
                let act =
                    act("reserve", &wanted.name, wanted.item.as_ref(), format!("for {}", duration::text(wanted.time)));
                self.reserve(act, &wanted, at).await
            }
        }
    }

    async fn reserve(&mut self, mut act: Act, wanted: &Reserve, now: Time) -> Result<Granted, Failure> {
        let conditions = self.keeper.conditions();
        let health = |item: Option<&Arc<str>>| {
            let key = (Arc::clone(&wanted.name), item.cloned());
            conditions.get(&key).map_or(Health::Well, |condition| condition.health)
        };
        let standing = |item: &regatta_domain::Item| Standing {
            held: self.usage.is_held(&wanted.name, Some(&item.name)),
            ill: health(Some(&item.name)) == Health::Ill,
        };
        let mut next = self.catalogue.clone();
        let item = next.reserve(wanted, now, standing)?.item;
        act.item = item.as_ref().map(|item| item.name.to_string());
        self.record(act, Some(&next)).await?;
        self.catalogue = next;
        self.publish(false).await?;
        let name = item.as_ref().map(|item| &item.name);
        Ok(Granted { leases: self.usage.leases(&wanted.name, name), is_ready: health(name) != Health::Busy, item })
    }

    /// Whether there is such a thing: declared, or withdrawn and still held.
    fn is_known(&self, name: &str, item: Option<&Arc<str>>) -> Result<(), Failure> {
        if self.usage.leases(name, item) > 0 {
            return Ok(());
        }
        let resource = self.catalogue.find(name)?;
        item.map_or(Ok(()), |item| crate::resources::catalogue::find_item(name, resource, item).map(|_| ()))
    }

    /// Changes the catalogue: on record, durable, and told to everybody before it is answered.
    async fn decide<T>(
        &mut self,
        act: Act,
        change: impl FnOnce(&mut Catalogue) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut next = self.catalogue.clone();
        let answer = change(&mut next)?;
        self.record(act, Some(&next)).await?;
        self.catalogue = next;
        self.publish(false).await?;
        Ok(answer)
    }

    /// Puts an act on record, and keeps what it changed.
    async fn record(&self, act: Act, next: Option<&Catalogue>) -> Result<(), Failure> {
        let (acts, shelf) = (self.acts.clone(), self.shelf.clone());
        let said = next.map(|next| next.said().clone());
        let recorded = regatta_runtime::threads::on_disk(move || {
            let refused = |error: &dyn std::error::Error| {
                Failure::Broken(format!(
                    "nothing was changed: {}; look after the coordinator's disk",
                    in_one_line(error)
                ))
            };
            acts.record(&act).map_err(|error| refused(&error))?;
            said.map_or(Ok(()), |said| shelf.write(&said)).map_err(|error| refused(&error))
        });
        recorded.await.map_err(|error| Failure::Broken(format!("the coordinator failed at it: {error}")))?
    }

    /// Disposes of what nobody holds. What leases hold outlives this coordinator, and so does what was prepared for them.
    async fn end(&mut self) {
        // What is being prepared or reset is in nobody's hands: it is stopped, and begun anew by the next coordinator.
        self.hooks.shutdown().await;
        let usage = self.usage.clone();
        let is_held = |key: &Key| usage.is_held(&key.0, key.1.as_ref());
        let mut jobs = self.keeper.close(&is_held);
        jobs.extend(std::mem::take(&mut self.dispose).into_iter().filter(|job| !is_held(&job.key)));
        let mut ending = JoinSet::new();
        for mut job in jobs {
            let (permits, left) = (Arc::clone(&self.permits), self.left.remove(&job.key));
            ending.spawn(async move {
                if let Some(hook) = &mut job.hook {
                    hook.retries = 0;
                }
                if let Err(reason) = hook::perform(&job, &permits).await {
                    tracing::warn!(resource = %job.key.0, item = job.key.1.as_deref(), %reason, "cannot be disposed of");
                }
                if let Some(left) = left {
                    left.stop().await;
                }
            });
        }
        let all = async { while ending.join_next().await.is_some() {} };
        if tokio::time::timeout(END, all).await.is_err() {
            tracing::warn!(limit = ?END, "disposing of resources took too long, and was stopped");
        }
        ending.shutdown().await;
    }
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// So many leases, in words.
fn leases(held: u32) -> String {
    if held == 1 { "1 lease".to_owned() } else { format!("{held} leases") }
}
