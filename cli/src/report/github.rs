//! A summary in Markdown, as GitHub shows beside a job.
//!
//! GitHub drops a step's summary whole once it exceeds a mebibyte, so this one has a budget: what is worst comes first, and
//! what is left out is counted. Text of others stands in code, where no markup of theirs is read.

use super::attempt;
use crate::render::{Ending, failure, reproduce, safe, statements, status, words};
use crate::view::{Outputs, View};
use regatta_domain::report::RunOutcome;
use regatta_domain::{TestIx, Verdict};

/// Of the mebibyte that GitHub takes, with room for what other steps of the job add.
const BYTES: usize = 900 * 1024;
/// What is shown of one output.
const OUTPUT_BYTES: usize = 16 * 1024;
/// So many flaky tests are named.
const FLAKY: usize = 100;

/// So many tests are named that ask more of their databases than they used to.
const TOLD: usize = 100;
/// So many statements are told.
const SLOWEST: usize = 10;

/// The summary.
pub(super) fn summary(view: &View, outputs: &Outputs, ending: &Ending<'_>) -> String {
    let mut page = Page { text: String::new(), most: BYTES };
    page.push(&head(view, ending));
    let errors = failure::errors(view).into_iter();
    page.section(
        "Errors",
        errors.map(|(at, times)| {
            let error = &at.error;
            let times = if times > 1 { format!(", {times} times") } else { String::new() };
            let title = format!("{} {}{times}", inline(&error.place), failure::kind_word(error.kind));
            details(&title, &fenced(error.message.as_bytes()))
        }),
    );
    let failed = with_verdict(view, &[Verdict::Failed, Verdict::TimedOut, Verdict::Crashed]);
    page.section("Failures", failed.map(|ix| failed_test(view, ix, outputs, ending)));
    let not_run = with_verdict(view, &[Verdict::NotRun]);
    page.section("Not run", not_run.map(|ix| format!("- {}\n", inline(&view.id(ix)))));
    let flaky = with_verdict(view, &[Verdict::Flaky]).take(FLAKY);
    page.section(
        "Flaky",
        flaky.map(|ix| {
            let reason = failure::deciding(view.test(ix)).and_then(|attempt| attempt.reason.as_deref());
            let reason = reason.map_or_else(String::new, |reason| format!(": {}", inline(reason)));
            format!("- {} passed at attempt {}{reason}\n", inline(&view.id(ix)), attempt::count(view.test(ix)))
        }),
    );
    if view.policy.statements {
        let slower = ending.usual.map(|usual| usual.slower(view)).unwrap_or_default();
        let more = slower
            .iter()
            .take(TOLD)
            .map(|(ix, slower)| format!("- {} {}\n", inline(&view.id(*ix)), statements::compared(slower)));
        page.section("Ask more of their databases", more);
        let asking = view.asking();
        let slowest = asking.statements.iter().take(SLOWEST).map(|slow| {
            let (time, calls) = (words::fine(slow.time), words::count(slow.calls));
            format!("- {time} for {calls} × {}\n", inline(&statements::one_line(slow.text)))
        });
        page.section("Slowest statements", slowest);
    }
    page.text
}

fn with_verdict<'a>(view: &'a View, wanted: &'a [Verdict]) -> impl Iterator<Item = TestIx> + 'a {
    view.planned().filter(|(_, test)| test.verdict.is_some_and(|verdict| wanted.contains(&verdict))).map(|(ix, _)| ix)
}

fn head(view: &View, ending: &Ending<'_>) -> String {
    let (tally, summary) = (view.tally(), view.summary(ending.slots));
    let (sign, word) = match view.outcome {
        Some(RunOutcome::Green) => ("✅", "passed"),
        Some(RunOutcome::Red) => ("❌", "failed"),
        Some(RunOutcome::Cancelled) => ("🚫", "was cancelled"),
        Some(RunOutcome::Empty) => ("⚠️", "selected no tests"),
        None => ("❌", "did not end"),
    };
    let suites: Vec<String> = view.suites.iter().take(10).map(|suite| inline(&suite.name)).collect();
    let columns = [
        ("passed", tally.passed),
        ("failed", tally.failed),
        ("errors", tally.errors),
        ("not run", tally.not_run),
        ("flaky", tally.flaky),
        ("skipped", tally.skipped),
        ("xfailed", tally.xfailed),
        ("xpassed", tally.xpassed),
    ];
    let columns: Vec<_> = columns.into_iter().filter(|(name, count)| *count > 0 || *name == "passed").collect();
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("### {sign} Regatta: {} {word}\n\n", suites.join(", "));
    text.push_str(&row(columns.iter().map(|(name, _)| (*name).to_owned()).collect()));
    text.push_str(&row(columns.iter().map(|_| "---:".to_owned()).collect()));
    text.push_str(&row(columns.iter().map(|(_, count)| words::count(*count)).collect()));
    let (wall, bound) = (words::span(summary.wall), words::span(summary.bound));
    let slots = words::count_of(summary.slots as usize, "slot");
    text.push_str(&format!(
        "\nRun `{}` took {wall} on {slots}; no schedule could have been shorter than {bound}.",
        view.run
    ));
    text.push_str(&format!(" Exit code {} ({}).\n", ending.exit.code(), ending.exit.name()));
    if let Some(causes) = failure::causes(view) {
        text.push_str(&format!("\nRed for these causes: {causes}.\n"));
    }
    text
}

fn failed_test(view: &View, ix: TestIx, outputs: &Outputs, ending: &Ending<'_>) -> String {
    let test = view.test(ix);
    let mut title = inline(&view.id(ix));
    if let Some(reason) = status::reason(test) {
        title.push_str(&format!(" {}", inline(&reason)));
    }
    let because = failure::because(test).map_or_else(String::new, |because| format!("{because}\n\n"));
    let mut body = format!("{because}{}\n", fenced(reproduce::command(view, ix, ending.flags).as_bytes()));
    if let Some(output) = failure::deciding(test).and_then(|attempt| outputs.of(attempt)) {
        let from = output.len().saturating_sub(OUTPUT_BYTES);
        if from > 0 {
            body.push_str(&format!(
                "The last {OUTPUT_BYTES} of {} of output:\n\n",
                words::count_of(output.len(), "byte")
            ));
        }
        body.push_str(&fenced(&output[from..]));
    }
    details(&title, &body)
}

fn details(title: &str, body: &str) -> String {
    format!("<details><summary>{title}</summary>\n\n{body}\n</details>\n")
}

/// Text of others within a line, in HTML: Markdown's own code marks do not hold inside a summary.
fn inline(text: &str) -> String {
    let text = safe::one_line(text);
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('|', "&#124;");
    format!("<code>{}</code>", text.replace('`', "&#96;").replace('*', "&#42;").replace('_', "&#95;"))
}

/// Text of others as a block, in a fence that it cannot close.
fn fenced(bytes: &[u8]) -> String {
    let text = safe::text(bytes);
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{text}\n{fence}\n")
}

struct Page {
    text: String,
    most: usize,
}

impl Page {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A heading and its items, as many as there is room for.
    fn section(&mut self, title: &str, items: impl Iterator<Item = String>) {
        // Room for the headings and the counts of what is left out, of this section and those behind it.
        const SPARE: usize = 1_000;
        let mut left_out = 0_usize;
        for (at, item) in items.enumerate() {
            if left_out > 0 || self.text.len() + item.len() + SPARE > self.most {
                left_out += 1;
                continue;
            }
            if at == 0 {
                self.push(&format!("\n#### {title}\n\n"));
            }
            self.push(&item);
        }
        if left_out > 0 {
            self.push(&format!("\n… and {} more under “{title}”.\n", words::count(left_out)));
        }
    }
}
