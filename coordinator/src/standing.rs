//! How a coordinator stands among those that share its store: it leads, or it stands by.
//!
//! It leaves to others how that comes about. Whoever decides it keeps the sending end of a `watch`; the services look at the other.

use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Notify, watch};

/// How a coordinator stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It leads.
    Leads {
        /// How long nobody else can lead, whatever happens; `None` where nobody else is there to. Beyond it this coordinator vouches
        /// for nothing until it is told of a later moment: it may have been deposed, and not have heard of it.
        until: Option<Instant>,
        /// Since when, in a store that is shared: greater than that of every leader before. 0 in one that is not.
        epoch: u64,
    },
    /// Another one leads, or is about to.
    Standby {
        /// Where that one says that it can be reached, if that is known.
        leader: Option<Arc<str>>,
    },
}

impl Standing {
    /// How a coordinator stands that shares its store with nobody.
    #[must_use]
    pub fn alone() -> watch::Receiver<Self> {
        watch::channel(Self::Leads { until: None, epoch: 0 }).1
    }

    /// Whether it certainly leads at this moment.
    #[must_use]
    pub fn leads_at(&self, now: Instant) -> bool {
        match self {
            Self::Leads { until, .. } => until.is_none_or(|until| now < until),
            Self::Standby { .. } => false,
        }
    }

    /// Why it does not serve, for whoever asked the wrong one.
    pub(crate) fn refusal(&self) -> String {
        match self {
            Self::Leads { .. } => "this coordinator does not know whether it still leads; dial again".to_owned(),
            Self::Standby { leader: Some(leader) } => format!("this coordinator stands by; {leader} leads"),
            Self::Standby { leader: None } => "this coordinator stands by; which one leads is not known yet".to_owned(),
        }
    }
}

/// The wish that another coordinator leads. Clones stand for the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover(Arc<Notify>);

impl Handover {
    /// Wishes it: also where nobody waits for that yet.
    pub(crate) fn wish(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody does.
    pub(crate) async fn wished(&self) {
        self.0.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_that_was_not_confirmed_in_time_vouches_for_nothing() {
        let now = Instant::now();
        let leads = Standing::Leads { until: Some(now + Duration::from_secs(3)), epoch: 1 };
        assert!(leads.leads_at(now));
        assert!(!leads.leads_at(now + Duration::from_secs(3)));
        assert!(Standing::alone().borrow().leads_at(now + Duration::from_secs(1 << 20)));
        assert!(!Standing::Standby { leader: None }.leads_at(now));
    }
}
