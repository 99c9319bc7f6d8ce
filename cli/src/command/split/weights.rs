//! How long each test takes by a file of timings that every job has; never by what one machine remembers.

use crate::error::Error;
use crate::timings::{self, Listing, Named, Suite};
use crate::view::View;
use regatta_domain::{Micros, RunnerKind, TestIx};
use std::collections::HashMap;

/// The weights of tests, each as long as the file says; of one that it does not know, what the known tests of its file (or
/// else of all) take on average. The second is how many are known.
pub(super) fn weights(view: &View, tests: &[TestIx], name: &str, bytes: &[u8]) -> Result<(Vec<Micros>, usize), Error> {
    let read = timings::read(name, bytes, crate::args::TimingFormat::Auto)?;
    let mut known: HashMap<(&str, String, String), Micros> = HashMap::new();
    for suite in suites(view, tests) {
        for timed in &read.timed {
            if matches!(&timed.named, Named::Own { suite: own, .. } if own != suite.name) {
                continue;
            }
            let found = suite.find(&timed.named);
            if found.known {
                known.insert((suite.name, found.file, found.name), timed.mean);
            }
        }
    }
    let key =
        |ix: TestIx, name: &str| (view.suite_of(ix).name.as_str(), view.file_of(ix).path.to_string(), name.to_owned());
    let mut in_file: HashMap<u32, u64> = HashMap::new();
    tests.iter().for_each(|&ix| *in_file.entry(view.test(ix).file.0).or_default() += 1);
    let said = |&ix: &TestIx| {
        let test = view.test(ix);
        let whole = || known.get(&key(ix, "")).map(|&whole| whole / in_file[&test.file.0]);
        known.get(&key(ix, &test.name)).copied().or_else(whole)
    };
    let said: Vec<Option<Micros>> = tests.iter().map(said).collect();
    let mut files: HashMap<u32, (Micros, u64)> = HashMap::new();
    for (&ix, mean) in tests.iter().zip(&said) {
        let Some(mean) = mean else { continue };
        let (sum, count) = files.entry(view.test(ix).file.0).or_default();
        (*sum, *count) = (*sum + *mean, *count + 1);
    }
    let count = said.iter().flatten().count();
    let all = said.iter().flatten().copied().sum::<Micros>() / (count.max(1) as u64);
    let like = |ix: TestIx| files.get(&view.test(ix).file.0).map_or(all, |&(sum, count)| sum / count);
    // Nothing takes no time: tests that all take none must still be spread.
    let weight = |(&ix, mean): (&TestIx, &Option<Micros>)| mean.unwrap_or_else(|| like(ix)).max(Micros(1));
    Ok((tests.iter().zip(&said).map(weight).collect(), count))
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
