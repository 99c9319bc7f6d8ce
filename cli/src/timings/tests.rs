//! What files of timings say, and which tests they mean, as data.

use super::matching::Match;
use super::*;
use regatta_domain::RunnerKind;

fn id(id: &str) -> Named {
    Named::Id(id.to_owned())
}

fn case(class: &str, name: &str, file: Option<&str>) -> Named {
    Named::Case { class: class.to_owned(), name: name.to_owned(), file: file.map(str::to_owned) }
}

fn own(suite: &str, file: &str, name: &str) -> Named {
    Named::Own { suite: suite.to_owned(), file: file.to_owned(), name: name.to_owned() }
}

/// What a text says: names and milliseconds.
#[track_caller]
fn says(text: &str, wanted: &[(Named, u64)]) {
    let read =
        read("timings", text.as_bytes(), TimingFormat::Auto).unwrap_or_else(|error| panic!("{}", error.render(false)));
    let found: Vec<(Named, u64)> = read.timed.into_iter().map(|timed| (timed.named, timed.mean.0 / 1_000)).collect();
    assert_eq!(found, wanted, "{text}");
}

#[test]
fn files_of_other_tools_are_read_as_they_look() {
    says(
        r#"{"tests/a.py::test_b[x-1]": 1.5, "tests/a.py::T::test_c": 0.25}"#,
        &[(id("tests/a.py::test_b[x-1]"), 1_500), (id("tests/a.py::T::test_c"), 250)],
    );
    says(r#"[["tests/a.py::test_b", 1.5]]"#, &[(id("tests/a.py::test_b"), 1_500)]);
    says(r#"{"spec/cart_spec.rb": "3.5"}"#, &[(Named::File("spec/cart_spec.rb".into()), 3_500)]);
    says(
        r#"{"tests": [{"classname": "tests.a.T", "file": "tests/a.py", "name": "test_b", "run_time": 2},
            {"file": "spec/b.js", "run_time": 1}, {"name": "a.py::t", "run_time": 1}]}"#,
        &[
            (case("tests.a.T", "test_b", Some("tests/a.py")), 2_000),
            (Named::File("spec/b.js".into()), 1_000),
            (id("a.py::t"), 1_000),
        ],
    );
    says(
        "{\"v\":1,\"suite\":\"api\",\"file\":\"a.py\",\"name\":\"t\",\"mean_s\":0.5,\"spread\":0.4}\n\n",
        &[(own("api", "a.py", "t"), 500)],
    );
}

#[test]
fn junit_xml_is_read_in_its_dialects() {
    let pytest = r#"<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="4" time="2">
        <testcase classname="tests.a.T" name="test_b[&lt;x&gt;]" time="1,000.5"/>
        <testcase classname="tests.a" name="test_skipped" time="0.001"><skipped message="no"/></testcase>
        <testcase classname="tests.a" name="test_failed" time="0.5"><failure message="no">text</failure></testcase>
        <testcase classname="tests.a" name="test_untimed"/></testsuite></testsuites>"#;
    says(pytest, &[(case("tests.a.T", "test_b[<x>]", None), 1_000_500), (case("tests.a", "test_failed", None), 500)]);
    let nested = r#"<testsuite name="outer"><testsuite name="spec" file="spec/a.js"><testcase name="adds" time="1"/>
        </testsuite></testsuite>"#;
    says(nested, &[(case("spec", "adds", Some("spec/a.js")), 1_000)]);
    let regatta = r#"<testsuites><testsuite name="api"><testcase name="test_b" classname="tests/a.py" time="1">
        <properties><property name="suite" value="api"/></properties></testcase>
        <testcase name="main" classname="main" time="1"><properties><property name="suite" value="sh"/></properties>
        </testcase></testsuite></testsuites>"#;
    says(regatta, &[(own("api", "tests/a.py", "test_b"), 1_000), (own("sh", "main", ""), 1_000)]);
}

#[test]
fn times_that_nobody_believes_are_counted() {
    let text = r#"{"a::minus": -1, "a::zero": 0, "a::nan": NaN, "a::inf": Infinity, "a::less": -Infinity, "a::null": null,
        "a::NaN \"NaN\"": 1, "a::huge": 1e300, "a::text": "soon", "a::fine": 2}"#;
    let read = read("timings", text.as_bytes(), TimingFormat::Auto).expect("it is JSON as Python writes it");
    let found: Vec<(String, Micros)> = read.timed.iter().map(|timed| (timed.named.text(), timed.mean)).collect();
    let wanted = [
        ("a::zero", Micros(500)),
        ("a::NaN \"NaN\"", Micros::from_secs(1)),
        ("a::huge", LONGEST),
        ("a::fine", Micros::from_secs(2)),
    ];
    assert_eq!(found, wanted.map(|(name, mean)| (name.to_owned(), mean)));
    assert_eq!((read.clamped, read.left_out), (2, 6));
}

#[test]
fn a_broken_file_is_told_with_its_place() {
    let cases: [(&[u8], TimingFormat, &str); 13] = [
        (b"", TimingFormat::Auto, "t holds no timings: it is empty"),
        (b" \n\n", TimingFormat::Junit, "it is empty"),
        (b"a,b\n1,2", TimingFormat::Auto, "line 1 begins neither XML nor JSON"),
        (b"{\n\"a\": 1,\n\"b\": }", TimingFormat::Auto, "line 3, column 6: expected value"),
        (b"{\"a::b\": 1", TimingFormat::Auto, "EOF while parsing"),
        (b"{\"a::b\": [1]}", TimingFormat::PytestSplit, "the value of `a::b` is no number of seconds"),
        (b"{\"a::b\": 1}", TimingFormat::Circleci, "no list called `tests`"),
        (b"[{\"time\": 1}]", TimingFormat::Auto, "item 1 of the list names neither a test nor a file"),
        (b"<testsuite>\n<testcase name='a' time='1'>", TimingFormat::Auto, "it ends in the middle, in line 2"),
        (b"<testsuite>\n<testcase></testsuite>", TimingFormat::Auto, "line 2 (byte 22) is no XML"),
        (b"<html></html>", TimingFormat::Auto, "it has no test suite in it"),
        (b"{\"v\": 2, \"file\": \"a\"}", TimingFormat::Auto, "line 1 is of version 2"),
        (b"{}\n{\"a\xff\": 1}", TimingFormat::Auto, "line 2 is no UTF-8 text"),
    ];
    for (bytes, format, wanted) in cases {
        let error = read("t", bytes, format).expect_err("it is broken").render(false);
        assert!(error.contains(wanted) && error.contains("expected "), "{wanted}: {error}");
    }
}

/// A suite of known tests; `there` are files below its root.
fn suite<'a>(runner: RunnerKind, known: &[(&str, &[&str])], there: &'a [&'a str]) -> Suite<'a> {
    let mut listing = Listing::default();
    for (path, tests) in known {
        listing.add((*path).to_owned(), !tests.is_empty(), tests.iter().map(|test| (*test).to_owned()).collect());
    }
    Suite::new("api", Some(runner), listing, |path| there.contains(&path))
}

#[track_caller]
fn means(suite: &Suite<'_>, named: &Named, file: &str, name: &str, known: bool) {
    assert_eq!(suite.find(named), Match { file: file.to_owned(), name: name.to_owned(), known }, "{named:?}");
}

#[test]
fn a_name_means_the_test_that_is_known_among_its_readings() {
    let api = suite(
        RunnerKind::Pytest,
        &[
            ("tests/api/test_cart.py", &["TestCart::test_total[1.5]", "test_a"]),
            ("tests/Odd/test_b.py", &[]),
            ("a/test_twice.py", &["test_a"]),
            ("b/test_twice.py", &["test_a"]),
        ],
        &[],
    );
    let cart = "tests/api/test_cart.py";
    means(
        &api,
        &case("tests.api.test_cart.TestCart", "test_total[1.5]", None),
        cart,
        "TestCart::test_total[1.5]",
        true,
    );
    means(&api, &case("tests.api.test_cart", "test_a", Some(cart)), cart, "test_a", true);
    means(&api, &case("tests.api.test_cart.TestCart", "test_new", Some(cart)), cart, "TestCart::test_new", false);
    means(&api, &id("./tests/api/test_cart.py::test_a"), cart, "test_a", true);
    // From a directory above the suite's root, and from one below it.
    means(&api, &id("service/tests/api/test_cart.py::test_a"), cart, "test_a", true);
    means(&api, &case("api.test_cart", "test_a", None), cart, "test_a", true);
    means(&api, &id("test_twice.py::test_a"), "test_twice.py", "test_a", false);
    // A file that nobody has listed yet may hold any test.
    means(&api, &case("tests.Odd.test_b", "test_x", None), "tests/Odd/test_b.py", "test_x", true);
    means(&api, &Named::File(cart.into()), cart, "", true);
}

#[test]
fn a_name_means_what_is_there_or_most_likely_where_nothing_is_known() {
    let fresh = suite(RunnerKind::Pytest, &[], &["test_cart.py", "tests/Mixed.py"]);
    let named = case("services.api.test_cart.TestCart.TestDeep", "test_a", None);
    means(&fresh, &named, "test_cart.py", "TestCart::TestDeep::test_a", false);
    means(&fresh, &case("tests.Mixed", "test_a", None), "tests/Mixed.py", "test_a", false);
    means(&fresh, &case("other.test_x.TestX", "test_a", None), "other/test_x.py", "TestX::test_a", false);
    means(&fresh, &case("other.test_x", "test_a", None), "other/test_x.py", "test_a", false);
    means(&fresh, &case("", "x.py::test_a", None), "x.py", "test_a", false);

    let rust = suite(RunnerKind::Rust, &[("shop::it", &["cart::adds"])], &[]);
    means(&rust, &case("shop::it", "cart::adds", None), "shop::it", "cart::adds", true);
    means(&rust, &case("shop", "cart::adds", None), "shop", "cart::adds", false);

    let exec = suite(RunnerKind::Exec, &[("api", &["cart.adds", "t/a.sh"])], &[]);
    means(&exec, &case("cart", "adds", None), "api", "cart.adds", true);
    means(&exec, &Named::File("t/a.sh".into()), "api", "t/a.sh", true);
    means(&exec, &id("new::one"), "api", "new::one", false);
}

#[test]
fn what_is_exported_is_read_again() {
    let test = regatta_wire::history::remembered(
        "a.py",
        "t[\"é\"]",
        &regatta_domain::history::TestHistory::imported(Micros(1_234_567), Some(700), regatta_domain::Time(1)),
    );
    let text = line("api", &test).expect("it was measured").to_string();
    let read = read("t", text.as_bytes(), TimingFormat::Auto).expect("it is our own");
    let timed = Timed { named: own("api", "a.py", "t[\"é\"]"), mean: Micros(1_234_567), spread: Some(700) };
    assert_eq!(read.timed, [timed]);
}
