//! The parser: recursive descent, one function per line of the grammar.
//!
//! ```text
//! or        = and  { ("|" | "+" | "or") and }
//! and       = not  { ("&" | "and") not | "-" not }
//! not       = ("!" | "not") not | "(" or ")" | predicate
//! predicate = name "(" argument ")"
//! ```

use super::error::{Error, Problem};
use super::predicate::{self, Predicate};
use super::{Filter, MAX_BYTES, MAX_DEPTH, nearest};
use std::ops::Range;

/// Operators that people know from elsewhere, and what they are here.
const FOREIGN: [(&str, &str); 5] = [("&&", "&"), ("||", "|"), ("AND", "and"), ("OR", "or"), ("NOT", "not")];

pub(super) fn parse(text: &str) -> Result<Filter, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error { problem: Problem::TooLong, span: 0..text.len() });
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.skip_space();
    if parser.rest().is_empty() {
        return Err(Error { problem: Problem::Empty, span: 0..text.len() });
    }
    let filter = parser.or()?;
    match parser.rest().chars().next() {
        None => Ok(filter),
        Some(')') => Err(parser.mistake(Problem::Unopened, 1)),
        Some(_) => Err(parser.not_an_operator()),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Filter, Error> {
        let mut parts = vec![self.and()?];
        while self.operator(&["|", "+"], "or") {
            parts.push(self.and()?);
        }
        Ok(Filter::any(parts))
    }

    fn and(&mut self) -> Result<Filter, Error> {
        let mut parts = vec![self.not()?];
        loop {
            if self.operator(&["&"], "and") {
                parts.push(self.not()?);
            } else if self.operator(&["-"], "") {
                parts.push(Filter::Not(Box::new(self.not()?)));
            } else {
                return Ok(Filter::every(parts));
            }
        }
    }

    fn not(&mut self) -> Result<Filter, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.mistake(Problem::TooDeep, 1));
        }
        let filter = if self.operator(&["!"], "not") {
            Filter::Not(Box::new(self.not()?))
        } else if self.rest().starts_with('(') {
            let open = self.at;
            self.advance(1);
            let inner = self.or()?;
            if !self.rest().starts_with(')') {
                return Err(if self.rest().is_empty() {
                    Error { problem: Problem::Unclosed, span: open..open + 1 }
                } else {
                    self.not_an_operator()
                });
            }
            self.advance(1);
            inner
        } else {
            self.predicate()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn predicate(&mut self) -> Result<Filter, Error> {
        let rest = self.rest();
        let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (name, start) = (&rest[..length], self.at);
        if length == 0 || is_operator_word(name) {
            return Err(self.not_an_expression());
        }
        self.at += length;
        if !self.rest().starts_with('(') {
            let known = nearest(name, predicate::names());
            let problem = Problem::BareWord { word: name.to_owned(), nearest: known };
            return Err(Error { problem, span: start..self.at });
        }
        let Some(name) = predicate::names().find(|known| *known == name) else {
            let known = nearest(name, predicate::names());
            let problem = Problem::UnknownPredicate { name: name.to_owned(), nearest: known };
            return Err(Error { problem, span: start..self.at });
        };
        let span = self.argument(name)?;
        let argument = &self.text[span.clone()];
        match name {
            "all" if argument.is_empty() => Ok(Filter::All),
            "none" if argument.is_empty() => Ok(Filter::None),
            // An empty argument has no bytes to point at: the whole predicate is meant.
            _ => Predicate::new(name, argument).map(Filter::Is).map_err(|(problem, within)| {
                let within = span.start + within.start..span.start + within.end;
                Error { problem, span: if argument.is_empty() { start..span.end + 1 } else { within } }
            }),
        }
    }

    /// Reads `( … )` and gives the span of what is inside, without the white space around it.
    fn argument(&mut self, predicate: &str) -> Result<Range<usize>, Error> {
        let open = self.at;
        self.advance(1);
        let start = self.at;
        // In a regular expression parentheses have a meaning of their own: its second slash ends it.
        let regex = self.regex_in(predicate);
        if let Some(slash) = regex {
            let Some(close) = unescaped(&self.text[slash + 1..], '/') else {
                let problem = Problem::Regex("its closing `/` is missing".to_owned());
                return Err(Error { problem, span: slash..self.text.len() });
            };
            self.at = slash + 1 + close + 1;
        }
        let Some(close) = unescaped(self.rest(), ')') else {
            return Err(Error { problem: Problem::Unclosed, span: open..open + 1 });
        };
        let after = self.rest()[..close].trim();
        if regex.is_some() && !after.is_empty() {
            self.skip_space();
            return Err(self.mistake(Problem::AfterRegex, after.len()));
        }
        let inside = self.text[start..self.at + close].trim_end().len();
        self.advance(close + 1);
        Ok(start..start + inside)
    }

    /// Where the argument of `predicate` that begins here has the slash of a regular expression.
    fn regex_in(&self, predicate: &str) -> Option<usize> {
        let rest = self.rest();
        let value = match predicate {
            "marker" => rest.split_once('=').filter(|(name, _)| !name.contains(')'))?.1.trim_start(),
            // A path may begin with a slash.
            "under" => return None,
            _ => rest,
        };
        value.starts_with('/').then(|| self.text.len() - value.len())
    }

    /// Takes an operator, if one stands here. Those of other languages are left for the error message.
    fn operator(&mut self, signs: &[&str], word: &str) -> bool {
        let rest = self.rest();
        if self.foreign().is_some() {
            return false;
        }
        if let Some(sign) = signs.iter().find(|sign| rest.starts_with(**sign)) {
            self.advance(sign.len());
            return true;
        }
        let found =
            !word.is_empty() && rest.strip_prefix(word).is_some_and(|after| !after.starts_with(|c: char| is_word(c)));
        if found {
            self.advance(word.len());
        }
        found
    }

    fn foreign(&self) -> Option<(&'static str, &'static str)> {
        let rest = self.rest();
        FOREIGN.into_iter().find(|(sign, _)| {
            rest.strip_prefix(sign)
                .is_some_and(|after| !sign.ends_with(char::is_alphabetic) || !after.starts_with(|c: char| is_word(c)))
        })
    }

    fn not_an_expression(&self) -> Error {
        match (self.foreign(), self.rest().chars().next()) {
            (Some((sign, instead)), _) => self.mistake(Problem::ForeignOperator { instead }, sign.len()),
            (None, Some(c)) => self.mistake(Problem::ExpectedExpression, c.len_utf8()),
            (None, None) => self.mistake(Problem::ExpectedExpression, 0),
        }
    }

    fn not_an_operator(&self) -> Error {
        let rest = self.rest();
        if let Some((sign, instead)) = self.foreign() {
            return self.mistake(Problem::ForeignOperator { instead }, sign.len());
        }
        let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        self.mistake(Problem::ExpectedOperator, word.max(rest.chars().next().map_or(0, char::len_utf8)))
    }

    fn mistake(&self, problem: Problem, length: usize) -> Error {
        Error { problem, span: self.at..self.at + length }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.skip_space();
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_operator_word(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "AND" | "OR" | "NOT")
}

/// Where `end` first stands in `text` without a backslash before it.
fn unescaped(text: &str, end: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == end => return Some(at),
            _ => {}
        }
    }
    None
}
