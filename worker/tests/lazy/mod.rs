//! Databases on first use: ports before a real PostgreSQL server, with the coordinator's part played by the test.

mod server;

use super::stage::databases::{later, never};
use super::stage::{Stage, Told};
use super::{database, suite};
use regatta_domain::database::Per;
use regatta_domain::evidence::{Confidence, Evidence};
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Level, Outcome, RunnerKind, TestIx};
use regatta_worker::runner::{Control, Tell, Work};
use server::{ROLES, Server, programs};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before it is certain that it does not come.
const LIMIT: Duration = Duration::from_secs(60);

/// A suite of lines for the shell whose databases are leased on first use.
struct Scene {
    root: TempDir,
    stage: Stage,
}

impl Scene {
    /// What is behind the ports is the database of `role`.
    async fn new(server: &Server, role: &str) -> Self {
        Self::of(Per::Test, server.url(role)).await
    }

    async fn of(per: Per, url: String) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let settings = r#"{"command": ["sh", "-c", "eval {id}"], "tests": ["true"]}"#;
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", programs().display());
        let dir = root.path().to_str().expect("text");
        let env = [("PATH", path.as_str()), ("DIR", dir)];
        let mut planned = database(per, &[]);
        planned.lazy = true;
        let stage = Stage::try_open_with(vec![planned], 1, RunnerKind::Exec, root.path(), settings, &env).await;
        let mut stage = stage.expect("the settings make sense");
        stage.level = Level::Isolated;
        stage.databases.book().variables =
            vec![("DATABASE_URL".to_owned(), url.clone()), ("REGATTA_DATABASE_APP_URL".to_owned(), url)];
        Self { root, stage }
    }

    /// What these lines print, all of which go well.
    async fn print(&mut self, lines: &[&str]) -> Vec<String> {
        let told = self.stage.run(&suite(), lines).await;
        assert!(told.errors.is_empty(), "{told:#?}");
        lines
            .iter()
            .map(|line| {
                assert_eq!(told.of(line).outcome, Outcome::Passed, "{line}: {}", told.output(line));
                told.output(line).trim_end().to_owned()
            })
            .collect()
    }

    /// Runs a test that waits at its begin, while `attack` does something to the port that it was handed.
    async fn besiege(&mut self, then: &str, attack: impl FnOnce(&Port) + Send + 'static) -> Told {
        let line = format!("env > $DIR/env.new; mv $DIR/env.new $DIR/env; {WAIT}; {then}");
        let dir = self.root.path().to_owned();
        let attacking = tokio::task::spawn_blocking(move || {
            until("the test", || dir.join("env").exists());
            attack(&Port::read(&dir.join("env")));
            std::fs::write(dir.join("go"), "").expect("it may be written");
        });
        let told = self.stage.run(&suite(), &[&line]).await;
        attacking.await.expect("it goes as it should");
        told
    }
}

const WAIT: &str = "while ! test -e $DIR/go; do sleep 0.02; done";

/// What a test was told of its port.
struct Port {
    port: u16,
    password: String,
}

impl Port {
    fn read(env: &Path) -> Self {
        let text = std::fs::read_to_string(env).expect("it was written");
        let env: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        Self { port: env["PGPORT"].parse().expect("a number"), password: env["PGPASSWORD"].to_owned() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        stream
    }

    /// Says `bytes`; everything that is answered, until the port hangs up.
    fn says(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("it is heard");
        let mut heard = Vec::new();
        match stream.read_to_end(&mut heard) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => heard,
        }
    }

    /// Asks for a session, and gives a password; what is answered after the request for it.
    fn enters(&self, user: &str, password: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(&startup(196_608, &format!("user\0{user}\0\0"))).expect("it is heard");
        let mut asked = [0; 9];
        stream.read_exact(&mut asked).expect("it asks for a password");
        assert_eq!(asked, [b'R', 0, 0, 0, 8, 0, 0, 0, 3]);
        let length = u32::try_from(password.len() + 5).expect("it is short").to_be_bytes();
        let said = [&b"p"[..], &length, password.as_bytes(), &[0]].concat();
        stream.write_all(&said).expect("it is heard");
        stream
    }
}

fn startup(version: u32, parameters: &str) -> Vec<u8> {
    let length = u32::try_from(parameters.len() + 8).expect("it is short").to_be_bytes();
    [&length[..], &version.to_be_bytes(), parameters.as_bytes()].concat()
}

/// The code of an error.
fn code(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let fields: Vec<&str> = text.strip_prefix('E')?.split('\0').collect();
    fields.iter().find_map(|field| field.strip_prefix('C')).filter(|code| code.len() == 5).map(str::to_owned)
}

#[track_caller]
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < LIMIT, "{what} did not come");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn whoever_connects_to_nothing_is_handed_nothing_and_that_is_certain() {
    let mut scene = Scene::of(Per::Test, "postgresql://a:b@127.0.0.1:1/c".to_owned()).await;
    let lines = ["echo $PGPORT", "test $REGATTA_DATABASE_APP_URL = $DATABASE_URL", "echo $REGATTA_LEVEL $PGAPPNAME"];
    let told = scene.stage.run(&suite(), &lines).await;
    for line in lines {
        told.check(line, Outcome::Passed, "");
        let seen = told.of(line).observation.as_ref().expect("it was looked at");
        assert_eq!((seen.leased, seen.seen, seen.lost), (Level::Isolated, Level::None, false));
        assert_eq!(Evidence::decode(seen.evidence).confidence(), Confidence::Full);
    }
    assert_eq!(told.output(lines[2]), "isolated regatta:00000000:1:2:1\n");
    assert!(scene.stage.databases.check().is_empty(), "nobody was asked");
    let port: u16 = told.output(lines[0]).trim().parse().expect("a number");
    let refused = TcpStream::connect(("127.0.0.1", port)).expect_err("its test has ended");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_test_without_a_level_has_no_port() {
    let mut scene = Scene::of(Per::Test, String::new()).await;
    scene.stage.level = Level::None;
    assert_eq!(scene.print(&["echo ${DATABASE_URL-none} ${PGPORT-none}"]).await, ["none none"]);
}

#[tokio::test]
async fn what_a_server_asks_of_its_roles_is_answered_for_the_test() {
    let server = Server::start();
    for (role, _) in ROLES {
        let mut scene = Scene::new(&server, role).await;
        let who = "psql -XAtc 'SELECT current_user, current_database()'";
        let name = "PGAPPNAME=mine psql -XAtc 'SHOW application_name'";
        let url = "PGHOST=nowhere psql -XAt \"$DATABASE_URL\" -c 'SELECT 1'";
        let tls = "PGSSLMODE=prefer PGGSSENCMODE=prefer psql -XAtc 'SELECT 2'";
        let options = "PGOPTIONS='-c work_mem=123kB' psql -XAtc 'SHOW work_mem'";
        let printed = scene.print(&[who, name, url, tls, options]).await;
        assert_eq!(printed, [format!("{role}|{role}"), "mine".into(), "1".into(), "2".into(), "123kB".into()]);
        assert_eq!(scene.stage.databases.check().len(), 10, "five leases, and no more than were used");
    }
}

#[tokio::test]
async fn what_goes_by_goes_by_unchanged() {
    let server = Server::start();
    let mut scene = Scene::new(&server, "scrammer").await;
    let copied = "psql -XAtq -c 'CREATE TABLE t (n int)' -c \"COPY t FROM PROGRAM 'true'\" 2>&1 | grep -c superuser; \
                  seq 100000 | psql -XAtq -c 'COPY t FROM STDIN' && \
                  psql -XAtq -c 'COPY t TO STDOUT' | cksum && seq 100000 | cksum";
    let large = "psql -XAtq -c \"SELECT repeat('x', 1000000), n FROM generate_series(1, 20) AS n\" | wc -c";
    let listens = "psql -XAtq -c 'LISTEN c' -c \"NOTIFY c, 'heard'\" | grep -o '\"heard\"'";
    let prepared = "printf 'PREPARE p (int) AS SELECT $1 * 2;\\nEXECUTE p (21);\\n' | psql -XAtq";
    let session = "psql -XAtq -c 'CREATE ROLE made LOGIN PASSWORD $$own$$' -c 'CREATE DATABASE other' && \
                   PGUSER=made PGPASSWORD=own PGDATABASE=other psql -XAtc 'SELECT current_user, current_database()' && \
                   PGUSER=made PGPASSWORD=wrong psql -XAtc 'SELECT 1' 2>&1 | grep -c 'password authentication failed'; \
                   psql -XAtq -c 'DROP DATABASE other' -c 'DROP ROLE made'";
    let printed = scene.print(&[copied, large, listens, prepared, session]).await;
    let lines: Vec<&str> = printed[0].lines().collect();
    assert_eq!((lines[0], lines[1]), ("1", lines[2]), "what was copied in comes out: {lines:?}");
    assert_eq!(printed[1], (20 * 1_000_000 + 20 + 9 * 2 + 11 * 3).to_string());
    assert_eq!(printed[2..], ["\"heard\"", "42", "made|other\n1"]);
}

#[tokio::test]
async fn what_was_seen_on_the_way_goes_back_with_the_lease() {
    let server = Server::start();
    let mut scene = Scene::new(&server, "scrammer").await;
    let line = "psql -XAtq -c 'CREATE TABLE seen (n int)' -c 'INSERT INTO seen VALUES (1)' -c 'BEGIN' -c 'DELETE FROM seen' \
                -c 'ROLLBACK' -c 'SELECT * FROM nowhere' 2> /dev/null; psql -XAtq -c 'UPDATE seen SET n = 2 WHERE n = 3'";
    scene.print(&[line]).await;
    let book = scene.stage.databases.book();
    let [seen] = &book.traffic[..] else { panic!("{book:#?}") };
    assert_eq!((&*seen.resource, seen.sessions, seen.peak, seen.is_whole), ("app", 2, 1, true), "{seen:?}");
    assert_eq!((seen.committed, seen.rolled_back, &seen.errors[..]), (2, 1, &["42P01".to_owned()][..]), "{seen:?}");
    assert_eq!(seen.statements.len(), 7, "{seen:?}");
    assert_eq!(seen.statements[1], "INSERT INTO seen VALUES (1)");
}

#[tokio::test]
async fn what_a_session_does_can_be_cancelled() {
    let server = Server::start();
    let mut scene = Scene::new(&server, "scrammer").await;
    // SIGINT makes psql send the request.
    let line = "psql -XAtc 'SELECT pg_sleep(100)' > $DIR/said 2>&1 & pid=$!; \
                until psql -XAtc \"SELECT query FROM pg_stat_activity WHERE state = 'active'\" | grep -q 'pg_sleep(100)'; do :; done; \
                kill -INT $pid; wait $pid; grep -o 'canceling statement due to user request' $DIR/said";
    assert_eq!(scene.print(&[line]).await, ["canceling statement due to user request"]);
}

#[tokio::test]
async fn a_connection_waits_while_there_is_no_database() {
    let server = Server::start();
    let mut scene = Scene::new(&server, "scrammer").await;
    scene.stage.databases.book().script.extend([later(), later(), later(), later()]);
    assert_eq!(scene.print(&["psql -XAtc 'SELECT 1'"]).await, ["1"]);
    assert_eq!(scene.stage.databases.check().len(), 6);
}

#[tokio::test]
async fn who_waits_in_vain_is_not_to_blame() {
    let mut scene = Scene::of(Per::Test, String::new()).await;
    scene.stage.databases.book().withheld = vec![0];
    let line = "PGCONNECT_TIMEOUT=2 psql -XAtc 'SELECT 1'";
    let databases = std::sync::Arc::clone(&scene.stage.databases);
    let dir = scene.root.path().to_owned();
    // What is on its way is heard, so that it can be given back.
    let line = format!("{line}; echo > $DIR/over; exit 1");
    let letting = tokio::task::spawn_blocking(move || {
        until("the end of the test", || dir.join("over").exists());
        databases.let_go();
    });
    let told = scene.stage.run(&suite(), &[&line]).await;
    letting.await.expect("it goes as it should");
    assert_eq!(told.of(&line).outcome, Outcome::Failed);
    let seen = told.of(&line).observation.as_ref().expect("it was looked at");
    assert!(seen.lost, "{seen:?}");
    scene.stage.databases.check();
}

#[tokio::test]
async fn a_shard_without_databases_ends_with_the_reason() {
    let mut scene = Scene::of(Per::Test, String::new()).await;
    scene.stage.databases.book().script.push_back(never("the schema is broken"));
    let line = "psql -XAtc 'SELECT 1' 2>&1; exit 1";
    let told = scene.stage.run(&suite(), &[line, "echo 1", "echo 2", "echo 3"]).await;
    assert!(told.output(line).contains("there is no database for this test: the schema is broken"), "{told:#?}");
    assert!(told.of(line).observation.as_ref().is_some_and(|seen| seen.lost));
    let [error] = &told.errors[..] else { panic!("{told:#?}") };
    assert_eq!((error.kind, &*error.message), (RunErrorKind::Build, "the schema is broken"));
    assert!(told.finished.len() < 4, "what comes later is not begun: {told:#?}");
    scene.stage.databases.check();
}

#[tokio::test]
async fn another_engine_is_told_of() {
    let mut scene = Scene::of(Per::Test, "redis://:a@127.0.0.1:1/0".to_owned()).await;
    let line = "psql -XAtc 'SELECT 1' 2>&1; exit 1";
    let told = scene.stage.run(&suite(), &[line]).await;
    let why = "`app` is no PostgreSQL server, and only databases of those are leased on first use: leave out `lazy`";
    assert!(told.output(line).contains(why), "{told:#?}");
    assert_eq!(&*told.errors[0].message, why);
    assert_eq!(scene.stage.databases.check().len(), 2, "what was handed out goes back");
}

#[tokio::test]
async fn nobody_without_the_password_gets_as_far_as_a_lease() {
    let mut scene = Scene::of(Per::Test, String::new()).await;
    let told = scene
        .besiege("true", |port| {
            assert_eq!(port.says(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), b"", "no protocol of ours");
            assert_eq!(port.says(&[0, 0, 0, 4]), b"", "too short for anything");
            assert_eq!(port.says(&[0xff; 64]), b"", "too long for anything");
            assert_eq!(code(&port.says(&startup(131_072, "user\0a\0\0"))).as_deref(), Some("0A000"));
            assert_eq!(code(&port.says(&startup(196_608, "user\0a"))).as_deref(), Some("08P01"));
            assert_eq!(code(&port.says(&startup(196_608, "database\0a\0\0"))).as_deref(), Some("28000"));
            let many = [startup(80_877_103, ""), startup(80_877_104, ""), startup(80_877_103, "")].concat();
            assert_eq!(port.says(&many), b"NNN", "nobody asks for TLS for ever");
            assert_eq!(port.says(&startup(80_877_102, "\0\0\0\u{1}\0\0\0\u{2}")), b"", "there is nothing to cancel");
            drop(port.connect());
            for (user, password) in [("regatta", "wrong"), ("regatta", ""), ("postgres", &port.password)] {
                let mut heard = Vec::new();
                port.enters(user, password).read_to_end(&mut heard).expect("it is told");
                assert_eq!(code(&heard).as_deref(), Some("28P01"), "{user} {password}");
            }
            // Whoever says nothing, or stops in the middle, is in nobody's way, and is not waited for for ever.
            let mut quiet: Vec<TcpStream> = (0..8).map(|_| port.connect()).collect();
            quiet[0].write_all(&startup(196_608, "user\0regatta\0\0")).expect("it is heard");
            for mut stream in quiet {
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).expect("the port hangs up");
                assert!(heard.is_empty() || heard.len() == 9, "{heard:?}");
            }
        })
        .await;
    let (_, finished) = &told.finished[0];
    assert_eq!(finished.outcome, Outcome::Passed, "{told:#?}");
    assert_eq!(finished.observation.as_ref().map(|seen| (seen.seen, seen.lost)), Some((Level::None, false)));
    assert!(scene.stage.databases.check().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn of_many_connections_at_once_those_are_let_in_that_a_lease_allows() {
    let server = Server::start();
    let mut scene = Scene::new(&server, "scrammer").await;
    let told = scene
        .besiege("true", |port| {
            let streams: Vec<TcpStream> = (0..50).map(|_| port.enters("regatta", &port.password)).collect();
            let mut first = [0; 1];
            let (mut inside, mut outside) = (Vec::new(), 0);
            for mut stream in streams {
                stream.read_exact(&mut first).expect("each is answered");
                match first[0] {
                    b'R' => inside.push(stream),
                    b'E' => outside += 1,
                    other => panic!("{other}"),
                }
            }
            assert_eq!((inside.len(), outside), (20, 30));
            // Where one goes, another one comes.
            inside.pop();
            port.enters("regatta", &port.password).read_exact(&mut first).expect("it is answered");
            assert_eq!(first, *b"R");
        })
        .await;
    assert_eq!(told.finished[0].1.outcome, Outcome::Passed, "{told:#?}");
    assert_eq!(scene.stage.databases.check().len(), 2, "all of them have one lease");
}

#[tokio::test]
async fn a_server_that_is_away_is_named_and_its_sessions_are_cut() {
    let mut server = Server::start();
    let mut scene = Scene::new(&server, "scrammer").await;
    let line = "(echo 'SELECT 1;'; echo '\\! echo > $DIR/in'; echo \"\\\\! until test -e $DIR/cut; do sleep 0.02; done\"; \
                echo 'SELECT 2;') | psql -XAtq 2>&1; psql -XAtc 'SELECT 3' 2>&1; exit 1";
    let dir = scene.root.path().to_owned();
    let cutting = tokio::task::spawn_blocking(move || {
        until("the session", || dir.join("in").exists());
        server.end();
        std::fs::write(dir.join("cut"), "").expect("it may be written");
    });
    let told = scene.stage.run(&suite(), &[line]).await;
    cutting.await.expect("it goes as it should");
    let said = told.output(line);
    assert!(
        said.starts_with("1\n") && !said.contains("\n2\n") && said.contains("the database server at 127.0.0.1:"),
        "{said}"
    );
    assert!(told.of(line).observation.as_ref().is_some_and(|seen| seen.lost), "{told:#?}");
    scene.stage.databases.check();
}

#[tokio::test]
async fn all_tests_of_a_shard_may_share_a_port() {
    let server = Server::start();
    let mut scene = Scene::of(Per::Shard, server.url("scrammer")).await;
    let lines = ["echo $PGPORT", "psql -XAtc 'SELECT 1' > /dev/null; echo $PGPORT", "echo $PGPORT; :"];
    let printed = scene.print(&lines).await;
    assert!(printed[0] == printed[1] && printed[1] == printed[2], "{printed:?}");
    assert_eq!(scene.stage.databases.check().len(), 2, "one lease, since one of them connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_test_leaves_neither_port_nor_lease() {
    let server = Server::start();
    let mut scene = Scene::new(&server, "scrammer").await;
    // The session idles: a server that works notices that nobody waits for it when it is done.
    let line = "tail -f /dev/null | psql -XAtq";
    let file = scene.stage.file(&suite(), Some(&[line]));
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'scrammer'";
    let stop = |tell: &Tell| {
        matches!(tell, Tell::Started { test: TestIx(0), .. }).then(|| {
            until("the session", || server.sql(sessions) == "1");
            Control::Stop { kill: true }
        })
    };
    let told = scene.stage.work(Work::Files(vec![file]), stop).await;
    assert!(told.finished.is_empty(), "{told:#?}");
    assert_eq!(scene.stage.databases.check().len(), 2);
    until("the end of the session", || server.sql(sessions) == "0");
}
