//! All that serves one finished template: a pool of clones on a server that is kept alive, and private servers.
//!
//! A server of our own that falls is not repaired: what it had were copies. It is replaced by a fresh one from the image, in
//! which nothing that a zombie knows of exists.

use crate::names::{self, Names};
use crate::pool::Pool;
use crate::private::Privates;
use crate::server::breaker::Breaker;
use crate::server::lane::{self, Lane};
use crate::server::local::{Image, Local};
use crate::server::process::Process;
use crate::server::settings::Purpose;
use crate::server::{Error, Server};
use crate::settings::Settings;
use crate::template::finish;
use regatta_domain::Digest;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// What serves one template.
#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) digest: Digest,
    state: Mutex<State>,
    pub(crate) privates: Option<Arc<Privates>>,
    own: Option<(Arc<Local>, Arc<Image>)>,
    names: Arc<Names>,
    settings: Arc<Settings>,
    /// Leases that are out: what is in use is never pruned.
    pub(crate) leases: AtomicUsize,
    closing: watch::Sender<bool>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// The shared server and its clones.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// None here: this stock is only for private servers.
    None,
    Up(Arc<Pool>),
    /// The server is being replaced.
    Down {
        since: SystemTime,
        why: String,
    },
}

/// Where a template is being built.
#[derive(Debug)]
pub(crate) enum Site {
    /// On a server of its own, which becomes the image.
    Own(Process, String),
    /// In a database of the external server.
    External(String),
}

impl Stock {
    /// Serves from an image, on servers of our own. Without `shared`, private servers only.
    pub(crate) async fn own(
        local: Arc<Local>,
        image: Image,
        digest: Digest,
        names: Arc<Names>,
        settings: Arc<Settings>,
        (room, shared): (Arc<Semaphore>, bool),
    ) -> Result<Arc<Self>, Error> {
        let image = Arc::new(image);
        let privates = Privates::begin(local.clone(), image.clone(), digest, names.clone(), settings.clone(), room);
        let stock = Arc::new(Self {
            digest,
            state: Mutex::new(State::None),
            privates: Some(privates),
            own: Some((local, image)),
            names,
            settings,
            leases: AtomicUsize::new(0),
            closing: watch::channel(false).0,
            keeper: Mutex::new(None),
        });
        if shared {
            let pool = stock.bring_up().await?;
            *stock.state() = State::Up(pool);
            *stock.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(stock.clone().keep_up()));
        }
        Ok(stock)
    }

    /// Serves from a template in the external server.
    pub(crate) async fn external(
        server: Arc<Server>,
        digest: Digest,
        names: Arc<Names>,
        settings: Arc<Settings>,
    ) -> Result<Arc<Self>, Error> {
        let roles = (names::template(digest), names::owner(digest), names::reader(digest));
        let pool = Pool::begin(server, digest, roles, names.clone(), settings.clone()).await?;
        Ok(Arc::new(Self {
            digest,
            state: Mutex::new(State::Up(pool)),
            privates: None,
            own: None,
            names,
            settings,
            leases: AtomicUsize::new(0),
            closing: watch::channel(false).0,
            keeper: Mutex::new(None),
        }))
    }

    /// Keeps the image for engines to come.
    pub(crate) async fn keep(&self) {
        if let Some((local, image)) = &self.own {
            local.clone().keep(self.digest, image.clone()).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool as it is now.
    pub(crate) fn pool(&self) -> State {
        self.state().clone()
    }

    /// Bytes of the template itself: its image, or its database.
    pub(crate) fn bytes(&self) -> u64 {
        match (&self.privates, &*self.state()) {
            (Some(privates), _) => privates.bytes(),
            (None, State::Up(pool)) => pool.template.bytes,
            (None, _) => 0,
        }
    }

    async fn bring_up(&self) -> Result<Arc<Pool>, Error> {
        let (local, image) = self.own.as_ref().expect("only servers of our own are brought up");
        let process = local.start(image, Purpose::Shared).await?;
        let server = Arc::new(Server::of(process, false).await?);
        let roles = (names::template(self.digest), names::owner(self.digest), names::reader(self.digest));
        Pool::begin(server, self.digest, roles, self.names.clone(), self.settings.clone()).await
    }

    /// Replaces the server whenever it falls.
    async fn keep_up(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        loop {
            let State::Up(pool) = self.pool() else { return };
            let Some(mut ended) = pool.server.ended() else { return };
            tokio::select! {
                _ = ended.wait_for(|ended| *ended) => {}
                () = pool.server.clone().watch_over() => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
            let process = pool.server.take_process();
            let why = process.as_ref().map(Process::log).unwrap_or_default();
            tracing::warn!(template = %self.digest, log = why, "a database server fell; it is replaced");
            let why = "the server fell, and is being replaced".to_owned();
            *self.state() = State::Down { since: SystemTime::now(), why };
            pool.close().await;
            drop(pool);
            if let Some(process) = process {
                process.destroy().await;
            }
            let breaker = Breaker::new();
            loop {
                match self.bring_up().await {
                    Ok(pool) => {
                        *self.state() = State::Up(pool);
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(template = %self.digest, %error, "a database server could not be replaced yet");
                        breaker.failed(&error.to_string());
                    }
                }
                while !breaker.probe() {
                    let pause = tokio::time::timeout(Duration::from_millis(50), closing.wait_for(|closing| *closing));
                    if pause.await.is_ok() {
                        return;
                    }
                }
            }
        }
    }

    /// Ends everything that serves. Databases on an external server stay for whoever sweeps it.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = keeper.await;
        }
        if let Some(privates) = &self.privates {
            privates.close().await;
        }
        let state = std::mem::replace(&mut *self.state(), State::None);
        if let State::Up(pool) = state {
            pool.close().await;
            if let Some(process) = pool.server.take_process() {
                process.destroy().await;
            }
        }
    }
}

/// Makes a place to build in, on a server of its own. Returns it with the URL's parts: host, port, database, password.
pub(crate) async fn open_own(
    local: &Arc<Local>,
    digest: Digest,
    name: String,
    extensions: &[String],
) -> Result<(Site, u16, String), Error> {
    let process = local.builder().await?;
    let lane = Lane::new(process.admin(), Arc::new(Breaker::new()));
    let (owner, reader, password) = (names::owner(digest), names::reader(digest), names::password());
    // Superuser while it builds: the server is its own, and migrations create extensions and roles as they do elsewhere.
    let sql = format!(
        "CREATE ROLE {reader} NOLOGIN; CREATE ROLE {owner} SUPERUSER LOGIN PASSWORD '{password}'; \
         REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; REVOKE CONNECT ON DATABASE template1 FROM PUBLIC"
    );
    lane.run(&sql).await?;
    // The admin database is where the watch works; made here, they need not be made at each start. It does without, too.
    for extension in ["pg_stat_statements", "pg_walinspect"] {
        if let Err(error) = lane.run(&format!("CREATE EXTENSION IF NOT EXISTS {extension}")).await {
            tracing::debug!(extension, %error, "what tests do to their databases will be seen less sharply");
        }
    }
    lane.run(&format!("CREATE DATABASE {name} OWNER {owner}")).await?;
    create_extensions(&process.admin(), &name, extensions).await?;
    let port = process.port();
    Ok((Site::Own(process, name), port, password))
}

/// Makes a place to build in, on the external server.
pub(crate) async fn open_external(
    server: &Server,
    digest: Digest,
    name: String,
    extensions: &[String],
) -> Result<(Site, String), Error> {
    let (owner, reader, password) = (names::owner(digest), names::reader(digest), names::password());
    let lane = &server.dropper;
    finish::groups(&server.facts, lane, &owner, &reader).await?;
    lane.run(&format!("ALTER ROLE {owner} LOGIN PASSWORD '{password}'")).await?;
    lane.run(&format!("CREATE DATABASE {name} OWNER {owner}")).await?;
    lane.run(&format!(
        "REVOKE ALL ON DATABASE {name} FROM PUBLIC; COMMENT ON DATABASE {name} IS 'regatta build of {digest}'"
    ))
    .await?;
    create_extensions(&server.admin, &name, extensions).await?;
    Ok((Site::External(name), password))
}

async fn create_extensions(admin: &tokio_postgres::Config, database: &str, extensions: &[String]) -> Result<(), Error> {
    if extensions.is_empty() {
        return Ok(());
    }
    let mut config = admin.clone();
    config.dbname(database);
    let inside = lane::connect(&config).await?;
    for extension in extensions {
        let name = extension.replace('"', "\"\"");
        lane::run(&inside, &format!("CREATE EXTENSION IF NOT EXISTS \"{name}\" CASCADE")).await?;
    }
    Ok(())
}

/// Finishes what was built on a server of its own: the image.
pub(crate) async fn finish_own(
    local: &Local,
    digest: Digest,
    process: Process,
    database: &str,
) -> Result<Image, Error> {
    let lane = Lane::new(process.admin(), Arc::new(Breaker::new()));
    let finished = finish_on(&process.admin(), &lane, digest, database).await;
    drop(lane);
    match finished {
        Ok(()) => local.image(process).await,
        Err(error) => {
            process.destroy().await;
            Err(error)
        }
    }
}

/// Finishes what was built in `database`.
pub(crate) async fn finish_on(
    admin: &tokio_postgres::Config,
    lane: &Lane,
    digest: Digest,
    database: &str,
) -> Result<(), Error> {
    let (owner, reader) = (names::owner(digest), names::reader(digest));
    let comment = format!("regatta template {digest}");
    finish::finish(admin, lane, database, &names::template(digest), &comment, (&owner, &reader)).await
}
