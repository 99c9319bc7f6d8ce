//! SQLite: a file for each lease, proven untouched or gone.

use crate::world::{HOLD, RUN, ask, directory, holder, until, wanted};
use regatta_databases::sqlite::{self, Settings};
use regatta_databases::{BuildOrder, Fate, Leased, Prepared, Refused, Released, Throwaway};
use regatta_domain::evidence::{Confidence, Fact};
use regatta_domain::{Level, Token};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct World {
    sqlite: Throwaway,
    _directory: TempDir,
}

const SCHEMA: &str = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
    INSERT INTO accounts (name) VALUES ('one'), ('two'), ('three');";

/// The path in a URL, as clients find it.
fn path(url: &str) -> PathBuf {
    let path = url.strip_prefix("sqlite:///").unwrap();
    path.split('?').next().unwrap().into()
}

/// Opens what a URL names, as a client does: only to read where it says so, and never making a file.
fn open(url: &str) -> rusqlite::Result<Connection> {
    let flags =
        if url.ends_with("?mode=ro") { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
    Connection::open_with_flags(path(url), flags)
}

fn rows(connection: &Connection) -> i64 {
    connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0)).unwrap()
}

fn settings(directory: &Path) -> Settings {
    Settings { memory: None, directory: directory.to_owned() }
}

impl World {
    async fn empty() -> Self {
        let directory = directory();
        let sqlite = sqlite::start(settings(directory.path())).await.unwrap();
        Self { sqlite, _directory: directory }
    }

    async fn with(schema: &str) -> Self {
        let world = Self::empty().await;
        let order = order(&world.sqlite).await;
        open(&order.url).unwrap().execute_batch(schema).unwrap();
        assert!(world.sqlite.built(order.id, Ok(())).await);
        world
    }

    async fn lease(&self, level: Level) -> Leased {
        self.sqlite.lease(ask(level, 1)).await.unwrap()
    }

    async fn release(&self, leased: &Leased) -> Released {
        self.sqlite.release(leased.id).await.unwrap()
    }

    /// Leases, runs `sql` over one connection, closes it, and releases.
    async fn run(&self, level: Level, sql: &str) -> (Leased, Released) {
        let leased = self.lease(level).await;
        let _ = open(&leased.url).unwrap().execute_batch(sql);
        let released = self.release(&leased).await;
        (leased, released)
    }
}

async fn order(sqlite: &Throwaway) -> BuildOrder {
    match sqlite.prepare(wanted(1, RUN)).await.unwrap() {
        Prepared::Build(order) => order,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_level_finds_the_seeded_rows_and_only_readers_may_not_write() {
    for journal in ["delete", "wal"] {
        let world = World::with(&format!("PRAGMA journal_mode={journal}; {SCHEMA}")).await;
        for level in [Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive] {
            let leased = world.lease(level).await;
            assert!(leased.variables.contains(&("DATABASE_URL".to_owned(), leased.url.clone())));
            let connection = open(&leased.url).unwrap();
            assert_eq!(rows(&connection), 3, "{journal} {level:?}");
            let wrote = connection.execute_batch("INSERT INTO accounts (name) VALUES ('four')");
            assert_eq!(wrote.is_ok(), level != Level::Read, "{journal} {level:?}: {wrote:?}");
            drop(connection);
            let told = world.release(&leased).await;
            assert_eq!(told.level, if wrote.is_ok() { Level::Isolated } else { told.level.min(Level::Transaction) });
        }
        world.sqlite.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_test_wrote_is_seen_in_every_journal_mode() {
    let committed = "INSERT INTO accounts (name) VALUES ('x')";
    let undone = "BEGIN; INSERT INTO accounts (name) VALUES ('x'); ROLLBACK";
    for journal in ["delete", "truncate", "persist", "wal"] {
        let world = World::with(&format!("PRAGMA journal_mode={journal}; {SCHEMA}")).await;
        for (sql, level, fate) in [
            (committed, Level::Isolated, Fate::Replaced),
            ("CREATE TABLE t (x); DROP TABLE t", Level::Isolated, Fate::Replaced),
            ("PRAGMA user_version = 7", Level::Isolated, Fate::Replaced),
            (undone, Level::Transaction, Fate::HandedOn),
        ] {
            let (_, told) = world.run(Level::Transaction, &format!("PRAGMA journal_mode={journal}; {sql}")).await;
            assert_eq!((told.level, told.fate), (level, fate), "{journal}: {sql}: {told:?}");
            assert_eq!(told.evidence.confidence(), Confidence::Full);
        }
        if journal != "wal" {
            let untold = "PRAGMA journal_mode=memory; BEGIN; DELETE FROM accounts; ROLLBACK";
            let (_, told) = world.run(Level::Transaction, untold).await;
            assert_eq!(told.fate, Fate::HandedOn, "{told:?}");
            let confidence = told.evidence.confidence();
            assert_eq!(confidence, Confidence::Low, "what leaves no trace never lowers a plan: {told:?}");
        }
        world.sqlite.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_copy_is_handed_on_under_another_name_and_a_dirty_one_goes() {
    let world = World::with(SCHEMA).await;
    let (first, told) = world.run(Level::Transaction, "SELECT * FROM accounts").await;
    assert_eq!(told.fate, Fate::HandedOn, "{told:?}");
    assert!(open(&first.url).is_err(), "its path leads nowhere");
    until("it is back", async || world.sqlite.status().reused == 1).await;
    let mut paths = BTreeSet::from([path(&first.url)]);
    for _ in 0..12 {
        let next = world.lease(Level::Isolated).await;
        assert!(paths.insert(path(&next.url)), "a path is never given twice");
        let connection = open(&next.url).unwrap();
        assert_eq!(rows(&connection), 3, "nothing of the last test is here");
        connection.execute_batch("DELETE FROM accounts").unwrap();
        drop(connection);
        assert_eq!(world.release(&next).await.fate, Fate::Replaced);
        assert!(!path(&next.url).exists());
    }
    world.sqlite.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_still_has_open_is_handed_to_nobody() {
    let world = World::with(SCHEMA).await;
    for level in [Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive] {
        let leased = world.lease(level).await;
        let zombie = open(&leased.url).unwrap();
        assert_eq!(rows(&zombie), 3);
        let told = world.release(&leased).await;
        assert!(!told.leaks.is_empty() && told.evidence.facts.has(Fact::Leaked), "{level:?}: {told:?}");
        assert!(told.leaks[0].to_string().contains(&std::process::id().to_string()), "{}", told.leaks[0]);
        assert_ne!(told.fate, Fate::HandedOn, "{level:?}");
        assert!(open(&leased.url).is_err(), "and by its path nobody comes in again");
        let _ = zombie.execute_batch("DELETE FROM accounts");
        drop(zombie);
        let next = world.lease(level).await;
        assert_eq!(rows(&open(&next.url).unwrap()), 3, "{level:?}: the next one does not meet it");
        world.release(&next).await;
    }
    world.sqlite.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leases_never_share_what_one_of_them_may_change_and_readers_do_share() {
    let world = World::with(SCHEMA).await;
    let mut leases = Vec::new();
    for level in [Level::Transaction, Level::Isolated, Level::Exclusive].into_iter().cycle().take(12) {
        leases.push(world.lease(level).await);
    }
    let readers = [world.lease(Level::Read).await, world.lease(Level::Read).await];
    let inode = |leased: &Leased| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path(&leased.url)).unwrap());
    let inodes: BTreeSet<u64> = leases.iter().chain(&readers[..1]).map(inode).collect();
    assert_eq!(inodes.len(), 13);
    assert_eq!(inode(&readers[0]), inode(&readers[1]));
    assert_ne!(readers[0].url, readers[1].url, "each by a name of its own");
    for leased in &leases {
        open(&leased.url).unwrap().execute_batch("DELETE FROM accounts").unwrap();
    }
    assert_eq!(rows(&open(&readers[0].url).unwrap()), 3);
    assert_eq!(world.release(&readers[0]).await.fate, Fate::Kept);
    world.sqlite.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_changes_the_rights_and_writes_costs_the_readers_their_file() {
    let world = World::with(SCHEMA).await;
    let (one, other) = (world.lease(Level::Read).await, world.lease(Level::Read).await);
    let file = path(&one.url);
    for place in [file.parent().unwrap(), &file] {
        std::fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    Connection::open(&file).unwrap().execute_batch("DELETE FROM accounts").unwrap();
    let told = world.release(&one).await;
    assert_eq!((told.level, told.fate), (Level::Isolated, Fate::Replaced), "{told:?}");
    let next = world.lease(Level::Read).await;
    assert_eq!(rows(&open(&next.url).unwrap()), 3, "readers got another");
    assert_eq!(world.release(&next).await.fate, Fate::Kept);
    assert_eq!(world.release(&other).await.fate, Fate::Replaced, "the other one read what was written");
    world.sqlite.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_whose_log_was_not_folded_in_is_copied_with_its_log() {
    let world = World::empty().await;
    let order = order(&world.sqlite).await;
    let source = directory();
    let built = source.path().join("built");
    let connection = Connection::open(&built).unwrap();
    connection.execute_batch(&format!("PRAGMA journal_mode=wal; {SCHEMA}")).unwrap();
    // As a process leaves it that is killed: the rows are in the log only.
    let target = path(&order.url);
    std::fs::copy(&built, &target).unwrap();
    std::fs::copy(built.with_file_name("built-wal"), target.with_file_name("database.sqlite-wal")).unwrap();
    drop(connection);
    assert!(world.sqlite.built(order.id, Ok(())).await);
    for level in [Level::Read, Level::Isolated] {
        let leased = world.lease(level).await;
        assert_eq!(rows(&open(&leased.url).unwrap()), 3, "{level:?}");
        world.release(&leased).await;
    }
    world.sqlite.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_leaves_no_database_fails_with_the_reason() {
    let world = World::empty().await;
    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    let spoil = |path: &Path| std::fs::write(path, "this is no database").unwrap();
    for (act, why) in [(&remove as &dyn Fn(&Path), "left none there"), (&spoil, "no SQLite database")] {
        let order = order(&world.sqlite).await;
        act(&path(&order.url));
        assert!(!world.sqlite.built(order.id, Ok(())).await);
        match world.sqlite.prepare(wanted(1, RUN)).await.unwrap() {
            Prepared::Failed { log, .. } => assert!(log.contains(why), "{log}"),
            other => panic!("{other:?}"),
        }
        assert!(!path(&order.url).exists());
        world.sqlite.retry(crate::world::TEMPLATE);
    }
    let held = order(&world.sqlite).await;
    let connection = open(&held.url).unwrap();
    assert!(!world.sqlite.built(held.id, Ok(())).await, "it is still open");
    drop(connection);
    world.sqlite.retry(crate::world::TEMPLATE);
    let empty = order(&world.sqlite).await;
    assert!(world.sqlite.built(empty.id, Ok(())).await, "what nobody builds is an empty database");
    let leased = world.lease(Level::Isolated).await;
    open(&leased.url).unwrap().execute_batch(SCHEMA).unwrap();
    world.sqlite.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_ends_every_lease_of_its_token_and_refuses_new_ones() {
    let world = World::with(SCHEMA).await;
    let mut fenced = Vec::new();
    for level in [Level::Read, Level::Transaction, Level::Exclusive] {
        fenced.push(world.sqlite.lease(ask(level, 7)).await.unwrap());
    }
    let other = world.sqlite.lease(ask(Level::Isolated, 8)).await.unwrap();
    world.sqlite.fence(Token(7));
    assert_eq!(world.sqlite.lease(ask(Level::None, 7)).await.unwrap_err(), Refused::Fenced);
    for leased in &fenced {
        until("its path leads nowhere", async || open(&leased.url).is_err()).await;
        let (one, two) = tokio::join!(world.release(leased), world.release(leased));
        assert_eq!(one.evidence, two.evidence, "told twice, it is the same");
    }
    assert_eq!(rows(&open(&other.url).unwrap()), 3);
    world.sqlite.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_removes_or_replaces_its_file_harms_nobody() {
    let world = World::with(SCHEMA).await;
    for act in ["remove", "replace", "remove all"] {
        let leased = world.lease(Level::Isolated).await;
        let file = path(&leased.url);
        match act {
            "remove" => std::fs::remove_file(&file).unwrap(),
            "replace" => {
                std::fs::copy(&file, file.with_extension("other")).unwrap();
                std::fs::rename(file.with_extension("other"), &file).unwrap();
            }
            _ => std::fs::remove_dir_all(file.parent().unwrap()).unwrap(),
        }
        let told = world.release(&leased).await;
        assert_eq!((told.level, told.fate), (Level::Isolated, Fate::Replaced), "{act}: {told:?}");
        let (_, told) = world.run(Level::Isolated, "SELECT * FROM accounts").await;
        assert_eq!(told.fate, Fate::HandedOn);
    }
    world.sqlite.shutdown().await;
}

/// Not a claim of its own: the process that the next one kills.
#[tokio::test(flavor = "multi_thread")]
async fn hold() {
    let Some(directory) = std::env::var_os(HOLD) else { return };
    let sqlite = sqlite::start(settings(Path::new(&directory))).await.unwrap();
    let order = order(&sqlite).await;
    assert!(sqlite.built(order.id, Ok(())).await);
    sqlite.lease(ask(Level::Exclusive, 1)).await.unwrap();
    sqlite.lease(ask(Level::Read, 1)).await.unwrap();
    println!("home={}", sqlite.directory().display());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_owner_is_killed_no_file_stays() {
    let directory = directory();
    let (mut owner, home) = holder("sqlite::hold", directory.path());
    assert!(home.exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("everything is gone", async || !home.exists()).await;
}
