//! Schedules suites on a virtual clock, with Regatta's core and with what others do, and prints how close each comes to the
//! lower bound. `--help` says how it is used; `tests/load/schedule` runs it.

use regatta_tests::schedule::arguments::{Arguments, QUICK, USAGE};
use regatta_tests::schedule::suites::{self, Suite};
use regatta_tests::schedule::trace::Error;
use regatta_tests::schedule::{contended, cost, laboratory, table};
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Wrong usage, and what cannot be read.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let given = match Arguments::parse(std::env::args().skip(1)) {
        Ok(given) => given,
        Err(mistake) => return wrong(&format!("{mistake}; --help says how it is used")),
    };
    if given.help {
        return print(USAGE);
    }
    if given.cost {
        // Each size in a process of its own would be fairer to the memory of the first; the largest goes last instead.
        let sizes = [(10_000, 100), (100_000, 1_000), (1_000_000, 10_000)];
        let costs: Vec<cost::Cost> = sizes.iter().map(|&(tests, slots)| cost::measure(tests, slots)).collect();
        let contended: String = [(1_000, 10_000, 200), (1_000, 10_000, 2_000)]
            .into_iter()
            .map(|(resources, shards, slots)| contended::line(&contended::measure(resources, shards, slots)))
            .collect();
        return print(&(cost::table(&costs) + &contended));
    }
    let suites = match suites_of(&given) {
        Ok(suites) => suites,
        Err(error) => return wrong(&error.to_string()),
    };
    let began = Instant::now();
    let cells = laboratory::measure(&suites, &given.plan, &|done, of| progress(done, of, began));
    print(&if given.json { table::json(&suites, &cells) } else { table::people(&suites, &cells) })
}

fn suites_of(given: &Arguments) -> Result<Vec<Suite>, Error> {
    let mut suites = if given.traces.is_empty() {
        let (suites, left_out) = suites::standard()?;
        left_out.iter().for_each(|left_out| eprintln!("schedule: left out {left_out}"));
        suites
    } else {
        given.traces.iter().map(|path| Suite::read(path)).collect::<Result<_, _>>()?
    };
    if given.quick {
        suites.iter_mut().for_each(|suite| suite.thin(QUICK));
    }
    Ok(suites)
}

/// A line for each tenth.
fn progress(done: usize, of: usize, began: Instant) {
    if done * 10 / of != (done - 1) * 10 / of {
        eprintln!("schedule: {done} of {of} after {:.0} s", began.elapsed().as_secs_f64());
    }
}

/// Whoever reads the output may stop; that is no failure.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn wrong(what: &str) -> ExitCode {
    eprintln!("schedule: {what}");
    ExitCode::from(WRONG)
}
