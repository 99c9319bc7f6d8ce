//! How likely a test is not to pass: what `--order risk` goes by.

use super::TestHistory;

/// What is assumed of a test that nobody has run.
const NEW: f64 = 0.25;

/// What is assumed of a test whose file changed.
const CHANGED: f64 = 0.15;

/// How likely a test is not to pass, in thousandths.
///
/// Recent failures, decayed (the history part of Kim and Porter, *A history-based test prioritization technique*, ICSE
/// 2002), a new test, and a changed file count as independent reasons: the chance that none of them strikes is the product.
/// `is_new` is a test that history does not know; `changed` says that its file differs from what changes are counted from.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
pub fn risk(known: Option<&TestHistory>, is_new: bool, changed: bool) -> u16 {
    let failing = known.map_or(0.0, |known| known.failing.clamp(0.0, 1.0));
    let new = if is_new { NEW } else { 0.0 };
    let changed = if changed { CHANGED } else { 0.0 };
    (1_000.0 * (1.0 - (1.0 - failing) * (1.0 - new) * (1.0 - changed))).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Time, Verdict};

    fn after(verdicts: &[Verdict]) -> TestHistory {
        let mut history = TestHistory::default();
        verdicts.iter().for_each(|verdict| history.learn(*verdict, None, Time(1)));
        history
    }

    #[test]
    fn recent_failures_weigh_more_than_old_ones_and_reasons_add_up() {
        use Verdict::{Failed, Flaky, NotRun, Passed, Skipped};
        let of = |verdicts: &[Verdict]| risk(Some(&after(verdicts)), false, false);
        assert_eq!(of(&[Passed, Passed]), 0);
        assert_eq!(of(&[Passed, Failed]), 300);
        assert_eq!(of(&[Failed, Passed]), 210);
        assert_eq!(of(&[Passed, Flaky]), 150);
        assert_eq!(of(&[Failed, Skipped, NotRun]), 300, "what did not run says nothing");
        assert!(of(&[Failed; 30]) > 990);
        assert_eq!(risk(None, true, false), 250);
        assert_eq!(risk(None, false, true), 150);
        assert_eq!(risk(Some(&after(&[Failed])), false, true), 405);
        assert_eq!(risk(None, true, true), 363);
    }
}
