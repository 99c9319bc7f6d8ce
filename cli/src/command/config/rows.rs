//! The values that count, one row each, in the order in which they are shown.

use crate::config::database::Use;
use crate::config::origin::{Origin, Set};
use crate::config::resolve::{Resolved, Rule};
use crate::config::settings::{entries, word};
use crate::config::suite::Suite;
use crate::config::value::{Label, Shuffle};
use crate::config::{At, Config};
use crate::intent::Plan;
use regatta_domain::{Cause, Micros, Need, duration};
use serde_json::{Value, json};

/// A value that counts.
#[derive(Debug)]
pub(super) struct Row {
    /// The section: `profile.ci`.
    pub(super) section: String,
    /// Which of several sections of that name, from 1.
    pub(super) part: Option<usize>,
    /// The key.
    pub(super) key: String,
    /// The value.
    pub(super) shown: Shown,
    /// Where it comes from.
    pub(super) origin: Origin,
}

/// What is shown of a value.
#[derive(Debug)]
pub(super) enum Shown {
    /// It is this.
    Is(Value),
    /// It is not set, which means this.
    Unset(&'static str),
}

/// All rows.
pub(super) fn rows(plan: &Plan) -> Vec<Row> {
    let config = &plan.config;
    let project = config.project();
    let mut rows = vec![row("project", "name", Shown::Is(json!(project.value)), project.origin)];
    for (name, suite) in config.suites() {
        rows.extend(suite_rows(config, name, suite));
    }
    rows.extend(profile_rows(&plan.rules));
    for (at, rule) in plan.rules.rules.iter().enumerate() {
        rows.extend(rule_rows(&plan.rules.profile, at + 1, rule));
    }
    for (name, group) in &config.file.group {
        let section = format!("group.{name}");
        let origin = config.origin(&section, &group.max.span);
        rows.push(row(&section, "max", Shown::Is(json!(group.max.value.0)), origin));
    }
    for (name, declared) in &config.file.resources {
        let origin = config.origin("resources", &declared.span);
        rows.push(Row { key: name.clone(), ..row("resources", "", Shown::Is(declared.value.shown()), origin) });
    }
    rows
}

fn row(section: &str, key: &'static str, shown: Shown, origin: Origin) -> Row {
    Row { section: section.to_owned(), part: None, key: key.to_owned(), shown, origin }
}

fn suite_rows(config: &Config, name: &str, suite: &Suite) -> Vec<Row> {
    let section = format!("suite.{name}");
    let here = |key, value: Value, span: &std::ops::Range<usize>| {
        row(&section, key, Shown::Is(value), config.origin(&section, span))
    };
    let mut rows = vec![here("runner", json!(suite.runner().name()), &suite.span)];
    rows.push(match &suite.root {
        Some(root) => here("root", json!(root.value), &root.span),
        None => row(&section, "root", Shown::Is(json!(".")), Origin::BuiltIn),
    });
    rows.push(match &suite.default {
        Some(default) => here("default", json!(default.value), &default.span),
        None => row(&section, "default", Shown::Is(json!(true)), Origin::BuiltIn),
    });
    let words = |labels: &[Label]| labels.iter().map(|label| json!(label.0)).collect::<Value>();
    rows.extend(suite.requires.iter().map(|labels| here("requires", words(&labels.value), &labels.span)));
    rows.extend(
        suite
            .database
            .iter()
            .map(|databases| here("database", databases.value.0.iter().map(database).collect(), &databases.span)),
    );
    rows.extend(suite.env.iter().map(|At { value, span }| here("env", json!(value), span)));
    rows.extend(entries(&suite.settings).into_iter().map(|entry| here(entry.key, entry.value, &entry.span)));
    rows
}

fn profile_rows(rules: &Resolved) -> Vec<Row> {
    let section = format!("profile.{}", rules.profile);
    fn of<T>(section: &str, key: &'static str, set: &Set<T>, shown: impl Fn(&T) -> Shown) -> Row {
        row(section, key, shown(&set.value), set.origin.clone())
    }
    let is = |value: Value| Shown::Is(value);
    let span = |span: &Micros| Shown::Is(json!(duration::text(*span)));
    let mut rows = vec![
        of(&section, "suites", &rules.suites, |suites| match suites {
            Some(suites) => Shown::Is(json!(suites)),
            None => Shown::Unset("those that are not `default = false`"),
        }),
        of(&section, "slots", &rules.slots, |slots| {
            slots.map_or(Shown::Unset("one per processor"), |n| Shown::Is(json!(n)))
        }),
        of(&section, "retries.count", &rules.retries, |count| is(json!(count))),
        of(&section, "retries.backoff", &rules.backoff, |backoff| is(json!(word(*backoff)))),
        of(&section, "retries.delay", &rules.delay, span),
        of(&section, "retries.jitter", &rules.jitter, |jitter| is(json!(jitter))),
        of(&section, "timeout.kill-after", &rules.kill_after, span),
        of(&section, "timeout.grace", &rules.grace, span),
        of(&section, "slow", &rules.slow, span),
        of(&section, "run-timeout", &rules.run_timeout, |limit| match limit {
            Some(limit) => Shown::Is(json!(duration::text(*limit))),
            None => Shown::Unset("never"),
        }),
        of(&section, "fail-fast", &rules.fail_fast, |limit| is(limit.0.map_or(json!(false), |limit| json!(limit)))),
        of(&section, "flaky", &rules.flaky, |flaky| is(json!(word(*flaky)))),
        of(&section, "shuffle", &rules.shuffle, |shuffle| {
            is(match shuffle {
                Shuffle::Off => json!(false),
                Shuffle::Drawn => json!(true),
                Shuffle::Seed(seed) => json!(seed),
            })
        }),
        of(&section, "order", &rules.order, |order| is(json!(order.name()))),
        of(&section, "priority", &rules.priority, |priority| is(json!(priority.name()))),
        of(&section, "target", &rules.target, |target| match target {
            Some(target) => Shown::Is(json!(duration::text(*target))),
            None => Shown::Unset("none"),
        }),
        of(&section, "speculate", &rules.speculate, |speculate| is(json!(speculate))),
        of(&section, "statements", &rules.statements, |statements| is(json!(statements))),
        of(&section, "filter", &rules.filter, |filter| is(json!(filter.to_string()))),
        of(&section, "uncompleted-retries", &rules.uncompleted_retries, |count| is(json!(count))),
        of(&section, "retry-cap", &rules.retry_cap, |count| is(json!(count))),
        of(&section, "report", &rules.report, |reports| {
            let report =
                |report: &crate::config::profile::Report| json!({ "format": word(report.format), "path": report.path });
            is(reports.iter().map(report).collect())
        }),
    ];
    // Of causes, those that have a number of their own.
    for cause in Cause::ALL {
        let Set { value: Some(count), origin } = &rules.budgets[cause.at()] else { continue };
        let key = format!("retries.{}", cause.key());
        let after = rows.iter().rposition(|row| row.key.starts_with("retries.")).map_or(rows.len(), |at| at + 1);
        let (section, shown) = (section.clone(), Shown::Is(json!(count)));
        rows.insert(after, Row { section, part: None, key, shown, origin: origin.clone() });
    }
    rows
}

/// A database of a suite, as it is written.
fn database(of: &Use) -> Value {
    let mut shown = serde_json::Map::from_iter([("resource".to_owned(), json!(of.resource.value.0))]);
    let keys = [
        ("build", of.build.as_ref().map(|build| json!(build.value.0))),
        ("inputs", of.inputs.as_ref().map(|inputs| inputs.value.iter().map(|input| &*input.pattern).collect())),
        ("extensions", of.extensions.as_ref().map(|names| names.value.iter().map(|name| &*name.0).collect())),
        ("timeout", of.timeout.as_ref().map(|limit| json!(duration::text(limit.value.0)))),
        ("per", of.per.as_ref().map(|per| json!(per.value.name()))),
    ];
    shown.extend(keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    shown.into()
}

fn rule_rows(profile: &str, part: usize, rule: &Rule) -> Vec<Row> {
    let span = |span: Option<Micros>| span.map(|span| json!(duration::text(span)));
    let keys = [
        ("filter", Some(json!(rule.filter.to_string()))),
        ("retries", rule.retries.map(|count| json!(count))),
        ("timeout.kill-after", span(rule.kill_after)),
        ("timeout.grace", span(rule.grace)),
        ("slow", span(rule.slow)),
        ("priority", rule.priority.map(|priority| json!(priority))),
        ("group", rule.group.as_ref().map(|group| json!(group))),
        ("level", rule.level.map(|level| json!(word(level)))),
        ("needs", rule.needs.as_ref().map(|needs| needs.iter().map(Need::to_string).collect())),
    ];
    let set = keys.into_iter().filter_map(|(key, value)| Some((key, value?)));
    set.map(|(key, value)| Row {
        section: format!("profile.{profile}.override"),
        part: Some(part),
        key: key.to_owned(),
        shown: Shown::Is(value),
        origin: rule.origin.clone(),
    })
    .collect()
}
