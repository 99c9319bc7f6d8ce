//! Addresses: what a test is told of a port, and what the coordinator told of a lease.

use super::limits::SESSIONS;
use crate::databases::Claim;
use regatta_domain::RunId;
use std::io::{self, Read as _};

/// The role and the database that a test is told. The server's own names are those of the lease, which there is none of yet.
pub(super) const NAME: &str = "regatta";

/// How long a driver on libpq waits for its connection, in seconds: for as long as it takes, and not for ever. The test's own
/// time limit goes on.
const CONNECT_TIMEOUT: &str = "300";

/// Where a database is, and as whom it is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) role: String,
    pub(super) password: String,
    /// A name, a number, or the directory of a socket.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
}

impl Address {
    /// Reads `postgresql://ROLE:PASSWORD@HOST:PORT/NAME?...`.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("postgresql://").or_else(|| url.strip_prefix("postgres://"))?;
        let rest = rest.split('?').next()?;
        let (who, place) = rest.rsplit_once('@')?;
        let (role, password) = who.split_once(':')?;
        let (place, database) = place.split_once('/')?;
        let (host, port) = place.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(Self {
            role: decoded(role)?,
            password: decoded(password)?,
            host: decoded(host)?,
            port: port.parse().ok()?,
            database: decoded(database)?,
        })
    }
}

/// Undoes `%2F` and the like.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(part.as_bytes().get(2..)?);
    }
    String::from_utf8(bytes).ok()
}

/// The variable that holds the address of one of several databases; the coordinator names it so, too.
pub(super) fn variable(resource: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("REGATTA_DATABASE_{}_URL", resource.chars().map(word).collect::<String>())
}

/// What a test is told of its ports, each with its resource and its password: the same variables as of databases.
pub(super) fn variables(run: RunId, claim: Claim, ports: &[(&str, u16, &str)]) -> Vec<(String, String)> {
    let url = |&(_, port, password): &(&str, u16, &str)| {
        format!("postgresql://{NAME}:{password}@127.0.0.1:{port}/{NAME}?sslmode=disable")
    };
    let mut told: Vec<(String, String)> = ports.iter().map(|port| (variable(port.0), url(port))).collect();
    if let Some(first) = ports.first() {
        let own = [
            ("DATABASE_URL", url(first)),
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", first.1.to_string()),
            ("PGUSER", NAME.to_owned()),
            ("PGPASSWORD", first.2.to_owned()),
            ("PGDATABASE", NAME.to_owned()),
            ("PGSSLMODE", "disable".to_owned()),
            ("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.to_owned()),
            ("PGAPPNAME", application(run, claim)),
            ("REGATTA_LEVEL", claim.level.name().to_owned()),
            ("REGATTA_MAX_CONNECTIONS", SESSIONS.to_string()),
        ];
        told.extend(own.map(|(name, value)| (name.to_owned(), value)));
    }
    told
}

/// What the sessions of an attempt are called in the server's views and logs; the coordinator calls them so, too.
fn application(run: RunId, claim: Claim) -> String {
    let run = run.to_string();
    let test = claim.test.map_or_else(|| "shard".to_owned(), |test| test.to_string());
    format!("regatta:{}:{}:{test}:{}", &run[..8.min(run.len())], claim.token, claim.attempt)
}

/// A password that nobody guesses: 128 bits of chance.
///
/// # Errors
/// When the system has no source of chance.
pub(super) fn password() -> io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_coordinator_writes_them() {
        let of = |role: &str, host: &str, port| Address {
            role: role.to_owned(),
            password: "b".to_owned(),
            host: host.to_owned(),
            port,
            database: "c".to_owned(),
        };
        let cases = [
            ("postgresql://a:b@127.0.0.1:5433/c?sslmode=disable", of("a", "127.0.0.1", 5433)),
            ("postgresql://a%40:b@db.example.org:1/c", of("a@", "db.example.org", 1)),
            ("postgres://a:b@[::1]:2/c", of("a", "::1", 2)),
            ("postgresql://a:b@::1:2/c", of("a", "::1", 2)),
            ("postgresql://a:b@%2Frun%2Fpg:5432/c", of("a", "/run/pg", 5432)),
        ];
        for (url, address) in cases {
            assert_eq!(Address::parse(url).as_ref(), Some(&address), "{url}");
        }
        for url in ["", "redis://:b@h:1/0", "postgresql://h:1/c", "postgresql://a:b@h/c", "postgresql://a:%b@h:1/c"] {
            assert_eq!(Address::parse(url), None, "{url}");
        }
    }

    #[test]
    fn passwords_differ() {
        let (one, other) = (password().expect("chance"), password().expect("chance"));
        assert!(one != other && one.len() == 32, "{one} {other}");
    }
}
