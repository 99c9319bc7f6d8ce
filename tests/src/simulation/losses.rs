//! What lost workers may be taken for: a file is given up only after more of them than the run allows were lost at it, one
//! after the other, and those whose doings nobody knows count for nothing.

use super::checkers::{Checked, ensure};
use regatta_core::{Event, LeaseEnd, Work};
use regatta_domain::{FileIx, RunId, Time, Token, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of losses, from the journal and from who was heard.
#[derive(Default)]
pub(super) struct Losses {
    leases: BTreeMap<Token, (WorkerId, Vec<FileIx>)>,
    /// The live leases that were granted before the coordinator last started, and of which nobody has spoken since.
    unheard: BTreeSet<Token>,
    /// The workers that were lost at a file since anything came of it; a worker is lost once, whatever it holds.
    lost: BTreeMap<(RunId, FileIx), BTreeSet<(WorkerId, Time)>>,
}

impl Losses {
    /// The coordinator started.
    pub(super) fn restarted(&mut self) {
        self.unheard = self.leases.keys().copied().collect();
    }

    /// A worker told the coordinator something.
    pub(super) fn heard(&mut self, worker: WorkerId) {
        let leases = &self.leases;
        self.unheard.retain(|token| leases.get(token).is_some_and(|&(of, _)| of != worker));
    }

    /// A fact, of which `open` are the files that tests under its lease belong to.
    pub(super) fn fact(&mut self, event: &Event, open: &BTreeSet<FileIx>, most: u16) -> Checked {
        match event {
            Event::ShardLeased { token, worker, work, .. } => {
                let files = if let Work::List(_, files) = work { files.clone() } else { Vec::new() };
                self.leases.insert(*token, (*worker, files));
            }
            Event::FileListed { run, file, .. } => {
                self.lost.remove(&(*run, *file));
            }
            Event::ResultsAccepted { run, .. } => {
                open.iter().for_each(|&file| _ = self.lost.remove(&(*run, file)));
            }
            Event::LeaseEnded { at, run, token, cause, blamed } => {
                let unheard = self.unheard.remove(token);
                let Some((worker, files)) = self.leases.remove(token) else { return Ok(()) };
                ensure(!unheard || *cause != LeaseEnd::WorkerLost, || {
                    format!("{worker} is lost with {token}, and what it was at is charged, though it did not tell")
                })?;
                if blamed.is_none() && matches!(cause, LeaseEnd::WorkerLost | LeaseEnd::Overdue) {
                    for &file in open.iter().chain(&files) {
                        self.lost.entry((*run, file)).or_default().insert((worker, *at));
                    }
                }
            }
            // Under no lease: lost workers were too many.
            Event::FileFailed { run, token, file, .. } if *token == Token::default() => {
                let lost = self.lost.get(&(*run, *file)).map_or(0, BTreeSet::len);
                ensure(lost > usize::from(most), || format!("{file} is given up after {lost} lost workers"))?;
            }
            _ => {}
        }
        Ok(())
    }
}
