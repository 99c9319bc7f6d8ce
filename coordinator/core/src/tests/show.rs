//! Steps as people read them, a line each.

use crate::effect::{Effect, GrantedTest, GrantedWork, ToWorker};
use crate::event::{Event, Then, Work};
use crate::step::Step;
use regatta_domain::{Held, RunId, TestIx, Time, WorkerId};

pub(super) fn step(step: &Step, now: Time) -> Vec<String> {
    let events = step.events.iter().map(|event| format!("{}{}", of(event.run()), self::event(event, now)));
    events.chain(step.effects.iter().map(effect)).collect()
}

/// Which run, where it is not the one that everything is about.
fn of(run: RunId) -> String {
    if run == super::R { String::new() } else { format!("run {}: ", run.0.as_u128()) }
}

fn name(worker: WorkerId) -> String {
    format!("{:X}", worker.0.as_u128())
}

fn event(event: &Event, now: Time) -> String {
    match event {
        Event::RunSubmitted { .. } => "submitted".to_owned(),
        Event::SuiteDiscovered { suite, files, gone, .. } => {
            format!("discovered suite {suite}: +{} -{}", files.len(), list(gone))
        }
        Event::FileListed { token, file, tests, gone, .. } => {
            format!("listed file {file} under {token}: +{} -{}", tests.len(), list(gone))
        }
        Event::FileFailed { file, gone, error, .. } => {
            format!("file {file} failed: -{} {:?} {}", list(gone), error.kind, error.message)
        }
        Event::RunErred { suite, error, .. } => {
            let suite = suite.map(|suite| format!(" suite {suite}")).unwrap_or_default();
            format!("erred{suite}: {:?} {}", error.kind, error.message)
        }
        Event::ShardLeased { token, worker, slot, work, holds, .. } => {
            format!("leased {token} to {}{slot}: {}{}", name(*worker), self::work(work), self::holds(holds))
        }
        Event::ResultsAccepted { token, results, .. } => {
            let results: Vec<String> = results
                .iter()
                .map(|accepted| format!("{} {}", accepted.result.test, then(accepted.then, now)))
                .collect();
            format!("accepted under {token}: {}", results.join(", "))
        }
        Event::ResultsRefused { token, worker, results, .. } => {
            let results: Vec<String> = results.iter().map(|late| format!("{} {:?}", late.test, late.outcome)).collect();
            format!("refused {} under {token}: {}", name(*worker), results.join(", "))
        }
        Event::TestsGivenBack { token, tests, .. } => format!("given back under {token}: {}", list(tests)),
        Event::LeaseEnded { token, cause, blamed, .. } => {
            let blamed = blamed.map(|blamed| format!(", blaming {}: {}", blamed.test, then(blamed.then, now)));
            format!("lease {token} ended: {cause:?}{}", blamed.unwrap_or_default())
        }
        Event::RunCancelled { cause, kill, .. } => format!("cancelled: {cause:?}{}", if *kill { ", kill" } else { "" }),
        Event::WaitGivenUp { suite, needs, error, .. } => {
            format!("gave up waiting in suite {suite} for {}: {}", needs.0, error.message)
        }
        Event::RunClosing { .. } => "closing".to_owned(),
        Event::WorkerClosed { worker, .. } => format!("{} closed", name(*worker)),
        Event::RunEnded { outcome, .. } => format!("ended: {outcome:?}"),
        Event::RunForgotten { .. } => "forgotten".to_owned(),
    }
}

fn then(then: Then, now: Time) -> String {
    match then {
        Then::Verdict(verdict) => verdict.to_string(),
        Then::Retry(at) => format!("retry +{}ms", at.since(now).0 / 1_000),
        Then::Anew(_, why) => format!("anew, {why:?}"),
    }
}

fn holds(holds: &[Held]) -> String {
    let held = |held: &Held| format!("{}:{}{}", held.resource, held.seats, among(&held.items));
    let holds: Vec<String> = holds.iter().map(held).collect();
    if holds.is_empty() { String::new() } else { format!(" with {}", holds.join(" ")) }
}

fn among(items: &[std::sync::Arc<str>]) -> String {
    if items.is_empty() { String::new() } else { format!("({})", items.join(" ")) }
}

fn work(work: &Work) -> String {
    match work {
        Work::Again(_, test) => format!("run {test} again"),
        Work::Discover(suite) => format!("discover {suite}"),
        Work::List(_, files) => format!("list {}", list(files)),
        Work::Run(_, tests) => format!("run {}", list(tests)),
    }
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { worker, message, .. } => format!("{} < {}", name(*worker), self::message(message)),
        Effect::Hangup { worker, session } => format!("{} hung up {}", name(*worker), session.0),
        Effect::Reset { resource, items, token } => format!("reset {resource}{} after {token}", among(items)),
        Effect::Reply { answer: Ok(()), .. } => "reply: ok".to_owned(),
        Effect::Reply { answer: Err(refusal), .. } => format!("reply: {refusal:?}"),
    }
}

fn message(message: &ToWorker) -> String {
    match message {
        ToWorker::Attached => "attached".to_owned(),
        ToWorker::Grant(grant) => {
            let work = match &grant.work {
                GrantedWork::Discover => "discover".to_owned(),
                GrantedWork::List(files) => format!("list {}", list(files)),
                GrantedWork::Run(tests) => format!("run {}", attempts(tests)),
            };
            format!("{}grant {} on {}: {work}", of(grant.run), grant.token, grant.slot)
        }
        ToWorker::Numbered { token, file, tests } => format!("numbered {token} file {file}: {}", attempts(tests)),
        ToWorker::Steal { token, tests } => format!("steal {token}: {}", list::<TestIx>(tests)),
        ToWorker::Stop { token, kill } => format!("{} {token}", if *kill { "kill" } else { "stop" }),
        ToWorker::Close { run } => format!("{}close", of(*run)),
        ToWorker::Ack { seq } => format!("ack {seq}"),
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(" "))
}

fn attempts(tests: &[GrantedTest]) -> String {
    let tests: Vec<String> = tests.iter().map(|granted| format!("{}#{}", granted.test, granted.attempt)).collect();
    format!("[{}]", tests.join(" "))
}
