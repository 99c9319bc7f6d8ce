//! A commit as bytes: a version, and the moment and events in postcard. Beside it goes a checksum over number and bytes.

use super::Commit;
use regatta_core::Event;
use regatta_domain::Time;
use std::sync::Arc;

/// The first byte of every commit. Postcard carries no names, so any change to an event's shape is a new version.
pub(in crate::store) const FORMAT: u8 = 6;

/// Bytes of the checksum: enough to notice what disks do; nobody is kept from forging it.
const SUM_BYTES: usize = 8;

pub(in crate::store) type Sum = [u8; SUM_BYTES];

pub(super) fn encode(at: Time, events: &[Event]) -> Vec<u8> {
    let body = vec![FORMAT];
    postcard::to_extend(&(at, events), body).expect("events are plain values, and a vector takes any length")
}

/// The checksum of a commit: its number is part of it, so that rows cannot be taken for one another.
pub(in crate::store) fn sum(seq: u64, body: &[u8]) -> Sum {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seq.to_le_bytes()).update(body);
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..SUM_BYTES]);
    sum
}

/// What is wrong with a commit that does not decode.
pub(in crate::store) fn decode(seq: u64, body: &[u8], found: &[u8]) -> Result<Commit, String> {
    if sum(seq, body) != found {
        return Err(format!("the checksum of commit {seq} does not fit"));
    }
    match body.split_first() {
        Some((&FORMAT, rest)) => {
            let decoded: Result<(Time, Vec<Event>), _> = postcard::from_bytes(rest);
            let (at, events) = decoded.map_err(|error| format!("commit {seq} does not decode: {error}"))?;
            Ok(Commit { seq, at, events: Arc::from(events) })
        }
        Some((version, _)) => {
            Err(format!("commit {seq} is written in format {version}, and this program knows {FORMAT}"))
        }
        None => Err(format!("commit {seq} is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::{Accepted, Blamed, Blameless, LeaseEnd, Refused, Then, Work};
    use regatta_domain::database::{Asked, Observation, Statement};
    use regatta_domain::plan::PlannedSuite;
    use regatta_domain::policy::{Budgets, RunPolicy, TestPolicy};
    use regatta_domain::report::{CancelCause, RunOutcome};
    use regatta_domain::result::{OutputRef, RunError, RunErrorKind, TestResult};
    use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
    use regatta_domain::{
        Cause, Costs, Digest, Estimate, Exit, FileIx, FileKey, Held, Level, Micros, Need, Needs, NeedsIx, Nuance,
        Outcome, PolicyIx, RunId, RunnerKind, SlotIx, SuiteIx, TestIx, TestKey, Token, Verdict, WorkerId,
    };

    const RUN: RunId = RunId::from_bits(1);
    const WORKER: WorkerId = WorkerId::from_bits(2);

    /// One of each.
    fn every_event() -> Vec<Event> {
        let (run, token, at, file, suite) = (RUN, Token(7), Time(9), FileIx(1), SuiteIx(0));
        let test = TestDraft {
            name: "test_a".into(),
            key: TestKey([1; 16]),
            group: Some("fixture".into()),
            estimate: Estimate::own(Micros(5)),
            risk: 0,
            needs: NeedsIx(0),
            policy: PolicyIx(0),
            level: Level::Read,
            line: 7,
            ignored: false,
        };
        let draft = FileDraft {
            path: "a.py".into(),
            key: FileKey([2; 16]),
            locator: "bin".into(),
            estimate: Micros(6),
            tests: Some(vec![test.clone()]),
            digest: 3,
        };
        let planned = PlannedSuite {
            name: "api".into(),
            runner: RunnerKind::Rust,
            root: "/srv".into(),
            settings: "{}".into(),
            requires: Vec::new(),
            env: vec![("A".into(), "b".into())],
            databases: Vec::new(),
        };
        let submission = Submission {
            run,
            project: "shop".into(),
            resumes: None,
            policy: RunPolicy { timeout: Some(Micros(8)), ..RunPolicy::default() },
            policies: vec![TestPolicy { budgets: Budgets::default().with(Cause::Timeout, 2), ..TestPolicy::default() }],
            needs: vec![Needs::all([Need::new("db", 1)])],
            suites: vec![SuiteDraft {
                suite: planned,
                costs: Costs::default(),
                discover: true,
                files: vec![draft.clone()],
            }],
        };
        let error = RunError { kind: RunErrorKind::Build, place: "a".into(), message: "b".into() };
        let result = TestResult {
            test: TestIx(0),
            attempt: 1,
            outcome: Outcome::Failed,
            nuance: Nuance::SetupError,
            cause: Some(Cause::SetUp),
            exit: Some(Exit::Signal(11)),
            started: at,
            duration: Micros(4),
            reason: Some("because".into()),
            output: Some(OutputRef { digest: Digest([5; 32]), size: 6 }),
            observation: Some(Arc::new(Observation {
                leased: Level::Read,
                seen: Level::Isolated,
                denied: true,
                lost: false,
                evidence: 6,
                notes: vec!["left 2 sessions open".into()],
                asked: Some(Asked {
                    calls: 7,
                    time: Micros(8),
                    top: vec![Statement { text: "SELECT $1".into(), calls: 7, rows: 6, time: Micros(8) }],
                }),
            })),
        };
        let late = Refused::from(&result);
        let results = vec![
            Accepted { result: result.clone(), then: Then::Retry(at) },
            Accepted { result: result.clone(), then: Then::Anew(at, Blameless::Promoted(Level::Isolated)) },
            Accepted { result, then: Then::Verdict(Verdict::Flaky) },
        ];
        let held = Held { resource: "phone".into(), seats: 1, items: vec!["p1".into()] };
        let leased = |work| {
            let holds = vec![held.clone()];
            Event::ShardLeased { at, run, token, worker: WORKER, slot: SlotIx(3), work, holds }
        };
        vec![
            Event::RunSubmitted { at, submission: Box::new(submission) },
            Event::SuiteDiscovered { run, suite, files: vec![draft], gone: vec![file] },
            Event::FileListed { run, token, file, tests: vec![test], gone: vec![TestIx(4)] },
            Event::FileFailed { run, token, file, gone: Vec::new(), error: error.clone() },
            Event::RunErred { run, suite: Some(suite), error: error.clone() },
            Event::WaitGivenUp { run, suite, needs: NeedsIx(1), error },
            leased(Work::Discover(suite)),
            leased(Work::List(suite, vec![file])),
            leased(Work::Run(suite, vec![TestIx(1)])),
            leased(Work::Again(suite, TestIx(1))),
            Event::ResultsAccepted { run, token, results },
            Event::ResultsRefused { at, run, token, worker: WORKER, results: vec![late] },
            Event::TestsGivenBack { run, token, tests: vec![TestIx(2)] },
            Event::LeaseEnded {
                at,
                run,
                token,
                cause: LeaseEnd::Overdue,
                blamed: Some(Blamed {
                    test: TestIx(1),
                    cause: Cause::Timeout,
                    ran: Micros(7),
                    then: Then::Verdict(Verdict::TimedOut),
                }),
            },
            Event::RunCancelled { at, run, cause: CancelCause::FailFast, kill: true },
            Event::RunClosing { run },
            Event::WorkerClosed { run, worker: WORKER },
            Event::RunEnded { at, run, outcome: RunOutcome::Red },
            Event::RunForgotten { run },
        ]
    }

    #[test]
    fn a_commit_is_read_as_it_was_written() {
        let body = encode(Time(3), &every_event());
        let commit = decode(5, &body, &sum(5, &body)).unwrap();
        assert_eq!(commit, Commit { seq: 5, at: Time(3), events: every_event().into() });
    }

    #[test]
    fn a_commit_is_the_bytes_it_was() {
        let found = blake3::hash(&encode(Time(3), &every_event())).to_hex();
        assert_eq!(
            &found[..16],
            "eec53cd8b2589791",
            "an event has changed its shape: journals that stand can be read no more, so raise FORMAT and read both"
        );
    }

    #[test]
    fn what_does_not_decode_says_why() {
        let mut body = encode(Time(3), &[]);
        body[0] = 9;
        let why = decode(5, &body, &sum(5, &body)).unwrap_err();
        assert_eq!(why, "commit 5 is written in format 9, and this program knows 6");
        let body = [FORMAT, 0xff];
        assert!(decode(5, &body, &sum(5, &body)).unwrap_err().starts_with("commit 5 does not decode"));
        assert!(decode(6, &body, &sum(5, &body)).unwrap_err().contains("checksum"));
    }
}
