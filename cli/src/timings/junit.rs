//! JUnit XML, in all its dialects, as far as it names tests and times.

use super::{Broken, Named, Timings, line_of, number};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

const EXPECTED: &str = "JUnit XML: test cases in `testsuite` elements, each with `classname`, `name` and `time`";

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Timings, Broken> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut cases = Cases::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => cases.open(&element),
            Ok(Event::End(element)) => cases.close(element.local_name().as_ref()),
            Ok(Event::Eof) if cases.seen && cases.depth == 0 => return Ok(cases.timings),
            Ok(Event::Eof) if cases.seen => {
                let line = line_of(text.as_bytes(), text.len());
                return Err(Broken::new(format!("it ends in the middle, in line {line}")).expected(EXPECTED));
            }
            Ok(Event::Eof) => return Err(Broken::new("it has no test suite in it".to_owned()).expected(EXPECTED)),
            Ok(_) => {}
            Err(error) => {
                let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
                let line = line_of(text.as_bytes(), at);
                return Err(Broken::new(format!("line {line} (byte {at}) is no XML: {error}")).expected(EXPECTED));
            }
        }
    }
}

#[derive(Default)]
struct Cases {
    timings: Timings,
    seen: bool,
    depth: usize,
    /// The suites that are open: name, and file where it is told.
    suites: Vec<(String, Option<String>)>,
    case: Option<Case>,
}

/// A case that is open.
struct Case {
    class: String,
    name: String,
    file: Option<String>,
    seconds: Option<f64>,
    skipped: bool,
    /// The suite, where Regatta wrote it.
    suite: Option<String>,
}

impl Cases {
    fn open(&mut self, element: &BytesStart<'_>) {
        self.depth += 1;
        let get = |name: &str| attribute(element, name).filter(|value| !value.is_empty());
        match (element.local_name().as_ref(), &mut self.case) {
            (b"testsuites", None) => self.seen = true,
            (b"testsuite", None) => {
                self.seen = true;
                self.suites.push((get("name").unwrap_or_default(), get("file")));
            }
            (b"testcase", None) => {
                self.seen = true;
                let suite = self.suites.last();
                let class = get("classname").or_else(|| get("class")).or_else(|| suite.map(|(name, _)| name.clone()));
                let name = get("name").unwrap_or_default();
                let file = get("file").or_else(|| suite.and_then(|(_, file)| file.clone()));
                let seconds = get("time").or_else(|| get("duration")).and_then(|time| number(&time));
                let (class, suite) = (class.unwrap_or_default(), None);
                self.case = Some(Case { class, name, file, seconds, skipped: false, suite });
            }
            (b"skipped", Some(case)) => case.skipped = true,
            (b"property", Some(case)) if get("name").as_deref() == Some("suite") => case.suite = get("value"),
            _ => {}
        }
    }

    fn close(&mut self, name: &[u8]) {
        self.depth = self.depth.saturating_sub(1);
        match name {
            b"testcase" => {
                let Some(case) = self.case.take() else { return };
                // What was skipped took no time, and says nothing of what it takes.
                if case.skipped {
                    return;
                }
                let named = match case.suite {
                    // Regatta's own: the class is the file, and the file's own name where that is the test.
                    Some(suite) => {
                        let name = if case.name == case.class { String::new() } else { case.name };
                        Named::Own { suite, file: case.class, name }
                    }
                    None => Named::Case { class: case.class, name: case.name, file: case.file },
                };
                self.timings.add(named, case.seconds, None);
            }
            b"testsuite" if self.case.is_none() => drop(self.suites.pop()),
            _ => {}
        }
    }
}

/// An attribute's value, with its references resolved where they mean anything.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|found| found.key.local_name().as_ref() == name.as_bytes())?;
    let text = String::from_utf8_lossy(&found.value).into_owned();
    Some(quick_xml::escape::unescape(&text).map_or_else(|_| text.clone(), std::borrow::Cow::into_owned))
}
