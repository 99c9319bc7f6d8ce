//! The journal in PostgreSQL, over a wire that breaks, on a server that fails, is in the way of itself, and dies. Whoever opens it
//! takes it over from the one before, whether that one is gone or not.

use super::wire::{Cut, When, Wire};
use super::{Fault, Outline, PATIENCE, RUNTIME, Second, Store};
use crate::store::journal::PostgresJournal;
use crate::store::postgres::Server;
use crate::store::postgres::fixture::TestServer;
use crate::store::postgres::leader::{Candidate, Leadership};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// The server: it is killed, so that nobody else can use it.
static OWN: LazyLock<TestServer> = LazyLock::new(TestServer::start);

/// Whose it is: one that kills it must not kill it for others.
static TURN: Mutex<()> = Mutex::new(());

/// How long one waits for a server that has no patience.
const SHORT: Duration = Duration::from_millis(300);

/// Fails inserts as they are planned: so many, with that code. Sequences know nothing of transactions.
const STRIKES: &str = "
    CREATE SCHEMA strikes;
    CREATE SEQUENCE strikes.number;
    CREATE TABLE strikes.plan (code text, upto bigint);
    INSERT INTO strikes.plan VALUES ('', 0);
    CREATE FUNCTION strikes.strike() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE plan record;
    BEGIN
        SELECT * INTO plan FROM strikes.plan;
        IF plan.upto > 0 AND nextval('strikes.number') <= plan.upto THEN
            RAISE EXCEPTION 'as planned' USING ERRCODE = plan.code;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER strike BEFORE INSERT ON regatta.commits FOR EACH STATEMENT EXECUTE FUNCTION strikes.strike();
";

/// A database, and the wire to it.
pub(super) struct PostgresStore {
    server: Server,
    wire: Wire,
    over_wire: Server,
    patience: Duration,
    prepared: bool,
    /// Who had it open; the last one has it now.
    coordinators: Vec<Coordinator>,
    may_refuse: Option<bool>,
    doubt: bool,
    _turn: MutexGuard<'static, ()>,
}

/// One that leads, or did.
struct Coordinator {
    runtime: Option<Runtime>,
    _leadership: Leadership,
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // As a process does that is killed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl PostgresStore {
    /// Says something to the server, past the wire. One that starts is waited for.
    fn say(&self, sql: &str) {
        let once = async || {
            let client = self.server.connect().await?;
            client.batch_execute(sql).await.map_err(|error| self.server.sorted(error))
        };
        let say = async {
            loop {
                match once().await {
                    Err(error) if error.may_pass() => tokio::time::sleep(Duration::from_millis(10)).await,
                    done => return done.unwrap(),
                }
            }
        };
        RUNTIME.block_on(async { timeout(PATIENCE, say).await }).expect("the server comes back");
    }

    fn strike_inserts(&self, code: &str, upto: u64) {
        let plan = format!(
            "SELECT setval('strikes.number', 1, false); UPDATE strikes.plan SET code = '{code}', upto = {upto}"
        );
        self.say(&plan);
    }

    /// Another transaction has the leader's row for a moment.
    fn hold_up(&self) {
        let server = self.server.clone();
        drop(RUNTIME.spawn(async move {
            let held = "BEGIN; UPDATE regatta.leader SET address = address; SELECT pg_sleep(0.03); COMMIT";
            let client = server.connect().await?;
            // It may fail itself, where transactions are strict.
            client.batch_execute(held).await.map_err(|error| server.sorted(error))
        }));
    }

    /// Somebody leads from now on, since the term of whoever did has passed.
    fn lead(&mut self) -> PostgresJournal {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (server, over_wire, patience) = (self.server.clone(), self.over_wire.clone(), self.patience);
        let leadership = loop {
            if self.prepared {
                self.say("UPDATE regatta.leader SET until = '-infinity'");
            }
            let mut candidate = Candidate::new(server.clone(), "http://here");
            let leads = async { timeout(SHORT, candidate.stand_by()).await };
            if let Ok(leadership) = runtime.block_on(leads) {
                break leadership.unwrap();
            }
        };
        let open = async { PostgresJournal::open(&over_wire, leadership.epoch(), patience).await };
        let journal = runtime.block_on(open).unwrap();
        if !self.prepared {
            self.say(STRIKES);
            self.prepared = true;
        }
        self.coordinators.push(Coordinator { runtime: Some(runtime), _leadership: leadership });
        journal
    }

    fn heal(&mut self) {
        self.wire.mend();
        if self.prepared {
            self.strike_inserts("", 0);
        }
        (self.may_refuse, self.doubt) = (None, false);
    }
}

impl Store for PostgresStore {
    type Journal = PostgresJournal;

    const FAULTS: &'static [Fault] = &[
        Fault::Error,
        Fault::Slow,
        Fault::Cut,
        Fault::Unanswered,
        Fault::Unanswered,
        Fault::Late(When::After(Duration::from_millis(30))),
        Fault::Late(When::Behind(0)),
        Fault::Late(When::Behind(2)),
        Fault::Late(When::Behind(5)),
        Fault::Silence(false),
        Fault::Silence(true),
        Fault::Conflict,
        Fault::Conflict,
        Fault::Full,
        Fault::Kill,
        Fault::Away(false),
        Fault::Away(true),
    ];

    fn new(outline: Outline) -> Self {
        // One that fails leaves nothing behind that harms the next.
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let server = RUNTIME.block_on(OWN.database());
        let wire = Wire::to(&OWN.socket(), &RUNTIME);
        let database = server.config().get_dbname().unwrap().to_owned();
        let over_wire = format!("postgres://regatta@{}/{database}", wire.address);
        let over_wire = Server::parse(&over_wire).unwrap().with_silence(SHORT);
        let patience = if outline.patient { PATIENCE } else { SHORT };
        let coordinators = Vec::new();
        let (may_refuse, doubt, prepared) = (None, false, false);
        let store = Self { server, wire, over_wire, patience, prepared, coordinators, may_refuse, doubt, _turn };
        if outline.strict {
            store.say(&format!("ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'"));
        }
        store
    }

    fn open(&mut self) -> PostgresJournal {
        self.heal();
        self.lead()
    }

    fn crash(&mut self, journal: PostgresJournal, _: u64) {
        drop(self.coordinators.pop());
        drop(journal);
    }

    fn second(&mut self) -> Second<PostgresJournal> {
        self.heal();
        Second::Takes(self.lead())
    }

    fn strike(&mut self, fault: Fault, _: &mut PostgresJournal) {
        let patient = self.patience > SHORT;
        match fault {
            Fault::Error => self.strike_inserts("XX000", 1),
            Fault::Full => self.strike_inserts("53100", 2),
            Fault::Conflict => match self.coordinators.len() % 3 {
                0 => self.strike_inserts("40001", 2),
                1 => self.strike_inserts("57014", 2),
                _ => self.hold_up(),
            },
            Fault::Kill => {
                OWN.tell("kill");
                OWN.tell("start");
            }
            Fault::Away(_) if patient => return,
            Fault::Slow => self.wire.cut(Cut::Slow(SHORT / 5)),
            Fault::Cut => self.wire.cut(Cut::Before),
            Fault::Unanswered => self.wire.cut(Cut::After),
            Fault::Late(when) => self.wire.cut(Cut::Late(when)),
            Fault::Silence(delivered) => self.wire.cut(Cut::Silence(delivered)),
            Fault::Away(delivered) => self.wire.cut(Cut::Away(delivered)),
        }
        self.doubt |= !matches!(fault, Fault::Error | Fault::Full | Fault::Conflict | Fault::Slow | Fault::Cut);
        if fault == Fault::Error || !patient {
            self.may_refuse = Some(true);
        }
    }

    fn go_on(&mut self) {}

    fn may_refuse(&self) -> Option<bool> {
        self.may_refuse.map(|_| self.doubt)
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.coordinators.clear();
        let name = self.server.config().get_dbname().unwrap_or_default().to_owned();
        let admin = Server::parse(&OWN.url("regatta", "postgres")).unwrap();
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        // When a test fails, the server is about to go as a whole.
        let _left = RUNTIME.block_on(async {
            let client = admin.connect().await?;
            client.batch_execute(&drop).await.map_err(|error| admin.sorted(error))
        });
    }
}
