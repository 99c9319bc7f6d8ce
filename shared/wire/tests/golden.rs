//! Yesterday's bytes: what was written by an older version is still read, and means the same. A change here breaks the
//! fleet that is being upgraded; `v1` only grows.

use prost::Message;
use regatta_domain::result::{OutputRef, TestResult};
use regatta_domain::{Digest, Micros, Nuance, Outcome, TestIx, Time};
use regatta_wire::v1;
use std::fmt::Debug;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn check<M: Message + Default + PartialEq + Debug>(message: &M, yesterday: &str) {
    assert_eq!(hex(&message.encode_to_vec()), yesterday, "written");
    let bytes: Vec<u8> = (0..yesterday.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&yesterday[at..at + 2], 16).expect("the bytes are hexadecimal"))
        .collect();
    assert_eq!(&M::decode(bytes.as_slice()).expect("yesterday's bytes are read"), message, "read");
}

#[test]
fn a_report_of_a_worker_is_the_bytes_it_was() {
    let result = TestResult {
        test: TestIx(300),
        attempt: 2,
        outcome: Outcome::Failed,
        nuance: Nuance::SetupError,
        // What came later is left out where there is nothing to say: the bytes stay what they were.
        cause: None,
        exit: None,
        started: Time(1_700_000_000_000_000),
        duration: Micros(1_250_000),
        reason: Some("assert 1 == 2".into()),
        output: Some(OutputRef { digest: Digest([7; 32]), size: 42 }),
        observation: None,
    };
    let finished = v1::Finished { token: 9, result: Some((&result).into()) };
    let entries = [
        v1::entry::Entry::Started(v1::Started { token: 9, test: 300, attempt: 2 }),
        v1::entry::Entry::Finished(finished),
        v1::entry::Entry::Released(v1::Released { token: 9 }),
    ];
    let entries = entries.into_iter().map(|entry| v1::Entry { entry: Some(entry) }).collect();
    let report = v1::from_worker::Message::Report(v1::Report { seq: 17, entries });
    check(&v1::FromWorker { message: Some(report) }, REPORT);
}

#[test]
fn a_grant_is_the_bytes_it_was() {
    let file = v1::GrantedFile {
        file: 3,
        path: "tests/test_a.py".to_owned(),
        key: "ab".repeat(16),
        locator: String::new(),
        remembered: 77,
        list: false,
        tests: vec![v1::GrantedTest {
            test: 5,
            attempt: 1,
            name: "test_x[1]".to_owned(),
            estimate: 1500,
            policy: 0,
            level: 0,
        }],
    };
    let grant = v1::Grant {
        run: "01890000-0000-7000-8000-000000000001".to_owned(),
        token: 9,
        slot: 1,
        suite: 0,
        discover: false,
        files: vec![file],
        holds: Vec::new(),
    };
    check(&v1::ToWorker { message: Some(v1::to_worker::Message::Grant(grant)) }, GRANT);
}

#[test]
fn an_event_of_a_run_is_the_bytes_it_was() {
    let event = v1::run_event::Event::LeaseEnded(v1::LeaseEnded {
        token: 9,
        cause: v1::LeaseEnd::WorkerLost.into(),
        blamed: Some(0),
        verdict: v1::Verdict::Crashed.into(),
        ..v1::LeaseEnded::default()
    });
    check(&v1::RunEvent::recorded(4, Time(1), event), EVENT);
}

const REPORT: &str = "1a8601081112092207080910ac02180212712a6f0809126b08ac02100218022003288080f9c0c1c4820330d0a54c3a0d\
    6173736572742031203d3d203242440a4030373037303730373037303730373037303730373037303730373037303730\
    373037303730373037303730373037303730373037303730373037303730373037102a12043a020809";
const GRANT: &str = "1a770a2430313839303030302d303030302d373030302d383030302d30303030303030303030303110091801324b0803\
    120f74657374732f746573745f612e70791a206162616261626162616261626162616261626162616261626162616261\
    626162284d3a12080510011a09746573745f785b315d20dc0b";
const EVENT: &str = "0804100142080809100318002006";
