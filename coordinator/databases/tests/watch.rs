//! What tests did to a real database, told from outside: a hundred scripted tests, each with its true level.

#[path = "watch/scripts.rs"]
mod scripts;
#[path = "watch/server.rs"]
mod server;

use regatta_databases::watch::{Seen, Watch};
use regatta_domain::{Confidence, Level};
use scripts::{SCRIPTS, Script, TEMPLATE};
use server::{Server, Session, left, oid};
use std::collections::BTreeMap;
use tokio_postgres::Client;

const LEVELS: [Level; 5] = [Level::None, Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive];

/// A server with a template, somebody who owns databases (`lessee`), somebody who may do everything (`chief`), and a
/// session that administers.
async fn prepared(more: &[&str]) -> (Server, Session) {
    let server = Server::start(more).await;
    let admin = server.connect("postgres").await;
    run(&admin.client, "CREATE ROLE lessee LOGIN").await;
    run(&admin.client, "CREATE ROLE chief LOGIN SUPERUSER").await;
    run(&admin.client, "CREATE DATABASE seeded OWNER lessee").await;
    let template = server.connect_as("lessee", "seeded").await;
    run(&template.client, TEMPLATE).await;
    template.close().await;
    let template = server.connect("seeded").await;
    run(&template.client, "VACUUM (FREEZE, ANALYZE)").await;
    template.close().await;
    left(&admin.client, "seeded").await;
    (server, admin)
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Makes a clone of the template, and says its oid.
async fn cloned(admin: &Client, name: &str) -> u32 {
    run(admin, &format!("CREATE DATABASE {name} TEMPLATE seeded OWNER lessee STRATEGY FILE_COPY")).await;
    oid(admin, name).await
}

/// Runs the steps of a script in a database, one after the other, and closes all of its sessions.
async fn play(server: &Server, role: &str, script: &Script, own: &str) {
    let mut sessions: BTreeMap<&str, Session> = BTreeMap::new();
    for (session, sql) in script.steps {
        let sql = sql.replace("{own}", own).replace("{dir}", &server.path(""));
        if *session == "psql" {
            server.psql(role, own, &sql).await;
            continue;
        }
        if !sessions.contains_key(session) {
            let database = session.split_once('@').map_or(own, |(_, database)| database);
            sessions.insert(session, server.connect_as(role, database).await);
        }
        let fails = sql.starts_with('!');
        let outcome = sessions[session].client.batch_execute(sql.trim_start_matches('!')).await;
        assert_eq!(outcome.is_err(), fails, "{}: {sql}: {outcome:?}", script.name);
    }
    for session in sessions.into_values() {
        session.close().await;
    }
}

/// What is seen of a script that runs on a clone of its own.
async fn observed(server: &Server, admin: &Client, watch: &Watch, role: &str, script: &Script, own: &str) -> Seen {
    let database = cloned(admin, own).await;
    let mark = watch.mark(database).await.expect("a database can be marked");
    play(server, role, script, own).await;
    left(admin, own).await;
    let seen = watch.since(&mark).await.expect("a database can be judged");
    watch.forget(database);
    run(admin, &format!("DROP DATABASE {own}")).await;
    seen
}

/// True and seen levels of scripts, counted.
#[derive(Default)]
struct Confusion {
    counts: BTreeMap<(Level, Level), usize>,
    weaker: Vec<String>,
    stronger: Vec<String>,
}

impl Confusion {
    fn add(&mut self, script: &Script, seen: &Seen) {
        let level = seen.evidence.level();
        *self.counts.entry((script.level, level)).or_default() += 1;
        let line = format!("{}: {:?}, seen as {level:?}: {}", script.name, script.level, seen.evidence);
        match level.cmp(&script.level) {
            std::cmp::Ordering::Less => self.weaker.push(line),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.stronger.push(line),
        }
    }

    fn print(&self, title: &str) {
        println!(
            "{title}\n{:>12} {}",
            "truth, seen",
            LEVELS.map(|level| format!("{:>12}", format!("{level:?}"))).concat()
        );
        for truth in LEVELS {
            let row = LEVELS.map(|level| format!("{:>12}", self.counts.get(&(truth, level)).copied().unwrap_or(0)));
            println!("{:>12} {}", format!("{truth:?}"), row.concat());
        }
        for line in self.weaker.iter().chain(&self.stronger) {
            println!("  {line}");
        }
    }
}

#[tokio::test]
async fn no_test_is_judged_weaker_than_it_is_on_a_server_of_its_own() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), true).await.expect("the server can be watched");
    assert_eq!(watch.abilities().missing(), [""; 0]);
    let mut confusion = Confusion::default();
    for (number, script) in SCRIPTS.iter().enumerate() {
        let seen = observed(&server, &admin.client, &watch, "chief", script, &format!("own_{number}")).await;
        assert_eq!(seen.evidence.confidence(), Confidence::Full, "{}", script.name);
        confusion.add(script, &seen);
    }
    confusion.print("alone on a server");
    assert!(SCRIPTS.len() >= 45);
    assert_eq!(confusion.weaker, [""; 0]);
    assert!(confusion.stronger.len() <= 2, "{:#?}", confusion.stronger);
}
