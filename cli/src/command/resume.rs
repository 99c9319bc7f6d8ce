//! Goes on with a run that was ended before all of it was done; follows one that was not.

use super::block_on;
use super::place::{Answering, find_run};
use super::run::{FollowUp, perform};
use super::watch::show;
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::{Context, Place, Rerun};

/// Goes on with a run.
pub(crate) fn resume(rerun: Rerun, context: &Context<'_>) -> Result<Exit, Error> {
    block_on(async {
        let on = match &rerun.run.place {
            Place::Here => None,
            Place::On { url, .. } => Some(url),
        };
        let answering = Answering::at(on, context).await?;
        let found = find_run(&mut answering.runs(), &rerun.of).await;
        answering.end().await?;
        let (of, ended) = found?;
        if !ended {
            eprintln!("run {of} has not ended, and goes on by itself");
            return show(on, &rerun.of, &rerun.run.display, context).await;
        }
        perform(rerun.run, Some(FollowUp { of, resume: true, narrower: false }), context).await
    })?
}
