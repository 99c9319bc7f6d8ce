//! `[profile.NAME]`: how to run.
//!
//! Every key is optional; what is left out is inherited, down to the profile `default` and what is built in.

use super::at::At;
use super::decode::{Choice, Decode, Fields, Mistakes, Value};
use super::rules::{Override, Retries, Timeout};
use super::value::{FailFast, Limit, Name, Selected, Shuffle, Whole};
use regatta_domain::policy::{Order, Priority};
use schemars::JsonSchema;
use std::ops::Range;

/// How to run: limits, retries, order, reports. What is left out is inherited.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Profile {
    /// The profile that gives what is left out here. `default` when left out.
    pub(crate) inherits: Option<At<Name>>,
    /// The suites that run when none is named. Those that are not `default = false` when left out.
    #[schemars(length(min = 1))]
    pub(crate) suites: Option<At<Vec<At<Name>>>>,
    /// How many tests run at once, in local mode. One per processor when left out.
    pub(crate) slots: Option<At<Whole<1, 1_024>>>,
    /// How often a test that failed, timed out or crashed is run again: a count, or a table, in which each cause may have its own.
    #[schemars(default)]
    pub(crate) retries: Retries,
    /// When a test is stopped: a duration, or a table.
    #[schemars(default)]
    pub(crate) timeout: Timeout,
    /// From when on a running test is shown as slow. "30s" when left out.
    pub(crate) slow: Option<At<Limit>>,
    /// When the whole run is cancelled. Never when left out.
    pub(crate) run_timeout: Option<At<Limit>>,
    /// Cancel the run at the first failure (true), or after so many. False when left out.
    pub(crate) fail_fast: Option<At<FailFast>>,
    /// Whether tests that passed only after a retry leave the run green ("pass", when left out) or not ("fail").
    pub(crate) flaky: Option<At<Flaky>>,
    /// Hand tests out in random order: true, or a seed. False when left out.
    pub(crate) shuffle: Option<At<Shuffle>>,
    /// What goes first: what takes "longest" (when left out), or what is likely to fail ("risk").
    #[schemars(with = "Option<OrderWord>")]
    pub(crate) order: Option<At<Order>>,
    /// How the run stands against others on the same coordinator. "ci" when left out.
    #[schemars(with = "Option<PriorityWord>")]
    pub(crate) priority: Option<At<Priority>>,
    /// When the run should have ended, counted from its start: it says before its first test what that takes. None when left out.
    pub(crate) target: Option<At<Limit>>,
    /// Whether a test of level "none" or "read" that takes far longer than estimated may run a second time on an idle slot.
    /// False when left out.
    pub(crate) speculate: Option<At<bool>>,
    /// Whether the statements that tests send to their databases are counted, and the slowest told. False when left out.
    pub(crate) statements: Option<At<bool>>,
    /// The tests that run when neither a filter nor a test is given. All when left out.
    pub(crate) filter: Option<At<Selected>>,
    /// How often a test may lose its worker before it is called crashed, and a resource be unwell under it. 3 when left out.
    pub(crate) uncompleted_retries: Option<At<Whole<0, 100>>>,
    /// How many retries all tests of a run share. 10000 when left out.
    pub(crate) retry_cap: Option<At<Whole<0, 1_000_000>>>,
    /// Reports to write.
    pub(crate) report: Option<At<Vec<Report>>>,
    /// Rules for some of the tests. For each key the first that matches and sets it wins.
    #[schemars(default)]
    pub(crate) r#override: Vec<Override>,
}

/// What a flaky test does to the colour of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) enum Flaky {
    /// Nothing.
    Pass,
    /// It makes it red.
    Fail,
}

/// What goes first.
#[derive(JsonSchema)]
#[schemars(rename = "order", rename_all = "kebab-case")]
#[expect(dead_code, reason = "only describes the words in the schema")]
enum OrderWord {
    /// What takes longest.
    Longest,
    /// What is likely to fail.
    Risk,
}

/// How a run stands against others: each class has four times the share of the one before it.
#[derive(JsonSchema)]
#[schemars(rename = "priority-class", rename_all = "kebab-case")]
#[expect(dead_code, reason = "only describes the words in the schema")]
enum PriorityWord {
    /// It fills what is left.
    Soak,
    /// Nobody waits for it.
    Batch,
    /// A merge waits for it.
    Ci,
    /// A person waits for it.
    Interactive,
}

/// A report to write.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Report {
    /// What kind of report.
    pub(crate) format: ReportFormat,
    /// The file, relative to the directory that Regatta was started in.
    #[schemars(length(min = 1))]
    pub(crate) path: String,
}

/// What kind of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) enum ReportFormat {
    /// JUnit XML.
    Junit,
    /// The Common Test Report Format, JSON.
    Ctrf,
    /// The stream of events, one JSON object per line.
    Ndjson,
    /// A summary in Markdown, as GitHub shows beside a job.
    Github,
}

impl Choice for Flaky {
    const WORDS: &'static [(&'static str, Self)] = &[("pass", Self::Pass), ("fail", Self::Fail)];
}

impl Choice for Order {
    const WORDS: &'static [(&'static str, Self)] = &[("longest", Self::Longest), ("risk", Self::Risk)];
}

impl Choice for Priority {
    const WORDS: &'static [(&'static str, Self)] =
        &[("soak", Self::Soak), ("batch", Self::Batch), ("ci", Self::Ci), ("interactive", Self::Interactive)];
}

impl Choice for ReportFormat {
    const WORDS: &'static [(&'static str, Self)] =
        &[("junit", Self::Junit), ("ctrf", Self::Ctrf), ("ndjson", Self::Ndjson), ("github", Self::Github)];
}

impl Profile {
    /// Reads `[profile.NAME]`.
    pub(super) fn decode(name: &str, value: &Value<'_>, span: Range<usize>, told: &mut Mistakes) -> Option<Self> {
        if let Err(mistake) = Name::check("a profile", name) {
            told.tell(span, mistake);
        }
        let mut fields = Fields::of_value("a profile", &format!("profile.{name}"), value, told)?;
        let profile = Self {
            inherits: fields.take("inherits", told),
            suites: fields.take("suites", told),
            slots: fields.take("slots", told),
            retries: fields.take("retries", told).map(|retries| retries.value).unwrap_or_default(),
            timeout: fields.take("timeout", told).map(|timeout| timeout.value).unwrap_or_default(),
            slow: fields.take("slow", told),
            run_timeout: fields.take("run-timeout", told),
            fail_fast: fields.take("fail-fast", told),
            flaky: fields.take("flaky", told),
            shuffle: fields.take("shuffle", told),
            order: fields.take("order", told),
            priority: fields.take("priority", told),
            target: fields.take("target", told),
            speculate: fields.take("speculate", told),
            statements: fields.take("statements", told),
            filter: fields.take("filter", told),
            uncompleted_retries: fields.take("uncompleted-retries", told),
            retry_cap: fields.take("retry-cap", told),
            report: fields.take("report", told),
            r#override: fields.take("override", told).map(|overrides| overrides.value).unwrap_or_default(),
        };
        fields.finish(told);
        Some(profile)
    }
}

impl Decode for Report {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let mut fields = Fields::of_value("a report", key, value, told)?;
        let format = fields.require("format", "\"junit\"", told);
        let path = fields.require("path", "\"target/junit.xml\"", told);
        fields.finish(told);
        Some(Self { format: format?.value, path: path?.value })
    }
}
