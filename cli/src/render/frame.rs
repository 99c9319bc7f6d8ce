//! The picture at the bottom of a terminal: one line with the bar and the counts, and the tests that run.
//!
//! A pure function of the view and the time. It leaves drawing to the canvas.

use super::line::Line;
use super::options::Size;
use super::paint::{FAIL, PASS, PLAIN, Paint, RETRY, STRONG, SUITE, WARN, WEAK};
use super::status::{VERB_COLUMNS, id, is_slow};
use super::{eta, safe, words};
use crate::view::View;
use anstyle::Style;
use regatta_domain::report::Counts;
use regatta_domain::{Micros, TestIx, Time};

/// So many running tests are shown, the longest first.
pub(super) const RUNNING_SHOWN: usize = 8;

/// A test that has only just begun is not shown: lines that change faster than one can read tell nothing.
const SHOWN_AFTER: Micros = Micros::from_ms(200);

/// Nobody has taken work for so long: that is worth saying.
pub(super) const WAITING_AFTER: Micros = Micros::from_secs(1);

/// What the frame is drawn from beside the view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// Colours and signs.
    pub(super) paint: Paint,
    /// The coordinator's time.
    pub(super) now: Time,
    /// The slots that the run may have.
    pub(super) slots: u32,
    /// What was last said of work that takes long.
    pub(super) note: Option<&'a str>,
}

/// The lines of the frame; as many as the terminal has room for.
pub(super) fn frame(view: &View, scene: Scene<'_>, size: Size) -> Vec<Line> {
    // The last column stays free: a terminal may already move on to the next line when it is written to.
    let most = size.columns.saturating_sub(1);
    let rows = size.rows.saturating_sub(2).clamp(1, RUNNING_SHOWN + 2);
    let mut lines = vec![bar_line(view, scene, most)];
    if let Some(note) = scene.note.filter(|_| view.running.is_empty() && rows > 1) {
        let mut line = Line::new(scene.paint, most);
        line.plain(&" ".repeat(VERB_COLUMNS + 1)).push(WEAK, &safe::one_line(note));
        lines.push(line);
    }
    lines.extend(running_lines(view, scene, most, rows.saturating_sub(lines.len())));
    lines
}

fn bar_line(view: &View, scene: Scene<'_>, most: usize) -> Line {
    let mut line = Line::new(scene.paint, most);
    let (verb, style) = verb(view, scene.now);
    line.plain(&" ".repeat(VERB_COLUMNS.saturating_sub(verb.len()))).push(style, verb).plain(" ");
    line.plain(&words::clock(scene.now.since(view.submitted))).plain(" ");
    let (done, planned) = progress(view);
    let columns = if most < 60 { 0 } else { (most / 4).min(30) };
    if columns > 0 && planned > 0 {
        line.plain("[").push(bar_style(view), &bar(done, planned, columns, scene.paint.unicode)).plain("] ");
    }
    line.push(STRONG, &tally_of(view)).plain(&left_of(view, scene));
    for (at, (style, text)) in parts(view).into_iter().enumerate() {
        line.plain(if at == 0 { ": " } else { ", " }).push(style, &text);
    }
    line
}

/// What the run does, in one word.
fn verb(view: &View, now: Time) -> (&'static str, Style) {
    if view.cancelled.is_some() {
        return ("Cancelling", FAIL);
    }
    if view.closing {
        return ("Closing", PASS);
    }
    if view.first_lease.is_none() {
        let waits = view.submitted != Time::default() && now.since(view.submitted) >= WAITING_AFTER;
        return if waits { ("Waiting", WARN) } else { ("Starting", PASS) };
    }
    if view.running.is_empty() && view.counts.total() == 0 { ("Collecting", PASS) } else { ("Running", PASS) }
}

fn bar_style(view: &View) -> Style {
    if view.counts.red() > 0 || !view.errors.is_empty() { FAIL } else { PASS }
}

/// How many tests have their verdict, and how many are planned.
pub(super) fn progress(view: &View) -> (usize, usize) {
    let planned = view.planned_count();
    ((view.counts.total() as usize).min(planned), planned)
}

/// `12/100`, or `12/100+` where the plan may grow.
pub(super) fn tally_of(view: &View) -> String {
    let (done, planned) = progress(view);
    format!("{}/{}{}", words::count(done), words::count(planned), if view.may_grow() { "+" } else { "" })
}

/// ` ~12s left`, where that can be told.
pub(super) fn left_of(view: &View, scene: Scene<'_>) -> String {
    eta::left(view, scene.now, scene.slots).map_or_else(String::new, |left| format!(" ~{} left", words::about(left)))
}

/// The counts, what matters most first: a narrow terminal shows only the first of them.
pub(super) fn parts(view: &View) -> Vec<(Style, String)> {
    let Counts { passed, flaky, failed, timed_out, crashed, not_run, skipped } = view.counts;
    let counted = |number: u32, what: &str, style: Style| {
        (number > 0).then(|| (style, format!("{} {what}", words::count(number))))
    };
    let files = view.files_to_list();
    let errors = view.errors.len();
    let parts = [
        (view.first_lease.is_none() && view.cancelled.is_none())
            .then(|| (WARN, "no worker has taken work yet".to_owned())),
        counted(failed, "failed", FAIL),
        counted(timed_out, "timed out", FAIL),
        counted(crashed, "crashed", FAIL),
        (errors > 0).then(|| (FAIL, words::count_of(errors, "error"))),
        counted(not_run, "not run", FAIL),
        counted(flaky, "flaky", RETRY),
        (files > 0).then(|| (PLAIN, format!("{} to list", words::count_of(files, "file")))),
        counted(u32::try_from(view.running.len()).unwrap_or(u32::MAX), "running", PLAIN),
        counted(passed, "passed", PLAIN),
        counted(skipped, "skipped", PLAIN),
    ];
    parts.into_iter().flatten().collect()
}

fn bar(done: usize, planned: usize, columns: usize, unicode: bool) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = done * columns * 8 / planned.max(1);
    let (full, part) = (eighths / 8, eighths % 8);
    if unicode {
        let part = EIGHTHS[part];
        let rest = columns - full - usize::from(!part.is_empty());
        return format!("{}{part}{}", "█".repeat(full), " ".repeat(rest));
    }
    let head = if full < columns && done > 0 { ">" } else { "" };
    format!("{}{head}{}", "=".repeat(full), " ".repeat(columns - full - head.len()))
}

fn running_lines(view: &View, scene: Scene<'_>, most: usize, room: usize) -> Vec<Line> {
    let mut running: Vec<(Time, TestIx)> = view.running.iter().map(|(test, running)| (running.since, *test)).collect();
    running.retain(|(since, _)| scene.now.since(*since) >= SHOWN_AFTER);
    let all = running.len();
    let shown = if all <= room.min(RUNNING_SHOWN) { all } else { room.saturating_sub(1).min(RUNNING_SHOWN) };
    if shown < all && shown > 0 {
        running.select_nth_unstable(shown - 1);
    }
    running.truncate(shown);
    running.sort_unstable();
    let mut lines: Vec<Line> =
        running.iter().map(|(since, test)| running_line(view, scene, most, *since, *test)).collect();
    if shown < all && room > 0 {
        let mut line = Line::new(scene.paint, most);
        let more = format!("{} and {} more", scene.paint.ellipsis(), words::count(all - shown));
        line.plain(&" ".repeat(VERB_COLUMNS + 1)).push(WEAK, &more);
        lines.push(line);
    }
    lines
}

/// The line of a test that runs: how long by now, and which.
pub(super) fn running_line(view: &View, scene: Scene<'_>, most: usize, since: Time, test: TestIx) -> Line {
    let elapsed = scene.now.since(since);
    let mut line = Line::new(scene.paint, most);
    let verb = if is_slow(view, test, elapsed) { "SLOW" } else { "" };
    line.plain(&" ".repeat(VERB_COLUMNS - verb.len())).push(WARN, verb);
    line.plain(&format!(" [{:>8.1}s] ", elapsed.as_secs_f64()));
    line.push(SUITE, &safe::one_line(&view.suite_of(test).name)).plain(" ");
    line.middle(PLAIN, &id(view, test));
    line
}
