//! The database: the leader's row, and the journal. Each of its methods is one transaction.

use super::{TERM, Wrong};

/// What is recorded of the thing there is. The n-th grant has token n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// It is granted to a worker.
    Granted(usize),
    /// The grant has ended without a result.
    Ended,
    /// The grant has ended with its result.
    Result,
}

/// The database.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Store {
    /// The epoch of whoever leads.
    pub(super) epoch: u8,
    /// Ticks that are left of its term.
    pub(super) until: u8,
    /// Who wrote what.
    pub(super) journal: Vec<(u8, Entry)>,
}

/// The token of the last grant among some entries; 0 for none.
pub(super) fn last_token(entries: &[(u8, Entry)]) -> u8 {
    let grants = entries.iter().filter(|(_, entry)| matches!(entry, Entry::Granted(_))).count();
    u8::try_from(grants).expect("grants are few")
}

/// The holder and the token of the grant that is open after some entries.
pub(super) fn open_grant(entries: &[(u8, Entry)]) -> Option<(usize, u8)> {
    match entries.last()?.1 {
        Entry::Granted(worker) => Some((worker, last_token(entries))),
        Entry::Ended | Entry::Result => None,
    }
}

/// The tokens that have a result, a bit each.
pub(super) fn results(entries: &[(u8, Entry)]) -> u8 {
    let (mut token, mut results) = (0, 0);
    for (_, entry) in entries {
        match entry {
            Entry::Granted(_) => token += 1,
            Entry::Result => results |= 1 << token,
            Entry::Ended => {}
        }
    }
    results
}

impl Store {
    /// Whoever asks leads when the term has passed.
    pub(super) fn take(&mut self, wrong: Option<Wrong>) -> Option<u8> {
        (self.until == 0 || wrong == Some(Wrong::TakesEarly)).then(|| {
            (self.epoch, self.until) = (self.epoch + 1, TERM);
            self.epoch
        })
    }

    /// Whether an epoch has another term.
    pub(super) fn renew(&mut self, epoch: u8, wrong: Option<Wrong>) -> bool {
        let leads = self.epoch == epoch || wrong == Some(Wrong::RenewsAnothers);
        if leads {
            self.until = TERM;
        }
        leads
    }

    /// An epoch ends its term.
    pub(super) fn resign(&mut self, epoch: u8, wrong: Option<Wrong>) {
        if self.epoch == epoch || wrong == Some(Wrong::ResignsAnothers) {
            self.until = 0;
        }
    }

    /// Whether an entry is appended as number `at`: when the epoch leads, and nothing has that number.
    pub(super) fn append(&mut self, epoch: u8, at: usize, entry: Entry, wrong: Option<Wrong>) -> bool {
        let leads = self.epoch == epoch || wrong == Some(Wrong::AppendsUnchecked);
        let appended = leads && self.journal.len() == at;
        if appended {
            self.journal.push((epoch, entry));
        }
        appended
    }

    /// What must hold of the journal: nothing of an older epoch after something of a newer one, each result under its own grant.
    pub(super) fn check(&self) -> Result<(), String> {
        for (at, pair) in self.journal.windows(2).enumerate() {
            let [(before, first), (epoch, next)] = pair else { continue };
            if before > epoch {
                return Err(format!("entry {} is of epoch {epoch}, after one of epoch {before}", at + 1));
            }
            if matches!(first, Entry::Granted(_)) == matches!(next, Entry::Granted(_)) {
                return Err(format!("{next:?} follows {first:?}"));
            }
        }
        Ok(())
    }
}
