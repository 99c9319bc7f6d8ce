//! What leases must not leave to those that come after them: work that was done once already, and a memory that grows.

use crate::world::{TEMPLATE, World, connect, number, until};
use regatta_domain::Level;
use tokio_postgres::{Client, NoTls};

impl World {
    async fn admin(&self) -> Client {
        let shelf = self.postgres.shelf(TEMPLATE).unwrap();
        let (client, connection) = shelf.admin.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_session_in_a_clone_finds_the_catalogs_described() {
    let world = World::own().await;
    let (admin, leased) = (world.admin().await, world.lease(Level::Isolated).await);
    let described = format!(
        "SELECT coalesce((pg_stat_file('base/' || oid || '/pg_internal.init', true)).size, 0) \
         FROM pg_database WHERE datname = '{}'",
        leased.database
    );
    assert!(number(&admin, &described).await > 0, "nobody has been in it yet");
    world.release(&leased).await;
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_remember_the_statements_of_all_who_ever_read() {
    let world = World::own().await;
    let admin = world.admin().await;
    let read = async || {
        let leased = world.lease(Level::Read).await;
        connect(&leased.url).await.unwrap().batch_execute("SELECT count(*) FROM accounts").await.unwrap();
        world.release(&leased).await;
    };
    let remembered = "SELECT count(*) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
                      WHERE d.datname = current_setting('regatta.shared')";
    let shared = world.postgres.shelf(TEMPLATE).unwrap().reading;
    admin.batch_execute(&format!("SET regatta.shared = '{shared}'")).await.unwrap();
    for _ in 0..80 {
        read().await;
    }
    until("fewer are remembered than have read", async || {
        read().await;
        number(&admin, remembered).await < 70
    })
    .await;
    world.postgres.shutdown().await;
}
