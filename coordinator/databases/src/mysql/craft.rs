//! What the desk asks of an engine, done for MariaDB: making a place to build in, an image of what was built, and leases.

use super::process::{self, BINLOG, Process};
use super::stock::{Holding, Stock};
use super::{Error, Image, LEASES, Maker, Site, Workshop, variables};
use crate::desk::{Craft, Figures, Given, Opened};
use crate::lease::{Ask, Fate, Refused, Released};
use crate::server::account::Account;
use crate::server::copy::Listing;
use regatta_domain::{Digest, Level};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

impl Craft for Workshop {
    type Site = Site;
    type Stock = Stock;
    type Holding = Holding;
    type Error = Error;

    async fn open(&self, template: Digest) -> Result<Opened<Site>, Error> {
        let site = Site::open(&self.0, template).await?;
        let (url, variables) = variables(&site.builder, site.process.port());
        Ok(Opened { site, url, variables })
    }

    async fn finish(&self, template: Digest, site: Site) -> Result<Stock, Error> {
        let image = site.close(&self.0).await?;
        Stock::begin(self.0.clone(), template, image).await
    }

    async fn dispose(&self, site: Site) {
        site.process.destroy().await;
    }

    async fn lease(&self, stock: &Stock, ask: &Ask) -> Result<Given<Holding>, Refused> {
        stock.take(ask.level).await
    }

    async fn release(&self, stock: &Stock, holding: &mut Holding, (declared, killed): (Level, bool)) -> Released {
        stock.release(holding, declared, killed).await
    }

    async fn settle(&self, stock: &Stock, holding: Holding, fate: Fate) {
        stock.settle(holding, fate).await;
    }

    async fn close(&self, stock: &Stock) {
        stock.close().await;
    }

    fn figures(&self, stock: &Stock) -> Figures {
        stock.figures()
    }

    fn capacity(&self) -> u32 {
        LEASES
    }
}

impl Site {
    async fn open(maker: &Maker, template: Digest) -> Result<Self, Error> {
        let empty = maker.empty.get_or_try_init(|| empty(maker)).await?;
        let process = start(maker, empty).await?;
        let entry = super::Entry::new(maker.names.next(template), maker.names.next(template));
        let statements = format!(
            "CREATE DATABASE `{0}`; CREATE USER `{1}`@`127.0.0.1` IDENTIFIED BY '{2}'; \
             GRANT ALL PRIVILEGES ON {3}.* TO `{1}`@`127.0.0.1`",
            entry.database,
            entry.user,
            entry.password,
            super::definition::pattern(&entry.database)
        );
        process.connect().await?.run(&statements).await?;
        Ok(Self { process, builder: entry })
    }

    /// Ends the build: its user stays as whom objects act for, but nobody logs in any more.
    async fn close(self, maker: &Maker) -> Result<Image, Error> {
        let Self { process, builder } = self;
        let lock = format!("ALTER USER `{}`@`127.0.0.1` ACCOUNT LOCK; RESET MASTER", builder.user);
        process.connect().await?.run(&lock).await?;
        let directory = process.directory().to_owned();
        process.stop().await?;
        let kept = maker.home.fresh('i');
        let (entry, to) = ((builder.database, builder.user), kept.clone());
        let keeping = tokio::task::spawn_blocking(move || keep(&directory, to, entry));
        keeping.await.map_err(|error| Error::Io(io::Error::other(error)))?.map_err(|error| {
            let _ = fs::remove_dir_all(kept);
            Error::Io(error)
        })
    }
}

/// Makes an image of what a stopped server had in `directory`.
fn keep(directory: &Path, kept: PathBuf, (database, builder): (String, String)) -> io::Result<Image> {
    fs::rename(directory.join("data"), &kept)?;
    let _ = fs::remove_dir_all(directory);
    for entry in fs::read_dir(&kept)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(BINLOG) {
            fs::remove_file(entry.path())?;
        }
    }
    let listing = Arc::new(Listing::read(&kept)?);
    let own = Listing::read(&kept.join(&database))?;
    Ok(Image { directory: kept, listing, database_bytes: own.bytes, database, builder })
}

/// Makes an empty data directory.
async fn empty(maker: &Maker) -> Result<Arc<Listing>, Error> {
    let directory = maker.home.fresh('e');
    let installed = process::install(&maker.programs, &directory).await;
    let listed = installed.and_then(|()| Ok(Arc::new(Listing::read(&directory)?)));
    if listed.is_err() {
        let _ = fs::remove_dir_all(directory);
    }
    listed
}

/// Starts a server on a copy of what was listed.
pub(super) async fn start(maker: &Maker, listing: &Arc<Listing>) -> Result<Process, Error> {
    let directory = maker.home.directory('s')?;
    let (listing, data) = (listing.clone(), directory.join("data"));
    let started = match tokio::task::spawn_blocking(move || listing.copy(&data, Account::Ours)).await {
        Ok(Ok(())) => Process::start(&maker.programs, &maker.home, &directory).await,
        Ok(Err(error)) => Err(error.into()),
        Err(error) => Err(Error::Io(io::Error::other(error))),
    };
    if started.is_err() {
        let _ = fs::remove_dir_all(&directory);
    }
    started
}
