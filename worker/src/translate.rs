//! Between the wire and the runner contract, where the noun itself is not the same on both sides.

use crate::runner::Finished;
use regatta_domain::limits::REASON_BYTES;
use regatta_domain::result::{RunError, TestResult};
use regatta_domain::{Micros, Token};
use regatta_wire::v1;
use std::sync::Arc;

/// A test that ended, and its output, which travels apart.
pub(crate) fn finished(token: Token, finished: Finished) -> (v1::Finished, Vec<u8>) {
    let cause = finished.because();
    let result = TestResult {
        test: finished.test,
        attempt: finished.attempt,
        outcome: finished.outcome,
        nuance: finished.nuance,
        cause,
        exit: finished.exit,
        started: finished.started,
        duration: Micros::from(finished.duration),
        reason: finished.reason.map(|reason| clip(&reason, REASON_BYTES).into()),
        output: None,
        observation: finished.observation.map(Arc::new),
    };
    (v1::Finished { token: token.0, result: Some(v1::TestResult::from(&result)) }, finished.output)
}

/// An error, within its bound.
pub(crate) fn error(error: &RunError) -> v1::RunError {
    let message = clip(&error.message, regatta_domain::limits::ERROR_BYTES);
    v1::RunError::from(&RunError { message: message.into(), ..error.clone() })
}

/// The head of a text, cut between characters.
fn clip(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::clip;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(clip("añb", 2), "a");
        assert_eq!(clip("añb", 3), "añ");
        assert_eq!(clip("ab", 3), "ab");
    }
}
