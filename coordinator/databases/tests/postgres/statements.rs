//! What tests ask of their databases, counted: exactly, for each by itself, and not at all unless somebody wants to know.

use crate::outside::Outside;
use crate::world::{SCHEMA, TEMPLATE, World, ask, connect, elsewhere};
use regatta_databases::{Account, Ask, Fate, Leased, Released};
use regatta_domain::database::Asked;
use regatta_domain::{Level, Micros};
use std::collections::BTreeSet;

impl World {
    async fn counting(&self, level: Level) -> Leased {
        self.postgres.lease(Ask { statements: true, ..ask(level, 1) }).await.unwrap()
    }

    /// What is told of a lease under which these statements were sent, one by one.
    async fn asked(&self, level: Level, statements: &[&str]) -> Released {
        let leased = self.counting(level).await;
        let client = connect(&leased.url).await.unwrap();
        for statement in statements {
            client.batch_execute(statement).await.unwrap();
        }
        drop(client);
        self.release(&leased).await
    }
}

fn whole(released: &Released) -> &Asked {
    match &released.account {
        Account::Told { asked, is_whole: true } => asked,
        other => panic!("{other:?}"),
    }
}

fn calls(asked: &Asked, part: &str) -> u64 {
    asked.top.iter().filter(|one| one.text.contains(part)).map(|one| one.calls).sum()
}

const LOOK: &str = "SELECT balance FROM accounts WHERE id = 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_is_handed_on_counts_for_each_holder_from_nothing() {
    let world = World::own().await;
    for times in [3, 7, 1, 5] {
        let mut statements = vec!["BEGIN"];
        statements.extend(vec!["UPDATE accounts SET balance = balance + 1 WHERE id < 4"; times]);
        statements.push("ROLLBACK");
        let told = world.asked(Level::Transaction, &statements).await;
        assert_eq!(told.fate, Fate::HandedOn, "{told:?}");
        let asked = whole(&told);
        assert_eq!(asked.calls, times as u64 + 2, "{asked:?}");
        assert_eq!(calls(asked, "UPDATE"), times as u64);
        let update = asked.top.iter().find(|one| one.text.contains("UPDATE")).unwrap();
        assert_eq!(update.rows, 3 * times as u64);
        assert_eq!(&*update.text, "UPDATE accounts SET balance = balance + $1 WHERE id < $2");
    }
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_one_database_are_told_apart() {
    let world = World::own().await;
    let (one, two) = (world.counting(Level::Read).await, world.counting(Level::Read).await);
    assert_eq!(one.database, two.database);
    let (first, second) = (connect(&one.url).await.unwrap(), connect(&two.url).await.unwrap());
    for at in 0..12 {
        first.batch_execute(LOOK).await.unwrap();
        if at % 3 == 0 {
            second.batch_execute(LOOK).await.unwrap();
        }
    }
    drop(first);
    assert_eq!(whole(&world.release(&one).await).calls, 12);
    second.batch_execute(LOOK).await.unwrap();
    drop(second);
    assert_eq!(whole(&world.release(&two).await).calls, 5);
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_server_counts_in_all_the_databases_that_the_test_made() {
    let world = World::own().await;
    let leased = world.counting(Level::Exclusive).await;
    let client = connect(&leased.url).await.unwrap();
    client.batch_execute("CREATE DATABASE mine").await.unwrap();
    let inside = connect(&elsewhere(&leased.url, "mine")).await.unwrap();
    for _ in 0..4 {
        inside.batch_execute("SELECT 42 AS answer").await.unwrap();
    }
    drop((client, inside));
    let told = world.release(&leased).await;
    let asked = whole(&told);
    assert_eq!((asked.calls, calls(asked, "answer"), calls(asked, "CREATE DATABASE")), (5, 4, 1), "{asked:?}");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_server_that_is_handed_on_counts_for_each_holder_from_nothing() {
    let world = World::own().await;
    let commit = "UPDATE accounts SET balance = balance + 1 WHERE id < 4";
    let mut fates = BTreeSet::new();
    for (statement, times) in [(LOOK, 4), (LOOK, 2), (commit, 5), (LOOK, 3), (commit, 1), (LOOK, 6)] {
        let told = world.asked(Level::Exclusive, &vec![statement; times]).await;
        let asked = whole(&told);
        assert_eq!((asked.calls, asked.top.len()), (times as u64, 1), "{asked:?}");
        fates.insert(format!("{:?}", told.fate));
    }
    assert!(fates.contains("HandedOn") && fates.contains("Replaced"), "nothing was proven: {fates:?}");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_statement_comes_first_and_what_a_function_ran_is_counted_once() {
    let world = World::own().await;
    let statements = ["SELECT pg_sleep(0.03)", LOOK, "SELECT pay(1, 2)", "SELECT pay(2, 3)"];
    let told = world.asked(Level::Isolated, &statements).await;
    let asked = whole(&told);
    assert_eq!(asked.calls, 4, "{asked:?}");
    assert_eq!(&*asked.top[0].text, "SELECT pg_sleep($1)");
    assert!(asked.top[0].time >= Micros::from_ms(30) && asked.time >= asked.top[0].time, "{asked:?}");
    assert_eq!(calls(asked, "INSERT INTO ledger"), 2, "it ran inside `pay`: {asked:?}");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_where_nobody_wants_to_know_and_nothing_is_asked_by_who_does_not_connect() {
    let world = World::own().await;
    let (_, told) = world.run(Level::Transaction, LOOK).await;
    assert_eq!(told.account, Account::Unwanted);
    for level in [Level::Read, Level::Transaction, Level::Exclusive] {
        let told = world.release(&world.counting(level).await).await;
        assert_eq!(*whole(&told), Asked::default(), "{level:?}");
    }
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_were_dropped_for_want_of_room_are_told() {
    let world = World::own().await;
    // More than the ten thousand that the server remembers, each of its own.
    let flood = "DO $$ BEGIN FOR n IN 1..10500 LOOP EXECUTE 'SET regatta.flood = ' || n; END LOOP; END $$";
    let told = world.asked(Level::Isolated, &[flood, LOOK]).await;
    match &told.account {
        Account::Told { asked, is_whole: false } => assert!(asked.calls <= 2, "{asked:?}"),
        other => panic!("{other:?}"),
    }
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_count_statements_says_what_it_lacks() {
    let outside = Outside::start(&[]).await;
    let world = World::beside(&outside.url(), |_| {}).await;
    world.build(TEMPLATE, SCHEMA).await;
    let told = world.asked(Level::Transaction, &[LOOK]).await;
    match &told.account {
        Account::Unseen(why) => assert!(why.contains("shared_preload_libraries"), "{why}"),
        other => panic!("{other:?}"),
    }
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_server_that_counts_them_does_so_for_each_lease() {
    let settings = ["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track=all"];
    let outside = Outside::start(&settings).await;
    let world = World::beside(&outside.url(), |_| {}).await;
    world.build(TEMPLATE, SCHEMA).await;
    for times in [2, 6] {
        for level in [Level::Read, Level::Transaction] {
            let told = world.asked(level, &vec![LOOK; times]).await;
            assert_eq!(whole(&told).calls, times as u64, "{level:?}: {:?}", told.account);
        }
    }
    world.postgres.shutdown().await;
}
