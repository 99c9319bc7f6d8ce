//! The settings of the runners: as they are written in `[suite.NAME]`, and as the runners read them.
//!
//! What goes to a runner is JSON with the same names in snake case; what was left out is left out there, too, so that each
//! runner has its defaults in one place, its own.

use super::at::At;
use super::decode::{self, Choice, Decode, Fields, Mistakes};
use super::suite::Settings;
use super::value::{Argv, Memory, Whole};
use crate::error::Mistake;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::ops::Range;
use toml::de::DeValue;

/// Settings of the pytest runner.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) struct Pytest {
    /// The Python interpreter that has pytest. A relative path with a slash is looked up from the suite's root. When left
    /// out: that of the active virtual environment, `.venv` of the root, else `python3`.
    #[schemars(length(min = 1))]
    pub(crate) python: Option<At<String>>,
    /// More arguments for pytest. Selecting tests is left to Regatta.
    #[schemars(inner(length(min = 1)))]
    pub(crate) args: Option<At<Vec<String>>>,
    /// Start a fresh pytest process after so many tests. Never when left out.
    pub(crate) recycle_after: Option<At<Whole<1, 10_000_000>>>,
    /// The most memory a pytest process may have, like "2GB". No limit when left out.
    pub(crate) memory: Option<At<Memory>>,
}

/// Settings of the rust runner.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) struct Rust {
    /// The packages to test (`cargo test -p`). Those of the root when left out.
    #[schemars(inner(length(min = 1)))]
    pub(crate) packages: Option<At<Vec<String>>>,
    /// Test every package of the workspace. False when left out.
    pub(crate) workspace: Option<At<bool>>,
    /// The features to build with.
    #[schemars(inner(length(min = 1)))]
    pub(crate) features: Option<At<Vec<String>>>,
    /// Build with all features. False when left out.
    pub(crate) all_features: Option<At<bool>>,
    /// Build without the default features. False when left out.
    pub(crate) no_default_features: Option<At<bool>>,
    /// The cargo profile to build with, like "release".
    #[schemars(length(min = 1))]
    pub(crate) profile: Option<At<String>>,
    /// Run doc tests, too. True when left out.
    pub(crate) doc: Option<At<bool>>,
    /// What becomes of tests marked `#[ignore]`: "skip" (or false, when left out), "run" with the others (or true), or run
    /// "only" them.
    pub(crate) ignored: Option<At<Ignored>>,
    /// "process" gives each test a process of its own (the default); "binary" runs many tests in one process, which is
    /// faster, and lets them share its state.
    pub(crate) isolation: Option<At<Isolation>>,
    /// More arguments for the test binaries.
    #[schemars(inner(length(min = 1)))]
    pub(crate) args: Option<At<Vec<String>>>,
    /// More arguments for cargo when it builds, like "--locked".
    #[schemars(inner(length(min = 1)))]
    pub(crate) cargo_args: Option<At<Vec<String>>>,
    /// The cargo to use. "cargo" when left out.
    #[schemars(length(min = 1))]
    pub(crate) cargo: Option<At<String>>,
}

/// What becomes of tests marked `#[ignore]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// They are reported as skipped.
    Skip,
    /// They run with the others.
    Run,
    /// They run alone.
    Only,
}

/// What shares a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) enum Isolation {
    /// A process per test.
    Process,
    /// A process for many tests of a binary.
    Binary,
}

/// Settings of the exec runner.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) struct Exec {
    /// The command that runs tests: a list of arguments, or a line for the shell. `{id}` stands for a test's id, `{file}`
    /// for the path of a file that lists the ids, `{result}` for where the result file is expected.
    pub(crate) command: At<Argv>,
    /// A command that prints the ids of the tests, one per line. Excludes `tests`.
    pub(crate) list: Option<At<Argv>>,
    /// Globs of files below the root, each of which is a test. Excludes `list`. With neither, the command is one test.
    #[schemars(inner(length(min = 1)))]
    pub(crate) tests: Option<At<Vec<String>>>,
    /// What tells how it went. "exit-code" when left out.
    pub(crate) result: Option<At<ResultFormat>>,
    /// How many tests one start of the command may be given. 1 when left out; more needs a `result` that tells tests apart.
    pub(crate) batch: Option<At<Whole<1, 5_000>>>,
}

/// What tells how a command's tests went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) enum ResultFormat {
    /// Zero is a pass.
    ExitCode,
    /// A JUnit XML file at `{result}`.
    Junit,
    /// TAP on standard output.
    Tap,
}

const IGNORED: [(&str, Ignored); 3] = [("skip", Ignored::Skip), ("run", Ignored::Run), ("only", Ignored::Only)];

impl Decode for Ignored {
    fn decode(key: &str, value: &decode::Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let found = match value.get_ref() {
            DeValue::Boolean(on) => return Some(if *on { Self::Run } else { Self::Skip }),
            DeValue::String(word) => IGNORED.iter().find(|(known, _)| known == word).map(|(_, ignored)| *ignored),
            _ => None,
        };
        if found.is_none() {
            let mistake = Mistake::new(format!("`{key}` must be true, false, or one of \"skip\", \"run\", \"only\""));
            told.tell(value.span(), mistake);
        }
        found
    }
}

impl JsonSchema for Ignored {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ignored".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": [true, false, "skip", "run", "only"] })
    }
}

impl Choice for Isolation {
    const WORDS: &'static [(&'static str, Self)] = &[("process", Self::Process), ("binary", Self::Binary)];
}

impl Choice for ResultFormat {
    const WORDS: &'static [(&'static str, Self)] =
        &[("exit-code", Self::ExitCode), ("junit", Self::Junit), ("tap", Self::Tap)];
}

impl Pytest {
    pub(super) fn decode(fields: &mut Fields<'_, '_>, told: &mut Mistakes) -> Self {
        Self {
            python: fields.take("python", told),
            args: fields.take("args", told),
            recycle_after: fields.take("recycle-after", told),
            memory: fields.take("memory", told),
        }
    }
}

impl Rust {
    pub(super) fn decode(fields: &mut Fields<'_, '_>, told: &mut Mistakes) -> Self {
        Self {
            packages: fields.take("packages", told),
            workspace: fields.take("workspace", told),
            features: fields.take("features", told),
            all_features: fields.take("all-features", told),
            no_default_features: fields.take("no-default-features", told),
            profile: fields.take("profile", told),
            doc: fields.take("doc", told),
            ignored: fields.take("ignored", told),
            isolation: fields.take("isolation", told),
            args: fields.take("args", told),
            cargo_args: fields.take("cargo-args", told),
            cargo: fields.take("cargo", told),
        }
    }
}

impl Exec {
    pub(super) fn decode(fields: &mut Fields<'_, '_>, told: &mut Mistakes) -> Option<Self> {
        let command = fields.require("command", "[\"make\", \"test\"]", told);
        let list: Option<At<Argv>> = fields.take("list", told);
        let tests: Option<At<Vec<String>>> = fields.take("tests", told);
        let result = fields.take("result", told);
        let batch = fields.take("batch", told);
        if let (Some(_), Some(tests)) = (&list, &tests) {
            let mistake = Mistake::new("`list` and `tests` exclude each other");
            told.tell(
                tests.span.clone(),
                mistake.help("`list` asks a command for ids, `tests` takes each file as a test"),
            );
        }
        Some(Self { command: command?, list, tests, result, batch })
    }
}

/// A setting that was written: its key, its value, and where.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The key, as in the file.
    pub(crate) key: &'static str,
    /// The value.
    pub(crate) value: Value,
    /// Where it was written.
    pub(crate) span: Range<usize>,
}

/// What was written of the settings, in the order of their description.
pub(crate) fn entries(settings: &Settings) -> Vec<Entry> {
    let found = match settings {
        Settings::Pytest(pytest) => vec![
            entry("python", &pytest.python, |python| json!(python)),
            entry("args", &pytest.args, |args| json!(args)),
            entry("recycle-after", &pytest.recycle_after, |tests| json!(tests.0)),
            entry("memory", &pytest.memory, |memory| json!(format!("{}MB", memory.mb))),
        ],
        Settings::Rust(rust) => vec![
            entry("packages", &rust.packages, |packages| json!(packages)),
            entry("workspace", &rust.workspace, |on| json!(on)),
            entry("features", &rust.features, |features| json!(features)),
            entry("all-features", &rust.all_features, |on| json!(on)),
            entry("no-default-features", &rust.no_default_features, |on| json!(on)),
            entry("profile", &rust.profile, |profile| json!(profile)),
            entry("doc", &rust.doc, |on| json!(on)),
            entry("ignored", &rust.ignored, |ignored| json!(IGNORED[*ignored as usize].0)),
            entry("isolation", &rust.isolation, |isolation| json!(word(*isolation))),
            entry("args", &rust.args, |args| json!(args)),
            entry("cargo-args", &rust.cargo_args, |args| json!(args)),
            entry("cargo", &rust.cargo, |cargo| json!(cargo)),
        ],
        Settings::Exec(exec) => vec![
            Some(Entry { key: "command", value: json!(exec.command.value.0), span: exec.command.span.clone() }),
            entry("list", &exec.list, |list| json!(list.0)),
            entry("tests", &exec.tests, |tests| json!(tests)),
            entry("result", &exec.result, |result| json!(word(*result))),
            entry("batch", &exec.batch, |tests| json!(tests.0)),
        ],
    };
    found.into_iter().flatten().collect()
}

fn entry<T>(key: &'static str, written: &Option<At<T>>, value: impl Fn(&T) -> Value) -> Option<Entry> {
    written.as_ref().map(|written| Entry { key, value: value(&written.value), span: written.span.clone() })
}

/// The settings as their runner reads them.
pub(crate) fn to_json(settings: &Settings) -> String {
    let mut object: Map<String, Value> =
        entries(settings).into_iter().map(|entry| (entry.key.replace('-', "_"), entry.value)).collect();
    if let Settings::Pytest(Pytest { memory: Some(memory), .. }) = settings {
        object.remove("memory");
        object.insert("memory_mb".to_owned(), json!(memory.value.mb));
    }
    Value::Object(object).to_string()
}

/// The word for a choice.
pub(crate) fn word<T: Choice + PartialEq>(choice: T) -> &'static str {
    T::WORDS.iter().find(|(_, known)| *known == choice).map(|(word, _)| *word).expect("every choice has a word")
}
