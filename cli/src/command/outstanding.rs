//! What a rerun with a filter leaves: of the run that it follows, what did not come to a good end, and what it did not look at.
//!
//! The coordinator plans what the filter selects, and knows of nothing else. So the two records are compared, once the rerun has
//! ended well. A rerun without a filter looks at everything; what it does not find is gone.

use crate::error::Error;
use crate::render::words;
use crate::view::View;
use regatta_domain::{FileIx, RunId, TestKey};
use regatta_wire::v1;
use regatta_wire::v1::runs_client::RunsClient;
use std::collections::HashSet;
use tonic::transport::Channel;

/// What is left of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outstanding {
    run: RunId,
    tests: usize,
    /// Files whose tests it never knew, because it ended before or could not collect them.
    files: usize,
}

/// Reads what is left of the run `of`, after a rerun of it.
///
/// # Errors
/// When its record cannot be read.
pub(super) async fn read(client: &mut RunsClient<Channel>, of: RunId, rerun: &View) -> Result<Outstanding, Error> {
    let broken = || Error::infrastructure(format!("what is outstanding of run {of} cannot be told"));
    let mut earlier = View::new(of);
    let request = v1::WatchRequest { run: of.to_string(), after: 0 };
    let watched = client.watch(request).await.map_err(|status| broken().because(&status))?;
    let mut events = watched.into_inner();
    while let Some(event) = events.message().await.map_err(|status| broken().because(&status))? {
        let last = event.is_last();
        earlier.apply(event).map_err(|invalid| broken().because(&invalid))?;
        if last {
            break;
        }
    }
    Ok(Outstanding::between(&earlier, rerun))
}

impl Outstanding {
    fn between(earlier: &View, rerun: &View) -> Self {
        let looked_at: HashSet<TestKey> = rerun.tests.iter().map(|test| test.key).collect();
        let red = earlier.planned().filter(|(_, test)| test.verdict.is_some_and(|verdict| !verdict.is_ok()));
        let tests = red.filter(|(_, test)| !looked_at.contains(&test.key)).count();

        let place = |view: &View, file: FileIx| {
            let found = &view.files[file.at()];
            (view.suites[found.suite.at()].name.clone(), found.path.clone())
        };
        let all = |view: &View| (0..view.files.len()).map(FileIx::nth);
        let opened: HashSet<_> = all(rerun).map(|file| place(rerun, file)).collect();
        let erred = |file| earlier.errors.iter().any(|error| error.file == Some(file));
        let unknown = all(earlier).filter(|&file| !earlier.files[file.at()].listed || erred(file));
        let files = unknown.filter(|&file| !opened.contains(&place(earlier, file))).count();
        Self { run: earlier.run, tests, files }
    }

    /// Whether nothing is left.
    pub(super) const fn is_none(self) -> bool {
        self.tests == 0 && self.files == 0
    }

    /// What is left, and how it is run.
    pub(super) fn line(self) -> String {
        let Self { run, tests, files } = self;
        let part = |count, what| (count > 0).then(|| words::count_of(count, what));
        let parts: Vec<String> = [part(tests, "test"), part(files, "file")].into_iter().flatten().collect();
        format!(
            "outstanding: {} of run {run}, left out by the filter; `regatta rerun {run}` runs what is left",
            parts.join(" and ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::{Outcome, Verdict};
    use regatta_wire::v1::run_event::Event;

    /// A run with a test of each verdict in one file, by key; and with files that it did not list.
    fn view(tests: &[(u8, Verdict)], unlisted: &[&str]) -> View {
        let mut view = View::new(RunId::from_bits(7));
        let file = |path: &&str| v1::File { path: (*path).to_owned(), key: "0".repeat(32), locator: String::new() };
        let test = |(key, _): &(u8, Verdict)| v1::PlannedTest {
            name: format!("test_{key}"),
            key: format!("{key:032x}"),
            source: v1::EstimateSource::Own.into(),
            ..v1::PlannedTest::default()
        };
        let one = |text: &str| vec![text.to_owned()];
        let submitted = v1::RunSubmitted {
            suites: one("api"),
            runners: one("pytest"),
            roots: one("."),
            ..v1::RunSubmitted::default()
        };
        let files = ["a.py"].iter().chain(unlisted).map(file).collect();
        let (tests_of, gone) = (tests.iter().map(test).collect(), Vec::new());
        let mut events = vec![
            Event::RunSubmitted(submitted),
            Event::FilesPlanned(v1::FilesPlanned { suite: 0, files, gone: Vec::new() }),
            Event::TestsPlanned(v1::TestsPlanned { file: 0, tests: tests_of, gone }),
        ];
        events.extend(tests.iter().zip(0..).map(|((_, verdict), test)| {
            let verdict = v1::Verdict::from(*verdict).into();
            let outcome = v1::Outcome::from(Outcome::Passed).into();
            let result = v1::TestResult { test, attempt: 1, outcome, ..v1::TestResult::default() };
            let results = vec![v1::AcceptedResult { result: Some(result), verdict }];
            Event::ResultsAccepted(v1::ResultsAccepted { token: 1, results })
        }));
        for (event, seq) in events.into_iter().zip(1..) {
            view.apply(v1::RunEvent { seq, at: seq, event: Some(event) }).expect("it makes sense");
        }
        view
    }

    #[test]
    fn what_was_red_and_is_not_looked_at_is_outstanding() {
        let earlier =
            view(&[(1, Verdict::Passed), (2, Verdict::Failed), (3, Verdict::NotRun), (4, Verdict::Flaky)], &["b.py"]);
        let left = |tests: &[(u8, Verdict)], files: &[&str]| {
            let left = Outstanding::between(&earlier, &view(tests, files));
            (left.tests, left.files)
        };
        let passed = |key| (key, Verdict::Passed);
        assert_eq!(left(&[], &[]), (2, 1));
        assert_eq!(left(&[passed(2)], &[]), (1, 1));
        assert_eq!(left(&[passed(2), passed(3)], &["b.py"]), (0, 0));
        assert!(Outstanding { run: earlier.run, tests: 0, files: 0 }.is_none());
        let line = Outstanding::between(&earlier, &view(&[passed(2)], &[])).line();
        assert!(line.starts_with("outstanding: 1 test and 1 file of run 00000000-"), "{line}");
    }
}
