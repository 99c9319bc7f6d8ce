//! Suites on the wire.

use crate::invalid::{count, each, label, text};
use crate::limits::{
    DATABASES_PER_SUITE, LABEL_BYTES, LABELS, PATH_BYTES, SETTINGS_BYTES, VARIABLE_BYTES, VARIABLES_PER_SUITE,
};
use crate::{Invalid, Why, v1};
use regatta_domain::RunnerKind;
use regatta_domain::plan::PlannedSuite;
use std::collections::BTreeSet;
use std::sync::Arc;

impl TryFrom<v1::Suite> for PlannedSuite {
    type Error = Invalid;

    fn try_from(suite: v1::Suite) -> Result<Self, Invalid> {
        let unknown = || Invalid::new("runner", Why::Unknown(format!("`{}`", suite.runner)));
        Ok(Self {
            runner: RunnerKind::named(&suite.runner).ok_or_else(unknown)?,
            name: label("name", suite.name, LABEL_BYTES)?,
            root: text("root", suite.root, PATH_BYTES)?,
            settings: text("settings", suite.settings, SETTINGS_BYTES)?,
            requires: labels("requires", suite.requires)?,
            databases: each("databases", suite.databases, DATABASES_PER_SUITE)?,
            env: count("env", suite.env, VARIABLES_PER_SUITE)?.into_iter().map(pair).collect::<Result<_, _>>()?,
        })
    }
}

/// Labels, each once and in order.
///
/// # Errors
/// When one is empty or too long, or there are too many.
pub fn labels(field: &str, given: Vec<String>) -> Result<Vec<Arc<str>>, Invalid> {
    let given = count(field, given, LABELS)?;
    let read: Result<BTreeSet<Arc<str>>, Invalid> =
        given.into_iter().map(|given| label(field, given, LABEL_BYTES)).collect();
    Ok(read?.into_iter().collect())
}

fn pair(variable: v1::Variable) -> Result<(Arc<str>, Arc<str>), Invalid> {
    if variable.name.contains(['=', '\0']) || variable.value.contains('\0') {
        let why = "holds a variable with `=` in its name or a NUL byte, which no environment can hold";
        return Err(Invalid::new("env", Why::Other(why.to_owned())));
    }
    Ok((label("env.name", variable.name, LABEL_BYTES * 4)?, text("env.value", variable.value, VARIABLE_BYTES)?))
}

impl From<&PlannedSuite> for v1::Suite {
    fn from(suite: &PlannedSuite) -> Self {
        let variable =
            |(name, value): &(Arc<str>, Arc<str>)| v1::Variable { name: name.to_string(), value: value.to_string() };
        Self {
            name: suite.name.to_string(),
            runner: suite.runner.name().to_owned(),
            root: suite.root.to_string(),
            settings: suite.settings.to_string(),
            env: suite.env.iter().map(variable).collect(),
            requires: suite.requires.iter().map(ToString::to_string).collect(),
            databases: suite.databases.iter().map(Into::into).collect(),
        }
    }
}
