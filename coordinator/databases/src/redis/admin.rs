//! Our own connection to a server, and what the server counts: everything that we do ourselves is counted, too, so that it can be
//! taken off.

use super::ADMIN;
use super::resp::{Address, Connection, Error, Reply};
use std::collections::BTreeMap;

/// Our connection to one server. Made again when a test has ended it.
#[derive(Debug)]
pub(super) struct Admin {
    address: Address,
    secret: String,
    connection: Connection,
    own: Own,
}

/// What we have done ourselves.
#[derive(Clone, Debug, Default)]
struct Own {
    calls: BTreeMap<String, u64>,
    connections: u64,
}

/// What a server counts, without what we did ourselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Changes of data: exact, at once, and unmoved by what is discarded.
    pub(super) changes: i64,
    pub(super) connections: i64,
    pub(super) expired: i64,
    pub(super) evicted: i64,
    pub(super) scripts: i64,
    pub(super) libraries: i64,
    /// Keys, and those that expire, by database.
    pub(super) keys: BTreeMap<String, String>,
    /// Calls by command, and by subcommand where there are such.
    pub(super) calls: BTreeMap<String, i64>,
}

/// A session of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) user: String,
    /// The command that it ran last.
    pub(super) last: String,
}

/// Commands of ours that are counted by subcommand.
const CONTAINERS: [&str; 3] = ["acl", "client", "config"];

impl Admin {
    pub(super) async fn open(address: Address, secret: String) -> Result<Self, Error> {
        let connection = Connection::open(&address).await?;
        let own = Own { connections: 1, ..Own::default() };
        let mut admin = Self { address, secret, connection, own };
        admin.enter().await?;
        Ok(admin)
    }

    async fn enter(&mut self) -> Result<(), Error> {
        let reply = self.connection.call(&["AUTH", ADMIN, &self.secret]).await;
        self.own.count("auth".to_owned());
        reply.map(drop)
    }

    /// Runs a command of ours; once more where the connection turns out to be gone, for a test may end it.
    pub(super) async fn call(&mut self, words: &[&str]) -> Result<Reply, Error> {
        match self.connection.call(words).await {
            Err(Error::Lost(_)) => {
                self.connection = Connection::open(&self.address).await?;
                self.own.connections += 1;
                self.enter().await?;
            }
            replied => {
                self.note(words);
                return replied;
            }
        }
        let replied = self.connection.call(words).await;
        self.note(words);
        replied
    }

    fn note(&mut self, words: &[&str]) {
        let mut name = words.first().unwrap_or(&"").to_ascii_lowercase();
        if let Some(sub) = words.get(1).filter(|_| CONTAINERS.contains(&&*name)) {
            name = format!("{name}|{}", sub.to_ascii_lowercase());
        }
        self.own.count(name);
    }

    /// What the server has counted so far, but for what was ours.
    pub(super) async fn counts(&mut self) -> Result<Counts, Error> {
        // If the connection has to be made anew, that is done here, and is ours.
        self.call(&["PING"]).await?;
        // The server counts a command when it has run, so the next one is not in its own answer.
        let own = self.own.clone();
        let told = self.call(&["INFO", "everything"]).await?;
        let mut counts = Counts::read(told.text().unwrap_or_default());
        counts.less(&own);
        Ok(counts)
    }

    /// Begins to count anew, so that the next test finds fresh figures. What we did so far is forgotten with the rest.
    pub(super) async fn forget(&mut self) -> Result<(), Error> {
        self.call(&["CONFIG", "RESETSTAT"]).await?;
        self.own = Own::default();
        // It is counted when it has run: after it has reset everything.
        self.own.count("config|resetstat".to_owned());
        Ok(())
    }

    /// Everybody else who is connected.
    pub(super) async fn clients(&mut self) -> Result<Vec<Client>, Error> {
        let told = self.call(&["CLIENT", "LIST"]).await?;
        let clients = told.text().unwrap_or_default().lines().filter_map(|line| {
            let word = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)).map(str::to_owned);
            Some(Client { user: word("user=")?, last: word("cmd=")? })
        });
        Ok(clients.filter(|client| client.user != ADMIN).collect())
    }

    /// What `user` was refused: commands, keys and channels, by name.
    pub(super) async fn refused(&mut self, user: &str) -> Result<Vec<String>, Error> {
        let log = self.call(&["ACL", "LOG", "1024"]).await?;
        let entries = log.list().iter().filter_map(|entry| {
            let word = |key: &str| {
                let mut pairs = entry.list().chunks_exact(2);
                pairs.find(|pair| pair[0].text() == Some(key)).and_then(|pair| pair[1].text())
            };
            (word("username")? == user && word("reason")? != "auth").then(|| word("object").map(str::to_owned))?
        });
        Ok(entries.collect())
    }
}

impl Own {
    fn count(&mut self, name: String) {
        *self.calls.entry(name).or_default() += 1;
    }
}

impl Counts {
    /// Reads what `INFO everything` prints.
    pub(super) fn read(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let number = || value.parse().unwrap_or_default();
            match key {
                "rdb_changes_since_last_save" => counts.changes = number(),
                "total_connections_received" => counts.connections = number(),
                "expired_keys" => counts.expired = number(),
                "evicted_keys" => counts.evicted = number(),
                "number_of_cached_scripts" => counts.scripts = number(),
                "number_of_libraries" => counts.libraries = number(),
                _ => {
                    let field = |name: &str| value.split(',').find_map(|part| part.strip_prefix(name));
                    if let Some(command) = key.strip_prefix("cmdstat_") {
                        let calls = field("calls=").and_then(|calls| calls.parse().ok()).unwrap_or_default();
                        counts.calls.insert(command.to_owned(), calls);
                    } else if key.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok()) {
                        // The average time to live beside them changes by itself.
                        let keys = format!("{:?} {:?}", field("keys="), field("expires="));
                        counts.keys.insert(key.to_owned(), keys);
                    }
                }
            }
        }
        counts
    }

    fn less(&mut self, own: &Own) {
        self.connections -= i64::try_from(own.connections).unwrap_or(i64::MAX);
        for (name, calls) in &own.calls {
            if let Some(counted) = self.calls.get_mut(name) {
                *counted -= i64::try_from(*calls).unwrap_or(i64::MAX);
            }
        }
    }
}
