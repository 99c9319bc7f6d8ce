//! What was meant: the arguments and the configuration, seen together.
//!
//! High arguments: everything is resolved and checked, so that a command only does. The commands that need no
//! configuration are meant as they were typed, and are not here.

mod given;
mod selection;
#[cfg(test)]
mod tests;

use crate::args::{
    After, Display, Fallback, Global, ListArgs, NoTests, RerunArgs, ResumeArgs, Rules, RunArgs, RunRef, Selection,
    ServerUrl, TableFormat, Where,
};
use crate::config::Config;
use crate::config::file::DEFAULT_PROFILE;
use crate::config::resolve::{Given, Resolved};
use crate::error::Error;
use clap::ArgMatches;
use std::path::PathBuf;

pub(crate) use selection::Chosen;

/// To run tests.
#[derive(Debug)]
pub(crate) struct Run {
    /// Under which rules.
    pub(crate) plan: Plan,
    /// Where.
    pub(crate) place: Place,
    /// What an empty selection is.
    pub(crate) no_tests: NoTests,
    /// What is shown.
    pub(crate) display: Display,
}

/// To run what is left of a run.
#[derive(Debug)]
pub(crate) struct Rerun {
    /// Which run.
    pub(crate) of: RunRef,
    /// How. Its selection says which tests of that run are looked at.
    pub(crate) run: Run,
    /// Whether a filter was given, which may leave some of them out.
    pub(crate) narrower: bool,
}

/// To show which tests are selected.
#[derive(Debug)]
pub(crate) struct List {
    /// Which tests.
    pub(crate) plan: Plan,
    /// What an empty selection is.
    pub(crate) no_tests: NoTests,
    /// What standard output carries.
    pub(crate) format: TableFormat,
}

/// The configuration, the rules that hold, and the tests that are selected.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The configuration.
    pub(crate) config: Config,
    /// The rules.
    pub(crate) rules: Resolved,
    /// The tests.
    pub(crate) chosen: Chosen,
}

/// Where tests run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process.
    Here,
    /// On a coordinator's workers.
    On {
        /// The coordinator.
        url: ServerUrl,
        /// What to do when it cannot be reached.
        fallback: Option<Fallback>,
    },
}

/// What meaning depends on beside the arguments themselves.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// What holds for every command.
    pub(crate) global: &'a Global,
    /// Where each argument of the command comes from.
    pub(crate) matches: &'a ArgMatches,
    /// The directory that Regatta was started in.
    pub(crate) cwd: PathBuf,
}

impl Context<'_> {
    /// The configuration at hand, or what is assumed without one.
    pub(crate) fn config(&self) -> Result<Config, Error> {
        Config::load(self.global.config.as_deref(), &self.cwd)
    }

    /// What `run` means.
    pub(crate) fn run(&self, args: RunArgs) -> Result<Run, Error> {
        let plan = self.plan(&args.selection, &args.rules, Some(&args.display))?;
        Ok(Run { plan, place: place(args.place), no_tests: args.selection.no_tests, display: args.display })
    }

    /// What `rerun` means.
    pub(crate) fn rerun(&self, args: RerunArgs) -> Result<Rerun, Error> {
        self.after(args.after, args.filter)
    }

    /// What `resume` means.
    pub(crate) fn resume(&self, args: ResumeArgs) -> Result<Rerun, Error> {
        self.after(args.after, Vec::new())
    }

    fn after(&self, after: After, filter: Vec<String>) -> Result<Rerun, Error> {
        let narrower = !filter.is_empty();
        let selection = Selection { filter, profile: after.profile, ..Selection::default() };
        let plan = self.plan(&selection, &after.rules, Some(&after.display))?;
        let run = Run { plan, place: place(after.place), no_tests: selection.no_tests, display: after.display };
        Ok(Rerun { of: after.run, run, narrower })
    }

    /// What `list` means.
    pub(crate) fn list(&self, args: ListArgs) -> Result<List, Error> {
        let plan = self.plan(&args.selection, &Rules::default(), None)?;
        Ok(List { plan, no_tests: args.selection.no_tests, format: args.format })
    }

    /// The configuration, resolved for a selection.
    pub(crate) fn plan(&self, selection: &Selection, rules: &Rules, display: Option<&Display>) -> Result<Plan, Error> {
        let given: Given = given::read(selection, rules, display, self.matches)?;
        let config = self.config()?;
        let has_filter = given.filter.is_some();
        let profile = selection.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        let rules = config.resolve(profile, given)?;
        let chosen = selection::choose(&config, &rules, &selection.what, has_filter, &self.cwd)?;
        Ok(Plan { config, rules, chosen })
    }
}

fn place(args: Where) -> Place {
    match args.on {
        None => Place::Here,
        Some(url) => Place::On { url, fallback: args.fallback },
    }
}
