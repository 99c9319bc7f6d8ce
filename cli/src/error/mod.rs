//! What went wrong, as a person is told: what, where, what to do.
//!
//! An [`Error`] ends a command. It holds every mistake that was found, so that all of them are told together, and the exit
//! code that they amount to. It leaves finding mistakes to those who read things, and drawing them to `render`.

mod render;

use crate::exit::Exit;
use regatta_domain::filter;
use std::ops::Range;
use std::sync::Arc;

/// Why a command ends without having done what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    exit: Exit,
    mistakes: Vec<Mistake>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    what: String,
    place: Option<Place>,
    because: Vec<String>,
    help: Option<String>,
}

/// A piece of text that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// How people know the text: a path, a flag.
    pub(crate) name: Arc<str>,
    /// The whole text.
    pub(crate) text: Arc<str>,
    /// The bytes of it that are meant.
    pub(crate) span: Range<usize>,
}

impl Mistake {
    /// Something is wrong.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), place: None, because: Vec::new(), help: None }
    }

    /// Here.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// What caused it, down to the first cause.
    pub(crate) fn because(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(cause);
        while let Some(error) = cause {
            // Many errors repeat their cause in their own text.
            if let Some(text) = text_of(error)
                && !self.what.contains(&text)
                && !self.because.iter().any(|said| said.contains(&text))
            {
                self.because.push(text);
            }
            cause = error.source();
        }
        self
    }

    /// What to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A mistake in a filter that is the part of `place` that begins at its span.
    pub(crate) fn in_filter(error: &filter::Error, place: Place) -> Self {
        let base = place.span.start;
        let span = base + error.span.start..base + error.span.end;
        let mistake = Self::new(error.problem.to_string()).at(Place { span, ..place });
        match error.problem.hint() {
            Some(hint) => mistake.help(hint),
            None => mistake,
        }
    }
}

/// What an error says for itself, in words for people.
fn text_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    // Its own text is the Rust of everything that it holds.
    if let Some(status) = error.downcast_ref::<tonic::Status>() {
        return Some(status.message().to_owned()).filter(|message| !message.is_empty());
    }
    // That something went wrong in the transport is clear from what comes before and after.
    if error.is::<tonic::transport::Error>() {
        return None;
    }
    Some(error.to_string())
}

impl Error {
    /// One mistake, and how the process ends for it.
    pub(crate) fn new(exit: Exit, mistake: Mistake) -> Self {
        Self { exit, mistakes: vec![mistake] }
    }

    /// All of these mistakes, at least one.
    pub(crate) fn all(exit: Exit, mistakes: Vec<Mistake>) -> Self {
        assert!(!mistakes.is_empty(), "an error has a reason");
        Self { exit, mistakes }
    }

    /// What was asked makes no sense.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, Mistake::new(what))
    }

    /// Regatta's own machinery failed.
    pub(crate) fn infrastructure(what: impl Into<String>) -> Self {
        Self::new(Exit::Infrastructure, Mistake::new(what))
    }

    /// What to do about the last mistake.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.edit(|mistake| mistake.help(help));
        self
    }

    /// What caused the last mistake.
    pub(crate) fn because(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        self.edit(|mistake| mistake.because(cause));
        self
    }

    fn edit(&mut self, change: impl FnOnce(Mistake) -> Mistake) {
        let last = self.mistakes.pop().expect("an error has a reason");
        self.mistakes.push(change(last));
    }

    /// The first mistake, and how many more there are, in one line.
    pub(crate) fn summary(&self) -> String {
        match self.mistakes.as_slice() {
            [only] => only.what.clone(),
            [first, rest @ ..] => format!("{} (and {} more)", first.what, rest.len()),
            [] => unreachable!("an error has a reason"),
        }
    }

    /// What was wrong, to be told together with what else is.
    pub(crate) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// How the process ends.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }
}
