//! Who was handed what: by lease, test and attempt. Bounded by the tests under live leases, and forgotten with each lease.

use super::Ordered;
use super::engine::Engine;
use regatta_databases::{BuildId, DatabaseLease};
use regatta_domain::{Level, TestIx, Token};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Orders to build that are remembered: more than there are templates to build at once.
const ORDERS: usize = 256;

/// An attempt of a test, or all of a shard, under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) token: Token,
    /// None for the whole shard.
    pub(super) test: Option<TestIx>,
    pub(super) attempt: u16,
}

/// What it was handed. Kept until the lease ends, so that what is asked twice is answered twice.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    pub(super) level: Level,
    /// By resource.
    pub(super) leases: Vec<(Arc<str>, Engine, DatabaseLease)>,
    pub(super) variables: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub(super) struct Claims {
    handed: BTreeMap<Claim, Handed>,
    orders: BTreeMap<u64, Ordered>,
    last_order: u64,
}

impl Claims {
    pub(super) fn get(&self, claim: &Claim) -> Option<&Handed> {
        self.handed.get(claim)
    }

    pub(super) fn put(&mut self, claim: Claim, handed: Handed) {
        self.handed.insert(claim, handed);
    }

    /// Everything under a lease is forgotten.
    pub(super) fn forget(&mut self, token: Token) {
        let first = Claim { token, test: None, attempt: 0 };
        let next = Claim { token: token.next(), ..first };
        let range = (Bound::Included(first), Bound::Excluded(next));
        let claims: Vec<Claim> = self.handed.range(range).map(|(&claim, _)| claim).collect();
        for claim in claims {
            self.handed.remove(&claim);
        }
    }

    /// Numbers an order to build.
    pub(super) fn order(&mut self, resource: Arc<str>, id: BuildId) -> u64 {
        self.last_order += 1;
        if self.orders.len() >= ORDERS {
            self.orders.pop_first();
        }
        self.orders.insert(self.last_order, (resource, id));
        self.last_order
    }

    /// The order of that number; each is carried out once.
    pub(super) fn ordered(&mut self, number: u64) -> Option<Ordered> {
        self.orders.remove(&number)
    }
}
