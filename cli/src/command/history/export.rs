//! Writes what is known of tests.

use super::super::{block_on, print};
use super::{known, project};
use crate::args::{ExportArgs, ExportFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use crate::timings::line;
use regatta_domain::Micros;
use regatta_domain::listing::test_id;
use regatta_wire::v1;
use std::collections::BTreeSet;

/// Writes what is known of tests.
pub(super) fn export(args: &ExportArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let (project, config) = project(&args.whose, context)?;
    let known =
        block_on(known(args.whose.on.as_ref(), project.clone(), args.suite.clone(), config.as_ref(), context))??;
    if known.is_empty() {
        let suite = args.suite.as_ref().map_or_else(String::new, |suite| format!(" of the suite `{suite}`"));
        eprintln!("nothing is known{suite} of the project `{project}` yet");
    }
    print(&match args.format {
        ExportFormat::Regatta => lines(&known),
        ExportFormat::PytestSplit => seconds(&known)?,
    })?;
    Ok(Exit::Ok)
}

fn lines(known: &[(String, v1::Remembered)]) -> String {
    let lines = known.iter().filter_map(|(suite, test)| line(suite, test));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Seconds by test, as pytest-split keeps them; whole files have no place there.
fn seconds(known: &[(String, v1::Remembered)]) -> Result<String, Error> {
    let suites: BTreeSet<&str> = known.iter().map(|(suite, _)| suite.as_str()).collect();
    if suites.len() > 1 {
        let suites: Vec<&str> = suites.into_iter().collect();
        return Err(Error::usage(format!("a file of pytest-split holds one suite, and {} are known", suites.len()))
            .help(format!("name one of {} with `--suite`", suites.join(", "))));
    }
    let tests = known.iter().filter(|(_, test)| !test.name.is_empty());
    let by_id = tests.filter_map(|(_, test)| {
        let seconds = Micros(test.mean?).as_secs_f64();
        Some((test_id(&test.file, &test.name), seconds.into()))
    });
    let object = serde_json::Value::Object(by_id.collect());
    Ok(format!("{object:#}\n"))
}
