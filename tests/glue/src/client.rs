//! A client's host: hands a run in, and follows it to its end over however many connections.

use crate::bench::output;
use crate::network::{PORT, Sea};
use crate::plan::{COORDINATOR, DEVICE, Plan};
use crate::record::Shared;
use crate::story::Story;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::{Micros, TestIx, Verdict};
use regatta_runtime::backoff::Backoff;
use regatta_runtime::dial;
use regatta_wire::limits::MESSAGE_BYTES;
use regatta_wire::v1::run_event::Event;
use regatta_wire::v1::runs_client::RunsClient;
use regatta_wire::verdict::Closed as _;
use regatta_wire::{Failure, v1};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::sleep;
use tonic::transport::Channel;

/// A client's host.
pub(crate) struct Host {
    pub(crate) at: usize,
    pub(crate) plan: Arc<Plan>,
    pub(crate) story: Story,
    pub(crate) record: Shared,
    /// How many clients have heard of the end of their runs.
    pub(crate) done: Arc<AtomicUsize>,
}

/// What a client was told.
#[derive(Default)]
struct Told {
    seq: u64,
    verdicts: BTreeMap<TestIx, Verdict>,
    /// The outputs of results, by where they are.
    outputs: BTreeMap<String, TestIx>,
    ended: bool,
}

/// A client's process.
pub(crate) async fn follow(host: Arc<Host>) -> turmoil::Result {
    let plan = &host.plan.runs[host.at];
    sleep(plan.submitted).await;
    let addresses = format!("http://{COORDINATOR}:{PORT}").parse()?;
    let channel = dial::channel_over(Arc::new(Sea { tap: None }), addresses);
    let mut client =
        RunsClient::new(channel).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES);
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), host.plan.seed);
    loop {
        match client.submit(request(&host)).await {
            Ok(_) => break,
            Err(status) if Failure::from(status.clone()).may_pass() => {
                host.story.tell(&plan.client, format_args!("cannot hand in: {}", status.code()));
            }
            Err(status) => {
                host.story.broke(format_args!("run {} is refused: {status}", plan.run));
                return Ok(());
            }
        }
        sleep(backoff.wait()).await;
    }
    host.story.tell(&plan.client, "has handed in its run");
    backoff.reset();
    let mut told = Told::default();
    while !told.ended {
        match watch(&host, &mut client, &mut told, &mut backoff).await {
            Ok(()) => host.story.tell(&plan.client, "lost the stream"),
            Err(status) if Failure::from(status.clone()).may_pass() => {
                host.story.tell(&plan.client, format_args!("lost the stream: {}", status.code()));
            }
            Err(status) => {
                host.story.broke(format_args!("{} may not watch: {status}", plan.client));
                return Ok(());
            }
        }
        if !told.ended {
            sleep(backoff.wait()).await;
        }
    }
    for (digest, test) in std::mem::take(&mut told.outputs) {
        backoff.reset();
        let printed = loop {
            match output_of(&mut client, &digest).await {
                Ok(printed) => break printed,
                Err(status) => host.story.tell(&plan.client, format_args!("cannot fetch an output: {}", status.code())),
            }
            sleep(backoff.wait()).await;
        };
        if host.record.lock().name(plan.run, test).is_none_or(|name| output(&name) != printed) {
            host.story.broke(format_args!("the output of test {test} is not what it printed: {} bytes", printed.len()));
        }
    }
    if told.verdicts != host.record.lock().verdicts(plan.run) {
        host.story.broke(format_args!("{} was told other verdicts than are recorded", plan.client));
    }
    host.story.tell(&plan.client, "has seen the end of its run");
    host.done.fetch_add(1, Ordering::Relaxed);
    sleep(Duration::from_secs(1 << 20)).await;
    Ok(())
}

/// Follows one stream to its end.
async fn watch(
    host: &Host,
    client: &mut RunsClient<Channel>,
    told: &mut Told,
    backoff: &mut Backoff,
) -> Result<(), tonic::Status> {
    let plan = &host.plan.runs[host.at];
    let request = v1::WatchRequest { run: plan.run.to_string(), after: told.seq };
    let mut events = client.watch(request).await?.into_inner();
    while let Some(event) = events.message().await? {
        backoff.reset();
        if event.seq == 0 {
            continue;
        }
        if event.seq != told.seq + 1 {
            host.story.broke(format_args!("{} was told event {} after {}", plan.client, event.seq, told.seq));
        }
        told.seq = event.seq;
        told.ended = event.is_last();
        if let Some(Event::ResultsAccepted(accepted)) = &event.event {
            let results = accepted.results.iter().filter_map(|accepted| accepted.result.as_ref());
            let outputs =
                results.filter_map(|result| Some((result.output.as_ref()?.digest.clone(), TestIx(result.test))));
            told.outputs.extend(outputs);
        }
        for (test, verdict) in verdicts(&event) {
            host.story.tell(&plan.client, format_args!("is told: test {test} {verdict}"));
            if told.verdicts.insert(test, verdict).is_some() {
                host.story.broke(format_args!("{} was told of test {test} twice", plan.client));
            }
        }
        if told.ended {
            return Ok(());
        }
    }
    Ok(())
}

async fn output_of(client: &mut RunsClient<Channel>, digest: &str) -> Result<Vec<u8>, tonic::Status> {
    let request = v1::OutputRequest { digest: digest.to_owned() };
    let mut chunks = client.output(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        bytes.extend_from_slice(&chunk.data);
    }
    Ok(bytes)
}

fn verdicts(event: &v1::RunEvent) -> Vec<(TestIx, Verdict)> {
    let read = |test: u32, verdict: i32| Some((TestIx(test), Verdict::read(verdict)?));
    match &event.event {
        Some(Event::ResultsAccepted(accepted)) => {
            let of = |accepted: &v1::AcceptedResult| read(accepted.result.as_ref()?.test, accepted.verdict);
            accepted.results.iter().filter_map(of).collect()
        }
        Some(Event::VerdictsGiven(given)) => given.tests.iter().filter_map(|test| read(*test, given.verdict)).collect(),
        Some(Event::LeaseEnded(ended)) => ended.blamed.and_then(|test| read(test, ended.verdict)).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn request(host: &Host) -> v1::SubmitRequest {
    let plan = &host.plan.runs[host.at];
    let policy = RunPolicy { max_losses: 1_000, ..RunPolicy::default() };
    let tests = TestPolicy { retries: 2, backoff: Micros::from_ms(200), ..TestPolicy::default() };
    let needs = vec![v1::Need { resource: DEVICE.to_owned(), seats: 1, ..Default::default() }];
    let alone = v1::PolicyOverride { filter: "test(~alone)".to_owned(), needs, ..Default::default() };
    v1::SubmitRequest {
        run: plan.run.to_string(),
        project: plan.client.clone(),
        policy: Some((&policy).into()),
        test_policy: Some((&tests).into()),
        overrides: vec![alone],
        suites: vec![v1::SuiteRequest {
            suite: Some(v1::Suite {
                name: "suite".to_owned(),
                runner: "exec".to_owned(),
                root: "/".to_owned(),
                settings: "{}".to_owned(),
                ..Default::default()
            }),
            discover: true,
            ..Default::default()
        }],
        ..Default::default()
    }
}
