//! What people are told beside the history: what begins, what comes too late, and what keeps a run waiting. It is kept nowhere.

use super::Driver;
use crate::projector::News;
use crate::resources;
use regatta_core::state::Phase;
use regatta_core::{Command, Entry, Event, Health, Run};
use regatta_domain::{TestIx, Time, Token};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a command is about to say of a resource, or of an item of it, and how that was before.
pub(super) struct Examined {
    resource: Arc<str>,
    item: Option<Arc<str>>,
    before: Health,
}

impl Driver {
    /// Tells whoever watches what begins; before anything that follows from the same words, so that a test is never told
    /// to begin after its end.
    pub(super) fn tell_started(&self, at: Time, command: &Command) {
        let Command::Report { worker, entries, .. } = command else { return };
        let started = |entry: &Entry| match entry {
            Entry::Started { token, test } => Some((*token, *test)),
            _ => None,
        };
        let mut by_lease: BTreeMap<Token, Vec<TestIx>> = BTreeMap::new();
        for (token, test) in entries.iter().filter_map(started) {
            by_lease.entry(token).or_default().push(test);
        }
        for (token, tests) in by_lease {
            if let Some(lease) = self.core.state().leases.get(&token).filter(|lease| lease.worker == *worker) {
                self.projector.tell(News::Started { run: lease.run, at, worker: *worker, slot: lease.slot, tests });
            }
        }
    }

    /// What a command says of the health of something.
    pub(super) fn examined(&self, command: &Command) -> Option<Examined> {
        let Command::Examined { resource, item, .. } = command else { return None };
        let before = self.core.ledger().health(resource, item.as_ref());
        Some(Examined { resource: Arc::clone(resource), item: item.clone(), before })
    }

    /// Tells whoever watches a run that needs something that it has fallen ill, or is well again: nobody would know else why
    /// nothing happens.
    pub(super) fn tell_health(&self, at: Time, examined: Option<Examined>) {
        let Some(Examined { resource, item, before }) = examined else { return };
        let after = self.core.ledger().health(&resource, item.as_ref());
        if (before == Health::Ill) == (after == Health::Ill) {
            return;
        }
        let name = resources::told(&resource, item.as_deref());
        let text = if after == Health::Ill {
            format!("`{name}` is not well: what needs it waits, and goes on by itself; `regatta resources` says why")
        } else {
            format!("`{name}` is well again")
        };
        let needs = |run: &&Run| run.phase == Phase::Running && run.resources.contains(&resource);
        for run in self.core.state().runs.values().filter(needs) {
            self.projector.tell(News::Note { run: run.id, at, text: text.clone() });
        }
    }
}

/// Tells people of results that come too late. What was heard before, and is said again over a new connection, is not among them.
pub(super) fn tell_late(event: &Event) {
    if let Event::ResultsRefused { run, token, worker, results, .. } = event {
        let (token, results) = (token.0, results.len());
        tracing::warn!(%run, %worker, token, results, "late results are refused: the lease is not this worker's any more");
    }
}
