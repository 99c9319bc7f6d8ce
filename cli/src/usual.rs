//! What the tests of a run asked of their databases before: what the run is compared with when it has ended.
//!
//! Read once, before the run adds to it. Which figures compare, and what is much more, says `shared/domain/src/history`.

use crate::view::View;
use regatta_domain::TestIx;
use regatta_domain::history::{Queried, Queries, Slower};
use regatta_domain::listing::test_id;
use regatta_wire::history::queries;
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::submission::Request;
use regatta_wire::v1;
use regatta_wire::v1::history_client::HistoryClient;
use std::cmp::Reverse;
use std::collections::HashMap;
use tonic::transport::Channel;

/// What is remembered of the tests that were counted before: by suite, and by the test's id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usual(HashMap<String, HashMap<String, Queries>>);

impl Usual {
    /// Reads what is known of the suites of a run, on its branch.
    ///
    /// # Errors
    /// When the coordinator does not say it.
    pub(crate) async fn read(channel: Channel, request: &Request) -> Result<Self, tonic::Status> {
        let mut client = HistoryClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        let mut usual = Self::default();
        for suite in &request.suites {
            let asked = v1::ExportRequest {
                project: request.project.to_string(),
                suite: Some(suite.suite.name.to_string()),
                branch: request.branch.as_deref().unwrap_or_default().to_owned(),
                environment: request.environment.as_deref().unwrap_or_default().to_owned(),
            };
            let mut stream = client.export(asked).await?.into_inner();
            while let Some(v1::ExportResponse { suite, tests }) = stream.message().await? {
                for test in tests.iter().filter(|test| !test.queried.is_empty()) {
                    usual.insert(&suite, test_id(&test.file, &test.name), queries(test));
                }
            }
        }
        Ok(usual)
    }

    /// What a test asked before.
    pub(crate) fn insert(&mut self, suite: &str, id: String, queries: Queries) {
        self.0.entry(suite.to_owned()).or_default().insert(id, queries);
    }

    /// The tests of the run that asked much more than they used to: those that sent more statements first, and of these the
    /// ones that sent most more.
    pub(crate) fn slower(&self, view: &View) -> Vec<(TestIx, Slower)> {
        let slower = |(ix, test): (TestIx, &crate::view::Test)| {
            let before = self.0.get(&view.suite_of(ix).name)?.get(&view.id(ix))?;
            let seen = test.last()?.observation.as_deref()?;
            Some((ix, before.slower(Queried::of(seen, test.verdict?)?)?))
        };
        let mut slower: Vec<(TestIx, Slower)> = view.planned().filter_map(slower).collect();
        slower.sort_by_key(|(ix, Slower { usual, now, more_calls, .. })| {
            let more = (now.calls.saturating_sub(usual.calls), now.time.saturating_sub(usual.time));
            (Reverse((*more_calls, more)), *ix)
        });
        slower
    }
}
