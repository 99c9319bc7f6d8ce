//! Checks everything that a run needs: each finding is good or bad, and a bad one says how to mend it.
//!
//! It starts what a run would start (an interpreter, cargo, a spawner), and no test.

mod coordinator;
mod machine;
mod suites;

use super::print;
use crate::args::DoctorArgs;
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// What it is about: "suite api", "machine".
    area: String,
    /// What was found.
    what: String,
    /// How to mend it, where it is bad.
    fix: Option<String>,
}

impl Finding {
    fn good(area: &str, what: impl Into<String>) -> Self {
        Self { area: area.to_owned(), what: what.into(), fix: None }
    }

    fn bad(area: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { area: area.to_owned(), what: what.into(), fix: Some(fix.into()) }
    }

    const fn is_good(&self) -> bool {
        self.fix.is_none()
    }
}

/// Checks everything that a run needs.
pub(crate) fn doctor(args: DoctorArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let mut findings = Vec::new();
    match context.config() {
        Ok(config) => {
            findings.push(match &config.path {
                Some(path) => Finding::good("configuration", path.display().to_string()),
                None => Finding::good("configuration", format!("assumed: {}", config.assumed.join("; "))),
            });
            findings.extend(suites::check(&config));
        }
        Err(error) => {
            let fix = "`regatta config show` tells where, and what to write";
            findings.push(Finding::bad("configuration", error.summary(), fix));
        }
    }
    findings.extend(machine::check(&context.cwd));
    findings.extend(args.on.as_ref().map(coordinator::check));
    let all_good = findings.iter().all(Finding::is_good);
    if args.json {
        print(&format!("{:#}\n", machine_readable(&findings)))?;
    } else {
        print(&human(&findings, context.global.color.unwrap_or_default().for_stdout()))?;
    }
    Ok(if all_good { Exit::Ok } else { Exit::Infrastructure })
}

fn human(findings: &[Finding], colour: bool) -> String {
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
        0 => text + "\nEverything that a run needs is there.\n",
        1 => text + "\n1 thing is not as it should be.\n",
        _ => format!("{text}\n{wrong} things are not as they should be.\n"),
    }
}

fn machine_readable(findings: &[Finding]) -> Value {
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
        assert_eq!(human(&findings, false), wanted);
        assert!(human(&findings, true).contains('\u{1b}'));
        let document = machine_readable(&findings);
        assert_eq!((&document["ok"], &document["findings"][1]["area"]), (&json!(false), &json!("suite api")));
    }

    #[test]
    fn a_coordinator_that_is_not_there_is_bad() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let url = format!("http://{}", free.expect("a free port")).parse().expect("a URL");
        let finding = coordinator::check(&url);
        assert!(!finding.is_good(), "{finding:?}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        assert!(coordinator::check(&url).is_good());
    }
}
