//! MariaDB: a database for each lease, proven clean or gone, and servers for those who want a whole one.

use crate::world::{HOLD, RUN, TEMPLATE, ask, directory, holder, processes, until, wanted};
use nix::sys::signal::{Signal, kill};
use regatta_databases::mysql::{self, Settings};
use regatta_databases::{BuildOrder, Fate, Leased, Prepared, Refused, Released, Throwaway};
use regatta_domain::evidence::{Confidence, Fact};
use regatta_domain::{Level, RunId, Token};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The client of a test: it knows only the URL.
fn client(url: &str) -> Command {
    let (user, rest) = url.strip_prefix("mysql://").unwrap().split_once(':').unwrap();
    let (password, rest) = rest.split_once('@').unwrap();
    let (host, rest) = rest.split_once(':').unwrap();
    let (port, database) = rest.split_once('/').unwrap();
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--protocol=tcp", "--batch", "--skip-column-names", "--unbuffered"]);
    command.args(["-h", host, "-P", port, "-u", user, database]).env("MYSQL_PWD", password);
    command
}

/// Runs statements over one connection: what was printed, or why not.
fn run(url: &str, statements: &str) -> Result<String, String> {
    let done = client(url).args(["-e", statements]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}

/// A connection that stays.
struct Session(Child, BufReader<std::process::ChildStdout>);

impl Session {
    fn open(url: &str) -> Self {
        let mut child = client(url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self(child, output)
    }

    /// The first line of the answer; none where there is no session any more.
    fn ask(&mut self, statement: &str) -> Option<String> {
        writeln!(self.0.stdin.as_mut().unwrap(), "{statement};").ok()?;
        let mut line = String::new();
        (self.1.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SCHEMA: &str = "
    CREATE TABLE owner (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20), loud VARCHAR(20) AS (UPPER(name)) STORED);
    CREATE TABLE pet (id INT AUTO_INCREMENT PRIMARY KEY, owner INT NOT NULL, `odd ``name` INT DEFAULT 0,
        CONSTRAINT of_owner FOREIGN KEY (owner) REFERENCES owner (id));
    CREATE TABLE log (at INT, what VARCHAR(50)) PARTITION BY RANGE (at)
        (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN MAXVALUE);
    CREATE SEQUENCE ticket START WITH 7;
    INSERT INTO owner (name) VALUES ('ann'), ('bob');
    INSERT INTO pet (owner) VALUES (1), (2), (2);
    INSERT INTO log VALUES (1, 'begin; and -- more'), (99, 'end');
    CREATE FUNCTION pets_of(who INT) RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM pet WHERE owner = who);
    CREATE VIEW a_busy AS SELECT * FROM b_counted WHERE pets > 1;
";

const MORE: &str = "
    DELIMITER //
    CREATE TRIGGER told AFTER INSERT ON pet FOR EACH ROW BEGIN INSERT INTO log VALUES (5, 'a pet'); END //
    CREATE PROCEDURE adopt(who INT) BEGIN INSERT INTO pet (owner) VALUES (who); SELECT COUNT(*) FROM pet; END //
    CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM log //
    DELIMITER ;
";

struct World {
    mysql: Throwaway,
    _directory: TempDir,
}

fn settings(directory: &Path) -> Settings {
    Settings { memory: None, directory: directory.to_owned(), ..Settings::default() }
}

async fn order(mysql: &Throwaway) -> BuildOrder {
    match mysql.prepare(wanted(1, RUN)).await.unwrap() {
        Prepared::Build(order) => order,
        other => panic!("{other:?}"),
    }
}

impl World {
    async fn empty() -> Self {
        let directory = directory();
        let mysql = mysql::start(settings(directory.path())).await.unwrap();
        Self { mysql, _directory: directory }
    }

    /// With a template of everything that a schema may have.
    async fn new() -> Self {
        let world = Self::empty().await;
        let order = order(&world.mysql).await;
        // A view whose name comes before that of the view it reads.
        let views = "CREATE VIEW b_counted AS SELECT name, pets_of(id) AS pets FROM owner;\nCREATE VIEW a_busy";
        let mut child = client(&order.url).stdin(Stdio::piped()).spawn().unwrap();
        let script = SCHEMA.replace("CREATE VIEW a_busy", views) + MORE;
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(world.mysql.built(order.id, Ok(())).await, "{:?}", world.mysql.prepare(wanted(2, RUN)).await);
        world
    }

    async fn lease(&self, level: Level) -> Leased {
        self.mysql.lease(ask(level, 1)).await.unwrap()
    }

    async fn release(&self, leased: &Leased) -> Released {
        self.mysql.release(leased.id).await.unwrap()
    }

    /// Leases, runs statements over one connection, closes it, and releases.
    async fn run(&self, level: Level, statements: &str) -> (Leased, Released) {
        let leased = self.lease(level).await;
        let _ = client(&leased.url).args(["--force", "-e", statements]).output().unwrap();
        let released = self.release(&leased).await;
        (leased, released)
    }
}

const WRITING: [Level; 3] = [Level::Transaction, Level::Isolated, Level::Exclusive];

#[tokio::test(flavor = "multi_thread")]
async fn each_level_finds_the_whole_template_and_may_do_what_it_is_for() {
    let world = World::new().await;
    for level in [Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive] {
        let leased = world.lease(level).await;
        let url = &leased.url;
        let ask = |statements| run(url, statements);
        assert_eq!(ask("SELECT loud FROM owner ORDER BY id").unwrap(), "ANN\nBOB", "{level:?}");
        assert_eq!(ask("SELECT what FROM log PARTITION (low)").unwrap(), "begin; and -- more");
        assert_eq!(ask("SELECT name FROM a_busy").unwrap(), "bob", "{level:?}");
        let wrote = ask("INSERT INTO pet (owner) VALUES (1)");
        let global = ask("SET GLOBAL max_connections = 99");
        if level == Level::Read {
            assert!(wrote.unwrap_err().contains("1142"));
        } else {
            wrote.unwrap();
            assert_eq!(
                ask("SELECT MAX(id) FROM pet; SELECT COUNT(*) FROM log WHERE at = 5").unwrap(),
                "4\n1",
                "{level:?}"
            );
            assert!(ask("INSERT INTO pet (owner) VALUES (77)").unwrap_err().contains("of_owner"), "{level:?}");
            assert_eq!(ask("CALL adopt(2)").unwrap(), "5");
            assert_eq!(ask("SELECT NEXTVAL(ticket)").unwrap(), "7", "{level:?}");
            assert!(ask("SHOW EVENTS").unwrap().contains("nightly"));
            ask("CREATE TABLE more (id INT); DROP TABLE more").unwrap();
        }
        assert_eq!(global.is_ok(), level == Level::Exclusive, "{global:?}");
        let variable = |name: &str| leased.variables.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
        let parts = ["MYSQL_USER", "MYSQL_PWD", "MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_DATABASE"];
        let [user, password, host, port, database] = parts.map(|name| variable(name).unwrap());
        assert_eq!(leased.url, format!("mysql://{user}:{password}@{host}:{port}/{database}"));
        assert_eq!(variable("DATABASE_URL"), Some(&*leased.url));
        world.release(&leased).await;
    }
    let nothing = world.lease(Level::None).await;
    assert!(nothing.url.is_empty());
    assert_eq!(world.release(&nothing).await.level, Level::None);
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_test_did_is_seen_whatever_it_declared() {
    let world = World::new().await;
    let (on, out) = (Fate::HandedOn, Fate::Replaced);
    for (statements, level, fate) in [
        ("SELECT * FROM owner; SELECT pets_of(1)", Level::Read, on),
        ("BEGIN; INSERT INTO owner (name) VALUES ('x'); ROLLBACK", Level::Transaction, on),
        ("DELETE FROM pet WHERE id = 99", Level::Transaction, on),
        ("CREATE TEMPORARY TABLE t (id INT); INSERT INTO t VALUES (1)", Level::Transaction, on),
        ("INSERT INTO owner (name) VALUES ('x')", Level::Isolated, out),
        ("BEGIN; CREATE TABLE t (id INT); ROLLBACK", Level::Isolated, out),
        ("CREATE TABLE t (id INT) ENGINE = MyISAM; BEGIN; INSERT INTO t VALUES (1); ROLLBACK", Level::Isolated, out),
        ("BEGIN; SELECT NEXTVAL(ticket); ROLLBACK", Level::Isolated, out),
        ("XA START 'one'; DELETE FROM log; XA END 'one'; XA PREPARE 'one'", Level::Isolated, out),
        ("SET PASSWORD = PASSWORD('other')", Level::Isolated, out),
        ("ANALYZE TABLE owner", Level::Isolated, out),
        ("SET GLOBAL max_connections = 99", Level::Exclusive, on),
        ("CREATE DATABASE another", Level::Exclusive, on),
        ("SELECT * FROM mysql.global_priv", Level::Exclusive, on),
        ("INSERT INTO owner (name) VALUES ('x'); FLUSH TABLES", Level::Exclusive, out),
    ] {
        let (_, told) = world.run(Level::Isolated, statements).await;
        assert_eq!((told.level, told.fate), (level, fate), "{statements}: {told:?}");
        assert_eq!(told.denied, level == Level::Exclusive, "{statements}: {told:?}");
        assert_eq!(told.evidence.confidence(), Confidence::Full, "{told:?}");
        assert_eq!(told.evidence.sessions, 1, "{told:?}");
    }
    let (_, told) = world.run(Level::Isolated, "UPDATE pet SET owner = 1 WHERE id = 2").await;
    assert_eq!(told.statements, ["UPDATE pet SET owner = 1 WHERE id = 2"]);
    assert_eq!(told.evidence.relations, ["pet"]);
    let idle = world.lease(Level::Isolated).await;
    let told = world.release(&idle).await;
    assert_eq!((told.level, told.fate), (Level::None, Fate::HandedOn), "nobody connected: {told:?}");
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_lease_is_judged_as_any_other_however_many_end_meanwhile() {
    let world = World::new().await;
    let long = world.lease(Level::Transaction).await;
    let mut session = Session::open(&long.url);
    assert_eq!(session.ask("BEGIN; DELETE FROM pet; ROLLBACK; SELECT 1").as_deref(), Some("1"));
    for _ in 0..510 {
        let short = world.lease(Level::Read).await;
        assert_eq!(world.release(&short).await.level, Level::None);
    }
    drop(session);
    let told = world.release(&long).await;
    assert_eq!((told.level, told.evidence.sessions, told.evidence.rows), (Level::Transaction, 1, 3), "{told:?}");
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_database_is_handed_on_to_another_user_and_a_dirty_one_is_not() {
    let world = World::new().await;
    let rolled_back = "BEGIN; INSERT INTO owner (name) VALUES ('x'); INSERT INTO pet (owner) VALUES (1); ROLLBACK";
    let (first, told) = world.run(Level::Transaction, rolled_back).await;
    assert_eq!(told.fate, Fate::HandedOn, "{told:?}");
    let shut_out = run(&first.url, "SELECT 1").unwrap_err();
    assert!(shut_out.contains("Access denied"), "the old user is gone: {shut_out}");
    let mut met = false;
    let mut dirtied = BTreeSet::new();
    for _ in 0..12 {
        let next = world.lease(Level::Isolated).await;
        met |= next.database == first.database;
        assert!(!dirtied.contains(&next.database), "a dirty database was handed on");
        let numbers = run(&next.url, "INSERT INTO pet (owner) VALUES (1); SELECT MAX(id), COUNT(*) FROM pet").unwrap();
        assert_eq!(numbers, "4\t4", "numbers go on from where the template's end");
        dirtied.insert(next.database.clone());
        assert_eq!(world.release(&next).await.fate, Fate::Replaced);
    }
    assert!(met, "the clean one went to somebody");
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_finds_nothing_after_the_release() {
    let world = World::new().await;
    for level in [Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive] {
        let leased = world.lease(level).await;
        let mut zombie = Session::open(&leased.url);
        assert_eq!(zombie.ask("SELECT COUNT(*) FROM owner").as_deref(), Some("2"));
        if level > Level::Read {
            zombie.ask("BEGIN; UPDATE owner SET name = 'z'; SELECT 1").unwrap();
        }
        let told = world.release(&leased).await;
        assert!(!told.leaks.is_empty() && told.evidence.facts.has(Fact::Leaked), "{level:?}: {told:?}");
        assert_ne!(told.fate, Fate::HandedOn);
        assert_eq!(zombie.ask("SELECT 2"), None, "{level:?}: it was ended");
        run(&leased.url, "SELECT 1").expect_err("and does not come back");
    }
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leases_never_share_nor_see_what_one_of_them_may_change() {
    let world = World::new().await;
    let mut leases = Vec::new();
    for level in WRITING.into_iter().cycle().take(9) {
        leases.push((level, world.lease(level).await));
    }
    leases.push((Level::Read, world.lease(Level::Read).await));
    let places: BTreeSet<(&str, &str)> = leases
        .iter()
        .map(|(_, leased)| (leased.url.rsplit_once(':').unwrap().1.split('/').next().unwrap(), &*leased.database))
        .collect();
    assert_eq!(places.len(), 10);
    for (at, (level, leased)) in leases.iter().enumerate() {
        let own = &leased.database;
        let there = run(&leased.url, "SHOW DATABASES LIKE 'rg%'").unwrap();
        assert_eq!(there, *own, "it sees no other");
        for (_, other) in leases.iter().filter(|(_, other)| other.database != *own) {
            let told = run(&leased.url, &format!("SELECT * FROM {}.owner", other.database));
            told.expect_err("it reads no other");
        }
        if *level > Level::Read {
            run(&leased.url, &format!("UPDATE owner SET name = 'mine {at}'")).unwrap();
        }
    }
    for (at, (level, leased)) in leases.iter().enumerate() {
        let want = if *level == Level::Read { "ann".to_owned() } else { format!("mine {at}") };
        assert_eq!(run(&leased.url, "SELECT name FROM owner WHERE id = 1").unwrap(), want);
    }
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_wants_to_write_is_seen_and_harms_no_other() {
    let world = World::new().await;
    let (one, other) = (world.lease(Level::Read).await, world.lease(Level::Read).await);
    assert_eq!(one.database, other.database, "readers share");
    run(&one.url, "DELETE FROM pet").unwrap_err();
    let told = world.release(&one).await;
    assert!(told.denied && told.level == Level::Transaction && told.fate == Fate::Kept, "{told:?}");
    assert_eq!(run(&other.url, "SELECT COUNT(*) FROM pet").unwrap(), "3");
    let told = world.release(&other).await;
    assert!(!told.denied && told.level == Level::Read, "{told:?}");
    let idle = world.lease(Level::Read).await;
    assert_eq!(world.release(&idle).await.level, Level::None);
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_exclusive_test_did_to_its_server_is_seen_and_goes_with_it() {
    let world = World::new().await;
    for (statements, fact) in [
        ("SET GLOBAL max_connections = 99", Some(Fact::Settings)),
        ("CREATE USER somebody", Some(Fact::SharedCatalog)),
        ("CREATE DATABASE another; CREATE TABLE another.t (id INT)", Some(Fact::SharedCatalog)),
        ("FLUSH TABLES", Some(Fact::ServerStatement)),
        ("DROP USER root@localhost", Some(Fact::SharedCatalog)),
        ("INSERT INTO owner (name) VALUES ('x')", Some(Fact::Committed)),
        ("SELECT * FROM mysql.user", None),
    ] {
        let (leased, told) = world.run(Level::Exclusive, statements).await;
        assert!(fact.is_none_or(|fact| told.evidence.facts.has(fact)), "{statements}: {told:?}");
        assert_eq!(told.fate, Fate::Destroyed, "{statements}");
        until("it is gone", async || run(&leased.url, "SELECT 1").is_err()).await;
    }
    let (_, told) = world.run(Level::Exclusive, "SHUTDOWN").await;
    assert_eq!((told.level, told.fate), (Level::Exclusive, Fate::Lost), "{told:?}");
    let (_, told) = world.run(Level::Isolated, "SELECT 1").await;
    assert_eq!(told.fate, Fate::HandedOn, "nobody else noticed");
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_ends_every_lease_of_its_token_and_refuses_new_ones() {
    let world = World::new().await;
    let mut fenced = Vec::new();
    for level in [Level::Read, Level::Transaction, Level::Exclusive] {
        let leased = world.mysql.lease(ask(level, 7)).await.unwrap();
        let mut session = Session::open(&leased.url);
        assert_eq!(session.ask("SELECT 1").as_deref(), Some("1"));
        fenced.push((leased, session));
    }
    let other = world.mysql.lease(ask(Level::Isolated, 8)).await.unwrap();
    world.mysql.fence(Token(7));
    assert_eq!(world.mysql.lease(ask(Level::None, 7)).await.unwrap_err(), Refused::Fenced);
    for (leased, session) in &mut fenced {
        until("its session is ended", || std::future::ready(session.ask("SELECT 1").is_none())).await;
        let (one, two) = tokio::join!(world.release(leased), world.release(leased));
        assert_ne!(one.fate, Fate::HandedOn);
        assert_eq!(one.evidence, two.evidence, "told twice, it is the same");
        run(&leased.url, "SELECT 1").expect_err("it is shut out");
    }
    assert_eq!(run(&other.url, "SELECT COUNT(*) FROM pet").unwrap(), "3");
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_builds_the_others_wait_and_a_fenced_builder_hands_over() {
    let world = World::empty().await;
    assert_eq!(world.mysql.lease(ask(Level::Read, 1)).await.unwrap_err(), Refused::NotReady);
    let first = order(&world.mysql).await;
    assert!(matches!(world.mysql.prepare(wanted(2, RUN)).await.unwrap(), Prepared::Building(_)));
    world.mysql.fence(Token(1));
    until("its server is gone", async || run(&first.url, "SELECT 1").is_err()).await;
    let Prepared::Build(second) = world.mysql.prepare(wanted(2, RUN)).await.unwrap() else { panic!("not handed over") };
    assert!(!world.mysql.built(first.id, Ok(())).await, "nobody listens to the first any more");
    assert!(!world.mysql.built(second.id, Err("no seed".to_owned())).await);
    match world.mysql.prepare(wanted(3, RUN)).await.unwrap() {
        Prepared::Failed { log, told } => assert_eq!((&*log, told), ("no seed", false)),
        other => panic!("{other:?}"),
    }
    world.mysql.retry(TEMPLATE);
    let Prepared::Build(third) = world.mysql.prepare(wanted(3, RunId::from_bits(2))).await.unwrap() else {
        panic!("not tried again")
    };
    assert!(world.mysql.built(third.id, Ok(())).await);
    assert!(matches!(world.mysql.prepare(wanted(4, RUN)).await.unwrap(), Prepared::Ready));
    let empty = world.mysql.lease(ask(Level::Isolated, 4)).await.unwrap();
    assert_eq!(run(&empty.url, "SHOW TABLES").unwrap(), "");
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_cannot_be_made_twice_is_refused_when_it_is_built() {
    let world = World::empty().await;
    let order = order(&world.mysql).await;
    run(&order.url, "CREATE TABLE t (id INT); CREATE VIEW v AS SELECT * FROM t; DROP TABLE t").unwrap();
    assert!(!world.mysql.built(order.id, Ok(())).await);
    match world.mysql.prepare(wanted(2, RUN)).await.unwrap() {
        Prepared::Failed { log, .. } => {
            assert!(log.contains("cannot be made a second time") && log.contains('t'), "{log}")
        }
        other => panic!("{other:?}"),
    }
    world.mysql.shutdown().await;
}

fn servers(home: &Path) -> Vec<nix::unistd::Pid> {
    let is_server = |line: &str| line.contains("my.cnf") && !line.contains("/bin/sh");
    processes(home).into_iter().filter(|(_, line)| is_server(line)).map(|(pid, _)| pid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_replaced_and_its_leases_are_lost() {
    let world = World::new().await;
    let leased = world.lease(Level::Transaction).await;
    for pid in servers(&world.mysql.directory()) {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    until("it is gone", async || run(&leased.url, "SELECT 1").is_err()).await;
    assert_eq!(world.release(&leased).await.fate, Fate::Lost);
    until("the next is served", async || {
        let Ok(leased) = world.mysql.lease(ask(Level::Isolated, 1)).await else { return false };
        let lives = run(&leased.url, "SELECT COUNT(*) FROM pet");
        world.release(&leased).await;
        lives.is_ok_and(|count| count == "3")
    })
    .await;
    world.mysql.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_leaves_no_process_and_no_file() {
    let world = World::new().await;
    let home = world.mysql.directory();
    for level in [Level::Read, Level::Transaction, Level::Exclusive] {
        world.lease(level).await;
    }
    assert!(!processes(&home).is_empty());
    world.mysql.shutdown().await;
    assert_eq!(world.mysql.lease(ask(Level::Read, 1)).await.unwrap_err(), Refused::Closing);
    drop(world);
    until("everything is gone", async || !home.exists() && processes(&home).is_empty()).await;
}

/// Not a claim of its own: the process that the next two kill.
#[tokio::test(flavor = "multi_thread")]
async fn hold() {
    let Some(directory) = std::env::var_os(HOLD) else { return };
    let mysql = mysql::start(settings(Path::new(&directory))).await.unwrap();
    let order = order(&mysql).await;
    assert!(mysql.built(order.id, Ok(())).await);
    mysql.lease(ask(Level::Exclusive, 1)).await.unwrap();
    mysql.lease(ask(Level::Read, 1)).await.unwrap();
    println!("home={}", mysql.directory().display());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_owner_is_killed_no_server_and_no_directory_stays() {
    let directory = directory();
    let (mut owner, home) = holder("mysql::hold", directory.path());
    assert!(servers(&home).len() >= 2, "{:?}", processes(&home));
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("everything is gone", async || !home.exists() && processes(&home).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_survives_owner_and_guards_is_removed_at_the_next_start() {
    let directory = directory();
    let (mut owner, home) = holder("mysql::hold", directory.path());
    // Everything that would clean up is killed first.
    for (pid, line) in processes(&home) {
        if line.contains("/bin/sh") {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(home.exists() && !processes(&home).is_empty(), "servers run on without anybody");
    let next = mysql::start(settings(directory.path())).await.unwrap();
    assert!(!home.exists());
    until("its servers are gone", async || processes(&home).is_empty()).await;
    next.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_mariadb_is_told_where_was_looked_and_what_to_do() {
    let directory = directory();
    let programs = Some(directory.path().join("nowhere"));
    let error = mysql::start(Settings { programs, ..settings(directory.path()) }).await.unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("Install"), "{error}");
}
