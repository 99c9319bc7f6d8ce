//! From the disk to a checked [`Config`].

use super::assume;
use super::discover;
use super::file::File;
use super::origin::Origin;
use super::settings;
use super::suite::Suite;
use crate::error::{Error, Place};
use crate::exit::Exit;
use crate::needs::Resources;
use regatta_domain::plan::PlannedSuite;
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file that is read: a thousand suites with a kilobyte each.
const MAX_BYTES: u64 = 1024 * 1024;

/// A configuration that makes sense, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// What it says.
    pub(crate) file: File,
    /// The directory that its paths start from.
    pub(crate) base: PathBuf,
    /// Its file; `None` where there is none, and it was assumed.
    pub(crate) path: Option<PathBuf>,
    /// What was assumed, in lines for people.
    pub(crate) assumed: Vec<String>,
    /// How people know it.
    pub(crate) name: Arc<str>,
    /// Its text; where it was assumed, what `regatta init` would write.
    pub(crate) text: Arc<str>,
}

impl Config {
    /// Finds the configuration for a command that was started in `start`, or assumes one.
    ///
    /// # Errors
    /// When it cannot be read, makes no sense, or there is nothing to conclude one from.
    pub(crate) fn load(explicit: Option<&Path>, start: &Path) -> Result<Self, Error> {
        match explicit.map(|path| start.join(path)).or_else(|| discover::nearest(start)) {
            Some(path) => Self::read(&path, start),
            None => Self::assume(start),
        }
    }

    fn read(path: &Path, start: &Path) -> Result<Self, Error> {
        let name: Arc<str> = path.strip_prefix(start).unwrap_or(path).display().to_string().into();
        let refuse = |cause: &(dyn std::error::Error + 'static)| {
            Error::usage(format!("cannot read the configuration {name}"))
                .because(cause)
                .help("`--config` or REGATTA_CONFIG names the file; `regatta init` writes one")
        };
        let size = fs::metadata(path).map_err(|error| refuse(&error))?.len();
        if size > MAX_BYTES {
            return Err(Error::usage(format!("the configuration {name} is larger than {MAX_BYTES} bytes")));
        }
        let text: Arc<str> = fs::read_to_string(path).map_err(|error| refuse(&error))?.into();
        let base = discover::base(path);
        let file = File::parse(&name, &text, &|dir| base.join(dir).is_dir())?;
        Ok(Self { file, base, path: Some(path.to_owned()), assumed: Vec::new(), name, text })
    }

    /// Concludes a configuration from what is in `start`, or in a directory above it.
    pub(crate) fn assume(start: &Path) -> Result<Self, Error> {
        let assumed = assume::assume(start)?;
        let (name, text): (Arc<str>, Arc<str>) = ("the assumed configuration".into(), assumed.text.into());
        let file = File::parse(&name, &text, &|_| true)?;
        Ok(Self { file, base: assumed.base, path: None, assumed: assumed.notes, name, text })
    }

    /// The project: its name, and where that comes from.
    pub(crate) fn project(&self) -> super::Set<String> {
        match &self.file.project.name {
            Some(name) => super::Set { value: name.value.0.clone(), origin: self.origin("project", &name.span) },
            None => super::Set::built_in(assume::project_name(&self.base)),
        }
    }

    /// The suites in the order of the file.
    pub(crate) fn suites(&self) -> Vec<(&str, &Suite)> {
        let mut suites: Vec<(&str, &Suite)> = self.file.suite.iter().map(|(name, suite)| (&**name, suite)).collect();
        suites.sort_by_key(|(_, suite)| suite.span.start);
        suites
    }

    /// A suite as a run holds it.
    ///
    /// # Errors
    /// When what its databases are built from is not there, or cannot be read: all of it together.
    pub(crate) fn planned(&self, name: &str, suite: &Suite) -> Result<PlannedSuite, Error> {
        let (root, mut databases, mut mistakes) = (self.root(suite), Vec::new(), Vec::new());
        for database in suite.database.iter().flat_map(|of| &of.value.0) {
            match database.planned(&root) {
                Ok(planned) => databases.push(planned),
                Err(more) => mistakes.extend(more),
            }
        }
        if !mistakes.is_empty() {
            let placed = mistakes.into_iter().map(|(span, mistake)| mistake.at(self.place(span)));
            return Err(Error::all(Exit::Usage, placed.collect()));
        }
        Ok(PlannedSuite { databases, ..self.bare(name, suite) })
    }

    /// A suite without its databases: enough to look at its tests.
    pub(crate) fn bare(&self, name: &str, suite: &Suite) -> PlannedSuite {
        let env = suite.env.iter().flat_map(|env| &env.value);
        PlannedSuite {
            name: name.into(),
            runner: suite.runner(),
            root: self.root(suite).display().to_string().into(),
            settings: settings::to_json(&suite.settings).into(),
            requires: suite
                .requires
                .iter()
                .flat_map(|labels| &labels.value)
                .map(|label| label.0.as_str().into())
                .collect(),
            env: env.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
            databases: Vec::new(),
        }
    }

    /// A piece of the file.
    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        Place { name: Arc::clone(&self.name), text: Arc::clone(&self.text), span }
    }

    /// The resources of this machine, for local mode.
    pub(crate) fn resources(&self) -> Resources {
        let resources = self.file.resources.iter();
        resources.map(|(name, declared)| (name.as_str().into(), declared.value.resource(Some(&self.base)))).collect()
    }

    /// The labels that suites require: in local mode, this machine is taken to carry them all.
    pub(crate) fn labels(&self) -> Vec<String> {
        let labels = self.file.suite.values().flat_map(|suite| &suite.requires).flat_map(|labels| &labels.value);
        labels.map(|label| label.0.clone()).collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// The directory that a suite runs in.
    pub(crate) fn root(&self, suite: &Suite) -> PathBuf {
        suite.root.as_ref().map_or_else(|| self.base.clone(), |root| self.base.join(&root.value))
    }

    /// Where a value comes from that stands at `span`.
    pub(crate) fn origin(&self, section: &str, span: &Range<usize>) -> Origin {
        if self.path.is_none() {
            return Origin::Assumed;
        }
        let line =
            self.text.as_bytes()[..span.start.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count();
        Origin::Line { file: self.name.clone(), line: line + 1, section: section.to_owned() }
    }
}
