//! Building a template: the command of whoever knows the schema, run where the suite is.

use super::claim::{CALL, Claim, FIRST_WAIT, LONGEST_WAIT, is_final};
use crate::process::{Captured, Command, Ending, Streams};
use crate::runner::{Brief, Place, Sink, Tell};
use regatta_domain::database::PlannedDatabase;
use regatta_domain::limits::ERROR_BYTES;
use regatta_runtime::backoff::Backoff;
use regatta_wire::v1::{BuildOrder, BuiltRequest};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between SIGTERM and SIGKILL for a command that takes too long: a migration may want to roll back.
const GRACE: Duration = Duration::from_secs(5);

/// What is left of its bound for the words around a command's output.
const WORDS: usize = 512;

/// Does what `order` says, and tells the coordinator what came of it. Dropped while it waits, it stops the command and tells
/// nothing: whoever holds the next lease is ordered anew.
pub(super) async fn build(brief: &Brief, place: &Place, sink: &Sink, claim: Claim, order: BuildOrder) {
    let began = Instant::now();
    let resource = order.resource.clone();
    let failure = run(brief, place, sink, &order).await.err();
    let note = match &failure {
        None => format!("built the template of `{resource}` in {:.1} s", began.elapsed().as_secs_f64()),
        Some(_) => format!("the template of `{resource}` could not be built"),
    };
    sink.tell(Tell::Note(note)).await;
    tell(place, claim, BuiltRequest { token: claim.token.0, order: order.order, failure }).await;
}

/// Runs the command; the error is what is told of its failure, the end of its output included.
async fn run(brief: &Brief, place: &Place, sink: &Sink, order: &BuildOrder) -> Result<(), String> {
    let known = |database: &&PlannedDatabase| *database.resource == *order.resource;
    let Some(database) = brief.suite.databases.iter().find(known) else {
        return Err(format!("the suite {} has no database of `{}`", brief.suite.name, order.resource));
    };
    let shown: Vec<&str> = database.build.iter().map(AsRef::as_ref).collect();
    let shown = shown.join(" ");
    sink.tell(Tell::Note(format!("building the template of `{}`: {shown}", order.resource))).await;
    if database.build.is_empty() {
        return Ok(());
    }
    let mut command = Command { argv: Vec::new(), ..Command::default() };
    command.argv.extend(database.build.iter().map(|argument| argument.to_string().into()));
    Path::new(&*brief.suite.root).clone_into(&mut command.cwd);
    let suite = brief.suite.env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let told = order.variables.iter().map(|variable| (variable.name.clone(), variable.value.clone()));
    command.env.extend(suite.chain(told).map(|(name, value)| (name.into(), value.into())));
    let limit = Duration::from(database.build_limit);
    let ran = place.spawner.run_to_end(&command, Streams::Merged, limit, GRACE).await;
    let ran = ran.map_err(|error| format!("`{shown}`: {error}"))?;
    match ran.exit.ending {
        _ if ran.timed_out => {
            let how = format!("took longer than {}, and was stopped", database.build_limit);
            Err(told_of(&shown, &how, ran.stdout))
        }
        Ending::Exited(0) => Ok(()),
        ending => Err(told_of(&shown, &format!("ended with {ending}"), ran.stdout)),
    }
}

/// How a command failed, and the end of what it printed.
fn told_of(shown: &str, how: &str, printed: Captured) -> String {
    let printed = String::from_utf8_lossy(&printed.into_bytes()).into_owned();
    let printed = printed.trim_end();
    let from = printed.len().saturating_sub(ERROR_BYTES - WORDS);
    let from = (from..=printed.len()).find(|&at| printed.is_char_boundary(at)).unwrap_or(printed.len());
    let shown: String = shown.chars().take(WORDS / 4).collect();
    format!("`{shown}` {how}\n{}", &printed[from..])
}

/// Tells the coordinator until it has heard.
async fn tell(place: &Place, claim: Claim, request: BuiltRequest) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, claim.seed());
    let provider = Arc::clone(&place.databases);
    loop {
        match tokio::time::timeout(CALL, provider.built(request.clone())).await {
            Ok(Ok(_)) => return,
            Ok(Err(status)) if is_final(&status) => {
                return tracing::warn!(?claim, status = %status.message(), "nobody wants to know of a template");
            }
            Ok(Err(_)) | Err(_) => tokio::time::sleep(backoff.wait()).await,
        }
    }
}
