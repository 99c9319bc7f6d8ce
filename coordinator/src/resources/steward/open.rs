//! Beginning: what was declared before is read, and pools whose items a hook makes are made.

use super::office::Office;
use super::{Steward, WAITING};
use crate::Error;
use crate::driver::DriverHandle;
use crate::resources::acts::Acts;
use crate::resources::catalogue::Catalogue;
use crate::resources::catalogue::kept::Shelf;
use crate::resources::keeper::hook::{self, Left};
use crate::resources::keeper::{Job, Key, Stage};
use crate::resources::usage::Usage;
use crate::resources::{Databases, Errand, catalogue::Offers};
use crate::store::papers::Papers;
use regatta_domain::{Resource, ResourceKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// What a steward begins with.
pub(crate) struct Opening {
    pub(super) shelf: Shelf,
    pub(super) acts: Acts,
    pub(super) catalogue: Catalogue,
    pub(super) permits: Arc<Semaphore>,
    pub(super) made: Made,
}

/// What hooks made before anything was offered.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Processes that they left running.
    pub(super) left: BTreeMap<Key, Left>,
    /// What ends pools that a hook filled.
    pub(super) dispose: Vec<Job>,
}

impl Opening {
    /// Reads what was declared among these papers, beside what is configured. Pools without items are filled by their
    /// hooks.
    ///
    /// # Errors
    /// When what was declared cannot be read, or a pool cannot be filled.
    pub(crate) async fn new(papers: Papers, configured: &Offers) -> Result<Self, Error> {
        let (shelf, acts) = (Shelf::new(papers.clone()), Acts::new(papers));
        let read = shelf.clone();
        let said = regatta_runtime::threads::on_disk(move || read.read()).await;
        let said = said.map_err(|error| Error::Thread(Arc::new(error.into())))?;
        let said = said.map_err(|error| Error::Declared(Arc::new(error)))?;
        let permits = Arc::new(Semaphore::new(hook::AT_ONCE));
        let mut resources: BTreeMap<Arc<str>, Arc<Resource>> =
            configured.iter().map(|(name, offer)| (Arc::clone(name), Arc::clone(&offer.resource))).collect();
        let made = Made::fill(&mut resources, &permits).await?;
        Ok(Self { shelf, acts, catalogue: Catalogue::new(resources, said), permits, made })
    }

    /// Starts the steward: the core is told what is offered, and how it is.
    ///
    /// # Errors
    /// When the driver has stopped.
    pub(crate) async fn start(
        self,
        driver: DriverHandle,
        databases: Databases,
        usage: Usage,
        errands: mpsc::Receiver<Errand>,
    ) -> Result<Steward, crate::driver::Gone> {
        let (to, asked) = mpsc::channel(WAITING);
        let (tell, offers) = watch::channel(Arc::default());
        let mut office = Office::new(self, (driver, databases), usage.clone(), tell);
        office.begin().await?;
        tokio::spawn(office.work(asked, errands));
        Ok(Steward { to, offers, usage })
    }
}

impl Made {
    /// Fills the pools without items, all at the same time.
    async fn fill(resources: &mut BTreeMap<Arc<str>, Arc<Resource>>, permits: &Arc<Semaphore>) -> Result<Self, Error> {
        let mut hooks = JoinSet::new();
        for (name, resource) in resources.iter() {
            if resource.kind == ResourceKind::Pool && resource.items.is_empty() {
                let hook = resource.hooks.prepare.clone();
                let job = Job { key: (Arc::clone(name), None), stage: Stage::Prepare, hook, values: BTreeMap::new() };
                let permits = Arc::clone(permits);
                hooks.spawn(async move { (Arc::clone(&job.key.0), hook::perform(&job, &permits).await) });
            }
        }
        let mut made = Self::default();
        while let Some(ended) = hooks.join_next().await {
            let (name, output) = ended.map_err(|error| Error::Thread(Arc::new(error.into())))?;
            let refused = |reason: String| Error::Unprepared { resource: name.to_string(), reason };
            let output = output.map_err(refused)?;
            let key: Key = (Arc::clone(&name), None);
            made.left.extend(output.left.map(|left| (key.clone(), left)));
            let items = output.provided.into_items();
            if items.is_empty() {
                made.end().await;
                return Err(refused("it has no items, and no hook that prepares it printed any".to_owned()));
            }
            if let Some(resource) = resources.get_mut(&name) {
                let resource = Arc::make_mut(resource);
                resource.items = items;
                // What made all of them is not run again for each, nor is what ends them.
                resource.hooks.prepare = None;
                let dispose = resource.hooks.dispose.take();
                made.dispose.push(Job { key, stage: Stage::Dispose, hook: dispose, values: BTreeMap::new() });
            }
        }
        Ok(made)
    }

    /// Stops what was left running.
    async fn end(self) {
        for (_, left) in self.left {
            left.stop().await;
        }
    }
}
