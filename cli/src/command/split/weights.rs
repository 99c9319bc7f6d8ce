//! How long each test takes by a file of timings that every job has; never by what one machine remembers.

use crate::error::Error;
use crate::timings::{self, Listing, Named, Suite};
use crate::view::View;
use regatta_domain::history::{Estimator, Sample, TestHistory};
use regatta_domain::{Micros, RunnerKind, TestIx, Time};
use std::collections::{BTreeMap, HashMap};

/// The timings of a suite, by file and name; the name of a timing of a whole file is empty. Ordered, since every job must
/// come to the same sums.
type Known = BTreeMap<(String, String), TestHistory>;

/// The weights of tests, each as long as the file says; one that it does not know is expected to take as long as those most
/// like it, as the planner would. The second is how many are known.
pub(super) fn weights(view: &View, tests: &[TestIx], name: &str, bytes: &[u8]) -> Result<(Vec<Micros>, usize), Error> {
    let read = timings::read(name, bytes, crate::args::TimingFormat::Auto)?;
    let suites = suites(view, tests);
    let known: Vec<Known> = suites.iter().map(|suite| known(suite, &read.timed)).collect();
    let estimators: Vec<Estimator> = known.iter().map(estimator).collect();
    let mut in_file: HashMap<u32, u64> = HashMap::new();
    tests.iter().for_each(|&ix| *in_file.entry(view.test(ix).file.0).or_default() += 1);
    let mut count = 0;
    let weight = |&ix: &TestIx| {
        let (test, file) = (view.test(ix), view.file_of(ix));
        let known = &known[file.suite.at()];
        let own = known.get(&(file.path.to_string(), test.name.to_string()));
        let whole = || known.get(&(file.path.to_string(), String::new())).filter(|_| !test.name.is_empty());
        count += usize::from(own.is_some() || whole().is_some());
        let mean = match (own, whole()) {
            (None, Some(whole)) => whole.typical() / in_file[&test.file.0],
            _ => estimators[file.suite.at()].estimate(&file.path, None, &test.name, own).mean,
        };
        // Nothing takes no time: tests that all take none must still be spread.
        mean.max(Micros(1))
    };
    let weights = tests.iter().map(weight).collect();
    Ok((weights, count))
}

/// The timings that mean tests of a suite.
fn known(suite: &Suite<'_>, timed: &[timings::Timed]) -> Known {
    let mut known = Known::new();
    for timed in timed {
        if matches!(&timed.named, Named::Own { suite: own, .. } if own != suite.name) {
            continue;
        }
        let found = suite.find(&timed.named);
        if found.known {
            known.insert((found.file, found.name), TestHistory::imported(timed.mean, timed.spread, Time(0)));
        }
    }
    known
}

fn estimator(known: &Known) -> Estimator {
    Estimator::of(known.iter().map(|((file, name), known)| Sample { file, group: None, name, known }))
}

/// The suites of the tests, for names to be looked up in.
fn suites<'a>(view: &'a View, tests: &[TestIx]) -> Vec<Suite<'a>> {
    let mut files: HashMap<u32, Vec<String>> = HashMap::new();
    for &ix in tests {
        files.entry(view.test(ix).file.0).or_default().push(view.test(ix).name.to_string());
    }
    let mut listings: Vec<Listing> = view.suites.iter().map(|_| Listing::default()).collect();
    for (file, names) in files {
        let file = &view.files[file as usize];
        listings[file.suite.at()].add(file.path.to_string(), true, names);
    }
    let suite = |(suite, listing): (&'a crate::view::Suite, Listing)| {
        Suite::new(&suite.name, RunnerKind::named(&suite.runner), listing, |_: &str| false)
    };
    view.suites.iter().zip(listings).map(suite).collect()
}
