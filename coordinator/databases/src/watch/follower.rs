//! The task that follows a server: it takes turns, and every turn answers all who wait.
//!
//! A turn puts what was written on disk, reads the log up to there, and asks for counters and statements of all databases
//! concerned, in one round trip. Whoever comes meanwhile waits for the next turn. While a database is leased a turn is
//! taken now and then though nobody asks, so that the log is read before it is recycled.

use super::{
    Abilities, Account, CHANGED, Changed, Error, GivenUp, Held, Leak, Mark, Reply, Seen, Whose,
    account::{self, Count},
    ledger::Ledger,
    reader::{self, Counters, Key, Ran, Reader, Whole},
    verdict::{self, Around, Stand},
};
use regatta_domain::{Fact, evidence::Evidence};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::{Config, types::PgLsn};

/// How often the log is read while nobody asks. A server that keeps 1 GB of log would have to write 4 GB a second to lose
/// some in between.
const PACE: Duration = Duration::from_millis(250);

/// How often a turn is tried, each time over a new connection where the old one is gone.
const ATTEMPTS: u32 = 2;

/// How long one attempt may take. Statements are cut off by the server after 30 s; this is for a server that went silent.
const TURN: Duration = Duration::from_secs(60);

/// Windows of log read in one turn: 4 MB each, so 16 GB, which is more than any server keeps.
const WINDOWS: u32 = 4_096;

/// Doublings of a window for a record that does not fit: 4 MB to 1 GB.
const DOUBLINGS: u32 = 8;

/// Leases after which the statements of roles that are gone are forgotten: each leaves a handful, and every look reads all.
const SWEEP: u64 = 64;

/// What is asked of the task.
#[derive(Debug)]
pub(super) enum Request {
    /// How a database stands.
    Mark { database: u32, reply: Reply<Mark> },
    /// What was done since, and whose statements are to be counted, if any.
    Since { mark: Mark, whose: Option<Whose>, reply: Reply<Seen> },
    /// What is left of a lease.
    Leaks { database: u32, role: String, reply: Reply<Vec<Leak>> },
}

/// A database that is leased, or was.
#[derive(Debug, Default)]
struct Leased {
    /// Its marks that nobody has asked about yet.
    marks: BTreeSet<u64>,
    /// The last that was made.
    last: u64,
    /// The most sessions seen since the first of these.
    peak: u16,
}

/// The state of the task.
#[derive(Debug)]
pub(super) struct Follower {
    config: Config,
    whole_server: bool,
    given_up: Arc<Mutex<GivenUp>>,
    reader: Option<Reader>,
    abilities: Abilities,
    /// Whether the last turn failed.
    is_down: bool,
    /// Where the log was read to, and on which start of the server.
    position: PgLsn,
    started: String,
    ledger: Ledger,
    leased: HashMap<u32, Leased>,
    marks: u64,
    /// How many marks there were when statements were last swept.
    swept: u64,
}

/// What a turn learned from the server.
struct Learned {
    counters: HashMap<u32, Counters>,
    whole: Whole,
    ran: Vec<Ran>,
    counts: HashMap<u32, HashMap<Key, Count>>,
}

impl Follower {
    /// Connects, and finds the end of the log.
    pub(super) async fn start(
        config: Config,
        whole_server: bool,
        given_up: Arc<Mutex<GivenUp>>,
    ) -> Result<Self, Error> {
        let (reader, abilities) = Reader::connect(&config, whole_server).await?;
        let position = reader.flush().await?;
        let started = reader.whole(&[]).await?.started;
        Ok(Self {
            config,
            whole_server,
            given_up,
            reader: Some(reader),
            abilities,
            is_down: false,
            position,
            started,
            ledger: Ledger::default(),
            leased: HashMap::new(),
            marks: 0,
            swept: 0,
        })
    }

    /// What can be seen.
    pub(super) const fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// Takes turns until nobody can ask any more.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                got = inbox.recv_many(&mut waiting, usize::MAX) => if got == 0 { return },
                _ = pace.tick(), if self.is_leased() => {},
            }
            self.turn(mem::take(&mut waiting)).await;
        }
    }

    fn is_leased(&self) -> bool {
        self.leased.values().any(|leased| !leased.marks.is_empty())
    }

    /// Answers everybody, or tells everybody why not.
    async fn turn(&mut self, requests: Vec<Request>) {
        let given_up = mem::take(&mut *self.given_up.lock().unwrap_or_else(PoisonError::into_inner));
        for (database, mark) in given_up.marks {
            if let Some(leased) = self.leased.get_mut(&database) {
                leased.marks.remove(&mark);
            }
        }
        for &database in &given_up.databases {
            self.ledger.forget(database);
            self.leased.remove(&database);
        }
        let mut outcome = Err(Error::Late("its turn"));
        for _ in 0..ATTEMPTS {
            let learning = timeout(TURN, self.learn(&requests, &given_up.databases));
            outcome = learning.await.unwrap_or(Err(Error::Late("its turn")));
            if outcome.is_ok() || self.reader.as_ref().is_some_and(|reader| !reader.is_closed()) {
                break;
            }
            self.reader = None;
        }
        match outcome {
            Ok(learned) => {
                if mem::take(&mut self.is_down) {
                    tracing::info!("a server is watched again");
                }
                self.answer(requests, &learned).await;
            }
            Err(error) => {
                // Told once, not at every turn until it is back; whoever asks is told anyway.
                if !mem::replace(&mut self.is_down, true) {
                    tracing::warn!(%error, "a server could not be watched");
                }
                for request in requests {
                    refuse(request, &error);
                }
            }
        }
    }

    /// Reads the log to its end, and asks for the rest.
    async fn learn(&mut self, requests: &[Request], forgotten: &[u32]) -> Result<Learned, Error> {
        if self.reader.is_none() {
            let (reader, abilities) = Reader::connect(&self.config, self.whole_server).await?;
            (self.reader, self.abilities) = (Some(reader), abilities);
        }
        let reader = self.reader.as_ref().expect("it was just connected");
        let marked: BTreeSet<u32> = requests.iter().filter_map(Request::marked).collect();
        let ended: BTreeSet<u32> = requests.iter().filter_map(Request::ended).collect();
        let concerned: Vec<u32> = marked.union(&ended).copied().collect();
        let ended: Vec<u32> = ended.into_iter().collect();
        // Where nobody else looks at a database, its statements are forgotten before a lease; else they are counted.
        let is_alone = |database: &u32| {
            self.abilities.resets()
                && !ended.contains(database)
                && self.leased.get(database).is_none_or(|leased| leased.marks.is_empty())
        };
        let (mut reset, counted): (Vec<u32>, Vec<u32>) = marked.iter().partition(|database| is_alone(database));
        reset.extend(forgotten);
        let watched: Vec<u32> =
            self.ledger.watched().chain(marked.iter().copied()).collect::<HashSet<_>>().into_iter().collect();

        // Those of the leases that came since the last time, and their roles are gone by now.
        let sweeps = self.marks >= self.swept + SWEEP;
        if sweeps {
            self.swept = self.marks;
        }
        let swept = if sweeps { watched.as_slice() } else { &[] };

        let (target, first, counters, whole, ran, _, counts, peaks, _) = tokio::join!(
            biased;
            reader.flush(),
            reader.stretch(self.position, 0),
            reader.databases(&concerned),
            reader.whole(&watched),
            reader.statements(&ended),
            reader.reset(&reset),
            reader.counts(&counted),
            reader.peaks(),
            reader.sweep(swept),
        );
        let (target, whole) = (target?, whole?);
        if whole.started != self.started {
            // Counters begin anew, and so may the log.
            self.ledger.gap();
            (self.started, self.position) = (whole.started.clone(), target);
        } else if self.abilities.wal {
            follow(reader, &mut self.ledger, &mut self.position, target, first).await?;
        }
        for (database, sessions) in peaks? {
            if let Some(leased) = self.leased.get_mut(&database) {
                leased.peak = leased.peak.max(u16::try_from(sessions).unwrap_or(u16::MAX));
            }
        }
        let mut by_database: HashMap<u32, HashMap<Key, Count>> = HashMap::new();
        for (database, key, count) in counts? {
            by_database.entry(database).or_default().insert(key, count);
        }
        Ok(Learned { counters: counters?, whole, ran: ran?, counts: by_database })
    }

    async fn answer(&mut self, requests: Vec<Request>, learned: &Learned) {
        // Releases first: a mark of the same database in this turn begins after them.
        let (marks, others): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| matches!(request, Request::Mark { .. }));
        for request in others.into_iter().chain(marks) {
            match request {
                Request::Mark { database, reply } => {
                    let _gone = reply.send(Ok(self.mark(database, learned)));
                }
                Request::Since { mark, whose, reply } => {
                    let _gone = reply.send(self.since(&mark, whose.as_ref(), learned).await);
                }
                Request::Leaks { database, role, reply } => {
                    let reader = self.reader.as_ref().expect("a turn that learned something is connected");
                    let _gone = reply.send(reader.leaks(database, &role).await);
                }
            }
        }
    }

    fn mark(&mut self, database: u32, learned: &Learned) -> Mark {
        self.marks += 1;
        let leased = self.leased.entry(database).or_default();
        let is_first = leased.marks.is_empty();
        if is_first {
            leased.peak = 0;
            self.ledger.settle(database);
        }
        leased.marks.insert(self.marks);
        leased.last = self.marks;
        let stand = Stand {
            tally: self.ledger.watch(database),
            server: self.ledger.server,
            counters: learned.counters.get(&database).cloned(),
            whole: learned.whole.clone(),
            counts: Arc::new(learned.counts.get(&database).cloned().unwrap_or_default()),
        };
        Mark(Arc::new(Held { number: self.marks, database, stand, is_first, given_up: Arc::clone(&self.given_up) }))
    }

    async fn since(&mut self, mark: &Mark, whose: Option<&Whose>, learned: &Learned) -> Result<Seen, Error> {
        let Held { number, database, stand, is_first, .. } = &*mark.0;
        let database = *database;
        let Some(tally) = self.ledger.tally(database) else { return Ok(unknown()) };
        let leased = self.leased.entry(database).or_default();
        leased.marks.remove(number);
        let (is_shared, peak) = (!leased.marks.is_empty(), leased.peak);
        let had_others = !is_first || leased.last != *number;
        let any_committed = match &self.reader {
            Some(reader) if !self.abilities.wal => {
                reader.any_committed(stand.whole.next_xid, learned.whole.next_xid).await?
            }
            _ => false,
        };
        let now = Stand {
            tally,
            server: self.ledger.server,
            counters: learned.counters.get(&database).cloned(),
            whole: learned.whole.clone(),
            counts: Arc::default(),
        };
        let (files, more) = self.ledger.changed(database, &stand.tally);
        let around = Around {
            whole_server: self.whole_server,
            is_shared,
            had_others,
            is_open: self.ledger.is_open(database),
            any_committed,
            peak,
            changed: u32::try_from(files.len()).unwrap_or(u32::MAX) + u32::from(more),
        };
        let is_whole = stand.whole.evicted == now.whole.evicted && stand.whole.started == now.whole.started;
        let tell = |whose| {
            account::told(
                &self.abilities,
                (&learned.ran, &stand.counts),
                (database, self.whole_server),
                whose,
                is_whole,
            )
        };
        let account = whose.map(tell).unwrap_or_default();
        let ran: Vec<Ran> = learned.ran.iter().filter(|ran| ran.database == database).cloned().collect();
        let (evidence, statements) = verdict::judge(&self.abilities, stand, &now, &ran, &around);
        let sequences_moved = evidence.facts.has(Fact::Sequence);
        let changed = files.into_iter().take(CHANGED).map(|file| Changed { file, name: None }).collect();
        Ok(Seen { evidence, statements, sequences_moved, changed, account })
    }
}

impl Request {
    const fn marked(&self) -> Option<u32> {
        if let Self::Mark { database, .. } = self { Some(*database) } else { None }
    }

    fn ended(&self) -> Option<u32> {
        if let Self::Since { mark, .. } = self { Some(mark.database()) } else { None }
    }
}

/// Reads the log until the target is passed; the first stretch has been asked for already.
async fn follow(
    reader: &Reader,
    ledger: &mut Ledger,
    position: &mut PgLsn,
    target: PgLsn,
    first: Result<Option<reader::Stretch>, Error>,
) -> Result<(), Error> {
    let mut stretch = first;
    let mut doublings = 0;
    for _ in 0..WINDOWS {
        let read = match stretch {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(()),
            Err(error) if reader::is_gap(&error) => {
                tracing::warn!(%error, "the log was recycled before it was read: what was done meanwhile is unknown");
                break;
            }
            Err(error) => return Err(error),
        };
        let is_stuck = read.end == *position && *position < target;
        for record in read.records {
            ledger.add(record);
        }
        *position = read.end;
        if *position >= target {
            return Ok(());
        }
        doublings = if is_stuck { doublings + 1 } else { 0 };
        if doublings > DOUBLINGS {
            tracing::warn!(at = %*position, "the log cannot be read on from here: what was done meanwhile is unknown");
            break;
        }
        stretch = reader.stretch(*position, doublings).await;
    }
    ledger.gap();
    *position = target;
    Ok(())
}

/// What is told of a database that was forgotten.
fn unknown() -> Seen {
    let evidence = Evidence { facts: [Fact::Connected, Fact::Unknown].into_iter().collect(), ..Evidence::default() };
    Seen { evidence, statements: Vec::new(), sequences_moved: true, changed: Vec::new(), account: Account::Unwanted }
}

/// Tells why; the error itself goes to the log, since it cannot be told twice.
fn refuse(request: Request, error: &Error) {
    let copy = || match error {
        Error::Late(what) => Error::Late(what),
        Error::Old(version) => Error::Old(*version),
        Error::Postgres(_) | Error::Ended => Error::Down(error.to_string()),
        Error::Down(why) => Error::Down(why.clone()),
    };
    match request {
        Request::Mark { reply, .. } => drop(reply.send(Err(copy()))),
        Request::Since { reply, .. } => drop(reply.send(Err(copy()))),
        Request::Leaks { reply, .. } => drop(reply.send(Err(copy()))),
    }
}
