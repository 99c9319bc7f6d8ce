//! The language as tables, and as properties over generated expressions.

use super::*;
use crate::{Level, Micros, RunnerKind, Verdict};
use std::sync::Arc;

#[test]
fn expressions_are_read_with_the_precedence_of_nextest() {
    let cases = [
        ("test(a)", "test(a)"),
        ("  test( a )  ", "test(a)"),
        ("test(~a)", "test(a)"),
        ("test(=a)", "test(=a)"),
        ("test(#a*)", "test(#a*)"),
        (r"test(/^a(b|c)\/d$/)", r"test(/^a(b|c)\/d$/)"),
        ("id(t.py::a[x-1])", "id(t.py::a[x-1])"),
        ("under( tests/ )", "under(tests)"),
        ("under(/abs/a.py)", "under(/abs/a.py)"),
        ("file(tests/*)", "file(tests/*)"),
        ("suite(=api)", "suite(=api)"),
        ("marker(db)", "marker(db)"),
        ("marker(prio = high)", "marker(prio=high)"),
        ("marker(prio=/h(i|y)/)", "marker(prio=/h(i|y)/)"),
        ("level(read)", "level(read)"),
        ("level(>= isolated)", "level(>=isolated)"),
        ("slow(5s)", "slow(>5s)"),
        ("slow(<=1m500ms)", "slow(<=1m500ms)"),
        ("runner(pytest)", "runner(pytest)"),
        ("not test(a) and test(b)", "!test(a) & test(b)"),
        ("test(a) or test(b) and test(c)", "test(a) | test(b) & test(c)"),
        ("(test(a) + test(b)) & test(c)", "(test(a) | test(b)) & test(c)"),
        ("all() - test(a) - test(b)", "all() & !test(a) & !test(b)"),
        ("!(test(a) | none())", "!(test(a) | none())"),
        ("((test(a)))", "test(a)"),
        ("!!failed()", "!!failed()"),
        (r"test(a\)b\u{1F600}\n)", "test(a\\)b\u{1F600}\\n)"),
        ("suite(api) & tag(db) - test(#*[sqlite*])", "suite(api) & tag(db) & !test(#*[sqlite*])"),
    ];
    for (given, wanted) in cases {
        let filter = Filter::parse(given).unwrap_or_else(|error| panic!("{given}: {error}"));
        assert_eq!(filter.to_string(), wanted, "{given}");
    }
}

/// The mistake in `text`, drawn: what the span covers, the message, the hint.
fn mistake(text: &str) -> String {
    let error = Filter::parse(text).expect_err(text);
    let hint = error.problem.hint().unwrap_or_default();
    format!("{:?} {}; {hint}", &text[error.span], error.problem)
}

#[test]
fn a_mistake_names_what_where_and_what_to_do() {
    let cases = [
        ("", "\"\" the filter is empty; select everything with `all()`"),
        ("sute(api)", "\"sute\" there is no predicate `sute`; did you mean `suite`?"),
        ("login", "\"login\" `login` is not an expression; tests whose name contains it: `test(login)`"),
        (
            "all() fialed",
            "\"fialed\" an operator is missing here; combine expressions with `&`, `|`, `-`, or the words `and`, `or`",
        ),
        ("fialed", "\"fialed\" `fialed` is not an expression; did you mean `failed()`?"),
        ("test(a) && test(b)", "\"&&\" this operator is not part of the filter language; write `&`"),
        ("test(a) OR test(b)", "\"OR\" this operator is not part of the filter language; write `or`"),
        ("NOT test(a)", "\"NOT\" this operator is not part of the filter language; write `not`"),
        (
            "(test(a)",
            "\"(\" this parenthesis is never closed; add a `)`; inside an argument, a parenthesis that belongs to it is written `\\)`",
        ),
        (
            "test(a",
            "\"(\" this parenthesis is never closed; add a `)`; inside an argument, a parenthesis that belongs to it is written `\\)`",
        ),
        (
            "test(a))",
            "\")\" this parenthesis was never opened; remove it; inside an argument, a parenthesis that belongs to it is written `\\)`",
        ),
        ("failed(x)", "\"x\" `failed()` takes no argument; write `failed()`"),
        ("all(x)", "\"x\" `all()` takes no argument; write `all()`"),
        ("test()", "\"test()\" `test()` needs an argument; for example `test(login)`"),
        ("runner(pytset)", "\"pytset\" `pytset` is not one of the possible values; did you mean `pytest`?"),
        (
            "level(>=x)",
            "\"x\" `x` is not one of the possible values; possible values: none, read, transaction, isolated, exclusive",
        ),
        (
            "slow(>5)",
            "\"5\" a duration needs one of the units h, m, s, ms, us after each number; for example `slow(>5s)` or `slow(<250ms)`",
        ),
        (
            r"test(a\d)",
            r#""\\d" this escape is not known; the escapes are \\ \/ \( \) \, \n \r \t \u{…}; a backslash itself is `\\`"#,
        ),
        (
            "file(a[b)",
            "\"a[b\" the glob is malformed: unclosed character class; missing ']'; `*`, `?`, `[…]` and `{…,…}` have a meaning; for exact text write `=` first",
        ),
        (
            "test(/a(/)",
            "\"a(\" the regular expression is malformed: unclosed group; for plain text use `~text` (contains) or `=text` (exactly)",
        ),
        (
            "test(/a",
            "\"/a\" the regular expression is malformed: its closing `/` is missing; for plain text use `~text` (contains) or `=text` (exactly)",
        ),
        (
            "file(/tests/a.py)",
            "\"a.py\" the regular expression has ended before this; a slash inside is written `\\/`; plain text that begins with a slash is written `=/…`",
        ),
    ];
    for (given, wanted) in cases {
        assert_eq!(mistake(given), wanted, "{given}");
    }
    assert!(mistake("test(a) &").starts_with("\"\" an expression is missing here"));
    assert!(mistake("& test(a)").starts_with("\"&\" an expression is missing here"));
}

#[test]
fn bounds_are_kept_with_a_message() {
    let long = format!("test({})", "x".repeat(MAX_BYTES));
    assert_eq!(Filter::parse(&long).expect_err("too long").problem, Problem::TooLong);
    let deep = format!("{}all(){}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
    assert_eq!(Filter::parse(&deep).expect_err("too deep").problem, Problem::TooDeep);
    let wide = vec!["test(x)"; 5_000].join(" | ");
    assert!(Filter::parse(&wide).is_ok_and(|filter| filter.branches().len() == 5_001));
}

#[test]
fn what_a_filter_depends_on_is_known_before_it_is_asked() {
    let needs = |text: &str| {
        let filter = Filter::parse(text).expect(text);
        (filter.needs_history(), filter.needs_changes())
    };
    assert_eq!(needs("test(a) & tag(b)"), (false, false));
    assert_eq!(needs("test(a) | !(slow(>5s) & tag(b))"), (true, false));
    assert_eq!(needs("new() | changed()"), (true, true));
}

/// A deterministic source of choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("fewer sides than numbers")
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

const NAMES: [&str; 10] = ["a", "ab", "b", "t.py", "dir/t.py", "a::b", "=x", " /y) ", "\u{e4}\\(\n", "~#[1]"];

fn text(dice: &mut Dice) -> Matcher {
    let text = dice.pick(&NAMES).to_owned();
    match dice.roll(4) {
        0 => Matcher::Equals(text),
        1 => Matcher::Contains(text),
        2 => {
            let glob = dice.pick(&["*", "a*", "*b", "?", "dir/*", "a", "#a", "  "]);
            Matcher::Glob(Glob::new(glob.to_owned()).expect("these globs are well-formed"))
        }
        _ => {
            let regex = dice.pick(&["a", "^a$", "b|t", "^dir/", r"\)/(\\)*", "x{0,2}$"]);
            Matcher::Regex(Pattern::new(regex.to_owned()).expect("these expressions are well-formed"))
        }
    }
}

fn predicate(dice: &mut Dice) -> Predicate {
    let comparison = |dice: &mut Dice| {
        dice.pick(&[Comparison::Equal, Comparison::Less, Comparison::AtMost, Comparison::Greater, Comparison::AtLeast])
    };
    match dice.roll(15) {
        14 => Predicate::Under(dice.pick(&["dir", "t.py", "t.py::a", "dir/t.py::ab", "a[0]", "=(x)"]).to_owned()),
        0 => Predicate::Test(text(dice)),
        1 => Predicate::Id(text(dice)),
        2 => Predicate::File(text(dice)),
        3 => Predicate::Suite(text(dice)),
        4 => Predicate::Tag(text(dice)),
        5 => Predicate::Marker {
            name: dice.pick(&["db", "owner", "a b"]).to_owned(),
            value: (dice.roll(2) == 0).then(|| text(dice)),
        },
        6 => Predicate::Owner(text(dice)),
        7 => Predicate::Runner(dice.pick(&RunnerKind::ALL)),
        8 => Predicate::Group(text(dice)),
        9 => Predicate::Level(comparison(dice), dice.pick(&[Level::None, Level::Read, Level::Exclusive])),
        10 => Predicate::Slow(comparison(dice), Micros(dice.pick(&[0, 1, 1_500_000, 60_000_000]))),
        11 => Predicate::Failed,
        12 => dice.pick(&[&Predicate::Flaky, &Predicate::Changed]).clone(),
        _ => Predicate::New,
    }
}

fn filter(dice: &mut Dice, depth: usize) -> Filter {
    let parts = |dice: &mut Dice| (0..2 + dice.roll(2)).map(|_| filter(dice, depth - 1)).collect();
    match dice.roll(if depth == 0 { 6 } else { 12 }) {
        0 if depth == 0 => dice.pick(&[&Filter::All, &Filter::None]).clone(),
        0..6 => Filter::Is(predicate(dice)),
        6 | 7 => Filter::Not(Box::new(filter(dice, depth - 1))),
        8 | 9 => Filter::And(parts(dice)),
        _ => Filter::Or(parts(dice)),
    }
}

#[test]
fn what_is_displayed_is_read_back_as_the_same_expression() {
    let mut dice = Dice(0x5eed);
    for _ in 0..20_000 {
        let filter = filter(&mut dice, 4);
        let text = filter.to_string();
        assert_eq!(Filter::parse(&text).as_ref(), Ok(&filter), "{text}");
    }
}

/// Every test of a small world. Tags and history vary with the name, so that predicates differ.
fn world(check: &mut dyn FnMut(&Subject<'_>)) {
    let tags: [&[Arc<str>]; 3] = [&[], &["db".into(), "owner=a".into()], &["a".into(), "db=ab".into()]];
    let last = [None, Some(Verdict::Passed), Some(Verdict::Flaky), Some(Verdict::Crashed)];
    let mut at = 0;
    for suite in ["a", "ab"] {
        for file in ["t.py", "dir/t.py", "a"] {
            for name in ["a", "b", "ab"] {
                at += 1;
                check(&Subject {
                    suite,
                    runner: RunnerKind::ALL[at % 3],
                    file,
                    name,
                    id: &format!("{file}::{name}"),
                    tags: tags[at % tags.len()],
                    group: (at % 2 == 0).then_some(name),
                    level: [Level::None, Level::Read, Level::Isolated][at % 3],
                    last: last[at % last.len()],
                    mean: (at % 3 == 0).then_some(Micros::from_ms(at as u64 * 500)),
                    is_new: at % 4 == 0,
                    changed: at % 5 == 0,
                });
            }
        }
    }
}

/// The oracle: the tests that an expression selects, as a set of the world, by set operations alone.
fn selected(filter: &Filter, size: usize) -> Vec<bool> {
    match filter {
        Filter::All => vec![true; size],
        Filter::None => vec![false; size],
        Filter::Is(predicate) => {
            let mut set = Vec::new();
            world(&mut |subject| set.push(predicate.holds(subject)));
            set
        }
        Filter::Not(inner) => selected(inner, size).into_iter().map(|is_in| !is_in).collect(),
        Filter::And(parts) => fold(parts, size, true, |a, b| a & b),
        Filter::Or(parts) => fold(parts, size, false, |a, b| a | b),
    }
}

fn fold(parts: &[Filter], size: usize, from: bool, join: fn(bool, bool) -> bool) -> Vec<bool> {
    parts.iter().fold(vec![from; size], |set, part| {
        set.into_iter().zip(selected(part, size)).map(|(a, b)| join(a, b)).collect()
    })
}

#[test]
fn a_filter_selects_what_set_operations_say() {
    let mut dice = Dice(0xace);
    for _ in 0..2_000 {
        let filter = filter(&mut dice, 4);
        let mut seen = Vec::new();
        world(&mut |subject| seen.push(filter.matches(subject)));
        assert_eq!(seen, selected(&filter, seen.len()), "{filter}");
    }
}

#[test]
fn a_file_is_only_spared_when_no_test_of_it_can_be_selected() {
    let mut dice = Dice(0xf11e);
    let mut spared = 0;
    for _ in 0..2_000 {
        let filter = filter(&mut dice, 3);
        world(&mut |subject| {
            let may_file = filter.may_match_file(subject.suite, subject.runner, subject.file);
            let may_suite = filter.may_match_suite(subject.suite, subject.runner);
            assert!(may_file || !filter.matches(subject), "{filter}: {subject:?}");
            assert!(may_suite || !may_file, "{filter}: {subject:?}");
            spared += usize::from(!may_file);
        });
    }
    assert!(spared > 1_000, "the question has to be worth asking, but spared only {spared} files");
}

#[test]
fn predicates_hold_for_what_they_name() {
    let tags: Vec<Arc<str>> = vec!["db".into(), "prio=high".into(), "owner=payments".into()];
    let subject = Subject {
        suite: "api",
        runner: RunnerKind::Pytest,
        file: "tests/api/test_pay.py",
        name: "TestPay::test_refund[eur-1]",
        id: "tests/api/test_pay.py::TestPay::test_refund[eur-1]",
        tags: &tags,
        group: Some("module"),
        level: Level::Transaction,
        last: Some(Verdict::NotRun),
        mean: Some(Micros::from_secs(6)),
        is_new: false,
        changed: true,
    };
    let cases = [
        ("test(refund)", true),
        ("test(api)", false),
        ("test(#*[eur*])", false),
        ("test(#*[[]eur*])", true),
        ("test(=TestPay::test_refund[eur-1])", true),
        (r"test(/\[(eur|usd)-\d\]$/)", true),
        ("id(tests/api/test_pay.py::TestPay::test_refund[eur-1])", true),
        ("under(tests/api)", true),
        ("under(tests/ap)", false),
        ("under(tests/api/test_pay.py)", true),
        ("under(tests/api/test_pay.py::TestPay)", true),
        ("under(tests/api/test_pay.py::TestPay::test_refund)", true),
        ("under(tests/api/test_pay.py::TestPay::test)", false),
        ("file(tests/api/*)", true),
        ("file(tests)", false),
        ("file(tests/*.py)", true),
        ("suite(a{pi,b})", true),
        ("tag(db)", true),
        ("tag(d)", false),
        ("tag(prio=h*)", true),
        ("marker(db)", true),
        ("marker(prio)", true),
        ("marker(prio=high)", true),
        ("marker(prio=~ig)", true),
        ("marker(prio=low)", false),
        ("marker(db=x)", false),
        ("owner(payments)", true),
        ("runner(rust)", false),
        ("group(mod*)", true),
        ("level(transaction)", true),
        ("level(>=read) & level(<isolated)", true),
        ("level(none)", false),
        ("failed()", true),
        ("flaky()", false),
        ("slow(>5s)", true),
        ("slow(<5s)", false),
        ("changed() - new()", true),
    ];
    for (text, wanted) in cases {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(filter.matches(&subject), wanted, "{text}");
    }
}
