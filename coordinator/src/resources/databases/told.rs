//! What workers are told of databases, and people through them.

use super::Answer;
use super::claims::Claim;
use regatta_databases::{Account, Fate, Released};
use regatta_domain::database::{Asked, Observation, PlannedDatabase, Traffic};
use regatta_domain::evidence::Evidence;
use regatta_domain::{Level, RunId};
use regatta_wire::limits::{NOTE_BYTES, NOTES_PER_OBSERVATION};
use regatta_wire::verdict::Closed as _;
use regatta_wire::{Failure, v1};
use std::sync::Arc;
use std::time::Duration;

/// Statements that are told of one test.
const STATEMENTS: usize = 5;

/// Slowest statements that are told of one test, whatever it did.
const SLOWEST: usize = 10;

pub(super) fn level(level: i32) -> Result<Level, Failure> {
    Ok(Level::field("level", level)?)
}

pub(super) fn handed(variables: Vec<(String, String)>) -> v1::AcquireResponse {
    respond(v1::acquire_response::Answer::Databases(v1::HandedOut { variables: self::variables(variables) }))
}

pub(super) fn answer(answer: Answer, again: Duration) -> v1::AcquireResponse {
    use v1::acquire_response::Answer as Told;
    respond(match answer {
        Answer::Handed(variables) => return handed(variables),
        Answer::Build { order, resource, variables } => {
            Told::Build(v1::BuildOrder { order, resource: resource.to_string(), variables: self::variables(variables) })
        }
        Answer::Later(reason) => {
            let after_ms = u32::try_from(again.as_millis()).unwrap_or(u32::MAX);
            Told::Later(v1::Later { after_ms, reason })
        }
        Answer::Never(error) => Told::Error((&error).into()),
    })
}

fn respond(answer: v1::acquire_response::Answer) -> v1::AcquireResponse {
    v1::AcquireResponse { answer: Some(answer) }
}

fn variables(variables: Vec<(String, String)>) -> Vec<v1::Variable> {
    variables.into_iter().map(|(name, value)| v1::Variable { name, value }).collect()
}

/// The variable that holds the `what` (`URL`, `PATH`) of one of several databases.
pub(super) fn variable(resource: &str, what: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("REGATTA_DATABASE_{}_{what}", resource.chars().map(word).collect::<String>())
}

/// Adds the variables of one more database. Where two would set the same, the first one keeps it: of two of a kind, all are the
/// first one's.
pub(super) fn add(variables: &mut Vec<(String, String)>, more: Vec<(String, String)>) {
    let is_taken = |name: &str, among: &[(String, String)]| among.iter().any(|(taken, _)| taken == name);
    let free: Vec<_> = more.into_iter().filter(|(name, _)| !is_taken(name, variables)).collect();
    variables.extend(free);
}

/// What the sessions of an attempt are called in the server's own views and logs.
pub(super) fn application(run: RunId, claim: Claim) -> String {
    let run = run.to_string();
    let test = claim.test.map_or_else(|| "shard".to_owned(), |test| test.to_string());
    format!("regatta:{}:{}:{test}:{}", &run[..8.min(run.len())], claim.token, claim.attempt)
}

pub(super) fn failed_build(planned: &PlannedDatabase, log: &str) -> String {
    let command = planned.build.join(" ");
    let command = if command.is_empty() { "an empty template".to_owned() } else { format!("`{command}`") };
    format!("the template of the database `{}` could not be built by {command}:\n{}", planned.resource, log.trim_end())
}

/// What is told of databases that nobody knows of any more.
pub(super) fn lost() -> v1::Observation {
    let notes = vec!["the coordinator that had handed out its databases is gone, and they with it".into()];
    let level = Level::None;
    (&Observation { lost: true, notes, ..Observation::new(level, level) }).into()
}

/// Adds what a worker saw on the way to the database of `resource`, of which it was told by these `variables`.
pub(super) fn add_traffic<'a>(
    released: &mut Released,
    traffic: impl Iterator<Item = &'a v1::Traffic>,
    resource: &str,
    variables: &[(String, String)],
) {
    let variable = variable(resource, "URL");
    let url = variables.iter().find(|(name, _)| *name == variable).map_or("", |(_, url)| url.as_str());
    let database = url.split('?').next().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    for traffic in traffic {
        match Traffic::try_from(traffic.clone()) {
            Ok(traffic) => regatta_databases::watch::add_traffic(released, &traffic, database),
            // What it would add is no reason to keep a database from being given back.
            Err(invalid) => tracing::warn!(%invalid, "what a worker saw on the way to a database makes no sense"),
        }
    }
}

/// What an attempt did, all its databases together. That a server counts no statements is said where `is_first` says so.
pub(super) fn observation(
    leased: Level,
    released: &[(Arc<str>, Option<Released>)],
    is_first: impl Fn(&Arc<str>) -> bool,
) -> Observation {
    let mut all = Observation::new(leased, Level::None);
    let several = released.len() > 1;
    for (resource, released) in released {
        let Some(released) = released else {
            all.lost = true;
            continue;
        };
        all.seen = all.seen.max(released.level);
        all.denied |= released.denied;
        all.lost |= released.fate == Fate::Lost;
        all.evidence = together(all.evidence, &released.evidence);
        let of = if several { format!("{resource}: ") } else { String::new() };
        match &released.account {
            Account::Unwanted => {}
            Account::Unseen(why) if is_first(resource) => {
                all.notes.push(bounded(format!("{of}{}{why}", Observation::UNCOUNTED)));
            }
            Account::Unseen(_) => {}
            Account::Told { asked, is_whole } => {
                add_asked(all.asked.get_or_insert_default(), asked);
                if !is_whole {
                    all.notes.push(bounded(format!("{of}{}{DROPPED}", Observation::DROPPED)));
                }
            }
        }
        all.notes.extend(notes(released).map(|note| bounded(format!("{of}{note}"))));
    }
    all.notes.truncate(NOTES_PER_OBSERVATION);
    all
}

/// Why statements are dropped, and what helps.
const DROPPED: &str = "the server had no room for more, so at least what is counted was asked; a greater \
                       pg_stat_statements.max helps, or fewer different statements";

/// What was asked of one more database.
fn add_asked(all: &mut Asked, more: &Asked) {
    all.calls += more.calls;
    all.time += more.time;
    all.top.extend(more.top.iter().cloned());
    all.top.sort_by_key(|statement| std::cmp::Reverse(statement.time));
    all.top.truncate(SLOWEST);
}

/// Facts of all; sources that all had.
fn together(code: u64, evidence: &Evidence) -> u64 {
    const FACTS: u64 = u32::MAX as u64;
    let more = evidence.code();
    if code == 0 { more } else { (code & more & !FACTS) | ((code | more) & FACTS) }
}

/// What people want to know: what it did beyond its level and by which statements, and what it left behind.
fn notes(released: &Released) -> impl Iterator<Item = String> + '_ {
    let exceeds = released.evidence.known() > released.declared;
    let why = exceeds.then(|| {
        let (seen, declared) = (released.level.name(), released.declared.name());
        format!("leased as {declared}, did what belongs to {seen}: {}", released.evidence.because())
    });
    let statements =
        released.statements.iter().filter(move |_| exceeds).take(STATEMENTS).map(|text| format!("by: {text}"));
    let leaks = released.leaks.iter().map(|leak| format!("{}{leak}", Observation::LEFT));
    why.into_iter().chain(statements).chain(leaks)
}

fn bounded(mut note: String) -> Arc<str> {
    if note.len() > NOTE_BYTES {
        let mut end = NOTE_BYTES - 3;
        while !note.is_char_boundary(end) {
            end -= 1;
        }
        note.truncate(end);
        note.push_str("...");
    }
    note.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::Micros;
    use regatta_domain::database::Statement;

    #[test]
    fn what_is_asked_of_several_databases_adds_up_and_what_is_not_counted_is_said_once() {
        let statement = |text: &str, ms| Statement { text: text.into(), calls: 1, rows: 1, time: Micros::from_ms(ms) };
        let of = |account: Account| {
            let evidence = Evidence::default();
            let (declared, fate) = (Level::Read, Fate::Kept);
            let (leaks, statements) = (Vec::new(), Vec::new());
            Some(Released { evidence, level: declared, declared, leaks, statements, denied: false, fate, account })
        };
        let told = |text, ms, is_whole| {
            let asked = Asked { calls: 3, time: Micros::from_ms(ms), top: vec![statement(text, ms)] };
            Account::Told { asked, is_whole }
        };
        let two: [(Arc<str>, _); 2] = [("a".into(), of(told("one", 1, true))), ("b".into(), of(told("two", 2, true)))];
        let seen = observation(Level::Read, &two, |_| true);
        let asked = seen.asked_in_all().expect("all of it was counted");
        assert_eq!((asked.calls, asked.time, &*asked.top[0].text), (6, Micros::from_ms(3), "two"));

        let dropped = observation(Level::Read, &[("a".into(), of(told("one", 1, false)))], |_| true);
        assert!(dropped.asked.is_some() && dropped.asked_in_all().is_none(), "{dropped:?}");

        let unseen: [(Arc<str>, _); 1] = [("a".into(), of(Account::Unseen("it is old".to_owned())))];
        let first = observation(Level::Read, &unseen, |_| true);
        assert_eq!(first.notes, ["statements are not counted: it is old".into()]);
        assert!(observation(Level::Read, &unseen, |_| false).notes.is_empty());
    }

    #[test]
    fn a_database_of_another_kind_brings_its_own_variables_and_one_of_the_same_kind_none() {
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect::<Vec<_>>();
        let mut variables = of(&[("DATABASE_URL", "one"), ("PGHOST", "one")]);
        add(&mut variables, of(&[("DATABASE_URL", "two"), ("PGHOST", "two")]));
        add(&mut variables, of(&[("REDIS_URL", "three"), ("REGATTA_LEVEL", "read")]));
        let all = of(&[("DATABASE_URL", "one"), ("PGHOST", "one"), ("REDIS_URL", "three"), ("REGATTA_LEVEL", "read")]);
        assert_eq!(variables, all);
    }
}
