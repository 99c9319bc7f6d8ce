//! The record of a run, with its shards: who was granted what, when, and what waited then.

use crate::command::recorded;
use crate::error::Error;
use crate::view::View;
use regatta_domain::{Micros, RunId, TestIx, Time};
use regatta_wire::v1::runs_client::RunsClient;
use regatta_wire::v1::{self, run_event::Event};
use regatta_wire::{Invalid, v1::LeaseEnd};
use std::collections::BTreeMap;
use tonic::transport::Channel;

/// A run, with its shards.
pub(super) struct Record {
    /// The run.
    pub(super) view: View,
    /// The shards, in the order in which they were granted.
    pub(super) shards: Vec<Shard>,
    /// The shards by which tests ended, by test, in order: places among the shards.
    pub(super) ended_in: BTreeMap<TestIx, Vec<usize>>,
    /// The shards by token.
    by_token: BTreeMap<u64, usize>,
    /// Which tests wait, in no shard.
    waits: Vec<bool>,
    /// How long those may take.
    waiting: Micros,
}

/// A shard.
pub(super) struct Shard {
    /// The token of its lease.
    pub(super) token: u64,
    /// When it was granted.
    pub(super) at: Time,
    /// To which worker.
    pub(super) worker: String,
    /// To which slot of it.
    pub(super) slot: u32,
    /// Its tests, in order; those of files that had to be listed join it as they end.
    pub(super) tests: Vec<TestIx>,
    /// Tests that were taken back from it, and when.
    pub(super) given_back: Vec<(TestIx, Time)>,
    /// How long what waited then may have taken, this shard included.
    pub(super) of: Micros,
    /// How it ended.
    pub(super) end: Option<LeaseEnd>,
}

impl Record {
    pub(super) fn new(run: RunId) -> Self {
        Self {
            view: View::new(run),
            shards: Vec::new(),
            ended_in: BTreeMap::new(),
            by_token: BTreeMap::new(),
            waits: Vec::new(),
            waiting: Micros::ZERO,
        }
    }

    /// Reads what is recorded of a run: all of it, or of a live one as far as it is now.
    pub(super) async fn read(client: &mut RunsClient<Channel>, run: RunId) -> Result<Self, Error> {
        let mut record = Self::new(run);
        recorded::read(client, run, 0, |event| record.take(event)).await?;
        if record.view.ended.is_some() {
            // What came too late is recorded behind the end of the run, where a watcher has stopped to listen.
            recorded::read(client, run, record.view.seq, |event| record.take(event)).await?;
        }
        Ok(record)
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, event: v1::RunEvent) -> Result<(), Invalid> {
        let at = Time(event.at);
        let said = event.event.clone();
        self.view.apply(event)?;
        let all: Vec<usize> = (self.waits.len()..self.view.tests.len()).collect();
        self.waits.resize(self.view.tests.len(), false);
        all.into_iter().for_each(|test| self.wait(TestIx::nth(test)));
        match said {
            Some(Event::ShardLeased(leased)) => {
                let of = self.waiting;
                let tests: Vec<TestIx> = leased.tests.into_iter().map(TestIx).collect();
                tests.iter().for_each(|&test| self.leave(test));
                self.by_token.insert(leased.token, self.shards.len());
                let (worker, slot, given_back) = (leased.worker, leased.slot, Vec::new());
                let token = leased.token;
                self.shards.push(Shard { token, at, worker, slot, tests, given_back, of, end: None });
            }
            Some(Event::ResultsAccepted(accepted)) => {
                let Some(&place) = self.by_token.get(&accepted.token) else { return Ok(()) };
                for result in accepted.results.into_iter().filter_map(|accepted| accepted.result) {
                    let test = TestIx(result.test);
                    self.leave(test);
                    self.ended_in.entry(test).or_default().push(place);
                    if !self.shards[place].tests.contains(&test) {
                        self.shards[place].tests.push(test);
                    }
                }
            }
            Some(Event::TestsGivenBack(back)) => {
                let Some(&place) = self.by_token.get(&back.token) else { return Ok(()) };
                for test in back.tests.into_iter().map(TestIx) {
                    self.wait(test);
                    self.shards[place].given_back.push((test, at));
                }
            }
            Some(Event::LeaseEnded(ended)) => {
                let Some(place) = self.by_token.remove(&ended.token) else { return Ok(()) };
                self.shards[place].end = Some(ended.cause());
                for test in self.shards[place].tests.clone() {
                    let back = self.shards[place].given_back.iter().any(|&(given, _)| given == test);
                    if !back {
                        self.wait(test);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn wait(&mut self, test: TestIx) {
        let Some(found) = self.view.tests.get(test.at()) else { return };
        if found.verdict.is_none() && !found.gone && !self.waits[test.at()] {
            self.waits[test.at()] = true;
            self.waiting += found.estimate;
        }
    }

    fn leave(&mut self, test: TestIx) {
        if self.waits.get(test.at()).copied().unwrap_or_default() {
            self.waits[test.at()] = false;
            self.waiting = self.waiting.saturating_sub(self.view.test(test).estimate);
        }
    }

    /// Whether a test waits, in no shard.
    pub(super) fn waits(&self, test: TestIx) -> bool {
        self.waits[test.at()] && self.view.test(test).verdict.is_none() && !self.view.test(test).gone
    }

    /// The live shards, by their places.
    pub(super) fn live(&self) -> impl Iterator<Item = &Shard> {
        self.by_token.values().map(|&place| &self.shards[place])
    }

    /// The shards that held a test, by their places, in order.
    pub(super) fn held(&self, test: TestIx) -> impl Iterator<Item = usize> {
        let holds = move |(_, shard): &(usize, &Shard)| shard.tests.contains(&test);
        self.shards.iter().enumerate().filter(holds).map(|(place, _)| place)
    }

    /// From the submission of the run to a moment.
    pub(super) fn since(&self, at: Time) -> Micros {
        at.since(self.view.submitted)
    }
}

/// A slot, as people tell it from others: by the beginning of its worker's id, where there is more than one worker.
pub(super) fn slot_of(view: &View, worker: &str, slot: u32) -> String {
    let is_only = view.slots.keys().all(|(other, _)| other == worker);
    if is_only { format!("slot {slot}") } else { format!("{}/{slot}", worker.get(..8).unwrap_or(worker)) }
}
