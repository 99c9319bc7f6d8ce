//! What a client hands in, on the wire: read whole, every part within its bound.

use crate::invalid::{Within as _, count, each, label, present, text, u16_from};
use crate::limits::{FILTERS_PER_RUN, LABEL_BYTES, OVERRIDES_PER_RUN, PATH_BYTES};
use crate::verdict::Closed as _;
use crate::{Invalid, run_id, v1};
use regatta_domain::filter::MAX_BYTES;
use regatta_domain::limits::{FILES_PER_RUN, SUITES_PER_RUN};
use regatta_domain::listing::ListedFile;
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::{Level, Micros, Needs, RunId};
use std::sync::Arc;

/// A run as a client asks for it, before the coordinator adds what it remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its id, chosen by the client.
    pub run: RunId,
    /// The namespace of its history.
    pub project: Arc<str>,
    /// Its rules.
    pub policy: RunPolicy,
    /// The rules of its tests, where no override says otherwise.
    pub test_policy: TestPolicy,
    /// What overrides say. The first that selects a test and has a rule decides that rule.
    pub overrides: Vec<Override>,
    /// Its suites.
    pub suites: Vec<SuiteRequest>,
    /// In the filter language; a test runs when all of them select it.
    pub filters: Vec<String>,
    /// Only what that run did not bring to a good end, and what is new since.
    pub rerun_of: Option<RunId>,
    /// Goes on with that run: what it found out stands, and only the rest is run.
    pub resume: bool,
    /// The branch whose history is read and written; none for the main line.
    pub branch: Option<Arc<str>>,
    /// The class of machines it runs on, where durations differ from those of others.
    pub environment: Option<Arc<str>>,
}

/// Other rules for the tests that a filter selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// In the filter language.
    pub filter: String,
    /// See [`TestPolicy::timeout`].
    pub timeout: Option<Micros>,
    /// See [`TestPolicy::grace`].
    pub grace: Option<Micros>,
    /// See [`TestPolicy::slow`].
    pub slow: Option<Micros>,
    /// See [`TestPolicy::retries`].
    pub retries: Option<u16>,
    /// The database dependency.
    pub level: Option<Level>,
    /// What it needs beside a slot; nothing says nothing.
    pub needs: Needs,
}

/// A suite as a client asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteRequest {
    /// The suite.
    pub suite: PlannedSuite,
    /// What its list of files depends on; empty where that list is not to be remembered.
    pub tree_key: Arc<str>,
    /// Whether a worker has to find its files (again).
    pub discover: bool,
    /// The files that are known.
    pub files: Vec<ListedFile>,
    /// Paths of files that changed.
    pub changed: Vec<Arc<str>>,
}

impl TryFrom<v1::SubmitRequest> for Request {
    type Error = Invalid;

    fn try_from(request: v1::SubmitRequest) -> Result<Self, Invalid> {
        let filters = count("filters", request.filters, FILTERS_PER_RUN)?;
        Ok(Self {
            run: run_id("run", &request.run)?,
            project: label("project", request.project, LABEL_BYTES)?,
            policy: present("policy", request.policy)?.try_into().within("policy")?,
            test_policy: present("test_policy", request.test_policy)?.try_into().within("test_policy")?,
            overrides: each("overrides", request.overrides, OVERRIDES_PER_RUN)?,
            suites: each("suites", request.suites, SUITES_PER_RUN)?,
            filters: filters.into_iter().map(|filter| label("filters", filter, MAX_BYTES)).collect::<Result<_, _>>()?,
            rerun_of: request.rerun_of.map(|run| run_id("rerun_of", &run)).transpose()?,
            resume: request.resume,
            branch: request.branch.map(|branch| text("branch", branch, LABEL_BYTES)).transpose()?,
            environment: request.environment.map(|class| text("environment", class, LABEL_BYTES)).transpose()?,
        })
    }
}

impl From<&Request> for v1::SubmitRequest {
    fn from(request: &Request) -> Self {
        Self {
            run: request.run.to_string(),
            project: request.project.to_string(),
            policy: Some((&request.policy).into()),
            test_policy: Some((&request.test_policy).into()),
            overrides: request.overrides.iter().map(Into::into).collect(),
            suites: request.suites.iter().map(Into::into).collect(),
            filters: request.filters.clone(),
            rerun_of: request.rerun_of.map(|run| run.to_string()),
            resume: request.resume,
            branch: request.branch.as_deref().map(ToOwned::to_owned),
            environment: request.environment.as_deref().map(ToOwned::to_owned),
        }
    }
}

impl TryFrom<v1::PolicyOverride> for Override {
    type Error = Invalid;

    fn try_from(other: v1::PolicyOverride) -> Result<Self, Invalid> {
        Ok(Self {
            filter: label("filter", other.filter, MAX_BYTES)?,
            timeout: other.timeout.map(Micros),
            grace: other.grace.map(Micros),
            slow: other.slow.map(Micros),
            retries: other.retries.map(|retries| u16_from("retries", retries, 0)).transpose()?,
            level: other.level.map(|level| Level::field("level", level)).transpose()?,
            needs: crate::needs::read("needs", other.needs)?,
        })
    }
}

impl From<&Override> for v1::PolicyOverride {
    fn from(other: &Override) -> Self {
        Self {
            filter: other.filter.clone(),
            timeout: other.timeout.map(|timeout| timeout.0),
            grace: other.grace.map(|grace| grace.0),
            slow: other.slow.map(|slow| slow.0),
            retries: other.retries.map(u32::from),
            level: other.level.map(|level| v1::Level::from(level).into()),
            needs: other.needs.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::SuiteRequest> for SuiteRequest {
    type Error = Invalid;

    fn try_from(request: v1::SuiteRequest) -> Result<Self, Invalid> {
        let changed = count("changed", request.changed, FILES_PER_RUN)?;
        Ok(Self {
            suite: present("suite", request.suite)?.try_into().within("suite")?,
            tree_key: text("tree_key", request.tree_key, LABEL_BYTES)?,
            discover: request.discover,
            files: each("files", request.files, FILES_PER_RUN)?,
            changed: changed.into_iter().map(|path| text("changed", path, PATH_BYTES)).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&SuiteRequest> for v1::SuiteRequest {
    fn from(request: &SuiteRequest) -> Self {
        Self {
            suite: Some((&request.suite).into()),
            tree_key: request.tree_key.to_string(),
            discover: request.discover,
            files: request.files.iter().map(Into::into).collect(),
            changed: request.changed.iter().map(ToString::to_string).collect(),
        }
    }
}
