//! What was found when something was looked through: each finding is good or bad, and a bad one says how to mend it.

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What it is about: "suite api", "machine".
    pub(super) area: String,
    /// What was found.
    pub(super) what: String,
    /// How to mend it, where it is bad.
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn good(area: &str, what: impl Into<String>) -> Self {
        Self { area: area.to_owned(), what: what.into(), fix: None }
    }

    pub(super) fn bad(area: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { area: area.to_owned(), what: what.into(), fix: Some(fix.into()) }
    }

    pub(super) const fn is_good(&self) -> bool {
        self.fix.is_none()
    }
}

/// A line or two for each, and how many are bad; `all_good` where none is.
pub(super) fn human(findings: &[Finding], all_good: &str, colour: bool) -> String {
    let style = |style: Style| if colour { style } else { Style::new() };
    let good = style(AnsiColor::Green.on_default().bold());
    let bad = style(AnsiColor::Red.on_default().bold());
    let mut text = String::new();
    for finding in findings {
        let (sign, style) = if finding.is_good() { ("✓", good) } else { ("✗", bad) };
        text.push_str(&format!("{style}{sign}{style:#} {}: {}\n", finding.area, finding.what));
        if let Some(fix) = &finding.fix {
            text.push_str(&format!("  fix: {fix}\n"));
        }
    }
    let wrong = findings.iter().filter(|finding| !finding.is_good()).count();
    match wrong {
        0 => format!("{text}\n{all_good}\n"),
        1 => text + "\n1 thing is not as it should be.\n",
        _ => format!("{text}\n{wrong} things are not as they should be.\n"),
    }
}

/// The same for tools.
pub(super) fn machine_readable(findings: &[Finding]) -> Value {
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({ "area": finding.area, "ok": finding.is_good(), "what": finding.what, "fix": finding.fix })
        })
        .collect();
    json!({ "ok": findings.iter().all(|finding| finding["ok"] == true), "findings": findings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_finding_says_how_to_mend_it() {
        let findings = [
            Finding::good("suite core", "cargo 1.95.0"),
            Finding::bad("suite api", "pytest is not installed", "python3 -m pip install pytest"),
        ];
        let wanted = "\
✓ suite core: cargo 1.95.0
✗ suite api: pytest is not installed
  fix: python3 -m pip install pytest

1 thing is not as it should be.
";
        assert_eq!(human(&findings, "All is well.", false), wanted);
        assert_eq!(human(&findings[..1], "All is well.", false), "✓ suite core: cargo 1.95.0\n\nAll is well.\n");
        assert!(human(&findings, "All is well.", true).contains('\u{1b}'));
        let document = machine_readable(&findings);
        assert_eq!((&document["ok"], &document["findings"][1]["area"]), (&json!(false), &json!("suite api")));
    }
}
