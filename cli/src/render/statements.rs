//! What tests asked of their databases: the slowest statements of a run, and the tests that ask more than they used to.

use super::line::Line;
use super::paint::{PASS, Paint, STRONG, WARN, WEAK};
use super::status::{self, VERB_COLUMNS, push_verb};
use super::{Ending, safe, words};
use crate::view::{Asking, Slow, View};
use regatta_domain::TestIx;
use regatta_domain::database::Asked;
use regatta_domain::history::Slower;

/// So many statements are told of a run.
const STATEMENTS: usize = 5;

/// So many tests are named of one statement.
const TESTS: usize = 2;

/// So many tests are told that ask more than they used to.
const MORE: usize = 20;

/// How wide a statement is told where there is no terminal to fit.
const COLUMNS: usize = 160;

/// The lines of a run, where statements were counted; none where nobody wanted to know.
pub(super) fn section(view: &View, paint: Paint, columns: Option<usize>, ending: &Ending<'_>) -> Vec<String> {
    if !view.policy.statements || view.policy.list_only {
        return Vec::new();
    }
    let asking = view.asking();
    let most = columns.unwrap_or(COLUMNS);
    let mut lines = vec![head(&asking, paint)];
    for slow in asking.statements.iter().take(STATEMENTS) {
        lines.extend(statement(view, slow, paint, most));
    }
    let warned = |text: &str| {
        let mut line = String::new();
        push_verb(paint, &mut line, WARN, "Not counted");
        format!("{line} {}", safe::one_line(text))
    };
    if asking.dropped > 0 {
        let tests = words::count_of(asking.dropped, "test");
        lines.push(warned(&format!("{tests} asked more than the server had room to count (`pg_stat_statements.max`)")));
    }
    lines.extend(asking.uncounted.iter().map(|lacks| warned(lacks)));
    let slower = ending.usual.map(|usual| usual.slower(view)).unwrap_or_default();
    lines.extend(slower.iter().take(MORE).map(|(ix, slower)| more(view, *ix, slower, paint)));
    if slower.len() > MORE {
        let tests = words::count_of(slower.len() - MORE, "more test");
        lines.push(format!("{:VERB_COLUMNS$} {} and {tests} ask more than they used to", "", paint.ellipsis()));
    }
    lines
}

fn head(asking: &Asking<'_>, paint: Paint) -> String {
    let mut line = String::new();
    push_verb(paint, &mut line, PASS, "Statements");
    line.push(' ');
    if asking.tests == 0 {
        let why = if asking.uncounted.is_empty() { ": no test was handed a PostgreSQL database" } else { "" };
        line.push_str(&format!("none were counted{why}"));
        return line;
    }
    paint.push(&mut line, STRONG, &words::count(asking.calls));
    let (tests, time) = (words::count_of(asking.tests, "test"), words::fine(asking.time));
    line.push_str(&format!(" of {tests}, at which the servers worked for {time}"));
    if !asking.statements.is_empty() {
        line.push_str("; the slowest:");
    }
    line
}

/// A statement, and below it who sent it.
fn statement(view: &View, slow: &Slow<'_>, paint: Paint, most: usize) -> [String; 2] {
    let indent = " ".repeat(VERB_COLUMNS);
    let mut line = Line::new(paint, most);
    let times = match slow.calls {
        0 | 1 => "once".to_owned(),
        calls => format!("{} times, {} each", words::count(calls), words::fine(slow.time / calls)),
    };
    line.plain(&format!("{indent} [{:>9}] {times}: ", words::fine(slow.time)));
    line.push(STRONG, &one_line(slow.text));
    let mut by = Line::new(paint, most);
    by.push(WEAK, &format!("{indent} in "));
    for (at, (ix, time)) in slow.by.iter().take(TESTS).enumerate() {
        let test = format!("{} {}", safe::one_line(&view.suite_of(*ix).name), status::id(view, *ix));
        by.plain(if at > 0 { ", " } else { "" }).plain(&test);
        by.push(WEAK, &format!(" ({})", words::fine(*time)));
    }
    if slow.by.len() > TESTS {
        by.push(WEAK, &format!(" and {}", words::count_of(slow.by.len() - TESTS, "more test")));
    }
    [line.text(), by.text()]
}

/// A test that asks more than it used to.
fn more(view: &View, ix: TestIx, slower: &Slower, paint: Paint) -> String {
    let mut line = String::new();
    push_verb(paint, &mut line, WARN, "Asks more");
    line.push(' ');
    status::push_test(paint, &mut line, view, ix);
    format!("{line}: {}", compared(slower))
}

/// What a test asks now, and what was usual.
pub(crate) fn compared(slower: &Slower) -> String {
    let Slower { usual, now, .. } = slower;
    let mut parts = Vec::new();
    if slower.more_calls {
        let calls = usize::try_from(now.calls).unwrap_or(usize::MAX);
        let of = words::count_of(calls, "statement");
        let were = if usual.calls == 1 { "was" } else { "were" };
        parts.push(format!("sends {of}, and {} {were} usual", words::count(usual.calls)));
    }
    if slower.more_time {
        let (now, usual) = (words::fine(now.time), words::fine(usual.time));
        parts.push(format!("keeps the server busy for {now}, and {usual} were usual"));
    }
    parts.join("; ")
}

/// What one attempt asked, in words.
pub(crate) fn asked(asked: &Asked) -> String {
    let calls = usize::try_from(asked.calls).unwrap_or(usize::MAX);
    format!("{}, at which the server worked for {}", words::count_of(calls, "statement"), words::fine(asked.time))
}

/// A statement on one line: how it was broken and indented says nothing.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    safe::one_line(&words.join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::usual::Usual;
    use crate::view::script::{Script, asked, came};
    use regatta_domain::database::Observation;
    use regatta_domain::history::{Queried, Queries};
    use regatta_domain::{Micros, Outcome, Verdict};

    const PAINT: Paint = Paint { colour: false, unicode: true };

    /// A run of four tests, the first of which asks for every item by itself.
    fn run<'a>() -> Script<'a> {
        let mut script = Script::new(&[("api", "pytest")], |_, _, _| {});
        script.view.policy.statements = true;
        script.file(0, "tests/test_a.py", &[("test_list", 10), ("test_one", 10), ("test_two", 10), ("test_no", 10)]);
        let item = "SELECT *\n    FROM items\n    WHERE id = $1";
        let told: [(&str, &[_]); 3] = [
            ("test_list", &[(item, 1_200, 240), ("SELECT \u{1b}[2J", 1, 3)]),
            ("test_one", &[(item, 1, 2)]),
            ("test_two", &[(item, 2, 8), ("BEGIN", 1, 0)]),
        ];
        for (name, statements) in told {
            script.seen = Some(asked(statements));
            script.run(&format!("tests/test_a.py::{name}"), came(Outcome::Passed, 10), Some(Verdict::Passed));
        }
        script.run("tests/test_a.py::test_no", came(Outcome::Passed, 10), Some(Verdict::Passed));
        script
    }

    fn lines_of(script: &Script<'_>, columns: Option<usize>, usual: Option<&Usual>) -> Vec<String> {
        let ending = Ending { exit: Exit::Ok, slots: 4, fleet: None, selection: None, flags: &[], usual, reports: &[] };
        section(&script.view, PAINT, columns, &ending)
    }

    fn usual(known: &[(&str, u64, u64)]) -> Usual {
        let mut usual = Usual::default();
        for &(name, calls, ms) in known {
            let queries: Queries = [Queried { calls, time: Micros::from_ms(ms) }; 5].into_iter().collect();
            usual.insert("api", format!("tests/test_a.py::{name}"), queries);
        }
        usual
    }

    #[test]
    fn the_slowest_statements_are_told_with_who_sent_them() {
        let wanted = "  \
  Statements 1,205 of 3 tests, at which the servers worked for 253ms; the slowest:
             [    250ms] 1,203 times, 0.21ms each: SELECT * FROM items WHERE id = $1
             in api tests/test_a.py::test_list (240ms), api tests/test_a.py::test_two (8.00ms) and 1 more test
             [   3.00ms] once: SELECT \\x1b[2J
             in api tests/test_a.py::test_list (3.00ms)
             [   0.00ms] once: BEGIN
             in api tests/test_a.py::test_two (0.00ms)";
        assert_eq!(lines_of(&run(), None, None).join("\n"), wanted);
        let narrow = lines_of(&run(), Some(60), None);
        let told = narrow.iter().skip(1).all(|line| super::super::line::width(line) <= 60);
        assert!(told && narrow[1].ends_with('…'), "{narrow:?}");
    }

    #[test]
    fn a_test_that_asks_more_than_it_used_to_is_named() {
        let before = usual(&[("test_list", 6, 5), ("test_one", 1, 2), ("test_two", 1, 1)]);
        let lines = lines_of(&run(), None, Some(&before));
        let named: Vec<&String> = lines.iter().filter(|line| line.contains("Asks more")).collect();
        let wanted = "   Asks more api tests/test_a.py::test_list: sends 1,201 statements, and 6 were usual; keeps the server \
                      busy for 243ms, and 5.00ms were usual";
        assert_eq!(named, [wanted]);
        assert_eq!(lines_of(&run(), None, Some(&Usual::default())).len(), 7, "what is new is not much");
    }

    #[test]
    fn nothing_is_said_where_nobody_wants_to_know() {
        let mut script = run();
        script.view.policy.statements = false;
        assert_eq!(lines_of(&script, None, Some(&usual(&[("test_list", 6, 5)]))), [""; 0]);
    }

    #[test]
    fn what_is_not_counted_is_said() {
        let mut script = Script::new(&[("api", "pytest")], |_, _, _| {});
        script.view.policy.statements = true;
        assert_eq!(
            lines_of(&script, None, None),
            ["  Statements none were counted: no test was handed a PostgreSQL database"]
        );
        script.file(0, "tests/test_a.py", &[("test_x", 10), ("test_y", 10)]);
        let mut seen = asked(&[]);
        (seen.asked, seen.notes) = (None, vec![format!("app: {}it is old", Observation::UNCOUNTED).into()]);
        script.seen = Some(seen);
        script.run("tests/test_a.py::test_x", came(Outcome::Passed, 10), Some(Verdict::Passed));
        assert_eq!(lines_of(&script, None, None), ["  Statements none were counted", " Not counted it is old"]);
        let mut seen = asked(&[("SELECT 1", 1, 1)]);
        seen.notes = vec![format!("{}no room", Observation::DROPPED).into()];
        script.seen = Some(seen);
        script.run("tests/test_a.py::test_y", came(Outcome::Passed, 10), Some(Verdict::Passed));
        let told = lines_of(&script, None, Some(&usual(&[("test_y", 100, 100)])));
        let wanted = " Not counted 1 test asked more than the server had room to count (`pg_stat_statements.max`)";
        assert!(told.contains(&wanted.to_owned()), "{told:?}");
    }
}
