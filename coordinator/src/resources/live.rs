//! The leases that are live right now: the fence that every request passes which is not a report to the core.

use dashmap::DashMap;
use regatta_core::State;
use regatta_domain::database::PlannedDatabase;
use regatta_domain::{RunId, SuiteIx, Token, WorkerId};
use std::sync::Arc;

/// A live lease, as far as others than the core need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveLease {
    /// Who holds it.
    pub(crate) worker: WorkerId,
    /// Of which run.
    pub(crate) run: RunId,
    /// The databases of its suite.
    pub(crate) databases: Arc<[PlannedDatabase]>,
    /// Whether the run wants to know what its tests ask of them.
    pub(crate) statements: bool,
}

impl LiveLease {
    pub(super) fn of(state: &State, run: RunId, worker: WorkerId, suite: SuiteIx) -> Self {
        let run_of = state.run(run);
        let planned = run_of.map(|found| found.suite(suite).suite.databases.as_slice()).unwrap_or_default();
        let statements = run_of.is_some_and(|found| found.policy.statements);
        Self { worker, run, databases: planned.into(), statements }
    }
}

/// The leases that are live. Written by the driver alone, once their events are durable; read by whoever serves workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<DashMap<Token, LiveLease>>);

impl Live {
    pub(super) fn begin(&self, token: Token, lease: LiveLease) {
        self.0.insert(token, lease);
    }

    pub(super) fn end(&self, token: Token) {
        self.0.remove(&token);
    }

    /// The lease, where it is live.
    pub(crate) fn get(&self, token: Token) -> Option<LiveLease> {
        self.0.get(&token).map(|lease| lease.clone())
    }
}
