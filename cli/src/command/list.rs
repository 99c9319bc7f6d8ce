//! Shows which tests a selection holds.

use super::run::perform_listing;
use super::{block_on, print};
use crate::args::{NoTests, TableFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::{Context, List};
use crate::view::View;
use std::fmt::Write as _;

/// Shows which tests a selection holds: those that are remembered, and those that files have to be collected for.
pub(crate) fn list(list: List, context: &Context<'_>) -> Result<Exit, Error> {
    let List { plan, no_tests, format } = list;
    let view = block_on(perform_listing(plan, context))??;
    print(&match format {
        TableFormat::Human => lines(&view),
        TableFormat::Json => document(&view),
    })?;
    for at in &view.errors {
        eprintln!("error: {}: {}", at.error.place, at.error.message);
    }
    let nothing = view.planned_count() == 0;
    Ok(match no_tests {
        _ if !view.errors.is_empty() => Exit::TestsFailed,
        NoTests::Fail if nothing => Exit::NoTests,
        _ => Exit::Ok,
    })
}

fn lines(view: &View) -> String {
    let mut lines = String::new();
    for (test, _) in view.planned() {
        let _infallible = writeln!(lines, "{} {}", view.suite_of(test).name, view.id(test));
    }
    lines
}

fn document(view: &View) -> String {
    let tests = view.planned().map(|(ix, test)| {
        serde_json::json!({
            "suite": view.suite_of(ix).name,
            "id": view.id(ix),
            "file": &*view.file_of(ix).path,
            "estimate_s": test.known.then(|| test.estimate.as_secs_f64()),
            "level": test.level.name(),
            "needs": view.needs_of(ix).iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    format!("{}\n", serde_json::json!({ "v": 1, "tests": tests.collect::<Vec<_>>() }))
}
