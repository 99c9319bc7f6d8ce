//! The journal in PostgreSQL: one row a commit, written by whoever leads and by nobody else.
//!
//! A task of its own writes. What gathered while it waited for the server goes into one statement, which checks the leader's
//! epoch as it writes. A server that is away for a while is waited for; whether what was under way then was written is looked up
//! before anything is written again.

use super::{Base, Batch, Commit, Durable, Journal, READ_BYTES, Reader, encode, follow_one_another};
use crate::store::Error;
use crate::store::postgres::{Asking, Line, Server, Tables, Trouble, migrate};
use regatta_domain::{RunId, Token};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

const TABLES: Tables = Tables {
    kind: "journal",
    steps: &["
        CREATE TABLE regatta.commits (seq bigint PRIMARY KEY, epoch bigint NOT NULL, body bytea NOT NULL, sum bytea NOT NULL);
        CREATE TABLE regatta.requests (run bytea PRIMARY KEY, seq bigint NOT NULL, body bytea NOT NULL);
        CREATE TABLE regatta.base (
            one boolean PRIMARY KEY DEFAULT true CHECK (one), seq bigint NOT NULL, token bigint NOT NULL
        );
        INSERT INTO regatta.base VALUES (true, 0, 0);
    "],
};

/// A commit must outlive the power: what a server does by default, unless it was told otherwise.
const GREETING: &str = "SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";

/// Orders that are taken from the line at once.
const TOGETHER: usize = 64;

/// The journal in PostgreSQL.
pub struct PostgresJournal {
    server: Server,
    patience: Duration,
    last: u64,
    base: Base,
    /// Bounded by what the driver has in line.
    line: mpsc::UnboundedSender<Order>,
    durable: watch::Receiver<Durable>,
    runtime: Handle,
}

/// What the task is to do.
enum Order {
    Append(u64, Batch),
    Trim(Base, Vec<RunId>),
    Settle(SyncSender<()>),
}

impl PostgresJournal {
    /// Opens the journal of whoever leads since `epoch`, and creates its tables where there are none. A server that goes away
    /// later is waited for as long as `patience`.
    ///
    /// # Errors
    /// When the server refuses, or a newer version made the tables.
    pub async fn open(server: &Server, epoch: u64, patience: Duration) -> Result<Self, Error> {
        let mut line = Line::new(server.clone(), patience, GREETING);
        migrate(server, line.client().await?, &TABLES).await?;
        let find =
            "SELECT base.seq, base.token, greatest(base.seq, (SELECT max(seq) FROM regatta.commits)) FROM regatta.base";
        let row = line.client().await?.query_one(find, &[]).await.map_err(|error| server.sorted(error))?;
        let number = |at| row.get::<_, i64>(at).cast_unsigned();
        let base = Base { seq: number(0), token: Token(number(1)) };
        let last = number(2);
        let (orders, taken) = mpsc::unbounded_channel();
        let (tell, durable) = watch::channel(Durable { seq: last, refused: None });
        let writer = Writer { line, epoch: epoch.cast_signed(), durable: tell };
        drop(tokio::spawn(writer.follow(taken)));
        let runtime = Handle::current();
        Ok(Self { server: server.clone(), patience, last, base, line: orders, durable, runtime })
    }

    /// A task that is gone has refused before, and whoever asks hears of that.
    fn order(&self, order: Order) {
        let _gone = self.line.send(order);
    }
}

impl Journal for PostgresJournal {
    fn append(&mut self, batch: Batch) -> u64 {
        self.last += 1;
        self.order(Order::Append(self.last, batch));
        self.last
    }

    fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.clone()
    }

    fn base(&self) -> Base {
        self.base
    }

    fn trim(&mut self, base: Base, live: Vec<RunId>) {
        self.base = base;
        self.order(Order::Trim(base, live));
    }

    fn settle(&mut self) -> Result<(), Arc<Error>> {
        let (done, settled) = sync_channel(1);
        self.order(Order::Settle(done));
        // An end without an answer is a refusal, which is told.
        let _refused = settled.recv();
        self.durable.borrow().refused.clone().map_or(Ok(()), Err)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        let _on_runtime = self.runtime.enter();
        let asking = Asking::patiently(self.server.clone(), self.patience);
        Ok(Box::new(View { asking, name: self.server.to_string().into() }))
    }
}

/// The task that writes.
struct Writer {
    line: Line,
    epoch: i64,
    durable: watch::Sender<Durable>,
}

impl Writer {
    /// Does what stands in line, until the line ends or the store refuses.
    async fn follow(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut taken = Vec::with_capacity(TOGETHER);
        while orders.recv_many(&mut taken, TOGETHER).await > 0 {
            // What is not done stays here until the refusal is told: whoever waits for it reads that next.
            taken.reverse();
            if let Err(error) = self.take(&mut taken).await {
                self.durable.send_modify(|durable| durable.refused = Some(Arc::new(error)));
                return;
            }
        }
    }

    async fn take(&mut self, orders: &mut Vec<Order>) -> Result<(), Error> {
        let mut rows = Rows::default();
        while let Some(order) = orders.pop() {
            match order {
                Order::Append(seq, batch) => rows.add(seq, batch),
                Order::Trim(base, live) => {
                    self.append(std::mem::take(&mut rows)).await?;
                    self.trim(base, live).await?;
                }
                Order::Settle(done) => {
                    let rows = std::mem::take(&mut rows);
                    if let Err(error) = self.append(rows).await {
                        orders.push(Order::Settle(done));
                        return Err(error);
                    }
                    // Whoever asked may have gone away.
                    let _gone = done.send(());
                }
            }
        }
        self.append(rows).await
    }

    /// Makes commits durable: all of them, or none.
    async fn append(&mut self, rows: Rows) -> Result<(), Error> {
        let (Some(&first), Some(&last)) = (rows.seqs.first(), rows.seqs.last()) else { return Ok(()) };
        let mut absence = None;
        loop {
            // After a failure nobody knows whether it was written.
            let tried = match &absence {
                Some(_) if self.was_written(&rows, first).await? => Ok(()),
                _ => self.write(&rows).await,
            };
            match tried {
                Ok(()) => break,
                Err(error) => self.line.after(error, &mut absence).await?,
            }
        }
        self.line.back(absence);
        self.durable.send_modify(|durable| durable.seq = last.cast_unsigned());
        Ok(())
    }

    async fn write(&mut self, rows: &Rows) -> Result<(), Error> {
        // One that comes late, after it was written again and dropped, must not stand below the base.
        let append = "
            WITH led AS (
                SELECT 1 FROM regatta.leader, regatta.base WHERE epoch = $1 AND base.seq < ($2::bigint[])[1] FOR SHARE
            ),
            said AS (
                INSERT INTO regatta.requests (run, seq, body)
                SELECT run, seq, body FROM led, unnest($5::bytea[], $6::bigint[], $7::bytea[]) AS said (run, seq, body)
                ON CONFLICT (run) DO UPDATE SET seq = excluded.seq, body = excluded.body
            )
            INSERT INTO regatta.commits (seq, epoch, body, sum)
            SELECT seq, $1, body, sum FROM led, unnest($2::bigint[], $3::bytea[], $4::bytea[]) AS made (seq, body, sum)";
        let server = self.line.server().clone();
        let client = self.line.client().await?;
        let written = async {
            let append = client.prepare(append).await?;
            let Rows { seqs, bodies, sums, runs, of, requests } = rows;
            client.execute(&append, &[&self.epoch, seqs, bodies, sums, runs, of, requests]).await
        };
        let written = server.heard(client, written).await.map_err(may_be_ours)?;
        if written == 0 { Err(self.deposed()) } else { Ok(()) }
    }

    /// Whether rows of which nobody knows are there. Others in their place are a later leader's.
    async fn was_written(&mut self, rows: &Rows, first: i64) -> Result<bool, Error> {
        let mut absence = None;
        let found = loop {
            match self.sums_from(first).await {
                Ok(found) => break found,
                Err(error) => self.line.after(error, &mut absence).await?,
            }
        };
        match found.as_slice() {
            [] => Ok(false),
            found if *found == *rows.sums => Ok(true),
            _ => Err(self.deposed()),
        }
    }

    async fn sums_from(&mut self, first: i64) -> Result<Vec<Vec<u8>>, Error> {
        let server = self.line.server().clone();
        let find = "SELECT sum FROM regatta.commits WHERE seq >= $1 ORDER BY seq";
        let client = self.line.client().await?;
        let rows = server.heard(client, client.query(find, &[&first])).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Done twice it is done once, so that a failure needs no looking up.
    async fn trim(&mut self, base: Base, live: Vec<RunId>) -> Result<(), Error> {
        let live: Vec<Vec<u8>> = live.iter().map(|run| run.0.as_bytes().to_vec()).collect();
        let mut absence = None;
        while let Err(error) = self.cut(base, &live).await {
            self.line.after(error, &mut absence).await?;
        }
        self.line.back(absence);
        Ok(())
    }

    /// One that comes late must not move the base back.
    async fn cut(&mut self, base: Base, live: &Vec<Vec<u8>>) -> Result<(), Error> {
        let cut = "
            WITH led AS (SELECT 1 FROM regatta.leader WHERE epoch = $1 FOR SHARE),
            commits AS (DELETE FROM regatta.commits USING led WHERE seq <= $2),
            requests AS (DELETE FROM regatta.requests USING led WHERE seq <= $2 AND run <> ALL ($4::bytea[]))
            UPDATE regatta.base SET seq = $2, token = $3 FROM led WHERE (base.seq, base.token) <= ($2, $3)";
        let server = self.line.server().clone();
        let parameters = (base.seq.cast_signed(), base.token.0.cast_signed());
        let client = self.line.client().await?;
        let parameters: [&(dyn ToSql + Sync); 4] = [&self.epoch, &parameters.0, &parameters.1, live];
        if server.heard(client, client.execute(cut, &parameters)).await? == 0 { Err(self.deposed()) } else { Ok(()) }
    }

    fn deposed(&self) -> Error {
        Error::Deposed { server: self.line.server().to_string().into(), epoch: self.epoch.cast_unsigned() }
    }
}

/// A commit that is there already may be one of these: a try of which nothing was heard was still under way when it was looked up.
/// Looked up again, it is told apart.
fn may_be_ours(error: Error) -> Error {
    match error {
        Error::Server { server, source, .. } if source.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            Error::Server { server, trouble: Trouble::Conflict, source }
        }
        error => error,
    }
}

/// Commits as they are written, column by column.
#[derive(Default)]
struct Rows {
    seqs: Vec<i64>,
    bodies: Vec<Vec<u8>>,
    sums: Vec<Vec<u8>>,
    runs: Vec<Vec<u8>>,
    /// The commits with which those runs began.
    of: Vec<i64>,
    requests: Vec<Vec<u8>>,
}

impl Rows {
    fn add(&mut self, seq: u64, batch: Batch) {
        let body = encode::encode(batch.at, &batch.events);
        self.sums.push(encode::sum(seq, &body).to_vec());
        self.bodies.push(body);
        self.seqs.push(seq.cast_signed());
        for (run, body) in batch.requests {
            self.runs.push(run.0.as_bytes().to_vec());
            self.of.push(seq.cast_signed());
            self.requests.push(body);
        }
    }
}

/// A view for threads.
struct View {
    asking: Asking,
    name: PathBuf,
}

impl Reader for View {
    fn read(&mut self, after: u64, most: usize) -> Result<Vec<Commit>, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let next = "SELECT found.seq, body, found.sum, base.seq FROM (
                SELECT *, sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body) AS before FROM (
                    SELECT seq, body, sum FROM regatta.commits WHERE seq > $1 ORDER BY seq LIMIT $2
                ) AS next
            ) AS found, regatta.base WHERE before < $3 ORDER BY found.seq";
        let bytes = i64::try_from(READ_BYTES).unwrap_or(i64::MAX);
        let rows = self.asking.ask(next, vec![Box::new(after.cast_signed()), Box::new(most), Box::new(bytes)])?;
        let base = rows.first().map_or(0, |row| row.get::<_, i64>(3).cast_unsigned());
        let found = rows.iter().map(|row| row.get::<_, i64>(0).cast_unsigned());
        follow_one_another(after, base, found).map_err(|why| Error::Corrupt { file: self.name.clone(), why })?;
        let decode = |row: &Row| {
            let (seq, body, sum): (i64, &[u8], &[u8]) = (row.get(0), row.get(1), row.get(2));
            let corrupt = |why| Error::Corrupt { file: self.name.clone(), why };
            encode::decode(seq.cast_unsigned(), body, sum).map_err(corrupt)
        };
        rows.iter().map(decode).collect()
    }

    fn request(&mut self, run: RunId) -> Result<Option<Vec<u8>>, Error> {
        let find = "SELECT body FROM regatta.requests WHERE run = $1";
        let rows = self.asking.ask(find, vec![Box::new(run.0.as_bytes().to_vec())])?;
        Ok(rows.first().map(|row| row.get(0)))
    }
}
