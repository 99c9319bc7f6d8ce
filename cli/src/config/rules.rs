//! What a profile says of single tests: retries, limits, and overrides of both.

use super::at::At;
use super::decode::{Choice, Decode, Fields, Mistakes, Value, kind, refuse};
use super::value::{Limit, Name, NeedWord, Selected, Wait, Whole};
use crate::error::Mistake;
use regatta_domain::{Cause, Level};
use regatta_wire::limits::NEEDS_PER_TEST;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use toml::de::DeValue;

/// How often a test is retried.
pub(crate) type Count = Whole<0, 1_000>;

/// How often, and after how long, a test that did not pass is run again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retries {
    /// How often.
    pub(crate) count: Option<At<Count>>,
    /// How the wait grows.
    pub(crate) backoff: Option<At<Backoff>>,
    /// The first wait.
    pub(crate) delay: Option<At<Wait>>,
    /// Whether the wait is shortened at random.
    pub(crate) jitter: Option<At<bool>>,
    /// How often for each cause, by [`Cause::at`].
    pub(crate) causes: [Option<At<Count>>; Cause::COUNT],
}

/// The table form of [`Retries`].
#[derive(JsonSchema)]
#[schemars(rename = "retries", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only describes the table in the schema")]
struct RetriesTable {
    /// How often. 0 when left out.
    count: Option<Count>,
    /// Whether the wait stays as it is ("fixed", when left out) or doubles with each retry ("exponential").
    backoff: Option<Backoff>,
    /// The wait before the first retry. None when left out.
    delay: Option<Wait>,
    /// Take up to half of the wait off at random, so that retries do not come in step. False when left out.
    jitter: Option<bool>,
    /// How often when it failed. `count` when left out.
    test: Option<Count>,
    /// How often when it exceeded its limit. `count` when left out.
    timeout: Option<Count>,
    /// How often when its process ended under it. `count` when left out.
    crash: Option<Count>,
    /// How often when its set-up failed. `count` when left out.
    set_up: Option<Count>,
    /// How often when the system ended it for want of memory. 1 when left out.
    out_of_memory: Option<Count>,
    /// How often when its worker was lost. `uncompleted-retries` when left out.
    worker_lost: Option<Count>,
    /// How often when its worker was asked to leave. 100 when left out.
    drained: Option<Count>,
    /// How often when a resource that it held was not well. `uncompleted-retries` when left out.
    resource: Option<Count>,
    /// How often when the machine could not run it. 3 when left out.
    infrastructure: Option<Count>,
}

/// How the wait before a retry grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) enum Backoff {
    /// Not at all.
    Fixed,
    /// It doubles.
    Exponential,
}

/// When a test is stopped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeout {
    /// After how long.
    pub(crate) kill_after: Option<At<Limit>>,
    /// How long it may take to end by itself then.
    pub(crate) grace: Option<At<Wait>>,
}

/// The table form of [`Timeout`].
#[derive(JsonSchema)]
#[schemars(rename = "timeout", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only describes the table in the schema")]
struct TimeoutTable {
    /// A test that runs longer than this is stopped. "5m" when left out.
    kill_after: Option<Limit>,
    /// Between asking it to stop (SIGTERM) and killing it (SIGKILL). "10s" when left out.
    grace: Option<Wait>,
}

/// Rules for the tests that a filter selects.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Override {
    /// Which tests.
    pub(crate) filter: At<Selected>,
    /// How often they are retried; the wait is that of the profile.
    pub(crate) retries: Option<At<Count>>,
    /// See the profile's `timeout`.
    #[schemars(default)]
    pub(crate) timeout: Timeout,
    /// See the profile's `slow`.
    pub(crate) slow: Option<At<Limit>>,
    /// Tests with a higher priority start earlier. 0 when left out.
    pub(crate) priority: Option<At<Priority>>,
    /// The `[group.NAME]` whose limit they share.
    pub(crate) group: Option<At<Name>>,
    /// Their database dependency.
    #[schemars(with = "Option<LevelWord>")]
    pub(crate) level: Option<At<Level>>,
    /// The resources that each of them needs while it runs, like "db", or "licence:2" for two seats.
    #[schemars(length(min = 1, max = 16))]
    pub(crate) needs: Option<At<Vec<NeedWord>>>,
}

/// A priority, from -100 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priority(pub(crate) i8);

/// The database dependency of a test.
#[derive(JsonSchema)]
#[schemars(rename = "level", rename_all = "kebab-case")]
#[expect(dead_code, reason = "only describes the words in the schema")]
enum LevelWord {
    /// Never touches the database.
    None,
    /// Reads seeded data.
    Read,
    /// Writes, and rolls everything back.
    Transaction,
    /// Commits writes.
    Isolated,
    /// Changes the server itself.
    Exclusive,
}

impl Choice for Backoff {
    const WORDS: &'static [(&'static str, Self)] = &[("fixed", Self::Fixed), ("exponential", Self::Exponential)];
}

impl Choice for Level {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("read", Self::Read),
        ("transaction", Self::Transaction),
        ("isolated", Self::Isolated),
        ("exclusive", Self::Exclusive),
    ];
}

impl Decode for Retries {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(_) => Some(Self { count: At::decode(key, value, told), ..Self::default() }),
            DeValue::Table(table) => {
                let mut fields = Fields::of("`retries`", table, value.span());
                let mut retries = Self {
                    count: fields.take("count", told),
                    backoff: fields.take("backoff", told),
                    delay: fields.take("delay", told),
                    jitter: fields.take("jitter", told),
                    causes: Default::default(),
                };
                // A cancelled run runs nothing again.
                for cause in Cause::ALL.into_iter().filter(|cause| *cause != Cause::Cancelled) {
                    retries.causes[cause.at()] = fields.take(cause.key(), told);
                }
                fields.finish(told);
                Some(retries)
            }
            _ => {
                refuse(key, "a count, or a table like { count = 2, delay = \"1s\" }", value, told);
                None
            }
        }
    }
}

impl Decode for Timeout {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => Some(Self { kill_after: At::decode(key, value, told), ..Self::default() }),
            DeValue::Table(table) => {
                let mut fields = Fields::of("`timeout`", table, value.span());
                let timeout = Self { kill_after: fields.take("kill-after", told), grace: fields.take("grace", told) };
                fields.finish(told);
                Some(timeout)
            }
            _ => {
                refuse(key, "a duration like \"5m\", or a table like { kill-after = \"5m\" }", value, told);
                None
            }
        }
    }
}

impl Decode for Priority {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            other => {
                let mistake = Mistake::new(format!("`{key}` must be a whole number, not {}", kind(other)));
                told.tell(value.span(), mistake);
                return None;
            }
        };
        let priority = number.and_then(|number| i8::try_from(number).ok()).filter(|n| (-100..=100).contains(n));
        if priority.is_none() {
            told.tell(value.span(), Mistake::new(format!("`{key}` must be between -100 and 100")));
        }
        priority.map(Self)
    }
}

impl Decode for Override {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let mut fields = Fields::of_value("an override", key, value, told)?;
        let filter = fields.require("filter", "'suite(api) & tag(db)'", told);
        let retries = fields.take("retries", told);
        let timeout = fields.take("timeout", told).map(|timeout: At<Timeout>| timeout.value).unwrap_or_default();
        let slow = fields.take("slow", told);
        let priority = fields.take("priority", told);
        let group = fields.take("group", told);
        let level = fields.take("level", told);
        let needs: Option<At<Vec<NeedWord>>> = fields.take("needs", told);
        if let Some(needs) = needs.as_ref().filter(|needs| !(1..=NEEDS_PER_TEST).contains(&needs.value.len())) {
            let mistake = Mistake::new(format!("`needs` must name between 1 and {NEEDS_PER_TEST} resources"));
            told.tell(needs.span.clone(), mistake.help("for example [\"db\", \"licence:2\"]"));
        }
        fields.finish(told);
        Some(Self { filter: filter?, retries, timeout, slow, priority, group, level, needs })
    }
}

impl JsonSchema for Retries {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "retries-or-count".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (count, table) = (generator.subschema_for::<Count>(), generator.subschema_for::<RetriesTable>());
        json_schema!({ "anyOf": [count, table] })
    }
}

impl JsonSchema for Timeout {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "timeout-or-duration".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (limit, table) = (generator.subschema_for::<Limit>(), generator.subschema_for::<TimeoutTable>());
        json_schema!({ "anyOf": [limit, table] })
    }
}

impl JsonSchema for Priority {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "priority".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": -100, "maximum": 100 })
    }
}
