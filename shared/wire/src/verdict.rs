//! The closed enums on the wire: outcomes, nuances, verdicts, and how runs and errors are told apart.
//!
//! A value that this side does not know is a mistake of the message, never a default.

use crate::v1;
use regatta_domain::report::{CancelCause, RunOutcome};
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Cause, Nuance, Outcome, Verdict};

/// Both directions between a domain enum and its wire form, and the reader of a field of it. Each variant is written once;
/// one that is forgotten does not compile.
macro_rules! closed {
    ($domain:ident as $wire:path: $($ours:ident = $theirs:ident),+ $(,)?) => {
        impl From<$domain> for $wire {
            fn from(value: $domain) -> Self {
                match value {
                    $($domain::$ours => Self::$theirs,)+
                }
            }
        }

        impl TryFrom<$wire> for $domain {
            type Error = ();

            #[allow(unreachable_patterns, reason = "some wire enums have an unspecified value, some do not")]
            fn try_from(value: $wire) -> Result<Self, ()> {
                match value {
                    $(<$wire>::$theirs => Ok(Self::$ours),)+
                    _ => Err(()),
                }
            }
        }

        impl $crate::verdict::Closed for $domain {
            fn read(value: i32) -> Option<Self> {
                <$wire>::try_from(value).ok().and_then(|value| Self::try_from(value).ok())
            }
        }
    };
}
pub(crate) use closed;

/// An enum that can be read from a field of a message.
pub trait Closed: Sized {
    /// The value, where it is one.
    fn read(value: i32) -> Option<Self>;

    /// The value of the field called `field`.
    ///
    /// # Errors
    /// When it is unspecified, or not known here.
    fn field(field: &str, value: i32) -> Result<Self, crate::Invalid> {
        Self::read(value).ok_or_else(|| {
            let why = if value == 0 { crate::Why::Missing } else { crate::Why::Unknown(value.to_string()) };
            crate::Invalid::new(field, why)
        })
    }
}

closed! {
    Outcome as v1::Outcome:
    Passed = Passed,
    Failed = Failed,
    Skipped = Skipped,
    TimedOut = TimedOut,
    Crashed = Crashed,
    Missing = Missing,
}

closed! {
    Nuance as v1::Nuance:
    Plain = Plain,
    ExpectedFailure = ExpectedFailure,
    UnexpectedPass = UnexpectedPass,
    SetupError = SetupError,
    TeardownError = TeardownError,
}

closed! {
    Cause as v1::Cause:
    Test = Test,
    Timeout = Timeout,
    Crash = Crash,
    OutOfMemory = OutOfMemory,
    WorkerLost = WorkerLost,
    Drained = Drained,
    Resource = Resource,
    SetUp = SetUp,
    Infrastructure = Infrastructure,
    Cancelled = Cancelled,
}

/// A cause in a field that may be without one.
///
/// # Errors
/// When it is one that is not known here.
pub fn cause(field: &str, value: i32) -> Result<Option<Cause>, crate::Invalid> {
    if value == 0 { Ok(None) } else { Cause::field(field, value).map(Some) }
}

/// The value of a field for a cause, where there is one.
#[must_use]
pub fn of_cause(cause: Option<Cause>) -> i32 {
    cause.map_or(v1::Cause::Unspecified, Into::into).into()
}

closed! {
    Verdict as v1::Verdict:
    Passed = Passed,
    Flaky = Flaky,
    Skipped = Skipped,
    Failed = Failed,
    TimedOut = TimedOut,
    Crashed = Crashed,
    NotRun = NotRun,
}

closed! {
    RunOutcome as v1::RunOutcome:
    Green = Green,
    Red = Red,
    Cancelled = Cancelled,
    Empty = Empty,
}

closed! {
    CancelCause as v1::CancelCause:
    Asked = Asked,
    FailFast = FailFast,
    TimeLimit = TimeLimit,
    Abandoned = Abandoned,
}

closed! {
    RunErrorKind as v1::RunErrorKind:
    Collection = Collection,
    Build = Build,
    Runner = Runner,
    Teardown = Teardown,
    Infrastructure = Infrastructure,
}
