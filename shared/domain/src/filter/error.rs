//! Why a text is not a filter, and what to write instead.

use super::predicate;
use std::fmt;
use std::ops::Range;

/// A mistake in a filter: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub problem: Problem,
    /// Which bytes of the text it concerns.
    pub span: Range<usize>,
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is no expression.
    Empty,
    /// The text is longer than [`super::MAX_BYTES`].
    TooLong,
    /// Parentheses and negations are nested deeper than [`super::MAX_DEPTH`].
    TooDeep,
    /// An expression should begin here.
    ExpectedExpression,
    /// Two expressions stand side by side.
    ExpectedOperator,
    /// An operator of another language.
    ForeignOperator {
        /// What to write here.
        instead: &'static str,
    },
    /// A `(` that nothing closes.
    Unclosed,
    /// A `)` that nothing opened.
    Unopened,
    /// A word that is not followed by `(`.
    BareWord {
        /// The word.
        word: String,
        /// A predicate of nearly that name.
        nearest: Option<&'static str>,
    },
    /// No predicate has this name.
    UnknownPredicate {
        /// The name.
        name: String,
        /// A predicate of nearly that name.
        nearest: Option<&'static str>,
    },
    /// The predicate takes no argument.
    UnexpectedArgument {
        /// The predicate.
        predicate: &'static str,
    },
    /// The predicate needs an argument.
    MissingArgument {
        /// The predicate.
        predicate: &'static str,
    },
    /// The argument has to be one of a few words.
    UnknownValue {
        /// The word that was given.
        given: String,
        /// The words there are.
        known: &'static [&'static str],
        /// One of them that is nearly the same.
        nearest: Option<&'static str>,
    },
    /// A backslash before a character that needs none.
    Escape,
    /// The glob is malformed.
    Glob(String),
    /// The regular expression is malformed.
    Regex(String),
    /// Something follows the slash that ends a regular expression.
    AfterRegex,
    /// The duration is malformed.
    Duration(crate::duration::Error),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the filter is empty"),
            Self::TooLong => write!(f, "the filter is longer than {} bytes", super::MAX_BYTES),
            Self::TooDeep => write!(f, "the filter is nested deeper than {} levels", super::MAX_DEPTH),
            Self::ExpectedExpression => write!(f, "an expression is missing here"),
            Self::ExpectedOperator => write!(f, "an operator is missing here"),
            Self::ForeignOperator { .. } => write!(f, "this operator is not part of the filter language"),
            Self::Unclosed => write!(f, "this parenthesis is never closed"),
            Self::Unopened => write!(f, "this parenthesis was never opened"),
            Self::BareWord { word, .. } => write!(f, "`{word}` is not an expression"),
            Self::UnknownPredicate { name, .. } => write!(f, "there is no predicate `{name}`"),
            Self::UnexpectedArgument { predicate } => write!(f, "`{predicate}()` takes no argument"),
            Self::MissingArgument { predicate } => write!(f, "`{predicate}()` needs an argument"),
            Self::UnknownValue { given, .. } => write!(f, "`{given}` is not one of the possible values"),
            Self::Escape => write!(f, "this escape is not known"),
            Self::Glob(why) => write!(f, "the glob is malformed: {why}"),
            Self::Regex(why) => write!(f, "the regular expression is malformed: {why}"),
            Self::AfterRegex => write!(f, "the regular expression has ended before this"),
            Self::Duration(why) => why.fmt(f),
        }
    }
}

impl Problem {
    /// What to write instead, in one line.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty => "select everything with `all()`".to_owned(),
            Self::ExpectedExpression => {
                format!("an expression is a predicate ({}), `not` …, or ( … )", predicate::SIGNATURES.join(" "))
            }
            Self::ExpectedOperator => "combine expressions with `&`, `|`, `-`, or the words `and`, `or`".to_owned(),
            Self::ForeignOperator { instead } => format!("write `{instead}`"),
            Self::Unclosed => {
                "add a `)`; inside an argument, a parenthesis that belongs to it is written `\\)`".to_owned()
            }
            Self::Unopened => {
                "remove it; inside an argument, a parenthesis that belongs to it is written `\\)`".to_owned()
            }
            Self::BareWord { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}({})`?", if predicate::takes_nothing(nearest) { "" } else { "…" })
            }
            Self::BareWord { word, nearest: None } => format!("tests whose name contains it: `test({word})`"),
            Self::UnknownPredicate { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownPredicate { nearest: None, .. } => {
                format!("the predicates are {}", predicate::SIGNATURES.join(" "))
            }
            Self::UnexpectedArgument { predicate } => format!("write `{predicate}()`"),
            Self::MissingArgument { predicate } => format!("for example {}", predicate::example(predicate)),
            Self::UnknownValue { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownValue { known, nearest: None, .. } => format!("possible values: {}", known.join(", ")),
            Self::Escape => {
                "the escapes are \\\\ \\/ \\( \\) \\, \\n \\r \\t \\u{…}; a backslash itself is `\\\\`".to_owned()
            }
            Self::Glob(_) => "`*`, `?`, `[…]` and `{…,…}` have a meaning; for exact text write `=` first".to_owned(),
            Self::Regex(_) => "for plain text use `~text` (contains) or `=text` (exactly)".to_owned(),
            Self::AfterRegex => {
                "a slash inside is written `\\/`; plain text that begins with a slash is written `=/…`".to_owned()
            }
            Self::Duration(_) => "for example `slow(>5s)` or `slow(<250ms)`".to_owned(),
            Self::TooLong | Self::TooDeep => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.problem, self.span.start)?;
        self.problem.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Error {}
