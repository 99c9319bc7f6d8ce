//! Templates: built once, by one; failures told; versions side by side; the oldest go.

use crate::world::{RUN, SCHEMA, TEMPLATE, World, ask, connect, number, until, wanted};
use regatta_databases::{BuildOrder, Place, Prepared, Refused};
use regatta_domain::{Digest, Level, RunId, Token};

async fn order(world: &World, token: u64) -> BuildOrder {
    match world.postgres.prepare(wanted(TEMPLATE, Place::Shared, token, RUN)).await.unwrap() {
        Prepared::Build(order) => order,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_builders_one_builds_and_the_other_waits_for_it() {
    let world = World::empty(|_| {}).await;
    let order = order(&world, 1).await;
    let Prepared::Building(building) = world.postgres.prepare(wanted(TEMPLATE, Place::Shared, 2, RUN)).await.unwrap()
    else {
        panic!("two build the same");
    };
    assert_eq!(world.try_lease(Level::Isolated, 2).await.unwrap_err(), Refused::NotReady);
    connect(&order.url).await.unwrap().batch_execute(SCHEMA).await.unwrap();
    let (built, ()) = tokio::join!(world.postgres.built(order.id, Ok(())), building.ended());
    assert!(built);
    let again = world.postgres.prepare(wanted(TEMPLATE, Place::Shared, 2, RUN)).await.unwrap();
    assert!(matches!(again, Prepared::Ready));
    world.lease(Level::Isolated).await;
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_that_is_fenced_hands_the_build_to_the_next() {
    let world = World::empty(|_| {}).await;
    let first = order(&world, 1).await;
    let zombie = connect(&first.url).await.unwrap();
    world.postgres.fence(Token(1));
    let second = order(&world, 2).await;
    assert_ne!(first.url, second.url);
    until("the place of the first is gone", async || zombie.batch_execute("SELECT 1").await.is_err()).await;
    connect(&second.url).await.unwrap().batch_execute(SCHEMA).await.unwrap();
    assert!(!world.postgres.built(first.id, Ok(())).await, "nobody listens to the first any more");
    assert!(world.postgres.built(second.id, Ok(())).await);
    world.try_lease(Level::Transaction, 2).await.unwrap();
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_build_tells_its_log_once_to_each_run() {
    let world = World::empty(|_| {}).await;
    let order = order(&world, 1).await;
    assert!(!world.postgres.built(order.id, Err("no such column: nmae".to_owned())).await);
    let other = RunId::from_bits(2);
    for (run, want) in [(RUN, false), (RUN, true), (other, false), (other, true)] {
        match world.postgres.prepare(wanted(TEMPLATE, Place::Shared, 3, run)).await.unwrap() {
            Prepared::Failed { log, told } => {
                assert!(log.contains("nmae"));
                assert_eq!(told, want);
            }
            other => panic!("{other:?}"),
        }
    }
    world.postgres.retry(TEMPLATE);
    world.build(TEMPLATE, SCHEMA).await;
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_cannot_be_verified_is_refused_with_what_to_do() {
    let world = World::empty(|_| {}).await;
    let order = order(&world, 1).await;
    connect(&order.url).await.unwrap().batch_execute("CREATE UNLOGGED TABLE fast (id int)").await.unwrap();
    assert!(!world.postgres.built(order.id, Ok(())).await);
    let said = world.postgres.prepare(wanted(TEMPLATE, Place::Shared, 1, RUN)).await.unwrap();
    let Prepared::Failed { log, .. } = said else { panic!("{said:?}") };
    assert!(log.contains("fast") && log.contains("SET LOGGED"), "{log}");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_migration_sets_for_its_database_holds_in_every_clone() {
    let world = World::empty(|_| {}).await;
    let order = order(&world, 1).await;
    let client = connect(&order.url).await.unwrap();
    let database = order.url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
    client
        .batch_execute(&format!(
            "CREATE SCHEMA app; CREATE TABLE app.things (id int); INSERT INTO app.things VALUES (1); CREATE EXTENSION citext; \
             ALTER DATABASE {database} SET search_path TO app, public; ALTER DATABASE {database} SET timezone TO 'Asia/Tokyo'"
        ))
        .await
        .unwrap();
    drop(client);
    assert!(world.postgres.built(order.id, Ok(())).await);
    for level in [Level::Read, Level::Isolated, Level::Exclusive] {
        let leased = world.lease(level).await;
        let client = connect(&leased.url).await.unwrap();
        assert_eq!(number(&client, "SELECT count(*) FROM things").await, 1, "{level:?}");
        let zone: String = client.query_one("SHOW timezone", &[]).await.unwrap().get(0);
        assert_eq!(zone, "Asia/Tokyo", "{level:?}");
    }
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_stand_side_by_side_and_the_oldest_that_nobody_uses_goes() {
    let world = World::with(|settings| settings.templates = 2).await;
    let held = world.lease(Level::Isolated).await;
    let versions = [Digest([2; 32]), Digest([3; 32])];
    for (at, version) in versions.into_iter().enumerate() {
        world.build(version, &format!("CREATE TABLE version AS SELECT {at}::int8 AS at")).await;
        let mut asked = ask(Level::Isolated, 1);
        asked.template = version;
        let leased = world.postgres.lease(asked).await.unwrap();
        let client = connect(&leased.url).await.unwrap();
        assert_eq!(number(&client, "SELECT at FROM version").await, at as i64);
        drop(client);
        world.release(&leased).await;
    }
    // The oldest is in use, so the one after it went.
    let left: Vec<Digest> = world.postgres.status().templates.iter().map(|one| one.template).collect();
    assert!(left.contains(&TEMPLATE) && left.contains(&versions[1]) && left.len() == 2, "{left:?}");
    connect(&held.url).await.unwrap().batch_execute("SELECT 1").await.unwrap();
    world.postgres.shutdown().await;
}
