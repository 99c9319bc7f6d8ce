//! What was seen of the tests of a run, read from its record.

use crate::command::recorded;
use crate::error::Error;
use crate::view::View;
use regatta_domain::database::Observation;
use regatta_domain::evidence::Evidence;
use regatta_domain::result::TestResult;
use regatta_domain::{Confidence, Level, RunId, TestIx};
use regatta_wire::v1::runs_client::RunsClient;
use regatta_wire::v1::{self, run_event::Event};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::transport::Channel;

/// A run, with what its tests did to their databases.
pub(super) struct Seen {
    /// The run.
    pub(super) view: View,
    /// What was seen of the attempts of each test, in order.
    attempts: BTreeMap<TestIx, Vec<Attempt>>,
}

/// An attempt, with what was seen of it.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Its number, from 1.
    pub(super) number: u16,
    /// What was seen.
    pub(super) observation: Arc<Observation>,
    /// Why it did not pass.
    pub(super) reason: Option<Arc<str>>,
}

impl Seen {
    /// Reads what is recorded of a run: all of it, or of a live one as far as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn read(client: &mut RunsClient<Channel>, run: RunId) -> Result<Self, Error> {
        let mut seen = Self { view: View::new(run), attempts: BTreeMap::new() };
        recorded::read(client, run, 0, |event| seen.take(event)).await?;
        Ok(seen)
    }

    fn take(&mut self, event: v1::RunEvent) -> Result<(), regatta_wire::Invalid> {
        if let Some(Event::ResultsAccepted(accepted)) = &event.event {
            for result in accepted.results.iter().filter_map(|accepted| accepted.result.clone()) {
                let result = TestResult::try_from(result)?;
                if let Some(observation) = result.observation {
                    let attempt = Attempt { number: result.attempt, observation, reason: result.reason };
                    self.attempts.entry(result.test).or_default().push(attempt);
                }
            }
        }
        self.view.apply(event).map(|_| ())
    }

    /// What was seen of the attempts of a test, in order; those that had no database are not among them.
    pub(super) fn attempts(&self, test: TestIx) -> &[Attempt] {
        self.attempts.get(&test).map_or(&[], Vec::as_slice)
    }

    /// Whether anything was seen at all.
    pub(super) fn is_blind(&self) -> bool {
        self.attempts.is_empty()
    }
}

impl Attempt {
    /// The evidence, as far as it is kept for good.
    pub(super) fn evidence(&self) -> Evidence {
        Evidence::decode(self.observation.evidence)
    }

    /// How far what was seen may be trusted.
    pub(super) fn confidence(&self) -> Confidence {
        if self.observation.lost { Confidence::Low } else { self.evidence().confidence() }
    }

    /// The level that what it did belongs to.
    pub(super) fn seen(&self) -> Level {
        self.observation.seen
    }
}

/// How a confidence is called.
pub(super) const fn confidence_name(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low",
        Confidence::Fair => "fair",
        Confidence::Full => "full",
    }
}
