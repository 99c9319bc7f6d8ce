//! A slot's bench: runners whose tests take virtual time and end as the plan says, and write down that they ran.

use crate::plan::{Plan, RunPlan};
use crate::record::{Execution, Shared};
use crate::story::Story;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::result::RunError;
use regatta_domain::{FileKey, Nuance, Outcome, RunId, TestIx, Time};
use regatta_worker::runner::{
    Bench, Brief, Control, FileWork, Finished, Numbered, Runner, Shard, Sink, Tell, TestWork, Work,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// How long it takes to find the files of a suite, and to list one.
pub(crate) const LOOK: Duration = Duration::from_millis(60);

/// How long a test that is stopped takes to be gone.
const STOP: Duration = Duration::from_millis(30);

/// The bench of one slot.
#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) host: String,
    pub(crate) plan: Arc<Plan>,
    pub(crate) story: Story,
    pub(crate) record: Shared,
}

impl Bench for Scripted {
    fn open(&self, brief: Arc<Brief>) -> Result<Box<dyn Runner>, RunError> {
        Ok(Box::new(Script { bench: self.clone(), run: brief.run }))
    }
}

/// A runner for one run.
struct Script {
    bench: Scripted,
    run: RunId,
}

/// What is left of a shard.
struct Rest {
    files: VecDeque<FileWork>,
    /// Nothing more is begun.
    stops: bool,
    /// What runs is stopped as well.
    kills: bool,
}

impl Rest {
    /// Takes in what the slot says. What is to be told of it.
    fn hear(&mut self, control: Control) -> Option<Tell> {
        match control {
            Control::Numbered(Numbered { file, tests }) => {
                if let Some(listed) = self.files.iter_mut().find(|work| work.file == file) {
                    listed.tests = Some(tests);
                }
                None
            }
            Control::Steal(tests) => Some(Tell::GaveBack(self.give_back(tests))),
            Control::Stop { kill } => {
                self.stops = true;
                self.kills |= kill;
                None
            }
        }
    }

    fn give_back(&mut self, tests: Vec<TestIx>) -> Vec<TestIx> {
        let waits = |ix: &TestIx| self.files.iter().flat_map(|file| file.tests.iter().flatten()).any(|t| t.test == *ix);
        if !tests.iter().all(waits) {
            return Vec::new();
        }
        for of_file in self.files.iter_mut().filter_map(|file| file.tests.as_mut()) {
            of_file.retain(|test| !tests.contains(&test.test));
        }
        tests
    }
}

/// An execution that is over when this is dropped, however that comes.
struct Running<'a> {
    bench: &'a Scripted,
    execution: usize,
    what: String,
    outcome: Option<Outcome>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let now = self.bench.story.now();
        self.bench.record.lock().over(self.execution, now, self.outcome);
        self.bench.story.tell(&self.bench.host, format_args!("ran {}: {:?}", self.what, self.outcome));
    }
}

#[async_trait::async_trait]
impl Runner for Script {
    async fn work(&mut self, shard: Shard, control: &mut mpsc::Receiver<Control>, sink: &Sink) {
        let Some(plan) = self.bench.plan.run(self.run) else {
            return self.bench.story.broke(format_args!("work of run {}, which nobody asked for", self.run));
        };
        let files = match shard.work {
            Work::Discover => {
                sleep(LOOK).await;
                let file =
                    |at| ListedFile { path: format!("file-{at}").into(), key: FileKey::default(), locator: "".into() };
                return sink.tell(Tell::Discovered((0..plan.files.len()).map(file).collect())).await;
            }
            Work::Files(files) => files.into(),
        };
        let alone = !shard.holds.is_empty();
        let mut rest = Rest { files, stops: false, kills: false };
        while !rest.stops
            && let Some(file) = rest.files.front_mut()
        {
            let (ix, path) = (file.file, Arc::clone(&file.path));
            match &mut file.tests {
                None => {
                    self.rest(Instant::now() + LOOK, &mut rest, control, sink).await;
                    sink.tell(Tell::Listed { file: ix, tests: listed(plan, &path) }).await;
                    while !rest.stops && rest.files.front().is_some_and(|file| file.tests.is_none()) {
                        match control.recv().await {
                            Some(heard) => tell(rest.hear(heard), sink).await,
                            None => return,
                        }
                    }
                }
                Some(tests) if tests.is_empty() => drop(rest.files.pop_front()),
                Some(tests) => {
                    let test = tests.remove(0);
                    self.run(plan, (&path, &test, alone), &mut rest, control, sink).await;
                }
            }
        }
    }

    async fn close(&mut self, _: &Sink) {
        sleep(STOP).await;
    }
}

impl Script {
    /// Lets time pass, and listens meanwhile; until everything is to stop at once.
    async fn rest(&self, until: Instant, rest: &mut Rest, control: &mut mpsc::Receiver<Control>, sink: &Sink) {
        loop {
            tokio::select! {
                biased;
                Some(heard) = control.recv() => {
                    tell(rest.hear(heard), sink).await;
                    if rest.kills {
                        return;
                    }
                }
                () = sleep_until(until) => return,
            }
        }
    }

    /// Runs a test.
    async fn run(
        &self,
        plan: &RunPlan,
        (path, test, alone): (&str, &TestWork, bool),
        rest: &mut Rest,
        control: &mut mpsc::Receiver<Control>,
        sink: &Sink,
    ) {
        let bench = &self.bench;
        let Some(truth) = plan.test(path, &test.name) else {
            return bench.story.broke(format_args!("{path} {} is to be run, and is not there", test.name));
        };
        let began = bench.story.now();
        let execution = bench.record.lock().begin(Execution {
            host: bench.host.clone(),
            run: self.run,
            token: sink.token,
            test: test.test,
            attempt: test.attempt,
            named: (path.to_owned(), test.name.to_string()),
            alone,
            began,
            over: None,
            outcome: None,
        });
        let what = format!("{path} {} (test {}, attempt {}) under {}", test.name, test.test, test.attempt, sink.token);
        bench.story.tell(&bench.host, format_args!("runs {what}"));
        let mut running = Running { bench, execution, what, outcome: None };
        sink.tell(Tell::Started { test: test.test, attempt: test.attempt }).await;
        self.rest(Instant::now() + truth.takes, rest, control, sink).await;
        if rest.kills {
            return sleep(STOP).await;
        }
        let outcome = truth.outcome(test.attempt);
        running.outcome = Some(outcome);
        drop(running);
        let is_bad = outcome != Outcome::Passed;
        let finished = Finished {
            test: test.test,
            attempt: test.attempt,
            outcome,
            nuance: Nuance::Plain,
            cause: outcome.cause(Nuance::Plain),
            exit: None,
            started: Time(u64::try_from(began.as_micros()).unwrap_or(u64::MAX)),
            duration: truth.takes,
            reason: is_bad.then(|| "on purpose".to_owned()),
            output: if is_bad { output(&test.name) } else { Vec::new() },
            observation: None,
        };
        sink.tell(Tell::Finished(finished)).await;
    }
}

/// What a test prints that does not pass.
pub(crate) fn output(name: &str) -> Vec<u8> {
    name.repeat(40).into_bytes()
}

fn listed(plan: &RunPlan, path: &str) -> Vec<ListedTest> {
    let file: Option<usize> = path.strip_prefix("file-").and_then(|number| number.parse().ok());
    let tests = file.and_then(|file| plan.files.get(file)).into_iter().flatten();
    tests.map(|test| ListedTest { name: test.name.as_str().into(), ..ListedTest::default() }).collect()
}

async fn tell(what: Option<Tell>, sink: &Sink) {
    if let Some(what) = what {
        sink.tell(what).await;
    }
}
