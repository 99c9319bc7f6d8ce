//! On what a plan is rehearsed: slots, what their workers carry, and the resources that they share.

use crate::needs::Resources;
use regatta_core::Tuning;
use regatta_core::rehearsal::Station;
use regatta_domain::{Micros, Resource};
use regatta_wire::v1;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a message takes within a process.
const WITHIN: Micros = Micros(100);

/// What a message takes across a network.
const ACROSS: Micros = Micros(1_000);

/// A fleet, as a forecast sees it.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    /// What each slot's worker carries; a fleet of another size is made of the same in turn. Never empty.
    carried: Vec<Vec<Arc<str>>>,
    /// The slots that are there.
    pub(crate) slots: u32,
    /// The resources.
    pub(crate) resources: Resources,
    /// The numbers that its coordinator decides by.
    pub(super) tuning: Tuning,
    /// What a message takes.
    pub(super) latency: Micros,
}

impl Fleet {
    /// This machine, which carries whatever suites require.
    pub(crate) fn here(slots: u32, labels: &[String], resources: Resources) -> Self {
        let carried = vec![labels.iter().map(|label| label.as_str().into()).collect()];
        Self { carried, slots: slots.max(1), resources, tuning: Tuning::LOCAL, latency: WITHIN }
    }

    /// The workers of a coordinator, as it tells of them; `None` where there are none that take work.
    pub(crate) fn of(told: &v1::WorkersResponse) -> Option<Self> {
        let staying = told.workers.iter().filter(|worker| !worker.draining);
        let carried: Vec<Vec<Arc<str>>> = staying
            .flat_map(|worker| {
                let labels: Vec<Arc<str>> = worker.labels.iter().map(|label| label.as_str().into()).collect();
                std::iter::repeat_n(labels, worker.slots as usize)
            })
            .collect();
        let slots = u32::try_from(carried.len()).ok().filter(|&slots| slots > 0)?;
        let resources =
            told.resources.iter().map(|need| (need.resource.as_str().into(), Resource::of_seats(need.seats))).collect();
        Some(Self { carried, slots, resources, tuning: Tuning::CLUSTER, latency: ACROSS })
    }

    /// How many may hold some of each resource at once.
    pub(crate) fn seats(&self) -> BTreeMap<Arc<str>, u32> {
        self.resources.iter().map(|(name, resource)| (Arc::clone(name), resource.total())).collect()
    }

    /// So many slots of this fleet's kind.
    pub(super) fn stations(&self, slots: u32) -> Vec<Station> {
        let labels = self.carried.iter().cycle().take(slots as usize);
        labels.map(|labels| Station { labels: labels.clone(), ..Station::default() }).collect()
    }
}
