//! `[suite.NAME]`: tests that one runner executes under one configuration.

use super::at::At;
use super::database::Databases;
use super::decode::{Choice, Fields, Mistakes, Value};
use super::settings::{Exec, Pytest, Rust};
use super::value::{Label, Name};
use crate::error::Mistake;
use regatta_domain::RunnerKind;
use regatta_wire::limits::LABELS;
use schemars::JsonSchema;
use std::collections::BTreeMap;
use std::ops::Range;

/// Tests that one runner executes under one configuration.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Suite {
    /// The directory the tests run in, relative to the directory of `regatta.toml`. That directory itself when left out.
    #[schemars(length(min = 1))]
    pub(crate) root: Option<At<String>>,
    /// Variables added to the environment of the tests.
    pub(crate) env: Option<At<BTreeMap<String, String>>>,
    /// Whether `regatta run` runs this suite when no suite is named. True when left out.
    pub(crate) default: Option<At<bool>>,
    /// Labels that a worker must carry to run the suite. In local mode this machine is taken to carry them all.
    pub(crate) requires: Option<At<Vec<Label>>>,
    /// The databases that its tests use: the name of a resource, or `[suite.NAME.database]` with what its template is built
    /// from, or several of these.
    pub(crate) database: Option<At<Databases>>,
    /// The runner, and its own settings.
    #[schemars(flatten)]
    pub(crate) settings: Settings,
    /// Where it was written.
    #[schemars(skip)]
    pub(crate) span: Range<usize>,
}

/// The runner of a suite, and the settings that are its own.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(tag = "runner", rename_all = "lowercase")]
pub(crate) enum Settings {
    /// pytest, as a warm host: collected once, then kept.
    Pytest(Pytest),
    /// Tests of Rust crates, built by cargo.
    Rust(Box<Rust>),
    /// Any command.
    Exec(Exec),
}

impl Choice for RunnerKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("pytest", Self::Pytest), ("rust", Self::Rust), ("exec", Self::Exec)];
}

impl Suite {
    /// Reads `[suite.NAME]`.
    pub(super) fn decode(name: &str, value: &Value<'_>, span: Range<usize>, told: &mut Mistakes) -> Option<Self> {
        if let Err(mistake) = Name::check("a suite", name) {
            told.tell(span.clone(), mistake);
        }
        let mut fields = Fields::of_value("a suite", &format!("suite.{name}"), value, told)?;
        let runner = fields.require::<RunnerKind>("runner", "\"pytest\"", told);
        let root = fields.take("root", told);
        let env = fields.take("env", told);
        let default = fields.take("default", told);
        let requires: Option<At<Vec<Label>>> = fields.take("requires", told);
        if let Some(labels) = requires.as_ref().filter(|labels| labels.value.len() > LABELS) {
            told.tell(labels.span.clone(), Mistake::new(format!("a suite may require {LABELS} labels at most")));
        }
        let database = fields.take("database", told);
        // Without a runner nobody can say which of the other keys are right.
        let settings = match runner?.value {
            RunnerKind::Pytest => Settings::Pytest(Pytest::decode(&mut fields, told)),
            RunnerKind::Rust => Settings::Rust(Box::new(Rust::decode(&mut fields, told))),
            RunnerKind::Exec => Settings::Exec(Exec::decode(&mut fields, told)?),
        };
        fields.finish(told);
        Some(Self { root, env, default, requires, database, settings, span })
    }

    /// The runner.
    pub(crate) const fn runner(&self) -> RunnerKind {
        match &self.settings {
            Settings::Pytest(_) => RunnerKind::Pytest,
            Settings::Rust(_) => RunnerKind::Rust,
            Settings::Exec(_) => RunnerKind::Exec,
        }
    }

    /// Whether it runs when no suite is named.
    pub(crate) fn is_default(&self) -> bool {
        self.default.as_ref().is_none_or(|default| default.value)
    }
}
