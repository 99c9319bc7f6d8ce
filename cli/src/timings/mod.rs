//! Timings of tests in the files of other tools, and of Regatta itself.
//!
//! What a file says is read as it stands; which tests are meant is `matching`'s to say, which is pure. What nobody can
//! believe (a negative time, one that is no number) is left out and counted, and a broken file is told with its place.

mod json;
mod junit;
mod matching;
mod own;
#[cfg(test)]
mod tests;

pub(crate) use matching::{Listing, Suite};
pub(crate) use own::line;

use crate::args::TimingFormat;
use crate::error::{Error, Mistake};
use crate::exit::Exit;
use regatta_domain::Micros;
use regatta_domain::history::LONGEST;
use regatta_domain::listing::test_id;

/// What a time of zero stands for: tools that round to milliseconds write it for everything below a half.
const ZERO: Micros = Micros(500);

/// What a file of timings says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Timings {
    /// The timings, in the order of the file.
    pub(crate) timed: Vec<Timed>,
    /// Times that were zero or longer than anybody believes, and are taken for the nearest that is believed.
    pub(crate) clamped: u64,
    /// Times that were negative or no number; tests without a time.
    pub(crate) left_out: u64,
}

/// How long a test takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timed {
    /// The test, as the file names it.
    pub(crate) named: Named,
    /// How long it takes.
    pub(crate) mean: Micros,
    /// The deviation of its logarithm in thousandths, where the file says it.
    pub(crate) spread: Option<u16>,
}

/// A test, as a file of timings names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// As Regatta names it.
    Own {
        /// Its suite.
        suite: String,
        /// Its file.
        file: String,
        /// Its name; empty for the whole file.
        name: String,
    },
    /// By an id: a node id of pytest.
    Id(String),
    /// As JUnit XML and its kin do.
    Case {
        /// The class: a dotted path of modules and classes, a path, the name of a binary.
        class: String,
        /// The name.
        name: String,
        /// The file, where it is told.
        file: Option<String>,
    },
    /// A whole file.
    File(String),
}

impl Named {
    /// The name as the file has it, for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Own { file, name, .. } => test_id(file, name),
            Self::Id(text) | Self::File(text) => text.clone(),
            Self::Case { class, name, .. } if class.is_empty() => name.clone(),
            Self::Case { class, name, .. } => format!("{class}.{name}"),
        }
    }
}

impl Timings {
    /// Takes a time in.
    fn add(&mut self, named: Named, seconds: Option<f64>, spread: Option<u16>) {
        let Some(seconds) = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0) else {
            self.left_out += 1;
            return;
        };
        let mean = match micros(seconds) {
            Micros::ZERO => ZERO,
            mean => mean.min(LONGEST),
        };
        self.clamped += u64::from(mean != micros(seconds));
        self.timed.push(Timed { named, mean, spread });
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn micros(seconds: f64) -> Micros {
    Micros((seconds * 1e6).round() as u64)
}

/// A number as people write it; some write thousands with commas.
fn number(text: &str) -> Option<f64> {
    text.trim().replace(',', "").parse().ok()
}

/// Reads a file called `name`.
///
/// # Errors
/// When it is not what it should be: which line, and what was expected there.
pub(crate) fn read(name: &str, bytes: &[u8], format: TimingFormat) -> Result<Timings, Error> {
    let read = || {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = line_of(bytes, error.valid_up_to());
            Broken::new(format!("line {line} is no UTF-8 text")).expected("a text file")
        })?;
        let text = text.trim_start_matches('\u{feff}');
        if text.trim().is_empty() {
            return Err(Broken::new("it is empty".to_owned()));
        }
        match (format, text.trim_start().as_bytes()[0]) {
            (TimingFormat::Junit, _) | (TimingFormat::Auto, b'<') => junit::read(text),
            (TimingFormat::Regatta, _) => own::read(text),
            (TimingFormat::Auto, b'{') if own::is_own(text) => own::read(text),
            (TimingFormat::Auto, b'{' | b'[') => json::read(text, json::Kind::Any),
            (TimingFormat::Auto, _) => Err(Broken::new("line 1 begins neither XML nor JSON".to_owned())),
            (TimingFormat::PytestSplit, _) => json::read(text, json::Kind::Ids),
            (TimingFormat::Knapsack, _) => json::read(text, json::Kind::Files),
            (TimingFormat::Circleci, _) => json::read(text, json::Kind::Cases),
        }
    };
    read().map_err(|Broken { what, expected }| {
        let expected = expected.unwrap_or(
            "JUnit XML, the .test_durations of pytest-split, timings as CircleCI and Knapsack have them, or what \
             `regatta history export` writes",
        );
        let mistake = Mistake::new(format!("{name} holds no timings: {what}"));
        Error::new(Exit::Usage, mistake.help(format!("expected {expected}; nothing was imported")))
    })
}

/// Why a file cannot be read.
#[derive(Debug, PartialEq, Eq)]
struct Broken {
    what: String,
    expected: Option<&'static str>,
}

impl Broken {
    fn new(what: String) -> Self {
        Self { what, expected: None }
    }

    fn expected(self, expected: &'static str) -> Self {
        Self { expected: Some(expected), ..self }
    }
}

/// The line that a byte stands in, from 1.
fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
