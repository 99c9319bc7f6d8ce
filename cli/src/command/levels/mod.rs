//! Levels: inferred by watching every test alone, and checked against what the tests of a run did.
//!
//! - [`observe`] runs tests under observation; [`seen`] is what was seen of each test of a run, read from its record.
//! - [`infer`] finds the levels, and [`told`] tells them; [`declared`] is what was said of them before; [`filters`] says them in few filters, [`block`] keeps those in regatta.toml, and [`markers`]
//!   makes a patch of them.
//! - [`check`] tells where levels and deeds differ.
//!
//! What a level follows from is the business of `regatta_domain::evidence`; here nothing is judged anew.

mod block;
mod check;
mod declared;
mod filters;
mod infer;
mod markers;
mod observe;
mod patch;
mod seen;
mod told;

use crate::args::{LevelsArgs, LevelsCommand};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;

/// Infers levels, or checks them.
pub(crate) fn levels(args: LevelsArgs, context: &Context<'_>) -> Result<Exit, Error> {
    match args.command {
        LevelsCommand::Infer(args) => infer::infer(args, context),
        LevelsCommand::Check(args) => check::check(&args, context),
    }
}
