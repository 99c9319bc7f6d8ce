//! Ends of every kind: of a server, of the engine, of the process without a word.

use crate::world::{World, connect, directory, number, settings, state, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regatta_databases::{Fate, Postgres};
use regatta_domain::Level;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Processes that name `path` on their command line.
fn processes(path: &Path) -> Vec<(Pid, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&*path.to_string_lossy()) {
            found.push((Pid::from_raw(pid), line));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_replaced_and_its_leases_are_lost() {
    let world = World::own().await;
    let held = world.lease(Level::Transaction).await;
    let client = connect(&held.url).await.unwrap();
    let server = world.postgres.status().templates[0].server.unwrap();
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
    until("another serves", async || world.postgres.status().templates[0].server.is_some_and(|pid| pid != server))
        .await;
    let told = world.release(&held).await;
    assert_eq!(told.level, Level::Isolated, "nobody knows what it did: {told:?}");
    assert!(client.batch_execute("SELECT 1").await.is_err() && connect(&held.url).await.is_err());
    let next = world.lease(Level::Transaction).await;
    let client = connect(&next.url).await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM accounts").await, 20);
    drop(client);
    assert_eq!(world.release(&next).await.fate, Fate::HandedOn);
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_ends_its_own_server_harms_nobody() {
    let world = World::own().await;
    let held = world.lease(Level::Exclusive).await;
    let client = connect(&held.url).await.unwrap();
    let _ = client
        .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        .await;
    let _ = client.batch_execute("COPY (SELECT 1) TO PROGRAM 'kill -9 $(head -1 postmaster.pid)'").await;
    let told = world.release(&held).await;
    assert_eq!(told.fate, Fate::Destroyed, "{told:?}");
    let next = world.lease(Level::Exclusive).await;
    connect(&next.url).await.unwrap();
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_leaves_no_process_and_no_file() {
    let world = World::own().await;
    let home = world.postgres.directory().unwrap();
    for level in [Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive] {
        world.lease(level).await;
    }
    assert!(!processes(&home).is_empty());
    world.postgres.shutdown().await;
    assert!(!home.exists());
    until("only the keeper may linger", async || processes(&home).iter().all(|(_, line)| line.contains("keeper")))
        .await;
    drop(world);
    until("and then it goes, too", async || processes(&home).is_empty()).await;
}

/// The variable that makes [`hold`] hold: where.
const HOLD: &str = "REGATTA_TEST_HOLD";

/// Not a claim of its own: the process that the next two kill.
#[tokio::test(flavor = "multi_thread")]
async fn hold() {
    let Some(directory) = std::env::var_os(HOLD) else { return };
    let postgres = Postgres::start(settings(Path::new(&directory))).await.unwrap();
    let prepared = postgres.prepare(crate::world::wanted(
        crate::world::TEMPLATE,
        regatta_databases::Place::Shared,
        1,
        crate::world::RUN,
    ));
    let regatta_databases::Prepared::Build(order) = prepared.await.unwrap() else { panic!("nothing to build") };
    assert!(postgres.built(order.id, Ok(())).await);
    postgres.lease(crate::world::ask(Level::Exclusive, 1)).await.unwrap();
    println!("home={}", postgres.directory().unwrap().display());
    std::future::pending::<()>().await;
}

/// A process that holds an engine under `directory`, and the directory of its servers.
fn holder(directory: &Path) -> (Child, std::path::PathBuf) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "survive::hold", "--nocapture", "--test-threads=1"])
        .env(HOLD, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let home = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("home=").map(|(_, home)| home.into()))
        .expect("the holder says where it is");
    (child, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_owner_is_killed_no_server_and_no_directory_stays() {
    let directory = directory();
    let (mut owner, home) = holder(directory.path());
    assert!(processes(&home).iter().any(|(_, line)| line.contains("/postgres ")), "{:?}", processes(&home));
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("everything is gone", async || !home.exists() && processes(&home).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_survives_owner_and_guards_is_removed_at_the_next_start() {
    let directory = directory();
    let (mut owner, home) = holder(directory.path());
    // Everything that would clean up is killed first.
    for (pid, line) in processes(&home) {
        if line.contains("/bin/sh") {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(home.exists() && !processes(&home).is_empty(), "servers run on without anybody");
    let next = Postgres::start(settings(directory.path())).await.unwrap();
    assert!(!home.exists());
    until("its servers are gone", async || processes(&home).is_empty()).await;
    next.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_is_not_the_doing_of_the_test_that_met_it() {
    let world = World::own().await;
    for level in [Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive] {
        let leased = world.lease(level).await;
        let client = connect(&leased.url).await.unwrap();
        let no_room =
            "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: no space left' USING ERRCODE = '53100'; END $$";
        assert_eq!(state(client.batch_execute(no_room).await), "53100");
        drop(client);
        let told = world.release(&leased).await;
        assert_eq!(told.fate, Fate::Lost, "{level:?}: {told:?}");
        let next = world.lease(level).await;
        assert_ne!(next.database, leased.database, "{level:?}: it is not handed on");
        world.release(&next).await;
    }
    world.postgres.shutdown().await;
}
