//! Looks through a store, and saves what can be saved of a damaged one.

use super::super::finding::{Finding, human, machine_readable};
use super::super::{block_on, print};
use super::refused;
use crate::args::{CheckStoreArgs, TableFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use crate::render::words::count_of;
use regatta_coordinator::store::care::{self, Checked, Outputs, Survey, Tables};
use std::path::Path;

/// Outputs that are missing are named up to so many.
const NAMED: usize = 3;

/// Looks through a store, and saves what can be saved of a damaged one.
pub(super) fn check(args: CheckStoreArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let store = args.kept.store(&context.cwd);
    let checked = block_on(care::check(&store, args.blobs))?.map_err(|error| refused(&error))?;
    let findings = findings(&checked);
    let all_good = findings.iter().all(Finding::is_good);
    print(&match args.kept.format {
        TableFormat::Human => {
            human(&findings, "The store is sound.", context.global.color.unwrap_or_default().for_stdout())
        }
        TableFormat::Json => format!("{:#}\n", machine_readable(&findings)),
    })?;
    let Some(to) = args.salvage else {
        return Ok(if all_good { Exit::Ok } else { Exit::Infrastructure });
    };
    if checked.is_sound() {
        return Err(Error::usage("nothing is damaged, so there is nothing to be saved")
            .help("`regatta store backup DIR` copies a store that is sound"));
    }
    salvage(&store, &context.cwd.join(to))
}

fn salvage(store: &care::Store, to: &Path) -> Result<Exit, Error> {
    let saved = care::salvage(store, to).map_err(|error| refused(&error))?;
    eprintln!("saved in {}: the journal up to commit {}", to.display(), saved.journal.last);
    if let Some(damage) = &saved.journal.damage {
        let lost = count_of(usize::try_from(damage.after + 1).unwrap_or(usize::MAX), "commit");
        eprintln!(
            "lost: {lost}, and with them what happened then: their tests run again where their runs had not ended"
        );
    }
    match (saved.tables, saved.told_again) {
        (false, _) => eprintln!("lost: the projection, and with it history and the runs that had ended"),
        (true, 0) => {}
        (true, runs) => eprintln!(
            "{} set back to where the saved journal ends; what was learned from what is lost counts twice once it has run again",
            count_of(usize::try_from(runs).unwrap_or(usize::MAX), "run")
        ),
    }
    eprintln!("start a coordinator on it: regatta coordinator --data {}", to.display());
    Ok(Exit::Ok)
}

fn findings(checked: &Checked) -> Vec<Finding> {
    let mut findings = journal(checked);
    // Where the journal cannot be read there is nothing to compare with.
    let (base, last) = checked.journal.as_ref().map_or((0, u64::MAX), |survey| (survey.base, survey.last));
    findings.push(match &checked.tables {
        None => Finding::good("projection", "there is none; it is made anew, from what the journal still has"),
        Some(Ok(found)) => tables(found, base, last),
        Some(Err(error)) => broken("projection", error),
    });
    if let Err(error) = &checked.resources {
        findings.push(Finding::bad("declared resources", in_full(error), "mend the file, or move it away"));
    }
    findings.extend(checked.outputs.as_ref().map(|found| match found {
        Ok(found) => outputs(found),
        Err(error) => broken("outputs", error),
    }));
    findings
}

fn journal(checked: &Checked) -> Vec<Finding> {
    let survey = match &checked.journal {
        Ok(survey) => survey,
        Err(error) => return vec![broken("journal", error)],
    };
    let file = checked.journal_file.iter();
    let mut findings: Vec<Finding> = file.map(|told| Finding::bad("journal", told, SALVAGE)).collect();
    findings.push(match &survey.damage {
        None => Finding::good("journal", sound(survey)),
        Some(damage) => {
            let after = match damage.after {
                0 => String::new(),
                after => format!(
                    "; {} after it are of no use without it",
                    count_of(usize::try_from(after).unwrap_or(usize::MAX), "commit")
                ),
            };
            let what = format!("commit {}: {}{after}", damage.commit, damage.why);
            match damage.format {
                Some(_) => Finding::bad("journal", what, "let the Regatta that wrote it finish its runs"),
                None => Finding::bad("journal", what, format!("{SALVAGE}: everything up to commit {}", survey.last)),
            }
        }
    });
    findings
}

const SALVAGE: &str = "`regatta store check --salvage DIR` saves what can be saved in a new directory";

fn sound(survey: &Survey) -> String {
    let commits = usize::try_from(survey.commits()).unwrap_or(usize::MAX);
    let versions = version(survey.version, survey.known);
    match commits {
        0 => format!("no commits after {}, {versions}", survey.base),
        _ => format!("{}, {} to {}, {versions}", count_of(commits, "commit"), survey.base + 1, survey.last),
    }
}

fn version(found: i64, known: i64) -> String {
    match found == known {
        true => format!("version {found}"),
        false => format!("version {found} (this Regatta writes {known}: a coordinator migrates it when it starts)"),
    }
}

fn tables(found: &Tables, base: u64, last: u64) -> Finding {
    if !found.file.is_empty() {
        return Finding::bad("projection", found.file.join("; "), SALVAGE);
    }
    let runs = count_of(usize::try_from(found.runs).unwrap_or(usize::MAX), "run");
    let what = format!("{runs}, up to commit {}, {}", found.cursor, version(found.version, found.known));
    match found.cursor {
        cursor if cursor > last => {
            Finding::bad("projection", format!("{what}: that is beyond the journal, which ends at {last}"), SALVAGE)
        }
        cursor if cursor < base => {
            let lost = format!("{what}: the journal begins after {base}, and what happened in between is in neither");
            Finding::bad("projection", lost, "restore a backup, or go on without it: a coordinator starts all the same")
        }
        _ => Finding::good("projection", what),
    }
}

fn outputs(found: &Outputs) -> Finding {
    let all = count_of(usize::try_from(found.referenced).unwrap_or(usize::MAX), "output");
    if found.missing.is_empty() {
        return Finding::good("outputs", format!("{all}, all in {}", found.place));
    }
    let named: Vec<String> = found.missing.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if found.missing.len() > NAMED { ", …" } else { "" };
    let what = format!("{} of {all} not in {}: {}{more}", found.missing.len(), found.place, named.join(", "));
    Finding::bad("outputs", what, "copy them there from a backup; nothing else depends on them")
}

fn broken(area: &str, error: &care::Error) -> Finding {
    let fix = match error {
        care::Error::Store(regatta_coordinator::store::Error::Corrupt { .. }) => {
            "restore a backup: `regatta store restore BACKUP --data NEW`"
        }
        care::Error::Blobs(_) => "name the place as the coordinator was told (--blobs URL)",
        _ => "see above",
    };
    Finding::bad(area, in_full(error), fix)
}

/// An error and its causes in one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let (mut line, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}
