//! Shows a run that has ended, and writes reports of it.

use super::block_on;
use super::watch::show;
use crate::args::ReportArgs;
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;

/// Shows a run that has ended, and writes reports of it.
pub(crate) fn report(args: ReportArgs, context: &Context<'_>) -> Result<Exit, Error> {
    block_on(show(args.on.as_ref(), &args.run, &args.display, context))?
}
