//! Failures as gRPC statuses and back: here, and nowhere else.
//!
//! A failure is told apart by what the caller can do about it; the words for people travel beside it.

use crate::Invalid;
use std::fmt;
use tonic::{Code, Status};

/// Why a call failed, by what the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The message was wrong: change it.
    Invalid(String),
    /// What it names is not there.
    NotFound(String),
    /// It exists already, and is another one.
    Exists(String),
    /// It is more than this side takes.
    TooLarge(String),
    /// The other side is not fit for this call: another protocol version, a wrong order of calls.
    Unfit(String),
    /// The caller did not keep up, and was disconnected.
    Behind(String),
    /// Not now: dial again, after a while.
    Unavailable(String),
    /// The other side broke.
    Broken(String),
}

impl Failure {
    /// The words for people.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Invalid(text)
            | Self::NotFound(text)
            | Self::Exists(text)
            | Self::TooLarge(text)
            | Self::Unfit(text)
            | Self::Behind(text)
            | Self::Unavailable(text)
            | Self::Broken(text) => text,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Behind(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Failure {}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let code = match failure {
            Failure::Invalid(_) => Code::InvalidArgument,
            Failure::NotFound(_) => Code::NotFound,
            Failure::Exists(_) => Code::AlreadyExists,
            Failure::TooLarge(_) => Code::OutOfRange,
            Failure::Unfit(_) => Code::FailedPrecondition,
            Failure::Behind(_) => Code::ResourceExhausted,
            Failure::Unavailable(_) => Code::Unavailable,
            Failure::Broken(_) => Code::Internal,
        };
        Self::new(code, failure.message())
    }
}

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        Failure::from(invalid).into()
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let text = match status.message() {
            "" => status.code().to_string(),
            text => text.to_owned(),
        };
        match status.code() {
            Code::InvalidArgument => Self::Invalid(text),
            Code::NotFound => Self::NotFound(text),
            Code::AlreadyExists => Self::Exists(text),
            Code::OutOfRange => Self::TooLarge(text),
            Code::FailedPrecondition | Code::Unimplemented => Self::Unfit(text),
            Code::ResourceExhausted => Self::Behind(text),
            // What transports make of a connection that broke, in either direction.
            Code::Unavailable | Code::Cancelled | Code::Aborted | Code::DeadlineExceeded | Code::Unknown => {
                Self::Unavailable(text)
            }
            // So is this where it has a source: the other side did not say it, but its connection ended under the call, as when a
            // coordinator leaves, or gives a connection up that was silent for long.
            Code::Internal if std::error::Error::source(&status).is_some() => Self::Unavailable(text),
            _ => Self::Broken(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_its_status() {
        let text = || "what, where, what to do".to_owned();
        let failures = [
            Failure::Invalid(text()),
            Failure::NotFound(text()),
            Failure::Exists(text()),
            Failure::TooLarge(text()),
            Failure::Unfit(text()),
            Failure::Behind(text()),
            Failure::Unavailable(text()),
            Failure::Broken(text()),
        ];
        for failure in failures {
            assert_eq!(Failure::from(Status::from(failure.clone())), failure);
        }
    }

    #[test]
    fn a_connection_that_ended_under_a_call_may_be_another_one_next_time() {
        let mut status = Status::internal("h2 protocol error: http2 error");
        status.set_source(std::sync::Arc::new(std::io::Error::other("GoAway(NO_ERROR)")));
        assert!(Failure::from(status).may_pass());
    }
}
