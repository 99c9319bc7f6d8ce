//! The document as its schema has it: these names, these types, nothing else.

use regatta_domain::{Cause, Exit};
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};
use std::borrow::Cow;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    pub(super) report_format: &'static str,
    pub(super) spec_version: &'static str,
    pub(super) report_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<String>,
    pub(super) generated_by: &'static str,
    pub(super) results: Results<'a>,
}

#[derive(Serialize)]
pub(super) struct Results<'a> {
    pub(super) tool: Tool,
    pub(super) summary: Summary,
    pub(super) tests: Each<'a>,
}

/// Hands out one test after the other.
type Source<'a> = Box<dyn Fn(&mut dyn FnMut(Test<'_>)) + 'a>;

/// A list that is never held: each item is written as soon as it is made.
pub(super) struct Each<'a>(pub(super) Source<'a>);

impl Serialize for Each<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut first_error = Ok(());
        (self.0)(&mut |test| {
            if first_error.is_ok() {
                first_error = list.serialize_element(&test);
            }
        });
        first_error?;
        list.end()
    }
}

#[derive(Serialize)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}

#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) tests: usize,
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    pub(super) pending: usize,
    pub(super) other: usize,
    pub(super) flaky: usize,
    pub(super) suites: usize,
    pub(super) start: u64,
    pub(super) stop: u64,
    pub(super) duration: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Passed,
    Failed,
    Skipped,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Test<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) name: Cow<'a, str>,
    pub(super) status: Status,
    pub(super) duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop: Option<u64>,
    pub(super) suite: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<String>,
    pub(super) raw_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u32>,
    pub(super) retries: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) retry_attempts: Vec<Retry>,
    pub(super) flaky: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stdout: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thread_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra: Option<Extra>,
}

/// Why something did not pass, which the format has no words for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extra {
    pub(super) cause: &'static str,
    pub(super) transient: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal_name: Option<&'static str>,
}

impl Extra {
    /// What is to be said of a cause, and of the end of a process.
    pub(super) fn of(cause: Cause, exit: Option<Exit>) -> Self {
        let (exit_status, signal) = match exit {
            Some(Exit::Status(status)) => (Some(status), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        let signal_name = exit.and_then(Exit::signal_name);
        Self { cause: cause.key(), transient: cause.is_transient(), exit_status, signal, signal_name }
    }
}

#[derive(Serialize)]
pub(super) struct Retry {
    pub(super) attempt: u16,
    pub(super) status: Status,
    pub(super) duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<String>,
    pub(super) start: u64,
    pub(super) stop: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra: Option<Extra>,
}
