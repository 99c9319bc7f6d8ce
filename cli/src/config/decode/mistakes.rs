//! Where mistakes are collected.

use crate::error::{Error, Mistake, Place};
use crate::exit::Exit;
use std::ops::Range;
use std::sync::Arc;

/// The mistakes of one file.
#[derive(Debug)]
pub(crate) struct Mistakes {
    name: Arc<str>,
    text: Arc<str>,
    found: Vec<(usize, Mistake)>,
}

impl Mistakes {
    /// None yet, in the text that people know as `name`.
    pub(crate) fn of(name: Arc<str>, text: Arc<str>) -> Self {
        Self { name, text, found: Vec::new() }
    }

    /// The text.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The place of a span.
    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        Place { name: self.name.clone(), text: self.text.clone(), span }
    }

    /// Something is wrong here.
    pub(crate) fn tell(&mut self, span: Range<usize>, mistake: Mistake) {
        let place = self.place(span.clone());
        self.found.push((span.start, mistake.at(place)));
    }

    /// Something is wrong, and already knows where.
    pub(crate) fn tell_placed(&mut self, start: usize, mistake: Mistake) {
        self.found.push((start, mistake));
    }

    /// All mistakes in the order of the file, if there are any.
    pub(crate) fn into_result(mut self) -> Result<(), Error> {
        self.found.sort_by_key(|(start, _)| *start);
        let found: Vec<Mistake> = self.found.into_iter().map(|(_, mistake)| mistake).collect();
        if found.is_empty() { Ok(()) } else { Err(Error::all(Exit::Usage, found)) }
    }
}
