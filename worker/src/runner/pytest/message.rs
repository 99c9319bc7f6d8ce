//! What worker and host say to each other, one JSON object a line. The page docs/runner-protocol.md explains it.

use crate::runner::attempts::Stems;
use regatta_domain::listing::ListedTest;
use regatta_domain::{Level, Nuance, Outcome};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The version of what they say. Both ends come out of the same binary, so that it may change at will.
pub(super) const PROTOCOL: u32 = 1;

/// The first message of a worker: how pytest is to be set up.
#[derive(Debug, Serialize)]
pub(super) struct Setup<'a> {
    /// Arguments of pytest.
    pub(super) args: &'a [String],
    /// The seed of plugins that shuffle.
    pub(super) seed: u64,
    /// The slot, and how many the worker has.
    pub(super) slot: u16,
    pub(super) slots: u16,
    /// The run.
    pub(super) run: String,
    /// Variables to set.
    pub(super) env: Vec<(String, String)>,
    /// Where tracebacks go when SIGUSR1 asks for them.
    pub(super) traces: &'a str,
    /// What is told of the first shard.
    pub(super) shard: &'a Stems,
}

/// A test to run: number of the file, number of the test, attempt, name; and variables of its own, where it has some.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Item {
    Plain(u32, u64, u16, Arc<str>),
    With(u32, u64, u16, Arc<str>, Vec<(String, String)>),
}

/// What a worker asks of a host.
#[derive(Debug, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Do<'a> {
    /// Find the files.
    Discover,
    /// Collect a file, from now on known as `n`; answered by its names alone, or by all there is to tell of its tests.
    Collect { n: u32, file: &'a str, names: bool },
    /// Tell all there is of the tests of a file that was collected.
    List { n: u32 },
    /// Run these tests in this order, after those that were asked for before.
    Run { tests: Vec<Item> },
    /// From now on it is for another shard.
    Shard { shard: &'a Stems },
    /// Begin no test of those that were asked for.
    Halt,
    /// Tear everything down, and leave.
    Shutdown,
}

/// What a host says.
#[derive(Debug, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum Say {
    /// It is ready.
    Hello { protocol: u32, version: String, python: String },
    /// The files.
    Files { files: Vec<Arc<str>>, more: bool },
    /// The tests of a file: their names, or rows of them.
    Collected {
        n: u32,
        #[serde(default)]
        names: Vec<Arc<str>>,
        #[serde(default)]
        tests: Vec<Row>,
        more: bool,
    },
    /// A test begins, at this moment (microseconds since the epoch).
    Started { ix: u64, at: u64 },
    /// A test ended.
    Result {
        ix: u64,
        outcome: Ended,
        #[serde(default)]
        nuance: Nuance,
        us: u64,
        reason: Option<String>,
        output: Option<String>,
    },
    /// Something went wrong beside the tests; `n` is the file, where it is one.
    Error { n: Option<u32>, kind: Kind, place: String, message: String },
    /// Those that were asked for and have not begun will not.
    Halted,
    /// Something to say to people.
    Note { text: String },
    /// It tore down everything, and leaves.
    Bye,
}

/// How a test ended, as far as a host lives to see it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    Passed,
    Failed,
    Skipped,
    Missing,
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Passed => Self::Passed,
            Ended::Failed => Self::Failed,
            Ended::Skipped => Self::Skipped,
            Ended::Missing => Self::Missing,
        }
    }
}

/// What kind of thing went wrong beside the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Collection,
    Runner,
    Teardown,
}

/// A test in a listing: name, line, group, tags, level.
#[derive(Debug, Deserialize)]
pub(super) struct Row(Arc<str>, u32, Option<Arc<str>>, Vec<Arc<str>>, Option<String>);

impl Row {
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// The test; `Err` with the level where there is no such level.
    pub(super) fn listed(self) -> Result<ListedTest, (Arc<str>, String)> {
        let Self(name, line, group, tags, level) = self;
        let level = match level.as_deref() {
            None | Some("none") => Level::None,
            Some("read") => Level::Read,
            Some("transaction") => Level::Transaction,
            Some("isolated") => Level::Isolated,
            Some("exclusive") => Level::Exclusive,
            Some(other) => return Err((name, other.to_owned())),
        };
        Ok(ListedTest { name, line, group, tags, level, ignored: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_is_understood() {
        let say = |line: &str| serde_json::from_str::<Say>(line).unwrap();
        assert!(matches!(say(r#"{"say":"started","ix":3,"at":17}"#), Say::Started { ix: 3, at: 17 }));
        let passed = say(r#"{"say":"result","ix":3,"outcome":"passed","us":80}"#);
        assert!(matches!(passed, Say::Result { ix: 3, outcome: Ended::Passed, nuance: Nuance::Plain, us: 80, .. }));
        let failed = r#"{"say":"result","ix":3,"outcome":"failed","nuance":"setup_error","us":80,"reason":"no"}"#;
        assert!(matches!(say(failed), Say::Result { nuance: Nuance::SetupError, reason: Some(_), output: None, .. }));
        let rows = say(r#"{"say":"collected","n":1,"tests":[["t",4,"module",["slow"],"read"]],"more":false}"#);
        let Say::Collected { tests, .. } = rows else { panic!("{rows:?}") };
        let test = tests.into_iter().next().unwrap().listed().unwrap();
        assert_eq!((&*test.name, test.line, test.group.as_deref(), test.level), ("t", 4, Some("module"), Level::Read));
    }
}
