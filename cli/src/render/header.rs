//! What a run is, before its first test: its id, its suites, what is known of it, and under which rules it runs.

use super::options::Options;
use super::paint::{PASS, SUITE, WEAK};
use super::status::{VERB_COLUMNS, push_verb};
use super::{safe, words};
use crate::view::View;

/// So many suites are named; the rest is counted.
const SUITES_NAMED: usize = 6;

/// The lines of the header.
pub(super) fn header(view: &View, options: &Options) -> Vec<String> {
    let paint = options.paint;
    let mut first = String::new();
    push_verb(paint, &mut first, PASS, "Run");
    first.push(' ');
    first.push_str(&view.run.to_string());
    if let Some(on) = &options.on {
        first.push_str(&format!(" on {}", safe::one_line(on)));
    }
    let mut second = String::new();
    push_verb(paint, &mut second, PASS, "Starting");
    second.push(' ');
    second.push_str(&known(view));
    second.push_str(" in ");
    for (at, suite) in view.suites.iter().take(SUITES_NAMED).enumerate() {
        if at > 0 {
            second.push_str(", ");
        }
        paint.push(&mut second, SUITE, &safe::one_line(&suite.name));
        if suite.name != suite.runner {
            paint.push(&mut second, WEAK, &format!(" ({})", safe::one_line(&suite.runner)));
        }
    }
    if view.suites.len() > SUITES_NAMED {
        second.push_str(&format!(" and {} more", view.suites.len() - SUITES_NAMED));
    }
    let mut lines = vec![first, second];
    let rules = rules(view, options);
    if !rules.is_empty() {
        lines.push(format!("{:VERB_COLUMNS$} {}", "", rules.join(", ")));
    }
    lines
}

fn known(view: &View) -> String {
    let files = view.files_to_list();
    let tests = words::count_of(view.planned_count(), "test");
    match (view.planned_count(), files) {
        (0, 0) => "with nothing known yet".to_owned(),
        (0, _) => format!("{} to list", words::count_of(files, "file")),
        (_, 0) => tests,
        _ => format!("{tests} known, {} to list", words::count_of(files, "file")),
    }
}

fn rules(view: &View, options: &Options) -> Vec<String> {
    let mut rules = Vec::new();
    if options.slots > 0 {
        rules.push(words::count_of(options.slots as usize, "slot"));
    }
    if let Some(profile) = &options.profile {
        rules.push(format!("profile {}", safe::one_line(profile)));
    }
    if let Some(seed) = view.policy.shuffle {
        rules.push(format!("shuffled (--shuffle={seed} gives the same order)"));
    }
    rules
}
