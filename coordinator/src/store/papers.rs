//! Small documents that are written whole or not at all, and records that grow by a line: what people declared, and what they did.
//!
//! They stand as files in the data directory, or in the database that coordinators share. What they say is left to whoever
//! writes them.

use super::Error;
use super::postgres::{Asking, Line, Server, Tables, migrate};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

const TABLES: Tables = Tables {
    kind: "papers",
    steps: &["
        CREATE TABLE regatta.papers (name text PRIMARY KEY, body bytea NOT NULL);
        CREATE TABLE regatta.lines (
            number bigserial PRIMARY KEY, name text NOT NULL, id text NOT NULL UNIQUE, line bytea NOT NULL
        );
    "],
};

/// Where documents are kept. Clones are the same place.
#[derive(Clone, Debug)]
pub(crate) enum Papers {
    /// Nowhere: they end with the process.
    Nowhere,
    /// In files of a directory.
    Directory(PathBuf),
    /// In the database, by whoever leads since that epoch.
    Shared(Asking, u64),
}

impl Papers {
    /// In the data directory, if there is one.
    pub(crate) fn at(data: Option<&Path>) -> Self {
        data.map_or(Self::Nowhere, |data| Self::Directory(data.to_owned()))
    }

    /// In the database, for whoever leads since `epoch`.
    ///
    /// # Errors
    /// When the server refuses, or a newer version made the tables.
    pub(crate) async fn shared(server: &Server, epoch: u64, patience: Duration) -> Result<Self, Error> {
        migrate(server, Line::new(server.clone(), patience, "").client().await?, &TABLES).await?;
        Ok(Self::Shared(Asking::patiently(server.clone(), patience), epoch))
    }

    /// Where a document is, for people.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        match self {
            Self::Nowhere => PathBuf::from(name),
            Self::Directory(directory) => directory.join(name),
            Self::Shared(asking, _) => PathBuf::from(format!("{} ({name})", asking.server())),
        }
    }

    /// A document, if it was ever written. Waits for a disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Directory(directory) => match fs::read(directory.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                read => read.map(Some),
            },
            Self::Shared(asking, _) => {
                let found =
                    asking.ask("SELECT body FROM regatta.papers WHERE name = $1", vec![Box::new(name.to_owned())]);
                Ok(found.map_err(io::Error::other)?.first().map(|row| row.get(0)))
            }
        }
    }

    /// Writes a document: once this returns, it is durable. Waits for a disk.
    ///
    /// # Errors
    /// When it cannot be written; what was written before is still there.
    pub(crate) fn write(&self, name: &str, body: &[u8]) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Directory(directory) => replace(&directory.join(name), body),
            Self::Shared(asking, epoch) => {
                let write = "
                    WITH led AS (SELECT 1 FROM regatta.leader WHERE epoch = $1 FOR SHARE)
                    INSERT INTO regatta.papers (name, body) SELECT $2, $3 FROM led
                    ON CONFLICT (name) DO UPDATE SET body = excluded.body RETURNING 1";
                told(asking, write, *epoch, vec![Box::new(name.to_owned()), Box::new(body.to_owned())])
            }
        }
    }

    /// Adds a line to a record: once this returns, it is durable. Waits for a disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn add(&self, name: &str, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Directory(directory) => {
                let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(directory.join(name))?;
                file.write_all(&[line, b"\n"].concat())?;
                file.sync_data()
            }
            Self::Shared(asking, epoch) => {
                // Named, so that it is there once, however often it has to be said.
                let add = "
                    WITH led AS (SELECT 1 FROM regatta.leader WHERE epoch = $1 FOR SHARE)
                    INSERT INTO regatta.lines (name, id, line) SELECT $2, $3, $4 FROM led
                    ON CONFLICT (id) DO UPDATE SET line = excluded.line RETURNING 1";
                let id = Uuid::new_v4().to_string();
                told(asking, add, *epoch, vec![Box::new(name.to_owned()), Box::new(id), Box::new(line.to_owned())])
            }
        }
    }
}

fn told(asking: &Asking, sql: &'static str, epoch: u64, said: super::postgres::Parameters) -> io::Result<()> {
    let mut parameters: super::postgres::Parameters = vec![Box::new(epoch.cast_signed())];
    parameters.extend(said);
    // Somebody waits for it who would rather hear at once that it cannot be done now.
    let written = asking.at_once().ask(sql, parameters).map_err(io::Error::other)?;
    let deposed = || Error::Deposed { server: asking.server().to_string().into(), epoch };
    if written.is_empty() { Err(io::Error::other(deposed())) } else { Ok(()) }
}

/// Writes a file beside the other one and puts it in its place. Nobody but its owner may read it: values may be secrets.
fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("json.new");
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    new.write_all(text)?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    // The name is durable only with its directory.
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::fixture::SHARED;
    use crate::store::postgres::leader::Candidate;

    fn keeps_what_it_is_given(papers: &Papers) {
        assert_eq!(papers.read("a.json").unwrap(), None);
        papers.write("a.json", b"one").unwrap();
        papers.write("a.json", b"two").unwrap();
        papers.write("b.json", b"").unwrap();
        assert_eq!(papers.read("a.json").unwrap().unwrap(), b"two");
        assert_eq!(papers.read("b.json").unwrap().unwrap(), b"");
        papers.add("acts.jsonl", b"first").unwrap();
        papers.add("acts.jsonl", b"second").unwrap();
    }

    #[test]
    fn a_directory_keeps_papers() {
        let directory = tempfile::tempdir().unwrap();
        keeps_what_it_is_given(&Papers::at(Some(directory.path())));
        assert_eq!(fs::read_to_string(directory.path().join("acts.jsonl")).unwrap(), "first\nsecond\n");
        Papers::Nowhere.write("a", b"one").unwrap();
        assert_eq!(Papers::Nowhere.read("a").unwrap(), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_keeps_papers_for_whoever_leads() {
        let server = SHARED.database().await;
        let leading = Candidate::new(server.clone(), "http://here").stand_by().await.unwrap();
        let patience = Duration::from_secs(60);
        let papers = Papers::shared(&server, leading.epoch(), patience).await.unwrap();
        let kept = papers.clone();
        tokio::task::spawn_blocking(move || keeps_what_it_is_given(&kept)).await.unwrap();
        let lines = "SELECT string_agg(convert_from(line, 'UTF8'), ' ' ORDER BY number) FROM regatta.lines";
        let lines: String = server.connect().await.unwrap().query_one(lines, &[]).await.unwrap().get(0);
        assert_eq!(lines, "first second");
        leading.resign().await;
        let _next = Candidate::new(server.clone(), "http://there").stand_by().await.unwrap();
        tokio::task::spawn_blocking(move || {
            for refused in [papers.write("a.json", b"late"), papers.add("acts.jsonl", b"late")] {
                assert!(refused.unwrap_err().to_string().contains("another coordinator leads"));
            }
            assert_eq!(papers.read("a.json").unwrap().unwrap(), b"two");
        })
        .await
        .unwrap();
    }
}
