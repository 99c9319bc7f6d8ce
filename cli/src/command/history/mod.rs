//! What is remembered of tests: shown, exported, and imported from the files of other tools.

mod export;
mod import;
mod show;

use super::place::Answering;
use crate::args::{HistoryArgs, HistoryCommand, ServerUrl, Whose};
use crate::branch::branch;
use crate::config::Config;
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use regatta_wire::v1;

/// Does what was asked for.
pub(crate) fn history(args: HistoryArgs, context: &Context<'_>) -> Result<Exit, Error> {
    match args.command {
        HistoryCommand::Import(args) => import::import(&args, context),
        HistoryCommand::Export(args) => export::export(&args, context),
        HistoryCommand::Show(args) => show::show(&args, context),
    }
}

/// The project that is meant, and the configuration at hand. With a name no configuration is needed.
fn project(whose: &Whose, context: &Context<'_>) -> Result<(String, Option<Config>), Error> {
    match (context.config(), &whose.project) {
        (Ok(config), Some(project)) => Ok((project.clone(), Some(config))),
        (Ok(config), None) => Ok((config.project().value, Some(config))),
        (Err(_), Some(project)) => Ok((project.clone(), None)),
        (Err(error), None) => Err(error.help("or name the project with `--project`")),
    }
}

/// Everything that is known of a project, or of a suite of it, as the next run of this checkout reads it: suite by suite.
async fn known(
    on: Option<&ServerUrl>,
    project: String,
    suite: Option<String>,
    config: Option<&Config>,
    context: &Context<'_>,
) -> Result<Vec<(String, v1::Remembered)>, Error> {
    let base = config.map_or(&context.cwd, |config| &config.base);
    let branch = branch(base).unwrap_or_default();
    let unread = |status: tonic::Status| Error::infrastructure("what is remembered cannot be read").because(&status);
    let answering = Answering::at(on, context).await?;
    let mut client = answering.history();
    let read = async {
        let request = v1::ExportRequest { project, suite, branch, environment: String::new() };
        let mut stream = client.export(request).await.map_err(unread)?.into_inner();
        let mut known = Vec::new();
        while let Some(v1::ExportResponse { suite, tests }) = stream.message().await.map_err(unread)? {
            known.extend(tests.into_iter().map(|test| (suite.clone(), test)));
        }
        Ok(known)
    };
    let read = read.await;
    drop(client);
    answering.end().await?;
    read
}
