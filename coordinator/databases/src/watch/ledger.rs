//! What the transactions of every database came to, added up from the records of the log as they pass.
//!
//! Sums only grow, so whoever remembers them as they stood at a mark knows what happened since, also where several leases
//! share a database. Reading the log is left to `reader`, judging to `verdict`. Memory is bounded: only databases that
//! are watched are kept, and only transactions that have not ended.

use super::wal::{DATABASES, Place, Record, What};
use std::collections::{HashMap, HashSet, VecDeque};

/// Transactions that have not ended, over all databases. A lease holds a handful; each takes some 200 bytes, so this is
/// 13 MB. Beyond it, what was read is given up, and told as a gap.
const OPEN: usize = 65_536;

/// Changed relations that one database remembers by file; the rest are counted.
const FILES: usize = 256;

/// Files created by the transactions of one database that are remembered, so that their rows are not counted.
const CREATED: usize = 4_096;

/// Relations that one transaction remembers.
const TOUCHED: usize = 64;

/// What all databases of a server share, by file: roles and membership, databases, tablespaces, settings, rights on
/// parameters, origins, subscriptions, descriptions and labels. Dependencies (1214) are left out: every owner writes them.
const SHARED: [u32; 10] = [1260, 1261, DATABASES, 1213, 2964, 6000, 6100, 6243, 2396, 3592];

/// Those in which the settings, rights and comment of one's own database are rows.
const OWN_ROWS: [u32; 3] = [DATABASES, 2964, 2396];

/// The first file that is not a catalog's as `initdb` made it.
const FIRST_USER_FILE: u32 = 16_384;

/// Catalogs in which data of users is: large objects and their rights.
const LARGE_OBJECTS: [u32; 2] = [2613, 2995];

/// Statistics of the planner, with their overflow: nobody's data, and written by autovacuum in anybody's database.
const STATISTICS: [u32; 4] = [2619, 3429, 2840, 3430];

/// Sums over what happened in one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Transactions and subtransactions that left a record.
    pub(super) wrote: u64,
    /// Transactions that left a record and committed, be it nothing but locks.
    pub(super) ended: u64,
    /// Transactions that committed a change.
    pub(super) committed: u64,
    /// Transactions and subtransactions that were undone.
    pub(super) aborted: u64,
    /// Transactions that were prepared.
    pub(super) prepared: u64,
    /// Rows written.
    pub(super) rows: u64,
    /// Those of relations that were there before: the counters of the server show them too, and nothing less.
    pub(super) rows_of_old: u64,
    /// Changes of catalogs.
    pub(super) ddl: u64,
    /// Records of locked rows.
    pub(super) row_locks: u64,
    /// Records of moved sequences.
    pub(super) sequences: u64,
    /// Those of them that do not tell their transaction.
    pub(super) loose_sequences: u64,
    /// Committed changes of relations.
    pub(super) changes: u64,
}

/// Sums over what belongs to no database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    /// Times when something was lost: records recycled before they were read, or too many at once.
    pub(super) gaps: u64,
    /// Changes of what all databases share, except for what follows.
    pub(super) shared: u64,
    /// Changes where the settings, rights and comments of single databases are, which may be one's own.
    pub(super) shared_rows: u64,
    /// Transactions that committed and left no other record: unlogged tables, notifications, mere ids.
    pub(super) bare: u64,
    /// Changes in databases that nobody watches.
    pub(super) elsewhere: u64,
}

/// One watched database.
#[derive(Debug, Default)]
struct Database {
    tally: Tally,
    /// Files changed by commits, each with the number of the change.
    changed: VecDeque<(u64, u32)>,
    /// Files made since it was last leased to somebody alone.
    created: HashSet<u32>,
}

/// A transaction or subtransaction that has not ended.
#[derive(Debug, Default)]
struct Open {
    database: u32,
    /// Files changed, not merely locked.
    files: Vec<u32>,
    changes: u64,
    /// Whether it is counted among those that wrote.
    counted: bool,
    ours: bool,
}

/// What is known of a server's transactions.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    databases: HashMap<u32, Database>,
    open: HashMap<u32, Open>,
    /// The sums of the server.
    pub(super) server: Server,
}

impl Ledger {
    /// Begins to watch a database, or goes on.
    pub(super) fn watch(&mut self, database: u32) -> Tally {
        self.databases.entry(database).or_default().tally
    }

    /// A lease begins while nobody else uses the database: files that were made so far are old ones from now on.
    pub(super) fn settle(&mut self, database: u32) {
        if let Some(found) = self.databases.get_mut(&database) {
            found.created.clear();
        }
    }

    /// Forgets all of a database.
    pub(super) fn forget(&mut self, database: u32) {
        self.databases.remove(&database);
        self.open.retain(|_, open| open.database != database);
    }

    /// The databases that are watched.
    pub(super) fn watched(&self) -> impl Iterator<Item = u32> {
        self.databases.keys().copied()
    }

    /// The sums of a database, if it is watched.
    pub(super) fn tally(&self, database: u32) -> Option<Tally> {
        Some(self.databases.get(&database)?.tally)
    }

    /// Whether a transaction of this database has not ended.
    pub(super) fn is_open(&self, database: u32) -> bool {
        self.open.values().any(|open| open.database == database)
    }

    /// The files that commits changed since the sums were these, each once, and whether there may be more.
    pub(super) fn changed(&self, database: u32, since: &Tally) -> (Vec<u32>, bool) {
        let Some(found) = self.databases.get(&database) else { return (Vec::new(), false) };
        let mut files: Vec<u32> =
            found.changed.iter().filter(|(number, _)| *number > since.changes).map(|(_, file)| *file).collect();
        let kept = files.len() as u64;
        files.sort_unstable();
        files.dedup();
        (files, found.tally.changes - since.changes > kept)
    }

    /// Something was not read: nothing is certain of what was going on.
    pub(super) fn gap(&mut self) {
        self.server.gaps += 1;
        self.open.clear();
    }

    /// Takes the next record.
    pub(super) fn add(&mut self, record: Record) {
        match record {
            Record::Change { xid, place, what } => self.change(xid, place, what),
            Record::Commit { xid, subs, database } => self.commit(xid, &subs, database),
            Record::Abort { xid, subs, database } => self.abort(xid, &subs, database),
            Record::Prepare { xid, subs } => self.prepare(xid, &subs),
            Record::Ours { xid } => self.open(xid).ours = true,
        }
    }

    fn open(&mut self, xid: u32) -> &mut Open {
        if self.open.len() >= OPEN && !self.open.contains_key(&xid) {
            self.gap();
        }
        self.open.entry(xid).or_default()
    }

    fn change(&mut self, xid: u32, place: Place, what: What) {
        let Place { database, file } = place;
        if xid == 0 {
            if let Some(home) = self.databases.get_mut(&database) {
                home.tally.sequences += 1;
                home.tally.loose_sequences += 1;
            }
            return;
        }
        let is_statistics = STATISTICS.contains(&file);
        let changes = !matches!(what, What::RowLock | What::TableLock) && !is_statistics;
        let open = self.open(xid);
        if database == 0 {
            // Locking a row of a shared catalog changes nothing, and a mapping (0) or a new file is somebody's rewrite.
            if changes && (SHARED.contains(&file) || file == 0 || file >= FIRST_USER_FILE) {
                open.changes += 1;
                let sum = if OWN_ROWS.contains(&file) { &mut self.server.shared_rows } else { &mut self.server.shared };
                *sum += 1;
            }
            return;
        }
        let is_first = !open.counted && !is_statistics;
        open.database = database;
        open.counted |= is_first;
        if changes {
            open.changes += 1;
            if open.files.len() < TOUCHED && !open.files.contains(&file) {
                open.files.push(file);
            }
        }
        let Some(home) = self.databases.get_mut(&database) else {
            self.server.elsewhere += u64::from(changes);
            return;
        };
        home.tally.wrote += u64::from(is_first);
        match what {
            What::Rows(rows) => {
                home.tally.rows += if is_statistics { 0 } else { rows };
                home.tally.rows_of_old += if home.created.contains(&file) { 0 } else { rows };
            }
            What::RowLock => home.tally.row_locks += 1,
            What::Sequence => home.tally.sequences += 1,
            What::Create if home.created.len() < CREATED => {
                home.created.insert(file);
            }
            What::Create | What::TableLock | What::Other => {}
        }
        let is_catalog = file < FIRST_USER_FILE && !LARGE_OBJECTS.contains(&file);
        home.tally.ddl += u64::from(changes && is_catalog);
    }

    fn commit(&mut self, xid: u32, subs: &[u32], told: Option<u32>) {
        let (mut database, mut changes, mut is_ours, mut files) = (told.unwrap_or(0), 0, false, Vec::new());
        let mut is_known = told.is_some();
        for xid in std::iter::once(&xid).chain(subs) {
            let Some(open) = self.open.remove(xid) else { continue };
            is_known |= open.database != 0 || open.changes > 0;
            if open.database != 0 {
                database = open.database;
            }
            changes += open.changes;
            is_ours |= open.ours;
            files.extend(open.files);
        }
        if !is_known && !is_ours {
            self.server.bare += 1;
        }
        let Some(home) = self.databases.get_mut(&database) else { return };
        home.tally.ended += 1;
        // Something dropped is something changed, though no record of it was understood.
        home.tally.committed += u64::from(changes > 0 || told.is_some());
        for file in files {
            home.tally.changes += 1;
            if home.changed.len() == FILES {
                home.changed.pop_front();
            }
            home.changed.push_back((home.tally.changes, file));
        }
    }

    fn abort(&mut self, xid: u32, subs: &[u32], told: Option<u32>) {
        let mut aborted = told.filter(|_| !self.open.contains_key(&xid)).into_iter().collect::<Vec<_>>();
        for xid in std::iter::once(&xid).chain(subs) {
            aborted.extend(self.open.remove(xid).map(|open| open.database));
        }
        for database in aborted {
            if let Some(home) = self.databases.get_mut(&database) {
                home.tally.aborted += 1;
            }
        }
    }

    /// It stays open: that is what it is prepared for.
    fn prepare(&mut self, xid: u32, subs: &[u32]) {
        let all = std::iter::once(&xid).chain(subs);
        let home = all.filter_map(|xid| self.open.get(xid)).map(|open| open.database).max();
        if let Some(database) = home.filter(|&database| database != 0) {
            self.open(xid).database = database;
            if let Some(home) = self.databases.get_mut(&database) {
                home.tally.prepared += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 16_500;
    const TABLE: u32 = 16_600;

    fn change(xid: u32, file: u32, what: What) -> Record {
        Record::Change { xid, place: Place { database: OWN, file }, what }
    }

    fn commit(xid: u32, subs: &[u32]) -> Record {
        Record::Commit { xid, subs: subs.to_vec(), database: None }
    }

    fn abort(xid: u32, subs: &[u32]) -> Record {
        Record::Abort { xid, subs: subs.to_vec(), database: None }
    }

    fn after(records: impl IntoIterator<Item = Record>) -> (Ledger, Tally) {
        let mut ledger = Ledger::default();
        ledger.watch(OWN);
        for record in records {
            ledger.add(record);
        }
        let tally = ledger.tally(OWN).expect("it is watched");
        (ledger, tally)
    }

    #[test]
    fn a_commit_carries_its_subtransactions_and_an_abort_undoes_its_own() {
        let (ledger, tally) = after([
            change(1, TABLE, What::Rows(1)),
            change(2, TABLE, What::Rows(2)),
            abort(2, &[]),
            change(3, TABLE + 1, What::Rows(3)),
            commit(1, &[3]),
        ]);
        assert_eq!((tally.wrote, tally.committed, tally.aborted, tally.rows), (3, 1, 1, 6));
        assert_eq!(ledger.changed(OWN, &Tally::default()), (vec![TABLE, TABLE + 1], false));
        assert!(!ledger.is_open(OWN));
    }

    #[test]
    fn an_undone_savepoint_in_a_commit_without_changes_commits_nothing() {
        let (ledger, tally) = after([change(2, TABLE, What::Rows(1)), abort(2, &[]), commit(1, &[])]);
        assert_eq!((tally.committed, tally.aborted, ledger.server.bare), (0, 1, 1));
    }

    #[test]
    fn locks_are_no_changes() {
        let (_, tally) =
            after([change(1, TABLE, What::RowLock), commit(1, &[]), change(2, TABLE, What::TableLock), commit(2, &[])]);
        assert_eq!((tally.wrote, tally.committed, tally.row_locks), (2, 0, 1));
    }

    #[test]
    fn what_is_prepared_stays_open() {
        let (mut ledger, tally) = after([change(2, TABLE, What::Rows(1)), Record::Prepare { xid: 1, subs: vec![2] }]);
        assert_eq!(tally.prepared, 1);
        assert!(ledger.is_open(OWN));
        ledger.add(commit(1, &[2]));
        assert_eq!(ledger.tally(OWN).map(|tally| tally.committed), Some(1));
        assert!(!ledger.is_open(OWN));
    }

    #[test]
    fn shared_catalogs_are_the_servers() {
        let role = Record::Change { xid: 1, place: Place { database: 0, file: 1260 }, what: What::Rows(1) };
        let dependency = Record::Change { xid: 2, place: Place { database: 0, file: 1214 }, what: What::Rows(1) };
        let (ledger, tally) = after([role, abort(1, &[]), dependency, commit(2, &[])]);
        assert_eq!((ledger.server.shared, tally), (1, Tally::default()));
    }

    #[test]
    fn statistics_of_the_planner_are_nobodys_change() {
        let (_, tally) = after([change(1, 2619, What::Rows(3)), commit(1, &[])]);
        assert_eq!((tally.wrote, tally.committed, tally.ddl), (0, 0, 0));
    }

    #[test]
    fn only_watched_databases_are_kept() {
        let mut ledger = Ledger::default();
        ledger.add(change(1, TABLE, What::Rows(1)));
        ledger.add(commit(1, &[]));
        assert_eq!((ledger.tally(OWN), ledger.server.elsewhere), (None, 1));
        ledger.watch(OWN);
        ledger.add(change(2, TABLE, What::Rows(1)));
        ledger.forget(OWN);
        assert_eq!((ledger.databases.len(), ledger.open.len()), (0, 0));
    }

    #[test]
    fn too_many_at_once_are_told_as_a_gap() {
        let (ledger, _) = after((1..=70_000).map(|xid| change(xid, TABLE, What::Rows(1))));
        assert_eq!(ledger.server.gaps, 1);
        assert!(ledger.open.len() <= OPEN);
    }

    #[test]
    fn changed_files_are_bounded_and_the_rest_is_told() {
        let (ledger, _) = after((1..=300).flat_map(|n| [change(n, TABLE + n, What::Rows(1)), commit(n, &[])]));
        let (files, more) = ledger.changed(OWN, &Tally::default());
        assert_eq!((files.len(), more), (FILES, true));
    }
}
