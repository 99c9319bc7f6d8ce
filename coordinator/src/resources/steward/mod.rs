//! The steward: the task that owns the catalogue and looks after what is in it, and how it is asked.
//!
//! Whatever changes goes through it, one thing after another: on record, durable, told to the core, then answered. It leaves
//! what may be decided to [`super::catalogue`], and which hook is due to [`super::keeper`].

mod office;
mod open;

pub(crate) use open::Opening;

use super::catalogue::{Offers, Reserve, few};
use super::keeper::{Condition, Key};
use super::usage::Usage;
use regatta_domain::{Item, Need, Resource};
use regatta_wire::Failure;
use regatta_wire::resource::Named;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that wait for the steward: people and their tools, now and then.
const WAITING: usize = 64;

/// How the steward is asked. Clones reach the same one.
#[derive(Clone)]
pub(crate) struct Steward {
    to: mpsc::Sender<Ask>,
    offers: watch::Receiver<Arc<Offers>>,
    usage: Usage,
}

/// What the steward is asked.
enum Ask {
    Wish { wish: Wish, by: Arc<str>, answer: oneshot::Sender<Result<Granted, Failure>> },
    Look(oneshot::Sender<Overview>),
    Stop(oneshot::Sender<()>),
}

/// What somebody wants to be done.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Declare(Box<Named>),
    Withdraw { name: Arc<str> },
    Drain { name: Arc<str>, item: Option<Arc<str>>, undo: bool },
    Release { name: Arc<str>, item: Option<Arc<str>> },
    Reserve(Reserve),
}

/// What came of a wish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Leases that still hold it; or that were ended.
    pub(crate) leases: u32,
    /// The item that was reserved.
    pub(crate) item: Option<Item>,
    /// It is not being reset or prepared.
    pub(crate) is_ready: bool,
}

/// What there is, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overview {
    pub(crate) offers: Offers,
    /// Those that were declared over the service.
    pub(crate) declared: std::collections::BTreeSet<Arc<str>>,
    pub(crate) conditions: BTreeMap<Key, Condition>,
}

impl Steward {
    /// What is offered right now.
    pub(crate) fn offers(&self) -> Arc<Offers> {
        Arc::clone(&self.offers.borrow())
    }

    /// What leases hold, and for how long.
    pub(crate) const fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Has something done. Answered once it is durable and the core knows.
    ///
    /// # Errors
    /// When it is refused, with the reason; or the coordinator stops.
    pub(crate) async fn ask(&self, wish: Wish, by: &str) -> Result<Granted, Failure> {
        let (answer, answered) = oneshot::channel();
        let by = if by.is_empty() { "somebody".into() } else { by.into() };
        let asked = Ask::Wish { wish, by, answer };
        self.to.send(asked).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Everything that there is.
    ///
    /// # Errors
    /// When the coordinator stops.
    pub(crate) async fn look(&self) -> Result<Overview, Failure> {
        let (answer, answered) = oneshot::channel();
        self.to.send(Ask::Look(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }

    /// Disposes of what nobody holds, within a bound, and ends.
    pub(crate) async fn stop(&self) {
        let (answer, answered) = oneshot::channel();
        if self.to.send(Ask::Stop(answer)).await.is_ok() {
            // A steward that came to grief has nothing more to stop.
            let _stopped = answered.await;
        }
    }
}

fn gone() -> Failure {
    Failure::Unavailable("the coordinator is stopping".to_owned())
}

/// What a need lacks in what is offered, in words with what is there; nothing where it lacks nothing.
pub(crate) fn lack(offers: &Offers, need: &Need) -> Option<String> {
    let name = &need.resource;
    let Some(offer) = offers.get(name) else {
        let known = || offers.keys().map(|known| &**known);
        return Some(match regatta_domain::filter::nearest(name, known()) {
            Some(near) => format!("there is no `{name}` (did you mean `{near}`?)"),
            None if offers.is_empty() => format!("there is no `{name}`: no resources are declared"),
            None => format!("there is no `{name}` among {}", few(known())),
        });
    };
    let resource: &Resource = &offer.resource;
    if resource.suffices(need) {
        return None;
    }
    let total = resource.total();
    Some(match (need.wants.is_empty(), resource.items.is_empty()) {
        (true, _) => format!("`{name}` has {total} in all"),
        (false, true) => format!("`{name}` is a {} and has no items to choose from", resource.kind.name()),
        (false, false) => {
            let fit = resource.items.iter().filter(|item| need.fits(item)).count();
            format!("of the {total} items of `{name}` {fit} are so")
        }
    })
}
