//! Which value counts: flags, then environment, then overrides, then the profile, then those it inherits, then `default`,
//! then what is built in.
//!
//! Every value keeps its origin, so that `config show --origin` can prove it. A value that was given for this invocation
//! (a flag, a variable) also counts against overrides: who types `--retries 0` means every test.

use super::Config;
use super::at::At;
use super::file::DEFAULT_PROFILE;
use super::origin::{Origin, Set};
use super::profile::{Flaky, Profile, Report};
use super::rules::{Backoff, Override};
use super::value::{FailFast, Shuffle};
use crate::error::Error;
use regatta_domain::filter::{Filter, nearest};
use regatta_domain::policy::{Order, Priority, RunPolicy, TestPolicy};
use regatta_domain::{Cause, Level, Micros, Needs};

/// What was said for this one invocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// See the profile's key of the same name; so for all of them.
    pub(crate) slots: Option<Set<u16>>,
    /// How often a failed test is retried.
    pub(crate) retries: Option<Set<u16>>,
    /// When a test is stopped.
    pub(crate) timeout: Option<Set<Micros>>,
    /// When the run is cancelled.
    pub(crate) run_timeout: Option<Set<Micros>>,
    /// After how many failures the run is cancelled.
    pub(crate) fail_fast: Option<Set<FailFast>>,
    /// In which order.
    pub(crate) shuffle: Option<Set<Shuffle>>,
    /// What goes first.
    pub(crate) order: Option<Set<Order>>,
    /// How the run stands against others.
    pub(crate) priority: Option<Set<Priority>>,
    /// When the run should have ended.
    pub(crate) target: Option<Set<Micros>>,
    /// Whether stragglers may run twice.
    pub(crate) speculate: Option<Set<bool>>,
    /// Whether statements are counted.
    pub(crate) statements: Option<Set<bool>>,
    /// Which tests.
    pub(crate) filter: Option<Set<Filter>>,
    /// Which reports, on top of those of the profile.
    pub(crate) report: Option<Set<Vec<Report>>>,
}

/// The rules of a run, each with its origin.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The profile.
    pub(crate) profile: String,
    /// The profiles it inherits, nearest first.
    pub(crate) inherits: Vec<String>,
    /// The suites that run when none is named; `None` for those that are on by default.
    pub(crate) suites: Set<Option<Vec<String>>>,
    /// How many tests run at once; `None` for one per processor.
    pub(crate) slots: Set<Option<u16>>,
    /// How often a failed test is retried.
    pub(crate) retries: Set<u16>,
    /// How often for each cause, by [`Cause::at`], where that was said.
    pub(crate) budgets: [Set<Option<u16>>; Cause::COUNT],
    /// How the wait before a retry grows.
    pub(crate) backoff: Set<Backoff>,
    /// The first wait.
    pub(crate) delay: Set<Micros>,
    /// Whether waits are shortened at random.
    pub(crate) jitter: Set<bool>,
    /// When a test is stopped.
    pub(crate) kill_after: Set<Micros>,
    /// Between SIGTERM and SIGKILL.
    pub(crate) grace: Set<Micros>,
    /// From when on a test is shown as slow.
    pub(crate) slow: Set<Micros>,
    /// When the run is cancelled.
    pub(crate) run_timeout: Set<Option<Micros>>,
    /// After how many failures the run is cancelled.
    pub(crate) fail_fast: Set<FailFast>,
    /// What flaky tests do to the colour of the run.
    pub(crate) flaky: Set<Flaky>,
    /// In which order.
    pub(crate) shuffle: Set<Shuffle>,
    /// What goes first.
    pub(crate) order: Set<Order>,
    /// How the run stands against others.
    pub(crate) priority: Set<Priority>,
    /// When the run should have ended.
    pub(crate) target: Set<Option<Micros>>,
    /// Whether stragglers may run twice.
    pub(crate) speculate: Set<bool>,
    /// Whether statements are counted.
    pub(crate) statements: Set<bool>,
    /// Which tests.
    pub(crate) filter: Set<Filter>,
    /// How often a test may lose its worker.
    pub(crate) uncompleted_retries: Set<u16>,
    /// How many retries all tests share.
    pub(crate) retry_cap: Set<u32>,
    /// Which reports are written.
    pub(crate) report: Set<Vec<Report>>,
    /// Rules for some of the tests, the strongest first.
    pub(crate) rules: Vec<Rule>,
}

/// A rule for some of the tests. What it does not say is left to the next one that matches.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Which tests.
    pub(crate) filter: Filter,
    /// Where it was written.
    pub(crate) origin: Origin,
    /// How often a failed test is retried.
    pub(crate) retries: Option<u16>,
    /// When a test is stopped.
    pub(crate) kill_after: Option<Micros>,
    /// Between SIGTERM and SIGKILL.
    pub(crate) grace: Option<Micros>,
    /// From when on a test is shown as slow.
    pub(crate) slow: Option<Micros>,
    /// Higher starts earlier.
    pub(crate) priority: Option<i8>,
    /// The group whose limit they share.
    pub(crate) group: Option<String>,
    /// Their database dependency.
    pub(crate) level: Option<Level>,
    /// What they need beside a slot.
    pub(crate) needs: Option<Needs>,
}

/// The profiles that are asked, strongest first.
struct Chain<'a> {
    config: &'a Config,
    profiles: Vec<(&'a str, &'a Profile)>,
}

impl Config {
    /// The rules under `profile`, with what was said for this invocation.
    ///
    /// # Errors
    /// When there is no such profile.
    pub(crate) fn resolve(&self, profile: &str, given: Given) -> Result<Resolved, Error> {
        let chain = Chain::of(self, profile)?;
        let test = TestPolicy::default();
        let run = RunPolicy::default();
        let names = chain.profiles.iter().map(|(name, _)| *name).filter(|name| *name != profile);
        let mut resolved = Resolved {
            profile: profile.to_owned(),
            inherits: names.map(str::to_owned).collect(),
            suites: chain.pick(None, None, |p| &p.suites, |suites| Some(names_of(suites))),
            slots: chain.pick(some(given.slots), None, |p| &p.slots, |slots| Some(slots.get())),
            retries: chain.pick(given.retries, test.retries, |p| &p.retries.count, |count| count.get()),
            budgets: Cause::ALL
                .map(|cause| chain.pick(None, None, |p| &p.retries.causes[cause.at()], |count| Some(count.get()))),
            backoff: chain.pick(None, Backoff::Fixed, |p| &p.retries.backoff, |backoff| *backoff),
            delay: chain.pick(None, test.backoff, |p| &p.retries.delay, |delay| delay.0),
            jitter: chain.pick(None, test.jitter, |p| &p.retries.jitter, |jitter| *jitter),
            kill_after: chain.pick(given.timeout, test.timeout, |p| &p.timeout.kill_after, |limit| limit.0),
            grace: chain.pick(None, test.grace, |p| &p.timeout.grace, |grace| grace.0),
            slow: chain.pick(None, test.slow, |p| &p.slow, |slow| slow.0),
            run_timeout: chain.pick(some(given.run_timeout), run.timeout, |p| &p.run_timeout, |limit| Some(limit.0)),
            fail_fast: chain.pick(given.fail_fast, FailFast(run.max_failures), |p| &p.fail_fast, |limit| *limit),
            flaky: chain.pick(None, Flaky::Pass, |p| &p.flaky, |flaky| *flaky),
            shuffle: chain.pick(given.shuffle, Shuffle::Off, |p| &p.shuffle, |shuffle| *shuffle),
            order: chain.pick(given.order, run.order, |p| &p.order, |order| *order),
            priority: chain.pick(given.priority, run.priority, |p| &p.priority, |priority| *priority),
            target: chain.pick(some(given.target), run.target, |p| &p.target, |limit| Some(limit.0)),
            speculate: chain.pick(given.speculate, run.speculate, |p| &p.speculate, |speculate| *speculate),
            statements: chain.pick(given.statements, run.statements, |p| &p.statements, |statements| *statements),
            filter: chain.pick(given.filter, Filter::All, |p| &p.filter, |filter| filter.0.clone()),
            uncompleted_retries: chain.pick(None, run.max_losses, |p| &p.uncompleted_retries, |count| count.get()),
            retry_cap: chain.pick(None, run.max_retries, |p| &p.retry_cap, |count| count.get()),
            report: chain.pick(None, Vec::new(), |p| &p.report, Clone::clone),
            rules: chain.rules(),
        };
        if let Some(asked) = given.report {
            // Reports add up: one more on the command line does not take away what CI collects.
            resolved.report.value.extend(asked.value);
            resolved.report.origin = asked.origin;
        }
        resolved.silence_rules();
        Ok(resolved)
    }
}

impl Resolved {
    /// What was said for this invocation holds for every test, and for every cause that lies in one.
    fn silence_rules(&mut self) {
        if self.retries.origin.is_invocation() {
            for cause in [Cause::Test, Cause::Timeout, Cause::Crash, Cause::SetUp] {
                self.budgets[cause.at()] = Set::built_in(None);
            }
        }
        for rule in &mut self.rules {
            if self.retries.origin.is_invocation() {
                rule.retries = None;
            }
            if self.kill_after.origin.is_invocation() {
                rule.kill_after = None;
            }
        }
    }
}

impl<'a> Chain<'a> {
    fn of(config: &'a Config, name: &'a str) -> Result<Self, Error> {
        let known = &config.file.profile;
        if name != DEFAULT_PROFILE && !known.contains_key(name) {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            let help = match nearest(name, names.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None if names.is_empty() => format!("describe it under `[profile.{name}]` in {}", config.name),
                None => format!("there are {}", names.join(", ")),
            };
            return Err(Error::usage(format!("there is no profile `{name}`")).help(help));
        }
        let mut profiles = Vec::new();
        let mut next = Some(name);
        while let Some((name, profile)) = next.and_then(|name| known.get_key_value(name)) {
            profiles.push((name.as_str(), profile));
            next = profile.inherits.as_ref().map(|parent| parent.value.0.as_str());
        }
        if let Some((name, profile)) = known.get_key_value(DEFAULT_PROFILE)
            && profiles.iter().all(|(name, _)| *name != DEFAULT_PROFILE)
        {
            profiles.push((name, profile));
        }
        Ok(Self { config, profiles })
    }

    /// The value of a key: as given, else of the first profile that says it, else built in.
    fn pick<T, W>(
        &self,
        given: Option<Set<T>>,
        built_in: T,
        key: impl Fn(&'a Profile) -> &'a Option<At<W>>,
        value: impl Fn(&'a W) -> T,
    ) -> Set<T>
    where
        W: 'a,
    {
        given.unwrap_or_else(|| {
            let written = self.profiles.iter().find_map(|(name, profile)| Some((name, key(profile).as_ref()?)));
            match written {
                Some((name, at)) => {
                    Set { value: value(&at.value), origin: self.config.origin(&format!("profile.{name}"), &at.span) }
                }
                None => Set::built_in(built_in),
            }
        })
    }

    fn rules(&self) -> Vec<Rule> {
        let rule = |name: &str, written: &Override| Rule {
            filter: written.filter.value.0.clone(),
            origin: self.config.origin(&format!("profile.{name}.override"), &written.filter.span),
            retries: written.retries.as_ref().map(|count| count.value.get()),
            kill_after: written.timeout.kill_after.as_ref().map(|limit| limit.value.0),
            grace: written.timeout.grace.as_ref().map(|grace| grace.value.0),
            slow: written.slow.as_ref().map(|slow| slow.value.0),
            priority: written.priority.as_ref().map(|priority| priority.value.0),
            group: written.group.as_ref().map(|group| group.value.0.clone()),
            level: written.level.as_ref().map(|level| level.value),
            needs: written.needs.as_ref().map(|needs| Needs::all(needs.value.iter().map(|need| need.0.clone()))),
        };
        self.profiles
            .iter()
            .flat_map(|(name, profile)| profile.r#override.iter().map(|each| rule(name, each)))
            .collect()
    }
}

fn some<T>(given: Option<Set<T>>) -> Option<Set<Option<T>>> {
    given.map(|Set { value, origin }| Set { value: Some(value), origin })
}

fn names_of(suites: &[At<super::value::Name>]) -> Vec<String> {
    suites.iter().map(|suite| suite.value.0.clone()).collect()
}
