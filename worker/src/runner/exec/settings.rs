//! The settings of the exec runner, checked whole.

use serde::Deserialize;

/// The settings of an exec suite.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecSettings {
    /// The command that runs tests, as a list of arguments. In them, `{id}` stands for a test's name, `{file}` for the
    /// path of a file with one name a line, `{result}` for the path at which the result file is expected.
    pub command: Vec<String>,
    /// A command that prints the names of the tests, one a line.
    #[serde(default)]
    pub list: Option<Vec<String>>,
    /// The tests, where no command lists them: globs of files below the root, or names. Without either the suite itself
    /// is the only test.
    #[serde(default)]
    pub tests: Vec<String>,
    /// What tells how it went.
    #[serde(default)]
    pub result: ResultFormat,
    /// The most tests that one start of the command is given; 1 when left out.
    #[serde(default)]
    pub batch: Option<u32>,
}

/// What tells how a command's tests went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResultFormat {
    /// A JUnit XML file at `{result}`.
    Junit,
    /// TAP: in the file at `{result}` where the command has that, else on standard output.
    Tap,
    /// Zero is a pass.
    #[default]
    ExitCode,
}

impl ExecSettings {
    /// Reads settings; the error says what is wrong and what to do.
    pub(super) fn read(json: &str) -> Result<Self, String> {
        let settings: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        settings.check().map_or(Ok(settings), Err)
    }

    /// What makes no sense, if anything.
    fn check(&self) -> Option<String> {
        let wrong = |message: &str| Some(message.to_owned());
        let (id, file, result) = (self.has("{id}"), self.has("{file}"), self.has("{result}"));
        let is_empty = |argv: &[String]| argv.first().is_none_or(String::is_empty);
        if is_empty(&self.command) || self.list.as_deref().is_some_and(is_empty) {
            return wrong("a command needs at least the name of a program");
        }
        if self.batch == Some(0) {
            return wrong("`batch` is 0; it must be at least 1");
        }
        if id && file {
            return wrong("`command` has both {id} and {file}; {id} stands for one test, {file} for a list of them");
        }
        if self.has_names() && !id && !file {
            return wrong(
                "the suite has several tests, and `command` has no place for which to run; write {id} where the name of a \
                 test belongs, or {file} for the path of a list",
            );
        }
        if !self.has_names() && (id || file) {
            return wrong("`command` has {id} or {file}, and there are no names; say which with `list` or `tests`");
        }
        if self.batch.is_some_and(|batch| batch > 1) && !file {
            return wrong("`batch` is more than 1, and `command` has no {file} for the list of tests");
        }
        if self.batch.is_some_and(|batch| batch > 1) && self.result == ResultFormat::ExitCode {
            return wrong(
                "`batch` is more than 1, and an exit code cannot tell tests apart; set `result` to junit or tap",
            );
        }
        if self.result == ResultFormat::Junit && !result {
            return wrong("`result` is junit, and `command` does not say {result}, where the file is to be written");
        }
        None
    }

    /// Whether tests have names, rather than the suite being the test.
    pub(super) fn has_names(&self) -> bool {
        self.list.is_some() || !self.tests.is_empty()
    }

    /// Whether the command has this placeholder.
    pub(super) fn has(&self, placeholder: &str) -> bool {
        self.command.iter().any(|argument| argument.contains(placeholder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        match ExecSettings::read(json) {
            Ok(_) => assert_eq!(expected, "", "{json}"),
            Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{json}: {error}"),
        }
    }

    #[test]
    fn settings_that_contradict_themselves_are_refused() {
        check(r#"{"command": ["make", "test"]}"#, "");
        check(r#"{"command": ["t", "{id}"], "tests": ["a"]}"#, "");
        check(r#"{"command": ["t", "{file}", "{result}"], "list": ["l"], "result": "junit", "batch": 50}"#, "");
        check(r#"{"command": []}"#, "needs at least the name of a program");
        check(r#"{"command": ["t"], "list": []}"#, "needs at least the name of a program");
        check(r#"{"command": ["t", "{id}", "{file}"], "tests": ["a"]}"#, "both {id} and {file}");
        check(r#"{"command": ["t"], "tests": ["a"]}"#, "no place for which to run");
        check(r#"{"command": ["t", "{id}"]}"#, "there are no names");
        check(r#"{"command": ["t", "{id}"], "tests": ["a"], "batch": 2}"#, "no {file}");
        check(r#"{"command": ["t", "{file}"], "tests": ["a"], "batch": 2}"#, "cannot tell tests apart");
        check(r#"{"command": ["t", "{id}"], "tests": ["a"], "result": "junit"}"#, "does not say {result}");
        check(r#"{"command": ["t"], "batch": 0}"#, "must be at least 1");
        check(r#"{"command": ["t"], "results": "tap"}"#, "unknown field `results`");
    }
}
