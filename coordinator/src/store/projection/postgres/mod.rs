//! The projection in a PostgreSQL database: in its schema `regatta`, beside the journal.
//!
//! Several coordinators share the database, and the one that leads writes: it takes the tables over when it opens them, and a
//! write of a leader before it is refused in its own transaction ([`Error::Deposed`]). Rows are written by kind, all rows of a
//! kind at once, in one transaction with the cursor.
//!
//! Statements are not prepared: each is parsed with its parameters and planned for them, so that a pooler between is no
//! trouble, and no plan outlives the size of the tables that it was made for.

mod fence;
mod learn;
mod link;
mod names;
mod parts;
mod prune;
mod read;
mod recall;
mod refused;
mod rows;
mod write;

pub use link::Patience;

use super::Keep;
use crate::store::Error;
use crate::store::postgres::{self, Server};
use link::Link;
use refused::Refused;
use std::borrow::Cow;
use tokio::runtime::Handle;
use tokio_postgres::Client;

/// The tables of the projection, by version.
const TABLES: postgres::Tables =
    postgres::Tables { kind: "projection", steps: &[include_str!("version_1.sql"), include_str!("version_2.sql")] };

/// Opens the projection, creates it where there is none, and takes it over for the leader of an epoch.
pub(super) fn open(
    leader: (&Server, u64),
    keep: Keep,
    patience: Patience,
    handle: Handle,
) -> Result<(write::Tables, read::Tables), Error> {
    let link = Link::new(leader, patience, handle);
    let server = link.server().clone();
    link.read(move |client| {
        let server = server.clone();
        Box::pin(async move { migrate(&server, client).await })
    })?;
    Ok((write::Tables::take_over(link.clone(), keep)?, read::Tables::new(link)))
}

/// Brings the tables to the version of this program.
async fn migrate(server: &Server, client: &mut Client) -> Result<(), Refused> {
    let encoding: String = client.query_typed_one("SHOW server_encoding", &[]).await?.try_get(0)?;
    if encoding != "UTF8" {
        let why = format!(
            "it is in {encoding}, in which not every name can be written; create one in UTF-8 \
             (createdb --encoding UTF8 --template template0)"
        );
        return Err(Refused::Unfit(why));
    }
    let migrated = postgres::migrate(server, client, &TABLES).await;
    migrated.map(drop).map_err(|error| Refused::Told(error.into()))
}

/// A text as PostgreSQL can keep it: all but NUL, for which its picture stands. Names are looked up by the same picture.
fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{2400}").into() } else { text.into() }
}

/// A column of rows that are written at once.
fn column<'a, R, T>(rows: &'a [R], of: impl FnMut(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// The numbers of rows that are written at once, one row after the other.
///
/// A server reads a number from a place in an array in a tenth of the time that it takes to unnest a column: what has many
/// numbers is sent so, and only what has no fixed size is unnested.
fn numbers<R, const N: usize>(rows: &[R], of: impl Fn(&R) -> [i64; N]) -> Vec<i64> {
    rows.iter().flat_map(of).collect()
}

/// The code of a closed enum, as a column keeps it.
fn code(code: i32) -> i16 {
    i16::try_from(code).expect("the wire's enums are small")
}

/// A write that has passed the fence and goes no further, as one whose process stands still.
#[cfg(test)]
pub(super) async fn half_a_write(server: &Server) -> Client {
    let mut client = server.connect().await.unwrap();
    let transaction = fence::begin(&mut client).await.unwrap();
    let (fence, _) = fence::Fence::take(&transaction, 1).await.unwrap();
    fence.pass(&transaction, None).await.unwrap();
    // Not rolled back: it is not known that it will not be heard of again.
    std::mem::forget(transaction);
    client
}

/// Writes rows, and then once more, as one who was not told that they are there.
#[cfg(test)]
pub(super) async fn write_unanswered(server: &Server, rows: &[super::Row]) {
    let mut client = server.connect().await.unwrap();
    let transaction = fence::begin(&mut client).await.unwrap();
    let (fence, _) = fence::Fence::take(&transaction, 1).await.unwrap();
    transaction.commit().await.unwrap();
    for _ in 0..2 {
        write::write(&mut client, rows, 1, (fence, Keep::LOCAL, 0)).await.unwrap();
    }
}

/// How many versions of the tables there have been.
#[cfg(test)]
pub(super) const VERSIONS: usize = TABLES.steps.len();

/// Brings the tables to a version, as the program of its time did.
#[cfg(test)]
pub(super) async fn migrate_to(server: &Server, version: usize) {
    let mut client = server.connect().await.unwrap();
    let of_its_time = postgres::Tables { kind: TABLES.kind, steps: &TABLES.steps[..version] };
    postgres::migrate(server, &mut client, &of_its_time).await.unwrap();
}
