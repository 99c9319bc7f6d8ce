//! Ends a run before its time.

use super::block_on;
use super::place::{Answering, find};
use crate::args::CancelArgs;
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use regatta_wire::v1;

/// Ends a run before its time.
pub(crate) fn cancel(args: CancelArgs, context: &Context<'_>) -> Result<Exit, Error> {
    block_on(async {
        let answering = Answering::at(Some(&args.on), context).await?;
        let mut client = answering.runs();
        let run = find(&mut client, &args.run).await?;
        let cause = v1::CancelCause::Asked.into();
        let cancelled = client.cancel(v1::CancelRequest { run: run.to_string(), kill: args.kill, cause }).await;
        cancelled.map_err(|status| Error::infrastructure("the run cannot be cancelled").because(&status))?;
        eprintln!("run {run} is being cancelled");
        answering.end().await?;
        Ok(Exit::Ok)
    })?
}
