//! Where a command's questions go: to a coordinator elsewhere, or to what this machine remembers of the project.

use super::run::{reach_to_look, unreachable};
use crate::args::{RunRef, ServerUrl};
use crate::error::Error;
use crate::here::Here;
use crate::intent::Context;
use crate::link;
use crate::needs::Resources;
use regatta_domain::RunId;
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::v1;
use regatta_wire::v1::history_client::HistoryClient;
use regatta_wire::v1::runs_client::RunsClient;
use tonic::transport::Channel;

/// Somebody who answers.
pub(super) struct Answering {
    /// How they are reached.
    pub(super) channel: Channel,
    here: Option<Here>,
}

impl Answering {
    /// The coordinator at `on`; without one, what is remembered here.
    pub(super) async fn at(on: Option<&ServerUrl>, context: &Context<'_>) -> Result<Self, Error> {
        if let Some(url) = on {
            let channel = link::to(url);
            reach_to_look(&channel).await.map_err(|status| unreachable(url, &status))?;
            return Ok(Self { channel, here: None });
        }
        let base = context.config().map_or_else(|_| context.cwd.clone(), |config| config.base);
        let here = Here::start(&base, Resources::new()).await?;
        Ok(Self { channel: here.channel.clone(), here: Some(here) })
    }

    /// Asks about runs.
    pub(super) fn runs(&self) -> RunsClient<Channel> {
        RunsClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }

    /// Asks about what is remembered of tests.
    pub(super) fn history(&self) -> HistoryClient<Channel> {
        HistoryClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }

    /// Nothing more is asked.
    pub(super) async fn end(self) -> Result<(), Error> {
        drop(self.channel);
        match self.here {
            Some(here) => here.end().await,
            None => Ok(()),
        }
    }
}

/// The newest runs, newest first.
pub(super) async fn newest(client: &mut RunsClient<Channel>, limit: u32) -> Result<Vec<v1::RunSummary>, Error> {
    let listed = client.list(v1::ListRunsRequest { limit }).await;
    let listed = listed.map_err(|status| Error::infrastructure("the runs cannot be listed").because(&status))?;
    Ok(listed.into_inner().runs)
}

/// How many runs a name is looked for in.
const LOOKED_AT: u32 = 1_000;

/// The run that is meant.
pub(super) async fn find(client: &mut RunsClient<Channel>, named: &RunRef) -> Result<RunId, Error> {
    find_run(client, named).await.map(|(run, _)| run)
}

/// The run that is meant, and whether it has ended.
pub(super) async fn find_run(client: &mut RunsClient<Channel>, named: &RunRef) -> Result<(RunId, bool), Error> {
    let runs = newest(client, LOOKED_AT).await?;
    let mut meant = runs.iter().filter(|run| match named {
        RunRef::Latest => true,
        RunRef::Prefix(prefix) => run.run.starts_with(prefix.as_str()),
    });
    let found = match (named, meant.next(), meant.next()) {
        (RunRef::Latest, Some(run), _) | (_, Some(run), None) => run,
        (RunRef::Latest, None, _) => {
            return Err(Error::usage("no run is known yet").help("`regatta run` makes one"));
        }
        (RunRef::Prefix(prefix), None, _) => {
            return Err(Error::usage(format!("no run is known whose id begins with `{prefix}`"))
                .help("`regatta runs` lists those that are"));
        }
        (RunRef::Prefix(prefix), Some(first), Some(second)) => {
            return Err(Error::usage(format!("`{prefix}` begins the id of {} and of {}", first.run, second.run))
                .help("write more of it"));
        }
    };
    let run = RunId::parse(&found.run)
        .map_err(|error| Error::infrastructure("the coordinator lists a run without an id").because(&error))?;
    Ok((run, found.ended.is_some()))
}
