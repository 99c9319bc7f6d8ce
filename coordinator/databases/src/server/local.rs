//! Servers of our own: a builder from the base, an image from the builder, shared and private servers from the image.

use super::account::Account;
use super::copy::Listing;
use super::home::{self, Home};
use super::kept::Kept;
use super::process::Process;
use super::settings::Purpose;
use super::{Error, base};
use crate::binaries::Binaries;
use regatta_domain::Digest;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Makes servers on this machine.
#[derive(Debug)]
pub(crate) struct Local {
    binaries: Binaries,
    /// Whether pg_stat_statements can be loaded.
    statements: bool,
    home: Home,
    locale: Option<String>,
    /// Images that outlive this engine.
    kept: Option<Kept>,
    base: OnceCell<Arc<Listing>>,
}

/// A stopped server with a finished template in it, to be copied. Removed with the last that knows it.
#[derive(Debug)]
pub(crate) struct Image {
    directory: PathBuf,
    listing: Listing,
}

impl Local {
    /// Looks for the programs, removes what earlier ones left, and makes a directory.
    pub(crate) fn begin(
        epoch: &str,
        binaries: Option<&Path>,
        memory: Option<&Path>,
        directory: &Path,
        locale: Option<String>,
        images: Option<(&Path, usize)>,
    ) -> Result<Self, Error> {
        let binaries = Binaries::find(binaries).map_err(Error::Binaries)?;
        let home = Home::make(home::POSTGRES, Account::find()?, epoch, memory, directory)?;
        let statements = binaries.has_module("pg_stat_statements");
        let kept = images.map(|(place, most)| Kept::new(place.to_owned(), binaries.major, locale.as_deref(), most));
        Ok(Self { binaries, statements, home, locale, kept, base: OnceCell::new() })
    }

    /// The directory of everything.
    pub(crate) fn directory(&self) -> &Path {
        self.home.path()
    }

    /// A server to build a template in.
    pub(crate) async fn builder(self: &Arc<Self>) -> Result<Process, Error> {
        let base = self
            .base
            .get_or_try_init(async || {
                base::make(&self.binaries, &self.home, self.locale.as_deref()).await.map(Arc::new)
            })
            .await?
            .clone();
        self.copy(move |target, local| base.copy(target, local.home.account()), Purpose::Build).await
    }

    /// Stops a builder and keeps what it has.
    pub(crate) async fn image(&self, builder: Process) -> Result<Image, Error> {
        let directory = builder.directory().to_owned();
        builder.stop().await?;
        let kept = self.home.fresh('i');
        std::fs::rename(&directory, &kept)?;
        let _ = std::fs::remove_file(kept.join("log"));
        let listing = Listing::read(&kept)?;
        Ok(Image { directory: kept, listing })
    }

    /// The image that an earlier engine built of the same, where it was kept.
    pub(crate) async fn recall(self: &Arc<Self>, digest: Digest) -> Option<Image> {
        let (local, directory) = (self.clone(), self.home.fresh('i'));
        let target = directory.clone();
        let recalled = tokio::task::spawn_blocking(move || {
            let kept = local.kept.as_ref()?;
            match kept.recall(digest, &target, local.home.account()) {
                Ok(there) => there.then(|| Listing::read(&target).ok()).flatten(),
                Err(error) => {
                    tracing::warn!(template = %digest, %error, "a kept template cannot be read; it is built again");
                    let _ = std::fs::remove_dir_all(&target);
                    None
                }
            }
        });
        let listing = recalled.await.ok().flatten()?;
        Some(Image { directory, listing })
    }

    /// Keeps an image for engines to come. Without it, they build it again.
    pub(crate) async fn keep(self: Arc<Self>, digest: Digest, image: Arc<Image>) {
        let keeping = tokio::task::spawn_blocking(move || {
            let kept = self.kept.as_ref().map_or(Ok(()), |kept| kept.keep(digest, &image.listing));
            if let Err(error) = kept {
                tracing::warn!(template = %digest, %error, "a template could not be kept; it will be built again");
            }
        });
        let _panicked = keeping.await;
    }

    /// A copy of an image, started.
    pub(crate) async fn start(self: &Arc<Self>, image: &Arc<Image>, purpose: Purpose) -> Result<Process, Error> {
        let image = image.clone();
        self.copy(move |target, local| image.listing.copy(target, local.home.account()), purpose).await
    }

    async fn copy(
        self: &Arc<Self>,
        copy: impl FnOnce(&Path, &Self) -> std::io::Result<()> + Send + 'static,
        purpose: Purpose,
    ) -> Result<Process, Error> {
        let (local, directory) = (self.clone(), self.home.fresh('s'));
        let target = directory.clone();
        let copied = tokio::task::spawn_blocking(move || copy(&target, &local)).await;
        let started = match copied {
            Ok(Ok(())) => {
                Process::start((&self.binaries, self.statements), &self.home, directory.clone(), purpose).await
            }
            Ok(Err(error)) => Err(Error::Io(error)),
            Err(error) => Err(Error::Io(std::io::Error::other(error))),
        };
        if started.is_err() {
            let _ = std::fs::remove_dir_all(&directory);
        }
        started
    }
}

impl Image {
    /// What a copy takes, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.listing.bytes
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
