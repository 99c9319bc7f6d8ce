//! JUnit XML, in all its dialects: suites within suites, no root or several, cases without a class, several failures of
//! one case, reruns, characters that XML does not allow, and files that end in the middle.

use super::found::{Found, Report};
use crate::runner::reason::one_line;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use regatta_domain::Outcome;
use std::time::Duration;

/// The most text kept of one case.
const TEXT_BYTES: usize = 64 * 1024;

/// Reads the content of a result file. What is complete counts, even where the file is not.
pub(super) fn parse(bytes: &[u8]) -> Report {
    let text = clean(bytes);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().expand_empty_elements = true;
    let mut cases = Cases::default();
    let fault = loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => cases.open(&element),
            Ok(Event::End(element)) => cases.close(element.local_name().as_ref()),
            Ok(Event::Text(text)) => cases.say(&String::from_utf8_lossy(&text)),
            Ok(Event::CData(text)) => cases.say(&String::from_utf8_lossy(&text)),
            Ok(Event::GeneralRef(name)) => cases.say(&resolved(&format!("&{};", String::from_utf8_lossy(&name)))),
            Ok(Event::Eof) if cases.seen && cases.depth == 0 => break None,
            Ok(Event::Eof) if cases.seen => break Some("its result file ends in the middle".to_owned()),
            Ok(Event::Eof) => break Some("its result file is no JUnit XML".to_owned()),
            Ok(_) => {}
            Err(error) => {
                let at = reader.error_position();
                break Some(format!("its result file is no XML from byte {at} on: {}", one_line(&error.to_string())));
            }
        }
    };
    Report { found: cases.found, fault, skipped: None }
}

/// The text without bytes that are no UTF-8 and characters that XML does not allow.
fn clean(bytes: &[u8]) -> String {
    let allowed = |char: char| !char.is_control() || matches!(char, '\t' | '\n' | '\r');
    String::from_utf8_lossy(bytes).chars().map(|char| if allowed(char) { char } else { '\u{fffd}' }).collect()
}

#[derive(Default)]
struct Cases {
    found: Vec<Found>,
    /// A suite or a case was seen.
    seen: bool,
    depth: usize,
    /// Name and file of each suite that is open.
    suites: Vec<Vec<String>>,
    case: Option<Found>,
    /// What the case is told to have been, and where text belongs now.
    part: Option<Part>,
}

/// An element within a case.
struct Part {
    kind: Kind,
    message: String,
    text: String,
    depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Failure,
    Skipped,
    /// It failed before it passed, or failed again: the case has a result of its own beside it.
    Rerun,
    Output,
}

impl Cases {
    fn open(&mut self, element: &BytesStart<'_>) {
        self.depth += 1;
        let name = element.local_name();
        match (name.as_ref(), &self.case) {
            (b"testsuites", None) => self.seen = true,
            (b"testsuite", None) => {
                self.seen = true;
                self.suites.push(["name", "file"].iter().filter_map(|name| attribute(element, name)).collect());
            }
            (b"testcase", None) => {
                self.seen = true;
                self.case = Some(case(element, &self.suites));
            }
            (name, Some(_)) if self.part.is_none() => {
                if let Some(kind) = kind(name) {
                    let message = attribute(element, "message").unwrap_or_default();
                    let message =
                        if message.is_empty() { attribute(element, "type").unwrap_or_default() } else { message };
                    self.part = Some(Part { kind, message, text: String::new(), depth: self.depth });
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &[u8]) {
        if let Some(part) = self.part.take_if(|part| part.depth == self.depth)
            && let Some(case) = &mut self.case
        {
            note(case, part);
        }
        match name {
            b"testcase" if self.part.is_none() => self.found.extend(self.case.take()),
            b"testsuite" if self.case.is_none() => drop(self.suites.pop()),
            _ => {}
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn say(&mut self, text: &str) {
        if let Some(part) = &mut self.part
            && part.text.len() + text.len() <= TEXT_BYTES
        {
            part.text.push_str(text);
        }
    }
}

fn kind(element: &[u8]) -> Option<Kind> {
    Some(match element {
        b"failure" | b"error" => Kind::Failure,
        b"skipped" => Kind::Skipped,
        b"flakyFailure" | b"flakyError" | b"rerunFailure" | b"rerunError" => Kind::Rerun,
        b"system-out" | b"system-err" => Kind::Output,
        _ => return None,
    })
}

/// The case of an opening element, as it is unless something within says otherwise.
fn case(element: &BytesStart<'_>, suites: &[Vec<String>]) -> Found {
    let get = |name: &str| attribute(element, name).filter(|value| !value.is_empty());
    let class = get("classname").or_else(|| get("class"));
    let file = get("file");
    let name = get("name").or_else(|| class.clone()).unwrap_or_default();
    let mut found = Found::named(&name);
    for (of, joints) in [(&class, &[".", "::", "#", "/", " "][..]), (&file, &["::", ":"][..])] {
        let Some(of) = of else { continue };
        found.exact.extend(joints.iter().map(|joint| format!("{of}{joint}{name}")));
        found.coarse.push(of.clone());
    }
    if let Some(class) = class.filter(|class| *class != name) {
        found.name = format!("{class}.{name}");
    }
    found.coarse.extend(suites.iter().flatten().cloned());
    found.duration = get("time").and_then(|time| seconds(&time));
    let state = get("status").or_else(|| get("result")).unwrap_or_default().to_ascii_lowercase();
    if matches!(state.as_str(), "skipped" | "disabled" | "notrun" | "suppressed" | "ignored") {
        found.outcome = Outcome::Skipped;
    }
    found
}

/// A number of seconds; some write thousands with commas.
fn seconds(time: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(time.replace(',', "").parse().ok()?).ok()
}

fn note(case: &mut Found, part: Part) {
    let said = if part.message.trim().is_empty() { &part.text } else { &part.message };
    let reason = Some(one_line(said)).filter(|reason| !reason.is_empty());
    match part.kind {
        Kind::Failure if case.outcome != Outcome::Failed => {
            case.outcome = Outcome::Failed;
            case.reason = reason;
        }
        Kind::Skipped if case.outcome != Outcome::Failed => {
            case.outcome = Outcome::Skipped;
            case.reason = reason;
        }
        _ => {}
    }
    let room = TEXT_BYTES.saturating_sub(case.text.len());
    for piece in [&part.message, &part.text] {
        if !piece.trim().is_empty()
            && piece.len() < room
            && (part.kind != Kind::Output || !std::ptr::eq(piece, &part.message))
        {
            case.text.push_str(piece.trim_end());
            case.text.push('\n');
        }
    }
}

/// An attribute's value. Attributes that cannot be read are passed over.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|found| found.key.local_name().as_ref() == name.as_bytes())?;
    Some(resolved(&String::from_utf8_lossy(&found.value)))
}

/// `text` with its references resolved. Those that mean nothing, or a character that XML does not allow, stay.
fn resolved(text: &str) -> String {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        resolved.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').filter(|end| *end <= 10);
        match end.and_then(|end| Some((character(&rest[1..end])?, end))) {
            Some((char, end)) => {
                resolved.push(char);
                rest = &rest[end + 1..];
            }
            None => {
                resolved.push('&');
                rest = &rest[1..];
            }
        }
    }
    resolved + rest
}

fn character(reference: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = reference.strip_prefix('#')?;
            let char = digits.strip_prefix(['x', 'X']).map_or_else(|| number(digits, 10), |hex| number(hex, 16))?;
            (!char.is_control() || matches!(char, '\t' | '\n' | '\r')).then_some(char)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, outcome and reason of each result, and the fault of the whole.
    fn check(xml: impl AsRef<[u8]>, expected: &[(&str, Outcome, &str)], fault: &str) -> Report {
        let report = parse(xml.as_ref());
        let told: Vec<_> = report
            .found
            .iter()
            .map(|found| (found.name.as_str(), found.outcome, found.reason.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(told, expected);
        assert!(report.fault.as_deref().unwrap_or_default().starts_with(fault), "{:?}", report.fault);
        assert_eq!(report.fault.is_none(), fault.is_empty(), "{:?}", report.fault);
        report
    }

    #[test]
    fn suites_within_suites_are_read() {
        let report = check(
            r#"<?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="all"><testsuite name="outer" file="t/outer.sh"><properties><property name="a" value="b"/></properties>
              <testsuite name="inner"><testcase name="a" classname="C" time="1,000.5"/></testsuite>
              <testcase name="b"><failure message="wrong &lt;1&gt;" type="E">trace</failure><system-out>out</system-out></testcase>
              <testcase name="c"><skipped>not here</skipped></testcase>
              <testcase name="d"><error type="Boom"/></testcase>
              <system-out>of the suite</system-out>
            </testsuite></testsuites>"#,
            &[
                ("C.a", Outcome::Passed, ""),
                ("b", Outcome::Failed, "wrong <1>"),
                ("c", Outcome::Skipped, "not here"),
                ("d", Outcome::Failed, "Boom"),
            ],
            "",
        );
        assert_eq!(report.found[0].duration, Some(Duration::from_millis(1_000_500)));
        assert_eq!(report.found[0].coarse, ["C", "outer", "t/outer.sh", "inner"]);
        assert!(report.found[0].exact.contains(&"C::a".to_owned()));
        assert_eq!(report.found[1].text, "wrong <1>\ntrace\nout\n");
    }

    #[test]
    fn a_missing_root_or_class_does_no_harm() {
        check(
            r#"<testcase name="a"/><testcase name="b"/>"#,
            &[("a", Outcome::Passed, ""), ("b", Outcome::Passed, "")],
            "",
        );
        check(r#"<testsuite><testcase classname="only"/></testsuite>"#, &[("only", Outcome::Passed, "")], "");
        check("<testsuites/>", &[], "");
    }

    #[test]
    fn of_several_failures_the_first_is_the_reason_and_all_are_told() {
        let xml =
            r#"<testsuite><testcase name="a"><failure message="one"/><failure message="two"/></testcase></testsuite>"#;
        let report = check(xml, &[("a", Outcome::Failed, "one")], "");
        assert_eq!(report.found[0].text, "one\ntwo\n");
    }

    #[test]
    fn reruns_are_told_and_decide_nothing() {
        let xml = r#"<testsuite>
            <testcase name="flaky"><flakyFailure message="at first"><stackTrace>x</stackTrace></flakyFailure></testcase>
            <testcase name="bad"><failure message="always"/><rerunFailure message="again"/></testcase></testsuite>"#;
        check(xml, &[("flaky", Outcome::Passed, ""), ("bad", Outcome::Failed, "always")], "");
    }

    #[test]
    fn characters_that_xml_does_not_allow_are_survived() {
        let xml = b"<testsuite><testcase name=\"a\x1b[1m\xff &#x1b; &unknown; &amp;\"><failure>\x00bad &#27; &nbsp;</failure></testcase></testsuite>";
        check(xml, &[("a\u{fffd}[1m\u{fffd} &#x1b; &unknown; &", Outcome::Failed, "\u{fffd}bad &#27; &nbsp;")], "");
    }

    #[test]
    fn states_in_attributes_are_read() {
        let xml = r#"<testsuite><testcase name="a" status="notrun"/><testcase name="b" status="run" result="completed"/></testsuite>"#;
        check(xml, &[("a", Outcome::Skipped, ""), ("b", Outcome::Passed, "")], "");
    }

    #[test]
    fn of_a_broken_file_what_is_complete_counts() {
        let cut = r#"<testsuite><testcase name="a"/><testcase name="b"><failure mess"#;
        check(cut, &[("a", Outcome::Passed, "")], "its result file is no XML from byte");
        let open = r#"<testsuite><testcase name="a"/><testcase name="b">"#;
        check(open, &[("a", Outcome::Passed, "")], "its result file ends in the middle");
        check("", &[], "its result file is no JUnit XML");
        check("hello", &[], "its result file is no JUnit XML");
        check("<html><body/></html>", &[], "its result file is no JUnit XML");
        check(r#"<testsuite><testcase name="a"></testsuite>"#, &[], "its result file is no XML from byte");
    }
}
