//! What is measured, as it was asked for.

use std::fmt;
use std::path::PathBuf;

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Tests of a run.
    pub(crate) tests: usize,
    /// Tests of a file.
    pub(crate) per_file: usize,
    /// Runs that are measured, after the first.
    pub(crate) runs: usize,
    pub(crate) workers: usize,
    /// Slots of each.
    pub(crate) slots: u32,
    /// Results in a report.
    pub(crate) entries: usize,
    /// Reports of a worker that wait for their acknowledgements.
    pub(crate) window: usize,
    /// Results a second of a last run, whose reports are small: for how long one waits where there is no crowd.
    pub(crate) pace: Option<usize>,
    /// The coordinator is killed after such a part of a run.
    pub(crate) kill: Option<f64>,
    /// Where the store is put.
    pub(crate) within: PathBuf,
    /// The directory to serve from: this process is the coordinator.
    pub(crate) serve: Option<PathBuf>,
    /// What is measured instead of the coordinator that is built into this program: a `regatta`, with its own flags.
    pub(crate) binary: Option<PathBuf>,
    pub(crate) flags: Vec<String>,
}

const HELP: &str = "\
--tests N      tests of a run (1000000)
--per-file N   tests of a file (1000)
--runs N       runs measured after the first (3)
--workers N    workers (64), each of --slots N (2)
--entries N    results in a report (256)
--window N     reports of a worker that may wait for their acknowledgement (2)
--pace N       a last run at so many results a second, in reports of 16
--kill PART    kill the coordinator after this part of a run, and measure how it comes back
--within DIR   where the store is put: on a disk (the target directory)
--binary PATH  measure this regatta; flags for its coordinator may follow after --with";

impl Shape {
    /// What the command line asks for.
    pub(crate) fn asked() -> Self {
        let mut shape = Self {
            tests: 1_000_000,
            per_file: 1_000,
            runs: 3,
            workers: 64,
            slots: 2,
            entries: 256,
            window: 2,
            pace: None,
            kill: None,
            within: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
            serve: None,
            binary: None,
            flags: Vec::new(),
        };
        // What cargo adds by itself.
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(flag) = args.next() {
            if flag == "--with" {
                shape.flags = args.by_ref().collect();
                break;
            }
            if flag == "--help" {
                println!("{HELP}");
                std::process::exit(0);
            }
            let Some(value) = args.next() else { refuse(&format!("{flag} needs a value")) };
            match flag.as_str() {
                "--tests" => shape.tests = number(&flag, &value),
                "--per-file" => shape.per_file = number(&flag, &value),
                "--runs" => shape.runs = number(&flag, &value),
                "--workers" => shape.workers = number(&flag, &value),
                "--slots" => shape.slots = number(&flag, &value),
                "--entries" => shape.entries = number(&flag, &value),
                "--window" => shape.window = number(&flag, &value),
                "--pace" => shape.pace = Some(number(&flag, &value)),
                "--kill" => shape.kill = Some(number(&flag, &value)),
                "--within" => shape.within = value.into(),
                "--serve" => shape.serve = Some(value.into()),
                "--binary" => shape.binary = Some(value.into()),
                _ => refuse(&format!("{flag} is not known")),
            }
        }
        shape
    }

    /// A new directory for a store, gone with the handle.
    pub(crate) fn directory(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(&self.within)
            .unwrap_or_else(|error| refuse(&format!("{}: {error}", self.within.display())))
    }

    pub(crate) const fn files(&self) -> usize {
        self.tests.div_ceil(self.per_file)
    }

    /// The tests of a file.
    pub(crate) fn of_file(&self, file: usize) -> usize {
        self.per_file.min(self.tests - file * self.per_file)
    }
}

fn number<T: std::str::FromStr>(flag: &str, value: &str) -> T {
    value.parse().unwrap_or_else(|_| refuse(&format!("{flag}: `{value}` is not a number")))
}

fn refuse(why: &str) -> ! {
    eprintln!("{why}\n\n{HELP}");
    std::process::exit(2)
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tests, workers, slots, entries, window, .. } = self;
        write!(
            f,
            "{tests} tests in {} files; {workers} workers of {slots} slots, {window} reports of {entries} under way each",
            self.files()
        )
    }
}
