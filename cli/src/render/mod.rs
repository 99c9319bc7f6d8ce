//! What a person sees of a run: progress while it goes on, failures and a summary when it has ended.
//!
//! All of it is written to standard error, drawn from the [`View`](crate::view::View) and from nothing else. It leaves files
//! for machines to `report`.

mod canvas;
mod closing;
mod eta;
mod excerpt;
pub(crate) mod failure;
pub(crate) mod foreseen;
mod frame;
mod header;
mod line;
mod options;
mod pace;
mod paint;
pub(crate) mod reproduce;
pub(crate) mod safe;
mod screen;
pub(crate) mod statements;
pub(crate) mod status;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub(crate) use options::{Options, in_github, size, taskbar, terminal, unicode};
pub(crate) use paint::Paint;
pub(crate) use screen::Screen;

use crate::exit::Exit;
use crate::forecast::Fleet;
use crate::usual::Usual;

/// What is known at the end beside the view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'a> {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// The slots that the run could have had; those that took part count where they are more.
    pub(crate) slots: u32,
    /// What the run was predicted on; `None` where that is not known.
    pub(crate) fleet: Option<&'a Fleet>,
    /// What the tests had to be to be selected, where not all of them were asked for.
    pub(crate) selection: Option<&'a str>,
    /// The flags of the run that a command which runs a test again has to repeat.
    pub(crate) flags: &'a [String],
    /// What its tests asked of their databases before; `None` where that is not compared.
    pub(crate) usual: Option<&'a Usual>,
    /// The reports that were written.
    pub(crate) reports: &'a [String],
}
