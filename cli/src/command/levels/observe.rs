//! A run under observation: every test alone, on a server of its own, and watched as a whole.

use super::declared::{self, Declared};
use super::seen::Seen;
use crate::args::{
    Display, FailureOutput, Fallback, NoTests, Progress, ReportArg, ServerUrl, StatusLevel, StreamFormat,
};
use crate::audience::{Audience, Setting};
use crate::command::plan;
use crate::command::run::{exit, finish, large, lost, reach, request, unreachable};
use crate::error::Error;
use crate::exit::Exit;
use crate::follow::{Followed, follow};
use crate::forecast::Fleet;
use crate::here::{Here, slots_of_machine};
use crate::intent::{Context, Place, Plan};
use crate::{link, needs};
use regatta_domain::RunId;
use regatta_domain::filter::Filter;
use regatta_runtime::shutdown::{Asked, on_signals};
use regatta_wire::v1;
use tokio::sync::watch;
use tonic::transport::Channel;
use uuid::Uuid;

/// What was observed.
pub(super) struct Observed {
    /// The run, with what its tests did.
    pub(super) seen: Seen,
    /// What is declared of the tests of its suites.
    pub(super) declared: Declared,
    /// How the run ended, as an exit code.
    pub(super) exit: Exit,
}

/// Runs what `plan` selects, under observation.
pub(super) async fn observe(
    plan: Plan,
    place: Place,
    no_tests: NoTests,
    progress: Progress,
    context: &Context<'_>,
) -> Result<Observed, Error> {
    let shutdown = on_signals().map_err(|error| Error::infrastructure("cannot listen for signals").because(&error))?;
    let watching = Watching { plan, no_tests, progress, shutdown, context };
    match place {
        Place::Here => watching.here().await,
        Place::On { url, fallback } => {
            let channel = link::to(&url);
            match reach(&channel).await {
                Ok(()) => watching.on(channel, &url).await,
                Err(status) if fallback == Some(Fallback::Local) => {
                    eprintln!("warning: no answer from {url} ({}); running here", status.message());
                    watching.here().await
                }
                Err(status) => Err(unreachable(&url, &status)),
            }
        }
    }
}

/// A run under observation that is about to happen.
struct Watching<'a> {
    plan: Plan,
    no_tests: NoTests,
    progress: Progress,
    shutdown: watch::Receiver<Asked>,
    context: &'a Context<'a>,
}

impl Watching<'_> {
    async fn here(self) -> Result<Observed, Error> {
        let Plan { config, rules, chosen } = &self.plan;
        let slots = rules.slots.value.unwrap_or_else(slots_of_machine);
        let resources = config.resources();
        needs::refuse_unoffered(config, rules, &chosen.suites, &resources)?;
        let fleet = Fleet::here(slots.into(), &config.labels(), config.resources());
        let mut here = Here::start(&config.base, resources).await?;
        here.add_worker(slots, config.labels())?;
        let setting = self.setting(slots.into(), None, Some(fleet));
        let channel = here.channel.clone();
        let done = tokio::select! {
            done = self.run(channel, setting) => done,
            error = here.failed() => Err(error),
        };
        finish(here, done).await
    }

    async fn on(self, channel: Channel, url: &ServerUrl) -> Result<Observed, Error> {
        // Without it, nothing is predicted; the run goes on none the less.
        let fleet = plan::fleet(channel.clone()).await.ok().as_ref().and_then(Fleet::of);
        let setting = self.setting(0, Some(url.to_string()), fleet);
        self.run(channel, setting).await
    }

    fn setting(&self, slots: u32, on: Option<String>, fleet: Option<Fleet>) -> Setting {
        let Plan { rules, chosen, .. } = &self.plan;
        let profile = (rules.profile != crate::config::file::DEFAULT_PROFILE).then(|| rules.profile.clone());
        let selection = (chosen.filter != Filter::All).then(|| chosen.filter.to_string());
        let colour = self.context.global.color.unwrap_or_default();
        Setting { slots, fleet, profile, on, selection, flags: Vec::new(), usual: None, colour }
    }

    async fn run(self, channel: Channel, setting: Setting) -> Result<Observed, Error> {
        let mut client = large(channel);
        let run = RunId(Uuid::new_v4());
        let mut asked = request(&self.plan, None, &mut client, run).await?;
        asked.policy.observe = true;
        // What fails under observation is told as failed: a second attempt would find the same.
        let mut audience = Audience::gather(&self.display(), &[], &self.context.cwd, setting)?;
        if let Err(status) = client.submit(v1::SubmitRequest::from(&asked)).await {
            audience.leave();
            return Err(Error::infrastructure("the coordinator does not take the run").because(&status));
        }
        match follow(client.clone(), run, Some(self.shutdown.clone()), &mut audience).await {
            Ok(Followed { view, outputs }) => {
                let ended = exit(&view, self.no_tests, false, self.shutdown.borrow().signal);
                let exit = audience.finish(&view, &outputs, ended);
                let seen = Seen::read(&mut client, run).await?;
                // Listed last: what the run has found is remembered then.
                let declared = declared::read(&self.plan, client, self.context).await?;
                Ok(Observed { seen, declared, exit })
            }
            Err(error) => {
                audience.leave();
                Err(lost(run, error))
            }
        }
    }

    /// What is shown while the run goes on; standard output is left to what was inferred.
    fn display(&self) -> Display {
        Display {
            report: Vec::<ReportArg>::new(),
            format: StreamFormat::Human,
            show_progress: self.progress,
            status_level: None,
            final_status_level: StatusLevel::Fail,
            failure_output: FailureOutput::Final,
        }
    }
}
