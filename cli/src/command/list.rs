//! Shows which tests a selection holds.

use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use crate::intent::List;

/// Shows which tests a selection holds.
pub(crate) fn list(_: List, _: &Context<'_>) -> Result<Exit, Error> {
    Err(Error::infrastructure("this build of regatta cannot do `regatta list`"))
}
