//! One record of the write-ahead log, as `pg_walinspect` puts it into words.
//!
//! Only records that say something of a transaction are understood; those that keep house (pruning, hints, checkpoints,
//! vacuum) are not evidence of a test, whoever's transaction id they carry. What becomes of a record is left to `ledger`.

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A transaction changed something.
    Change {
        /// The (sub)transaction; 0 where a sequence is moved by a subtransaction that has no id of its own yet.
        xid: u32,
        /// Where: nothing else is known of a change without one.
        place: Place,
        /// What.
        what: What,
    },
    /// A transaction, and the subtransactions that ended with it, are committed. A database may be told by what it dropped.
    Commit {
        /// The transaction.
        xid: u32,
        /// Its subtransactions.
        subs: Vec<u32>,
        /// The database, where it is told.
        database: Option<u32>,
    },
    /// A transaction or subtransaction is undone, with those below it.
    Abort {
        /// The transaction.
        xid: u32,
        /// Its subtransactions.
        subs: Vec<u32>,
        /// The database, where it is told.
        database: Option<u32>,
    },
    /// A transaction waits, detached from its session, to be committed or not.
    Prepare {
        /// The transaction.
        xid: u32,
        /// Its subtransactions.
        subs: Vec<u32>,
    },
    /// A message that we wrote ourselves, so that everything before it is on disk.
    Ours {
        /// The transaction that wrote it.
        xid: u32,
    },
}

/// A relation in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The database; 0 is what all share.
    pub(super) database: u32,
    /// The file of the relation (`relfilenode`); 0 where the record concerns the database itself.
    pub(super) file: u32,
}

/// What was done at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// So many rows were inserted, updated or deleted.
    Rows(u64),
    /// Rows were locked.
    RowLock,
    /// The table was locked, as writers of its definition do too.
    TableLock,
    /// A sequence was moved.
    Sequence,
    /// The file was created.
    Create,
    /// Anything else that changes the place: pages written whole, files cut, mappings, databases.
    Other,
}

/// A row of `pg_get_wal_records_info`, its inval messages cut off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    /// The transaction id in digits.
    pub(super) xid: &'a str,
    /// `Heap`, `Transaction` and so on.
    pub(super) manager: &'a str,
    /// `INSERT`, `COMMIT` and so on.
    pub(super) kind: &'a str,
    /// What the manager's own description says.
    pub(super) description: &'a str,
    /// `blkref #0: rel 1663/16384/2619 fork main blk 1`, if there is any.
    pub(super) blocks: &'a str,
}

impl Row<'_> {
    /// Understands it; `None` is housekeeping.
    pub(super) fn read(&self) -> Option<Record> {
        let xid = self.xid.parse().unwrap_or(0);
        match self.manager {
            "Transaction" => self.ending(xid),
            _ if xid == 0 && self.manager != "Sequence" => None,
            "LogicalMessage" => self.description.contains("prefix \"regatta\"").then_some(Record::Ours { xid }),
            _ => {
                let (place, what) = self.change()?;
                Some(Record::Change { xid, place, what })
            }
        }
    }

    fn ending(&self, xid: u32) -> Option<Record> {
        let description = self.description;
        // The record of a prepared transaction's end is written by another: "761: 2026-11-21 ...".
        let prepared = || description.split(':').next().and_then(|xid| xid.trim().parse().ok()).unwrap_or(0);
        let (subs, database) = (subtransactions(description), dropped_in(description));
        match self.kind {
            "COMMIT" => Some(Record::Commit { xid, subs, database }),
            "ABORT" => Some(Record::Abort { xid, subs, database }),
            "COMMIT_PREPARED" => Some(Record::Commit { xid: prepared(), subs, database }),
            "ABORT_PREPARED" => Some(Record::Abort { xid: prepared(), subs, database }),
            "PREPARE" => Some(Record::Prepare { xid, subs }),
            _ => None,
        }
    }

    fn change(&self) -> Option<(Place, What)> {
        let kind = self.kind.split('+').next().unwrap_or_default();
        let what = match (self.manager, kind) {
            ("Heap", "INSERT" | "UPDATE" | "HOT_UPDATE" | "DELETE") => What::Rows(1),
            ("Heap", "LOCK") | ("Heap2", "LOCK_UPDATED") => What::RowLock,
            // Rows overwritten in place (`INPLACE`) are sizes and statistics, which VACUUM and ANALYZE keep: housekeeping.
            ("Heap", "CONFIRM" | "TRUNCATE") => What::Other,
            ("Heap2", "MULTI_INSERT") => What::Rows(self.tuples()),
            ("Heap2", "REWRITE") | ("XLOG", "FPI") => What::Other,
            ("Sequence", _) => What::Sequence,
            ("Standby", "LOCK") => return Some((self.locked()?, What::TableLock)),
            ("Storage", "CREATE") => return Some((in_path(self.description)?, What::Create)),
            ("Storage", _) => return Some((in_path(self.description)?, What::Other)),
            ("RelMap", _) => {
                return Some((Place { database: after(self.description, "database ")?, file: 0 }, What::Other));
            }
            ("Database" | "Tablespace", _) => return Some((Place { database: 0, file: DATABASES }, What::Other)),
            // Housekeeping of tables, and what concerns no relation.
            ("Heap" | "Heap2" | "XLOG" | "Standby" | "CLOG" | "MultiXact" | "CommitTs" | "ReplicationOrigin", _) => {
                return None;
            }
            // Entries of an index are written with those of its table; anybody else's pages are somebody's data.
            ("Btree" | "Hash" | "Gin" | "Gist" | "SPGist" | "BRIN", _) => return None,
            _ => What::Other,
        };
        Some((in_blocks(self.blocks)?, what))
    }

    /// "3 tuples flags 0x02", or, in later versions, "ntuples: 3, flags: 0x02".
    fn tuples(&self) -> u64 {
        let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).find_map(|digits| digits.parse().ok());
        let counted = self.description.split_once("ntuples").map_or(self.description, |(_, rest)| rest);
        digits(counted).unwrap_or(1)
    }

    /// "xid 735 db 16421 rel 16423".
    fn locked(&self) -> Option<Place> {
        Some(Place { database: after(self.description, "db ")?, file: after(self.description, "rel ")? })
    }
}

/// The file that stands for changes of `pg_database` itself.
pub(super) const DATABASES: u32 = 1262;

/// The number after a word.
fn after(text: &str, word: &str) -> Option<u32> {
    let (_, rest) = text.split_once(word)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// "blkref #0: rel 1663/16421/1249 fork main blk 17": tablespace, database, file. A record never spans databases.
fn in_blocks(blocks: &str) -> Option<Place> {
    let (_, rest) = blocks.split_once("rel ")?;
    let mut numbers = rest.split(' ').next()?.split('/').skip(1).map(str::parse);
    Some(Place { database: numbers.next()?.ok()?, file: numbers.next()?.ok()? })
}

/// "base/16421/16453", "global/16465", "pg_tblspc/16500/PG_15_202209061/16421/16453", perhaps with a fork behind it.
fn in_path(description: &str) -> Option<Place> {
    let path = description.split([' ', ';']).next()?;
    let mut parts = path.rsplit('/');
    let file = parts.next()?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let database = parts.next()?.parse().unwrap_or(0);
    Some(Place { database, file })
}

/// "...; subxacts: 768 769 770; ...".
fn subtransactions(description: &str) -> Vec<u32> {
    let Some((_, rest)) = description.split_once("subxacts:") else { return Vec::new() };
    let list = rest.split(';').next().unwrap_or_default();
    list.split_whitespace().map_while(|xid| xid.parse().ok()).collect()
}

/// "...; dropped stats: 2/16421/16462; ..." or "; rels: base/16421/16453": dropped relations tell where a transaction was.
fn dropped_in(description: &str) -> Option<u32> {
    let stats = description.split_once("dropped stats: 2/").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
    let files = || description.split_once("rels: ").and_then(|(_, rest)| in_path(rest)).map(|place| place.database);
    stats.or_else(files).filter(|&database| database != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xid: &str, manager: &str, kind: &str, description: &str, blocks: &str) -> Option<Record> {
        Row { xid, manager, kind, description, blocks }.read()
    }

    #[test]
    fn changes_are_found_by_their_blocks() {
        let blocks = "blkref #0: rel 1663/16421/16423 fork main blk 0 (FPW); hole: offset: 80";
        let change = |what| Some(Record::Change { xid: 728, place: Place { database: 16421, file: 16423 }, what });
        assert_eq!(read("728", "Heap", "INSERT+INIT", "off 21 flags 0x00", blocks), change(What::Rows(1)));
        assert_eq!(read("728", "Heap2", "MULTI_INSERT", "13 tuples flags 0x02", blocks), change(What::Rows(13)));
        assert_eq!(read("728", "Heap2", "MULTI_INSERT", "ntuples: 7, flags: 0x02", blocks), change(What::Rows(7)));
        assert_eq!(read("728", "Heap", "LOCK", "off 1: xid 733", blocks), change(What::RowLock));
        assert_eq!(read("728", "Sequence", "LOG", "rel 1663/16421/16422", blocks), change(What::Sequence));
        assert_eq!(
            read("728", "Custom200", "WHATEVER", "", blocks),
            change(What::Other),
            "an unknown manager writes data"
        );
    }

    #[test]
    fn changes_without_blocks_are_found_by_their_description() {
        let change = |database, file, what| Some(Record::Change { xid: 7, place: Place { database, file }, what });
        let of = |manager, kind, description| read("7", manager, kind, description, "");
        assert_eq!(of("Standby", "LOCK", "xid 735 db 16421 rel 16423 "), change(16421, 16423, What::TableLock));
        assert_eq!(of("Storage", "CREATE", "base/16421/16453"), change(16421, 16453, What::Create));
        assert_eq!(of("Storage", "CREATE", "pg_tblspc/9/PG_15_2/16421/16453_init"), change(16421, 16453, What::Create));
        assert_eq!(of("Storage", "TRUNCATE", "base/5/6 to 0 blocks flags 7"), change(5, 6, What::Other));
        assert_eq!(of("RelMap", "UPDATE", "database 5 tablespace 1663 size 512"), change(5, 0, What::Other));
        assert_eq!(of("Database", "CREATE_FILE_COPY", "copy dir 1663/1 to 1663/16473"), change(0, 1262, What::Other));
    }

    #[test]
    fn housekeeping_is_no_evidence_whoever_does_it() {
        let blocks = "blkref #0: rel 1663/16421/1249 fork main blk 17";
        for (manager, kind) in [("Heap2", "PRUNE"), ("Heap2", "VISIBLE"), ("XLOG", "FPI_FOR_HINT"), ("Btree", "DELETE")]
        {
            assert_eq!(read("728", manager, kind, "", blocks), None, "{manager} {kind}");
        }
        assert_eq!(read("0", "Heap", "INPLACE", "off 7", blocks), None, "nobody's transaction");
        assert_eq!(read("0", "XLOG", "CHECKPOINT_ONLINE", "redo 0/1", ""), None);
    }

    #[test]
    fn a_sequence_moves_also_in_a_subtransaction_without_an_id() {
        let blocks = "blkref #0: rel 1663/16421/16422 fork main blk 0";
        let place = Place { database: 16421, file: 16422 };
        let moved = Some(Record::Change { xid: 0, place, what: What::Sequence });
        assert_eq!(read("0", "Sequence", "LOG", "rel 1663/16421/16422", blocks), moved);
    }

    #[test]
    fn endings_tell_their_subtransactions() {
        let of = |kind, description| read("767", "Transaction", kind, description, "");
        assert_eq!(
            of("COMMIT", "2026-11-21 18:07:25.911109+00; rels: base/16421/16453; subxacts: 768 769 770; sync"),
            Some(Record::Commit { xid: 767, subs: vec![768, 769, 770], database: Some(16421) })
        );
        assert_eq!(
            of("ABORT", "2026-11-21 18:07:26.033146+00"),
            Some(Record::Abort { xid: 767, subs: vec![], database: None })
        );
        assert_eq!(
            of("COMMIT", "2026-11-21 18:07:26+00; dropped stats: 2/16421/16462"),
            Some(Record::Commit { xid: 767, subs: vec![], database: Some(16421) })
        );
        assert_eq!(
            read("0", "Transaction", "COMMIT_PREPARED", "868: 2026-11-21 18:07:27+00; subxacts: 869", ""),
            Some(Record::Commit { xid: 868, subs: vec![869], database: None })
        );
        assert_eq!(
            of("PREPARE", "gid zz: 2026-11-21 18:07:27+00; subxacts: 869"),
            Some(Record::Prepare { xid: 767, subs: vec![869] })
        );
        assert_eq!(of("ASSIGNMENT", "xtop 776: subxacts: 777 778"), None);
    }
}
