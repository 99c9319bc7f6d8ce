//! How a name is compared: `=exactly`, `~contains`, `#glob`, `/regex/`.
//!
//! A matcher is its text: equality, hash and display go by what was written, the compiled form only follows from it.

use super::error::Problem;
use regex::{Regex, bytes};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;

/// How a name is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Matcher {
    /// The name is this text.
    Equals(String),
    /// The name contains this text.
    Contains(String),
    /// The name fits this glob.
    Glob(Glob),
    /// The regular expression is found in the name.
    Regex(Pattern),
}

/// Which matcher a predicate uses when none is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Default {
    Equals,
    Contains,
    Glob,
}

impl Matcher {
    /// Whether `name` fits.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Self::Equals(text) => name == text,
            Self::Contains(text) => name.contains(text.as_str()),
            Self::Glob(glob) => glob.fits(name),
            Self::Regex(pattern) => pattern.regex.is_match(name),
        }
    }

    /// The matcher that a predicate with this default makes of plain text.
    pub(super) fn implicit(default: Default, text: String) -> Result<Self, Problem> {
        match default {
            Default::Equals => Ok(Self::Equals(text)),
            Default::Contains => Ok(Self::Contains(text)),
            Default::Glob => Glob::new(text).map(Self::Glob),
        }
    }

    /// Writes the matcher so that it is read back as it is, with its sign left out where the default says it.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, default: Default) -> fmt::Result {
        let (sign, text, implied) = match self {
            Self::Equals(text) => ("=", text, default == Default::Equals),
            Self::Contains(text) => ("~", text, default == Default::Contains),
            Self::Glob(glob) => ("#", &glob.text, default == Default::Glob),
            Self::Regex(pattern) => return write!(f, "/{}/", pattern.text.replace('/', "\\/")),
        };
        if !implied || text.is_empty() || text.starts_with(['=', '~', '#', '/', '>', '<']) {
            f.write_str(sign)?;
        }
        escape(f, text)
    }
}

/// A glob: `*` (any text, `/` included), `?`, `[…]`, `{…,…}`. There is no escape; `[*]` is a literal star.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    /// `None` where the glob has nothing special, and is compared as it stands.
    regex: Option<bytes::Regex>,
}

impl Glob {
    pub(super) fn new(text: String) -> Result<Self, Problem> {
        if !text.contains(['*', '?', '[', ']', '{', '}']) {
            return Ok(Self { text, regex: None });
        }
        let glob = globset::GlobBuilder::new(&text)
            .backslash_escape(false)
            .empty_alternates(true)
            .build()
            .map_err(|error| Problem::Glob(error.kind().to_string()))?;
        let regex = bytes::Regex::new(glob.regex()).map_err(|error| Problem::Glob(short(&error)))?;
        Ok(Self { text, regex: Some(regex) })
    }

    fn fits(&self, name: &str) -> bool {
        self.regex.as_ref().map_or(name == self.text, |regex| regex.is_match(name.as_bytes()))
    }
}

/// A regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    pub(super) fn new(text: String) -> Result<Self, Problem> {
        let regex = Regex::new(&text).map_err(|error| Problem::Regex(short(&error)))?;
        Ok(Self { text, regex })
    }
}

/// The last line of a regex error says what is wrong; the lines before draw it.
fn short(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

macro_rules! is_its_text {
    ($name:ident) => {
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.text == other.text
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.text.hash(state);
            }
        }
    };
}

is_its_text!(Glob);
is_its_text!(Pattern);

/// Takes the escapes out of `raw`; on a mistake, tells where in it.
pub(super) fn unescape(raw: &str) -> Result<String, Range<usize>> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            text.push(c);
            continue;
        }
        let Some((c, length)) = escaped(rest) else {
            let start = raw.len() - rest.len();
            return Err(start - 1..start + rest.chars().next().map_or(0, char::len_utf8));
        };
        text.push(c);
        rest = &rest[length..];
    }
    Ok(text)
}

/// The character that is written after a backslash, and how many bytes that takes.
fn escaped(rest: &str) -> Option<(char, usize)> {
    let c = rest.chars().next()?;
    Some(match c {
        '\\' | '/' | '(' | ')' | ',' => (c, 1),
        'n' => ('\n', 1),
        'r' => ('\r', 1),
        't' => ('\t', 1),
        'u' => {
            let (digits, _) = rest.strip_prefix("u{")?.split_once('}')?;
            let code = u32::from_str_radix(digits, 16).ok()?;
            (char::from_u32(code)?, digits.len() + 3)
        }
        _ => return None,
    })
}

/// Writes `text` so that [`unescape`] gives it back, and trimming takes nothing off it.
pub(super) fn escape(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let inner = text.trim();
    let head = text.len() - text.trim_start().len();
    for (at, c) in text.char_indices() {
        let outside = at < head || at >= head + inner.len();
        match c {
            '\\' | '(' | ')' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if outside || c.is_control() => write!(f, "\\u{{{:x}}}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    Ok(())
}
