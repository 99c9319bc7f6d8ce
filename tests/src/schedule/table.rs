//! Cells, for people as a table of each suite and for machines as one JSON object a line.

use super::laboratory::{Cell, Place, Scheduler};
use super::suites::Suite;
use serde_json::json;
use std::fmt::Write;

/// Columns that stand side by side.
const ACROSS: usize = 7;

/// Ratios that differ by less are even.
const EVEN: f64 = 5e-4;

/// One object a cell and line.
#[must_use]
pub fn json(suites: &[Suite], cells: &[Cell]) -> String {
    let mut text = String::new();
    for cell in cells {
        let object = json!({
            "policy": cell.scheduler.name(),
            "case": cell.place.case.name(),
            "runner": runner(cell.place.warm),
            "slots": cell.place.slots,
            "startup_s": cell.place.startup,
            "ratio_mean": rounded(cell.mean),
            "ratio_max": rounded(cell.max),
            "suite": suites[cell.place.suite].name,
        });
        text.push_str(&object.to_string());
        text.push('\n');
    }
    text
}

/// A table for each suite, number of slots, start-up and runner: whoever schedules down, cases across, and in each cell the
/// mean and the worst ratio to the bound.
#[must_use]
pub fn people(suites: &[Suite], cells: &[Cell]) -> String {
    let mut text = "makespan / lower bound: mean (worst)\n".to_owned();
    let mut places: Vec<Place> = Vec::new();
    for cell in cells {
        if !places.contains(&cell.place) {
            places.push(cell.place);
        }
    }
    for group in places.chunk_by(|a, b| (a.suite, a.warm, a.startup) == (b.suite, b.warm, b.startup)) {
        for columns in group.chunks(ACROSS) {
            let Place { suite, warm, startup, .. } = columns[0];
            let Suite { name, points } = &suites[suite];
            let tests = points.iter().map(Vec::len).max().unwrap_or(0);
            let runner = runner(warm);
            let _ = write!(
                text,
                "\n{name}, {runner}: up to {tests} tests, {} versions, start-up {startup} s\n",
                points.len()
            );
            text.push_str(&table(columns, cells));
        }
    }
    text.push_str(&behind(suites, cells));
    text
}

/// Where somebody comes closer to the bound than Regatta does: a line for each place, nothing where Regatta was not asked for.
fn behind(suites: &[Suite], cells: &[Cell]) -> String {
    let mut lines = Vec::new();
    let ours: Vec<&Cell> = cells.iter().filter(|cell| cell.scheduler == Scheduler::Regatta).collect();
    for own in &ours {
        let ahead = |cell: &&Cell| cell.place == own.place && cell.mean < own.mean - EVEN;
        let ahead: Vec<_> =
            cells.iter().filter(ahead).map(|cell| format!("{} {:.3}", cell.scheduler.name(), cell.mean)).collect();
        if !ahead.is_empty() {
            let Place { suite, case, warm, slots, startup } = own.place;
            let (suite, case, runner) = (&suites[suite].name, case.name(), runner(warm));
            lines.push(format!(
                "  {suite}, {runner}, {case} @{slots}, start-up {startup} s: {:.3}; {}",
                own.mean,
                ahead.join(", ")
            ));
        }
    }
    if ours.is_empty() {
        return String::new();
    }
    let heading = format!("\nregatta is behind in {} of {} cells\n", lines.len(), ours.len());
    lines.iter().fold(heading, |text, line| text + line + "\n")
}

fn table(columns: &[Place], cells: &[Cell]) -> String {
    let mut schedulers: Vec<Scheduler> = cells.iter().map(|cell| cell.scheduler).collect();
    schedulers.sort_unstable();
    schedulers.dedup();
    let mut text = format!("{:<10}", "");
    for place in columns {
        let _ = write!(text, " {:>16}", format!("{} @{}", place.case.name(), place.slots));
    }
    for scheduler in schedulers {
        let _ = write!(text, "\n{:<10}", scheduler.name());
        for place in columns {
            let cell = cells.iter().find(|cell| cell.place == *place && cell.scheduler == scheduler);
            let shown = cell.map_or_else(|| "-".to_owned(), |cell| format!("{:.3} ({:.2})", cell.mean, cell.max));
            let _ = write!(text, " {shown:>16}");
        }
    }
    text.push('\n');
    text
}

const fn runner(warm: bool) -> &'static str {
    if warm { "warm" } else { "cold" }
}

/// Four places after the point.
fn rounded(ratio: f64) -> f64 {
    (ratio * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::super::cases::Named;
    use super::super::peers::Peer;
    use super::*;

    fn some() -> (Vec<Suite>, Vec<Cell>) {
        let suites = vec![Suite { name: "s".to_owned(), points: vec![Vec::new(), Vec::new()] }];
        let place = |case, warm| Place { suite: 0, case, warm, slots: 32, startup: 2.0 };
        let cell = |case, warm, peer, mean| Cell {
            place: place(case, warm),
            scheduler: Scheduler::Peer(peer),
            mean,
            max: mean + 0.5,
        };
        let cells = vec![
            cell(Named::Clean, true, Peer::Count, 1.23456),
            cell(Named::Clean, true, Peer::Lpt, 1.1),
            cell(Named::Clean, false, Peer::Lpt, 1.2),
        ];
        (suites, cells)
    }

    #[test]
    fn a_line_of_json_has_what_is_promised() {
        let (suites, cells) = some();
        let text = json(&suites, &cells);
        assert_eq!(
            text.lines().next(),
            Some(
                r#"{"policy":"count","case":"clean","runner":"warm","slots":32,"startup_s":2.0,"ratio_mean":1.2346,"ratio_max":1.7346,"suite":"s"}"#
            )
        );
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn who_is_ahead_of_regatta_is_listed_and_who_is_even_is_not() {
        let (suites, mut cells) = some();
        assert!(!people(&suites, &cells).contains("behind"), "Regatta was not asked for");
        for (at, mean) in [(0, 1.1002), (2, 1.3)] {
            cells.push(Cell { scheduler: Scheduler::Regatta, mean, ..cells[at] });
        }
        let text = people(&suites, &cells);
        assert!(
            text.contains("behind in 1 of 2 cells\n  s, cold, clean @32, start-up 2 s: 1.300; lpt 1.200\n"),
            "{text}"
        );
    }

    #[test]
    fn the_table_has_a_row_for_each_policy_and_a_dash_where_nothing_was_measured() {
        let (suites, cells) = some();
        let text = people(&suites, &cells);
        assert!(text.contains("count          1.235 (1.73)"), "{text}");
        assert!(text.contains("s, cold: up to 0 tests, 2 versions, start-up 2 s"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("count") && line.ends_with('-')), "{text}");
    }
}
