//! What is declared of tests: by markers, by overrides that people wrote, and by what an earlier inference wrote.
//!
//! A listing does not say where a level comes from, so it is asked for more than once. Without overrides, a test has the
//! level of its marker. With some, and a last one that says a level of every test, only those keep theirs whatever that last
//! one says of which the rules before it say one.

use super::block;
use crate::audience::Audience;
use crate::command::run::{lost, request};
use crate::error::Error;
use crate::follow::follow;
use crate::intent::{Chosen, Context, Plan};
use crate::view::View;
use regatta_domain::filter::Filter;
use regatta_domain::{Level, RunId};
use regatta_wire::submission::Override;
use regatta_wire::v1;
use regatta_wire::v1::runs_client::RunsClient;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::transport::Channel;
use uuid::Uuid;

/// A test: its suite, and its id.
pub(super) type Key = (String, String);

/// What is declared of all tests of some suites, those that were not selected included.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// The tests.
    pub(super) tests: BTreeMap<Key, Test>,
}

/// What is declared of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// The runner of its suite.
    pub(super) runner: String,
    /// The directory of its suite.
    pub(super) root: String,
    /// Its file.
    pub(super) path: Arc<str>,
    /// Its name within that.
    pub(super) name: Arc<str>,
    /// The line it stands at; 0 where that is not known.
    pub(super) line: u32,
    /// By a marker; the marker `none` is told like none at all.
    pub(super) by_marker: Option<Level>,
    /// By an override that people wrote.
    pub(super) by_people: Option<Level>,
    /// By an override of an earlier inference.
    pub(super) inferred: Option<Level>,
}

/// Asks what is declared of the tests of the plan's suites; of all suites where an earlier inference is to be kept for those
/// that were not looked at.
pub(super) async fn read(
    plan: &Plan,
    mut client: RunsClient<Channel>,
    context: &Context<'_>,
) -> Result<Declared, Error> {
    let block = block::find(&plan.config.text, &plan.config.name)?;
    let ours = |line: usize| block.as_ref().is_some_and(|block| block.lines.contains(&line));
    let mut suites = plan.chosen.suites.clone();
    if block.is_some() {
        suites = plan.config.suites().into_iter().map(|(name, _)| name.to_owned()).collect();
    }
    let chosen = Chosen { suites, filter: Filter::All };
    let asks = Plan { config: plan.config.clone(), rules: plan.rules.clone(), chosen };
    let is_ours = |at: usize| match &plan.rules.rules[at].origin {
        crate::config::origin::Origin::Line { line, .. } => ours(*line),
        _ => false,
    };
    let mut lister = Lister { plan: asks, client: &mut client, context };
    let mut declared = Declared::default();
    let view = lister.list(|_| false, None).await?;
    for (ix, test) in view.planned() {
        let (suite, file) = (view.suite_of(ix), view.file_of(ix));
        let known = Test {
            runner: suite.runner.clone(),
            root: suite.root.clone(),
            path: Arc::clone(&file.path),
            name: Arc::clone(&test.name),
            line: test.line,
            by_marker: Some(test.level).filter(|&level| level > Level::None),
            by_people: None,
            inferred: None,
        };
        declared.tests.insert((suite.name.clone(), view.id(ix)), known);
    }
    for (key, level) in lister.told_by(|at| !is_ours(at)).await? {
        declared.tests.entry(key).and_modify(|test| test.by_people = Some(level));
    }
    for (key, level) in lister.told_by(is_ours).await? {
        declared.tests.entry(key).and_modify(|test| test.inferred = Some(level));
    }
    Ok(declared)
}

/// Lists tests under some of the overrides.
struct Lister<'a, 'c> {
    plan: Plan,
    client: &'a mut RunsClient<Channel>,
    context: &'a Context<'c>,
}

impl Lister<'_, '_> {
    /// The levels that some of the overrides (by their places) say, by test.
    async fn told_by(&mut self, which: impl Fn(usize) -> bool) -> Result<BTreeMap<Key, Level>, Error> {
        let says = |at: usize| self.plan.rules.rules[at].level.is_some() && which(at);
        let any = (0..self.plan.rules.rules.len()).any(says);
        if !any {
            return Ok(BTreeMap::new());
        }
        let low = levels(&self.list(&which, Some(Level::None)).await?);
        let mut high = levels(&self.list(&which, Some(Level::Exclusive)).await?);
        high.retain(|key, level| low.get(key) == Some(level));
        Ok(high)
    }

    /// The tests, under some of the overrides and a last one for all.
    async fn list(&mut self, which: impl Fn(usize) -> bool, last: Option<Level>) -> Result<View, Error> {
        let run = RunId(Uuid::new_v4());
        let mut asked = request(&self.plan, None, self.client, run).await?;
        asked.policy.list_only = true;
        // To look at tests, nobody has to have their databases, or anything else that they need.
        asked.suites.iter_mut().for_each(|suite| suite.suite.databases.clear());
        let overrides = std::mem::take(&mut asked.overrides).into_iter().enumerate();
        let kept = overrides.filter(|(at, _)| which(*at)).map(|(_, rule)| Override {
            filter: rule.filter,
            level: rule.level,
            ..Override::default()
        });
        asked.overrides = kept.filter(|rule| rule.level.is_some()).collect();
        let rest = last.map(|level| Override { filter: "all()".into(), level: Some(level), ..Override::default() });
        asked.overrides.extend(rest);
        let submitted = self.client.submit(v1::SubmitRequest::from(&asked)).await;
        submitted.map_err(|status| Error::infrastructure("the tests cannot be listed").because(&status))?;
        let mut audience = Audience::nobody(self.context.global.color.unwrap_or_default());
        let followed = follow(self.client.clone(), run, None, &mut audience).await;
        audience.leave();
        followed.map(|followed| followed.view).map_err(|error| lost(run, error))
    }
}

fn levels(view: &View) -> BTreeMap<Key, Level> {
    view.planned().map(|(ix, test)| ((view.suite_of(ix).name.clone(), view.id(ix)), test.level)).collect()
}
