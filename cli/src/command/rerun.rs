//! Runs what an earlier run left to be done: what failed, was not run, or is new since.

use super::block_on;
use super::place::{Answering, find};
use super::run::{FollowUp, perform};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::{Context, Place, Rerun};

/// Runs what an earlier run left to be done.
pub(crate) fn rerun(rerun: Rerun, context: &Context<'_>) -> Result<Exit, Error> {
    block_on(async {
        let on = match &rerun.run.place {
            Place::Here => None,
            Place::On { url, .. } => Some(url),
        };
        let answering = Answering::at(on, context).await?;
        let narrower = rerun.narrower;
        let of = find(&mut answering.runs(), &rerun.of).await;
        answering.end().await?;
        perform(rerun.run, Some(FollowUp { of: of?, resume: false, narrower }), context).await
    })?
}
