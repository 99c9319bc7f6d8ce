//! One part of a suite, for CI jobs that share nothing but the checkout: every job cuts the same tests the same way.

mod parts;
#[cfg(test)]
mod tests;
mod weights;

use super::run::perform_listing;
use super::{block_on, print};
use crate::args::{NoTests, Rules, SplitArgs, SplitFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use crate::render::words;
use crate::view::View;
use parts::{Unit, parts};
use regatta_domain::{Micros, TestIx};
use serde_json::json;
use std::collections::BTreeMap;

/// A suite, cut.
struct Cut<'a> {
    view: &'a View,
    /// The tests, in an order that does not depend on how they were found.
    tests: Vec<TestIx>,
    /// The weight of each; one each where nothing is known.
    weights: Vec<Micros>,
    /// The part of each.
    part: Vec<u32>,
    /// The same for all who agree on what is cut, and how.
    digest: String,
}

/// Prints one part of a suite.
pub(crate) fn split(args: SplitArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let SplitArgs { index, total, history, format, selection } = args;
    if index >= total {
        let what = format!("there is no part {index} of {total}");
        return Err(Error::usage(what).help(format!("parts count from 0: `--index` is 0 to {}", total - 1)));
    }
    let plan = context.plan(&selection, &Rules::default(), None)?;
    if plan.chosen.filter.needs_history() {
        let what = format!("`{}` asks history, which every job has another one of", plan.chosen.filter);
        return Err(Error::usage(what).help("select by what stands in the checkout: files, names, tags, `changed()`"));
    }
    let timings = history.map(|path| read(&context.cwd.join(&path), &path.display().to_string())).transpose()?;
    let view = block_on(perform_listing(plan, context))??;
    if !view.errors.is_empty() {
        for at in &view.errors {
            eprintln!("error: {}: {}", at.error.place, at.error.message);
        }
        eprintln!("nothing is printed: without these tests the parts would not be the whole suite");
        return Ok(Exit::TestsFailed);
    }
    let cut = cut(&view, timings, total, format == SplitFormat::Files)?;
    print(&cut.text(index, total, format)?)?;
    eprintln!("{}", cut.line(index, total));
    Ok(match selection.no_tests {
        NoTests::Fail if cut.tests.is_empty() => Exit::NoTests,
        _ => Exit::Ok,
    })
}

/// A file of timings: its name, and what it holds.
type File = (String, Vec<u8>);

fn read(path: &std::path::Path, name: &str) -> Result<File, Error> {
    let bytes = std::fs::read(path).map_err(|error| Error::usage(format!("cannot read {name}")).because(&error))?;
    Ok((name.to_owned(), bytes))
}

fn cut(view: &View, timings: Option<File>, total: u32, by_file: bool) -> Result<Cut<'_>, Error> {
    let mut tests: Vec<TestIx> = view.planned().map(|(ix, _)| ix).collect();
    tests.sort_by_cached_key(|&ix| {
        (view.suite_of(ix).name.clone(), view.file_of(ix).path.clone(), view.test(ix).name.clone())
    });
    let weights = match timings {
        None => vec![Micros(1); tests.len()],
        Some((name, bytes)) => {
            let (weights, known) = weights::weights(view, &tests, &name, &bytes)?;
            eprintln!("{name} knows {} of {}", words::count(known), words::count_of(tests.len(), "test"));
            weights
        }
    };
    let unit_of = |ix: TestIx| if by_file { view.test(ix).file.0 } else { view.test(ix).group };
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    let mut units: Vec<Unit> = Vec::new();
    let mut of = Vec::with_capacity(tests.len());
    for (&ix, &weight) in tests.iter().zip(&weights) {
        let place = *places.entry(unit_of(ix)).or_insert_with(|| {
            units.push(Unit { weight: Micros::ZERO, tests: 0 });
            units.len() - 1
        });
        units[place].weight += weight;
        units[place].tests += 1;
        of.push(place);
    }
    let assigned = parts(&units, total);
    let part: Vec<u32> = of.iter().map(|&unit| assigned[unit]).collect();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&total.to_le_bytes());
    for ((&ix, weight), unit) in tests.iter().zip(&weights).zip(&of) {
        for text in [view.suite_of(ix).name.as_str(), &view.id(ix)] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        hasher.update(&weight.0.to_le_bytes()).update(&(*unit as u64).to_le_bytes());
    }
    let digest = hasher.finalize().to_hex()[..8].to_owned();
    Ok(Cut { view, tests, weights, part, digest })
}

impl Cut<'_> {
    /// The tests of a part.
    fn of(&self, part: u32) -> impl Iterator<Item = (TestIx, Micros)> {
        let all = self.tests.iter().zip(&self.weights).zip(&self.part);
        all.filter(move |(_, of)| **of == part).map(|((&ix, &weight), _)| (ix, weight))
    }

    fn text(&self, index: u32, total: u32, format: SplitFormat) -> Result<String, Error> {
        let view = self.view;
        if format == SplitFormat::Json {
            let timed = self.is_timed();
            let tests = self.of(index).map(|(ix, weight)| {
                json!({
                    "suite": view.suite_of(ix).name, "id": view.id(ix), "file": &*view.file_of(ix).path,
                    "estimate_s": timed.then(|| weight.as_secs_f64()),
                })
            });
            let tests: Vec<_> = tests.collect();
            let document = json!({ "v": 1, "index": index, "total": total, "digest": self.digest, "tests": tests });
            return Ok(format!("{document}\n"));
        }
        let mut suites: Vec<&str> = self.tests.iter().map(|&ix| view.suite_of(ix).name.as_str()).collect();
        suites.dedup();
        if suites.len() > 1 {
            let what = format!("the tests belong to {} suites, and an id does not say to which", suites.len());
            return Err(Error::usage(what).help(format!("name one of {}, or write `--format json`", suites.join(", "))));
        }
        let mut lines: Vec<String> = match format {
            SplitFormat::Files => self.of(index).map(|(ix, _)| view.file_of(ix).path.to_string()).collect(),
            _ => self.of(index).map(|(ix, _)| view.id(ix)).collect(),
        };
        lines.dedup();
        Ok(lines.iter().map(|line| format!("{line}\n")).collect())
    }

    /// Whether weights are times, and not counts.
    fn is_timed(&self) -> bool {
        self.weights.iter().any(|weight| *weight > Micros(1))
    }

    /// What the part comes to, for people who compare jobs.
    fn line(&self, index: u32, total: u32) -> String {
        let tests = self.of(index).count();
        let all = words::count_of(self.tests.len(), "test");
        let times = if self.is_timed() {
            let mut sums = vec![Micros::ZERO; total as usize];
            self.weights.iter().zip(&self.part).for_each(|(&weight, &part)| sums[part as usize] += weight);
            let (least, most) = (sums.iter().min().copied(), sums.iter().max().copied());
            format!(
                ", {} (parts take {} to {})",
                words::span(sums[index as usize]),
                words::span(least.unwrap_or_default()),
                words::span(most.unwrap_or_default())
            )
        } else {
            String::new()
        };
        let digest = &self.digest;
        format!(
            "part {index} of {total}: {} of {all}{times}; digest {digest}, the same for jobs that agree",
            words::count(tests)
        )
    }
}
