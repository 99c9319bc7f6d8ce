//! Runs tests: in this process, or on a fleet.

use super::{block_on, outstanding};
use crate::args::{Display, Fallback, NoTests, ServerUrl};
use crate::audience::{Audience, Setting};
use crate::branch::branch;
use crate::config::value::Shuffle;
use crate::error::{Error, Mistake};
use crate::exit::Exit;
use crate::follow::{self, Followed, follow};
use crate::forecast::Fleet;
use crate::here::{Here, slots_of_machine};
use crate::intent::{Context, Place, Plan, Run};
use crate::usual::Usual;
use crate::view::{ErrorAt, View};
use crate::{link, needs, submit};
use regatta_domain::RunId;
use regatta_domain::filter::Filter;
use regatta_domain::report::{CancelCause, RunOutcome};
use regatta_domain::result::RunErrorKind;
use regatta_runtime::shutdown::{Asked, on_signals};
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::submission::{Override, Request, SuiteRequest};
use regatta_wire::v1;
use regatta_wire::v1::runs_client::RunsClient;
use std::time::Duration;
use tokio::sync::watch;
use tonic::transport::Channel;
use uuid::Uuid;

/// How long a coordinator may take to answer the first question.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// Runs tests.
pub(crate) fn run(run: Run, context: &Context<'_>) -> Result<Exit, Error> {
    block_on(perform(run, None, context))?
}

/// A run that another one follows up.
#[derive(Clone, Copy, Debug)]
pub(super) struct FollowUp {
    /// Which.
    pub(super) of: RunId,
    /// Whether it is resumed: what it found out stands.
    pub(super) resume: bool,
    /// Whether a filter may leave out some of what it left to be done.
    pub(super) narrower: bool,
}

/// Runs the tests of `run`; with `after`, those that that run left to be done.
pub(super) async fn perform(run: Run, after: Option<FollowUp>, context: &Context<'_>) -> Result<Exit, Error> {
    let Run { plan, place, no_tests, display } = run;
    for line in &plan.config.assumed {
        eprintln!("note: {line}");
    }
    let shutdown = on_signals().map_err(|error| Error::infrastructure("cannot listen for signals").because(&error))?;
    let slots = plan.rules.slots.value.unwrap_or_else(slots_of_machine);
    let mission = Mission { plan, display, no_tests, after, shutdown, context };
    match place {
        Place::Here => mission.here(slots).await,
        Place::On { url, fallback } => {
            let channel = link::to(&url);
            match reach(&channel).await {
                Ok(()) => mission.on(channel, &url).await,
                Err(status) if fallback == Some(Fallback::Local) => {
                    eprintln!("warning: no answer from {url} ({}); running here", status.message());
                    mission.here(slots).await
                }
                Err(status) => Err(unreachable(&url, &status)),
            }
        }
    }
}

/// Asks for something small, to see whether anybody answers.
pub(super) async fn reach(channel: &Channel) -> Result<(), tonic::Status> {
    link::through_a_change(async || answers(channel).await).await
}

/// The same, for who only looks, and would rather hear that nobody can answer now than wait.
pub(super) async fn reach_to_look(channel: &Channel) -> Result<(), tonic::Status> {
    link::to_look(async || answers(channel).await).await
}

async fn answers(channel: &Channel) -> Result<(), tonic::Status> {
    let mut client = RunsClient::new(channel.clone());
    let asked = tokio::time::timeout(FIRST_ANSWER, client.list(v1::ListRunsRequest { limit: 1 })).await;
    asked.map_err(|_| tonic::Status::deadline_exceeded("no answer in 10 s"))?.map(|_| ())
}

/// A coordinator that does not answer, as people are told.
pub(super) fn unreachable(url: &ServerUrl, status: &tonic::Status) -> Error {
    if regatta_runtime::dial::awaits_a_store(status) || link::cannot_now(status) {
        let help = format!("`regatta coordinator status --on {url}` says when its store is there again");
        return Error::infrastructure(format!("no coordinator at {url} can answer now")).because(status).help(help);
    }
    Error::infrastructure(format!("cannot reach the coordinator at {url}")).because(status).help(
        "start one with `regatta coordinator --listen HOST:PORT`; `--fallback local` runs here instead of failing",
    )
}

/// A run that is about to happen.
struct Mission<'a> {
    plan: Plan,
    display: Display,
    no_tests: NoTests,
    after: Option<FollowUp>,
    shutdown: watch::Receiver<Asked>,
    context: &'a Context<'a>,
}

impl Mission<'_> {
    /// Runs in this process.
    async fn here(self, slots: u16) -> Result<Exit, Error> {
        let Plan { config, rules, .. } = &self.plan;
        let resources = config.resources();
        needs::refuse_unoffered(config, rules, &self.plan.chosen.suites, &resources)?;
        let mut here = Here::start(&config.base, resources).await?;
        here.add_worker(slots, config.labels())?;
        let mut setting = self.setting(slots.into(), None);
        let config = &self.plan.config;
        setting.fleet = Some(Fleet::here(slots.into(), &config.labels(), config.resources()));
        let channel = here.channel.clone();
        let done = tokio::select! {
            done = self.run(channel, setting) => done,
            error = here.failed() => Err(error),
        };
        finish(here, done).await
    }

    /// Runs on the workers of a coordinator.
    async fn on(self, channel: Channel, url: &ServerUrl) -> Result<Exit, Error> {
        let mut setting = self.setting(0, Some(url.to_string()));
        // Without it, nothing is predicted; the run goes on none the less.
        setting.fleet = super::plan::fleet(channel.clone()).await.ok().as_ref().and_then(Fleet::of);
        self.run(channel, setting).await
    }

    fn setting(&self, slots: u32, on: Option<String>) -> Setting {
        let rules = &self.plan.rules;
        let profile = (rules.profile != crate::config::file::DEFAULT_PROFILE).then(|| rules.profile.clone());
        let colour = self.context.global.color.unwrap_or_default();
        let filter = &self.plan.chosen.filter;
        let selection = (*filter != Filter::All).then(|| filter.to_string());
        Setting { slots, fleet: None, profile, on, selection, flags: Vec::new(), usual: None, colour }
    }

    async fn run(self, channel: Channel, mut setting: Setting) -> Result<Exit, Error> {
        let run = RunId(Uuid::new_v4());
        let mut client = large(channel.clone());
        let request = request(&self.plan, self.after, &mut client, run).await?;
        if request.policy.statements {
            // Read before the run adds to it. Without it, nothing is compared; the run goes on none the less.
            setting.usual = Usual::read(channel, &request).await.ok();
        }
        if let Some(seed) = request.policy.shuffle {
            setting.flags.push(format!("--shuffle={seed}"));
        }
        if let Some(profile) = &setting.profile {
            setting.flags.push(format!("--profile={profile}"));
        }
        let reports = &self.plan.rules.report.value;
        let mut audience = Audience::gather(&self.display, reports, &self.context.cwd, setting)?;
        let asked = v1::SubmitRequest::from(&request);
        // A run that was taken and whose answer was lost is the same run when it is handed in again.
        let submitted = link::patiently(|line| audience.say(line), async || client.submit(asked.clone()).await).await;
        if let Err(status) = submitted {
            audience.leave();
            return Err(Error::infrastructure("the coordinator does not take the run").because(&status));
        }
        match follow(client.clone(), run, Some(self.shutdown.clone()), &mut audience).await {
            Ok(Followed { view, outputs }) => {
                let mut exit = exit(&view, self.no_tests, self.after.is_some(), self.shutdown.borrow().signal);
                if let Some(FollowUp { of, .. }) = self.after.filter(|after| after.narrower && exit == Exit::Ok) {
                    exit = match outstanding::read(&mut client, of, &view).await {
                        Ok(left) if left.is_none() => exit,
                        Ok(left) => {
                            audience.say(&left.line());
                            Exit::Outstanding
                        }
                        Err(error) => {
                            audience.complain(error);
                            exit
                        }
                    };
                }
                Ok(audience.finish(&view, &outputs, exit))
            }
            Err(error) => {
                audience.leave();
                Err(lost(run, error))
            }
        }
    }
}

/// What is asked of the coordinator. Every suite that cannot be asked for is told, all together.
pub(super) async fn request(
    plan: &Plan,
    after: Option<FollowUp>,
    client: &mut RunsClient<Channel>,
    run: RunId,
) -> Result<Request, Error> {
    let Plan { config, rules, chosen } = plan;
    let project = config.project().value;
    let seed = run.0.as_u64_pair().1 >> 32;
    let changes = chosen.filter.needs_changes() || rules.rules.iter().any(|rule| rule.filter.needs_changes());
    let (mut suites, mut mistakes): (Vec<SuiteRequest>, Vec<Mistake>) = (Vec::new(), Vec::new());
    for (name, suite) in config.suites().into_iter().filter(|(name, _)| chosen.suites.iter().any(|c| c == name)) {
        let planned = match config.planned(name, suite) {
            Ok(planned) => planned,
            Err(error) => {
                mistakes.extend(error.into_mistakes());
                continue;
            }
        };
        match submit::suite(client, &project, planned, changes).await {
            Ok(suite) => suites.push(suite),
            Err(submit::Error::Runner(error)) => {
                let what = format!("the suite `{name}` cannot run: {}", error.message);
                mistakes.push(Mistake::new(what).help("`regatta doctor` checks everything that a suite needs"));
            }
            Err(submit::Error::Changes(why)) => {
                let what = format!("what has changed in the suite `{name}` cannot be told: {why}");
                mistakes.push(Mistake::new(what).help("`changed()` compares with the last commit of a git repository"));
            }
            Err(submit::Error::Coordinator(status)) => {
                return Err(Error::infrastructure("the coordinator does not answer").because(&status));
            }
        }
    }
    if !mistakes.is_empty() {
        return Err(Error::all(Exit::Usage, mistakes));
    }
    let overrides = rules.rules.iter().map(|rule| Override {
        needs: rule.needs.clone().unwrap_or_default(),
        filter: rule.filter.to_string(),
        timeout: rule.kill_after,
        grace: rule.grace,
        slow: rule.slow,
        retries: rule.retries,
        level: rule.level,
    });
    let mut policy = rules.run_policy(seed);
    if matches!(rules.shuffle.value, Shuffle::Drawn) {
        policy.shuffle = Some(seed);
    }
    Ok(Request {
        run,
        project: project.into(),
        policy,
        test_policy: rules.test_policy(),
        overrides: overrides.collect(),
        suites,
        filters: vec![chosen.filter.to_string()],
        rerun_of: after.map(|after| after.of),
        resume: after.is_some_and(|after| after.resume),
        branch: branch(&config.base).map(Into::into),
        environment: None,
    })
}

/// Finds and lists what `plan` selects, in this process, and runs nothing.
pub(super) async fn perform_listing(plan: Plan, context: &Context<'_>) -> Result<View, Error> {
    let resources = needs::enough_for(&plan.rules, plan.config.resources());
    let mut here = Here::start(&plan.config.base, resources).await?;
    here.add_worker(slots_of_machine(), plan.config.labels())?;
    let channel = here.channel.clone();
    let listed = tokio::select! {
        listed = perform_listing_on(plan, channel, context) => listed,
        error = here.failed() => Err(error),
    };
    finish(here, listed).await
}

/// Finds and lists what `plan` selects, as a coordinator remembers it or its workers find it, and runs nothing.
pub(super) async fn perform_listing_on(plan: Plan, channel: Channel, context: &Context<'_>) -> Result<View, Error> {
    let mut client = large(channel);
    let run = RunId(Uuid::new_v4());
    let mut request = request(&plan, None, &mut client, run).await?;
    request.policy.list_only = true;
    // To look at tests, nobody has to have their databases.
    request.suites.iter_mut().for_each(|asked| asked.suite.databases.clear());
    let submitted = client.submit(v1::SubmitRequest::from(&request)).await;
    submitted.map_err(|status| Error::infrastructure("the tests cannot be listed").because(&status))?;
    let mut audience = Audience::nobody(context.global.color.unwrap_or_default());
    let followed = follow(client, run, None, &mut audience).await;
    audience.leave();
    followed.map(|followed| followed.view).map_err(|error| lost(run, error))
}

/// Asks about runs, in messages as large as they may be.
pub(super) fn large(channel: Channel) -> RunsClient<Channel> {
    RunsClient::new(channel).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES)
}

/// Ends what ran here, in order after a success, and without waiting for anybody after a failure.
pub(super) async fn finish<T>(here: Here, done: Result<T, Error>) -> Result<T, Error> {
    match done {
        Ok(done) => here.end().await.map(|()| done),
        Err(error) => {
            here.abandon().await;
            Err(error)
        }
    }
}

/// A run that could not be followed to its end, as people are told.
pub(super) fn lost(run: RunId, error: follow::Error) -> Error {
    match error {
        follow::Error::Lost(status) => Error::infrastructure("lost the coordinator, and it did not come back")
            .because(&status)
            .help(format!("the run goes on where it is; `regatta watch {run} --on URL` follows it again")),
        follow::Error::Refused(status) => Error::infrastructure("the coordinator ended the stream").because(&status),
        follow::Error::Nonsense(invalid) => {
            Error::infrastructure("the coordinator says what this version does not know")
                .because(&invalid)
                .help("use the same version of regatta on both sides")
        }
        follow::Error::Signal(error) => Error::infrastructure("cannot listen for signals").because(&error),
    }
}

/// How the process ends.
pub(super) fn exit(view: &View, no_tests: NoTests, rerun: bool, signal: i32) -> Exit {
    let counts = view.resumes.map_or(view.counts, |resumed| view.counts.plus(resumed.stand));
    match view.outcome {
        Some(RunOutcome::Green) => Exit::Ok,
        Some(RunOutcome::Empty) if rerun => Exit::Ok,
        Some(RunOutcome::Empty) => match no_tests {
            NoTests::Fail => Exit::NoTests,
            NoTests::Warn | NoTests::Pass => Exit::Ok,
        },
        Some(RunOutcome::Red) => {
            let infrastructure = |at: &ErrorAt| at.error.kind == RunErrorKind::Infrastructure;
            let before = view.resumes.map_or(0, |resumed| resumed.errors);
            if counts.red() == 0 && view.errors.is_empty() && before == 0 {
                Exit::Flaky
            } else if counts.red() == 0 && before == 0 && view.errors.iter().all(infrastructure) {
                Exit::Infrastructure
            } else {
                Exit::TestsFailed
            }
        }
        Some(RunOutcome::Cancelled) => match (view.cancelled, signal) {
            (Some(CancelCause::Asked), SIGTERM) => Exit::Terminated,
            (Some(CancelCause::Asked), _) => Exit::Interrupted,
            (Some(CancelCause::Abandoned), _) => Exit::Infrastructure,
            _ => Exit::TestsFailed,
        },
        None => Exit::Infrastructure,
    }
}

/// The number of the signal that asks a process to end.
const SIGTERM: i32 = nix::sys::signal::Signal::SIGTERM as i32;
