//! Results, outputs and errors on the wire.

use crate::invalid::{Within as _, text, u16_from};
use crate::limits::PATH_BYTES;
use crate::verdict::{Closed as _, cause, of_cause};
use crate::{Invalid, digest, v1};
use regatta_domain::database::Observation;
use regatta_domain::limits::{ERROR_BYTES, REASON_BYTES};
use regatta_domain::result::{OutputRef, RunError, RunErrorKind, TestResult};
use regatta_domain::{Exit, Micros, Nuance, Outcome, TestIx, Time};
use std::sync::Arc;

impl TryFrom<v1::TestResult> for TestResult {
    type Error = Invalid;

    fn try_from(result: v1::TestResult) -> Result<Self, Invalid> {
        Ok(Self {
            test: TestIx(result.test),
            attempt: u16_from("attempt", result.attempt, 1)?,
            outcome: Outcome::field("outcome", result.outcome)?,
            nuance: Nuance::field("nuance", result.nuance)?,
            cause: cause("cause", result.cause)?,
            exit: result.exit.and_then(|exit| exit.how).map(Into::into),
            started: Time(result.started),
            duration: Micros(result.duration),
            reason: result.reason.map(|reason| text("reason", reason, REASON_BYTES)).transpose()?,
            output: result.output.map(|output| OutputRef::try_from(output).within("output")).transpose()?,
            observation: result
                .observation
                .map(|seen| Observation::try_from(seen).within("observation").map(Arc::new))
                .transpose()?,
        })
    }
}

impl From<&TestResult> for v1::TestResult {
    fn from(result: &TestResult) -> Self {
        Self {
            test: result.test.0,
            attempt: u32::from(result.attempt),
            outcome: v1::Outcome::from(result.outcome).into(),
            nuance: v1::Nuance::from(result.nuance).into(),
            cause: of_cause(result.cause),
            exit: result.exit.map(Into::into),
            started: result.started.0,
            duration: result.duration.0,
            reason: result.reason.as_deref().map(ToOwned::to_owned),
            output: result.output.as_ref().map(Into::into),
            observation: result.observation.as_deref().map(Into::into),
        }
    }
}

impl From<v1::exit::How> for Exit {
    fn from(how: v1::exit::How) -> Self {
        match how {
            v1::exit::How::Status(status) => Self::Status(status),
            v1::exit::How::Signal(signal) => Self::Signal(signal),
        }
    }
}

impl From<Exit> for v1::Exit {
    fn from(exit: Exit) -> Self {
        Self {
            how: Some(match exit {
                Exit::Status(status) => v1::exit::How::Status(status),
                Exit::Signal(signal) => v1::exit::How::Signal(signal),
            }),
        }
    }
}

impl TryFrom<v1::OutputRef> for OutputRef {
    type Error = Invalid;

    fn try_from(output: v1::OutputRef) -> Result<Self, Invalid> {
        Ok(Self { digest: digest("digest", &output.digest)?, size: output.size })
    }
}

impl From<&OutputRef> for v1::OutputRef {
    fn from(output: &OutputRef) -> Self {
        Self { digest: output.digest.to_string(), size: output.size }
    }
}

impl TryFrom<v1::RunError> for RunError {
    type Error = Invalid;

    fn try_from(error: v1::RunError) -> Result<Self, Invalid> {
        Ok(Self {
            kind: RunErrorKind::field("kind", error.kind)?,
            place: text("place", error.place, PATH_BYTES)?,
            message: text("message", error.message, ERROR_BYTES)?,
        })
    }
}

impl From<&RunError> for v1::RunError {
    fn from(error: &RunError) -> Self {
        Self {
            kind: v1::RunErrorKind::from(error.kind).into(),
            place: error.place.to_string(),
            message: error.message.to_string(),
        }
    }
}
