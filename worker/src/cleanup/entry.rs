//! One line of a registry: a command, or a request to a server.
//!
//! Three forms: a line for `sh -c`; `http: METHOD URL`; and an object of JSON, `{"argv": [...]}` or `{"http": {...}}`. A line
//! that begins with `{"` is JSON, whatever a shell would make of it.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A command.
    Command(Vec<String>),
    /// A request to a server.
    Http(Request),
}

/// A request to a server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) body: Option<String>,
}

/// A line of JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    #[serde(default)]
    argv: Option<Vec<String>>,
    #[serde(default)]
    http: Option<Request>,
}

impl Entry {
    /// The entry that `line` is; `None` where it is empty. The error says what is wrong with it.
    pub(super) fn read(line: &str) -> Result<Option<Self>, String> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(None);
        }
        if line.starts_with("{\"") {
            return object(line).map(Some);
        }
        let Some(request) = line.strip_prefix("http:") else {
            return Ok(Some(Self::Command(["sh", "-c", line].map(str::to_owned).into())));
        };
        let mut words = request.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(method), Some(url), None) => {
                let (method, url) = (method.to_owned(), url.to_owned());
                Ok(Some(Self::Http(Request { method, url, headers: BTreeMap::new(), body: None })))
            }
            _ => Err("after `http:` stand a method and a URL, and nothing else".to_owned()),
        }
    }
}

fn object(line: &str) -> Result<Entry, String> {
    let object: Object = serde_json::from_str(line).map_err(|error| error.to_string())?;
    match (object.argv, object.http) {
        (Some(argv), None) if argv.first().is_some_and(|program| !program.is_empty()) => Ok(Entry::Command(argv)),
        (Some(_), None) => Err("`argv` needs at least the name of a program".to_owned()),
        (None, Some(request)) => Ok(Entry::Http(request)),
        _ => Err("it needs either `argv` or `http`".to_owned()),
    }
}

impl fmt::Display for Entry {
    /// For people, as it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(argv) => match &argv[..] {
                [shell, flag, line] if shell == "sh" && flag == "-c" => f.write_str(line),
                argv => f.write_str(&argv.join(" ")),
            },
            Self::Http(request) => write!(f, "{} {}", request.method, request.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Option<&str>, &str>) {
        match (Entry::read(line), expected) {
            (Ok(entry), Ok(expected)) => {
                assert_eq!(entry.map(|entry| entry.to_string()).as_deref(), expected, "{line}")
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{line}: {error}"),
            (told, expected) => panic!("{line}: {told:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_line_is_a_command_or_a_request() {
        check("rm -rf /tmp/x && echo gone", Ok(Some("rm -rf /tmp/x && echo gone")));
        check("{ echo a; echo b; }", Ok(Some("{ echo a; echo b; }")));
        check("  ", Ok(None));
        check("http: DELETE http://127.0.0.1:1/things/7", Ok(Some("DELETE http://127.0.0.1:1/things/7")));
        check(r#"{"argv": ["rm", "a b"]}"#, Ok(Some("rm a b")));
        check(r#"{"http": {"method": "PUT", "url": "http://h/x", "body": "{}"}}"#, Ok(Some("PUT http://h/x")));
    }

    #[test]
    fn what_is_neither_says_what_is_wrong() {
        check("http: DELETE", Err("a method and a URL"));
        check(r#"{"argv": []}"#, Err("at least the name of a program"));
        check(r#"{"argv": ["x"], "http": {"method": "GET", "url": "http://h"}}"#, Err("either `argv` or `http`"));
        check(r#"{"command": "x"}"#, Err("unknown field `command`"));
        check(r#"{"argv": ["#, Err("EOF"));
    }
}
