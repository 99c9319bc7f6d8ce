//! Redis: a server for each lease, proven clean or gone.

use crate::world::{HOLD, RUN, TEMPLATE, ask, directory, holder, processes, until, wanted};
use nix::sys::signal::{Signal, kill};
use regatta_databases::redis::{self, Settings};
use regatta_databases::{BuildOrder, Fate, Leased, Prepared, Refused, Released, Throwaway};
use regatta_domain::evidence::{Confidence, Fact};
use regatta_domain::{Level, RunId, Token};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use tempfile::TempDir;

/// A connection as a test's client makes it: it knows only the URL.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(url: &str) -> Result<Self, String> {
        let (user, rest) = url.strip_prefix("redis://").unwrap().split_once(':').unwrap();
        let (password, rest) = rest.split_once('@').unwrap();
        let stream = TcpStream::connect(rest.split('/').next().unwrap()).map_err(|error| error.to_string())?;
        let mut client = Self(BufReader::new(stream));
        let entered =
            if user.is_empty() { client.call(&["AUTH", password]) } else { client.call(&["AUTH", user, password]) };
        entered.map(|_| client)
    }

    /// The reply as it was printed, lists without their counts; an error for what was refused or lost.
    fn call(&mut self, words: &[&str]) -> Result<String, String> {
        let mut command = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| command.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        self.0.get_mut().write_all(command.as_bytes()).map_err(|error| error.to_string())?;
        self.read()
    }

    fn read(&mut self) -> Result<String, String> {
        let mut line = String::new();
        if self.0.read_line(&mut line).map_err(|error| error.to_string())? == 0 {
            return Err("it was closed".to_owned());
        }
        let rest = line[1..].trim_end().to_owned();
        match &line[..1] {
            "-" => Err(rest),
            "$" if rest == "-1" => Ok("nothing".to_owned()),
            "$" => {
                let mut text = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut text).map_err(|error| error.to_string())?;
                Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
            }
            "*" => {
                let count = rest.parse().unwrap_or(0);
                let parts: Result<Vec<String>, String> = (0..count).map(|_| self.read()).collect();
                parts.map(|parts| parts.join(" "))
            }
            _ => Ok(rest),
        }
    }
}

struct World {
    redis: Throwaway,
    _directory: TempDir,
}

fn settings(directory: &Path) -> Settings {
    Settings { memory: None, directory: directory.to_owned(), ..Settings::default() }
}

impl World {
    async fn empty() -> Self {
        let directory = directory();
        let redis = redis::start(settings(directory.path())).await.unwrap();
        Self { redis, _directory: directory }
    }

    /// With a template of three keys.
    async fn new() -> Self {
        let world = Self::empty().await;
        let order = order(&world.redis).await;
        let mut client = Client::connect(&order.url).unwrap();
        for words in [&["SET", "a", "1"][..], &["RPUSH", "list", "x", "y"], &["HSET", "hash", "field", "value"]] {
            client.call(words).unwrap();
        }
        assert!(world.redis.built(order.id, Ok(())).await);
        world
    }

    async fn lease(&self, level: Level) -> Leased {
        self.redis.lease(ask(level, 1)).await.unwrap()
    }

    async fn release(&self, leased: &Leased) -> Released {
        self.redis.release(leased.id).await.unwrap()
    }

    /// Leases, runs commands over one connection, closes it, and releases.
    async fn run(&self, level: Level, commands: &[&[&str]]) -> (Leased, Released) {
        let leased = self.lease(level).await;
        let mut client = Client::connect(&leased.url).unwrap();
        for words in commands {
            let _ = client.call(words);
        }
        drop(client);
        let released = self.release(&leased).await;
        (leased, released)
    }
}

async fn order(redis: &Throwaway) -> BuildOrder {
    match redis.prepare(wanted(1, RUN)).await.unwrap() {
        Prepared::Build(order) => order,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_level_finds_the_seeded_data_and_may_do_what_it_is_for() {
    let world = World::new().await;
    for level in [Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive] {
        let leased = world.lease(level).await;
        let mut client = Client::connect(&leased.url).unwrap();
        assert_eq!(client.call(&["GET", "a"]).unwrap(), "1", "{level:?}");
        assert_eq!(client.call(&["LRANGE", "list", "0", "-1"]).unwrap(), "x y");
        let wrote = client.call(&["SET", "b", "2"]);
        let configured = client.call(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        if level == Level::Read {
            assert!(wrote.unwrap_err().starts_with("NOPERM") && configured.unwrap_err().starts_with("NOPERM"));
            assert!(client.call(&["PUBLISH", "channel", "x"]).unwrap_err().starts_with("NOPERM"));
        } else {
            assert!(wrote.is_ok() && configured.is_ok(), "{level:?}");
        }
        let variable = |name: &str| leased.variables.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
        assert_eq!(variable("REDIS_URL"), Some(&*leased.url));
        assert!(leased.url.contains(variable("REDIS_PASSWORD").unwrap()));
        assert!(leased.url.ends_with(&format!(
            "{}:{}/0",
            variable("REDIS_HOST").unwrap(),
            variable("REDIS_PORT").unwrap()
        )));
        drop(client);
        world.release(&leased).await;
    }
    let nothing = world.lease(Level::None).await;
    assert!(nothing.url.is_empty());
    assert_eq!(world.release(&nothing).await.level, Level::None);
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_test_did_is_seen_whatever_it_declared() {
    let world = World::new().await;
    let table: [(&[&[&str]], Level, Fate); 11] = [
        (&[&["GET", "a"], &["INFO"], &["CONFIG", "GET", "port"]], Level::Read, Fate::HandedOn),
        (&[&["MULTI"], &["SET", "a", "2"], &["DISCARD"]], Level::Transaction, Fate::HandedOn),
        (&[&["DEL", "missing"]], Level::Transaction, Fate::HandedOn),
        (&[&["MULTI"], &["SET", "a", "2"], &["EXEC"]], Level::Isolated, Fate::Destroyed),
        (&[&["SET", "b", "2"], &["DEL", "b"]], Level::Isolated, Fate::Destroyed),
        (&[&["EVAL", "return redis.call('incr', 'n')", "0"]], Level::Isolated, Fate::Destroyed),
        (&[&["PUBLISH", "channel", "x"]], Level::Isolated, Fate::Destroyed),
        (&[&["SELECT", "3"], &["SET", "elsewhere", "1"]], Level::Isolated, Fate::Destroyed),
        (&[&["CONFIG", "SET", "maxmemory", "50mb"]], Level::Exclusive, Fate::Destroyed),
        (&[&["SET", "b", "2"], &["CONFIG", "RESETSTAT"]], Level::Exclusive, Fate::Destroyed),
        (&[&["FLUSHALL"]], Level::Exclusive, Fate::Destroyed),
    ];
    for (commands, level, fate) in table {
        let (_, told) = world.run(Level::Isolated, commands).await;
        assert_eq!((told.level, told.fate), (level, fate), "{commands:?}: {told:?}");
        assert_eq!(told.evidence.sessions.min(1), u32::from(!commands.concat().contains(&"RESETSTAT")), "{told:?}");
        assert!(level == Level::Exclusive || told.evidence.confidence() == Confidence::Full, "{told:?}");
        assert_eq!(told.statements.is_empty(), level == Level::Read, "{told:?}");
    }
    let idle = world.lease(Level::Isolated).await;
    let told = world.release(&idle).await;
    assert_eq!((told.level, told.fate), (Level::None, Fate::HandedOn), "nobody connected: {told:?}");
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_server_is_handed_on_under_another_password_and_a_dirty_one_is_not() {
    let world = World::new().await;
    let server = |leased: &Leased| leased.database.clone();
    let (first, told) = world.run(Level::Transaction, &[&["GET", "a"]]).await;
    assert_eq!(told.fate, Fate::HandedOn, "{told:?}");
    assert!(
        Client::connect(&first.url).is_err_and(|why| why.starts_with("WRONGPASS")),
        "the old password is worth nothing"
    );
    let mut met = false;
    let mut dirtied = BTreeSet::new();
    for _ in 0..12 {
        let next = world.lease(Level::Isolated).await;
        met |= server(&next) == server(&first);
        assert!(!dirtied.contains(&server(&next)), "a dirty server was handed on");
        let mut client = Client::connect(&next.url).unwrap();
        assert_eq!(client.call(&["DBSIZE"]).unwrap(), "3");
        client.call(&["SET", "dirt", "1"]).unwrap();
        drop(client);
        dirtied.insert(server(&next));
        let told = world.release(&next).await;
        assert_eq!(told.fate, Fate::Destroyed);
        until("it is gone", async || Client::connect(&next.url).is_err()).await;
    }
    assert!(met, "the clean one went to somebody");
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_finds_nothing_after_the_release() {
    let world = World::new().await;
    for level in [Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive] {
        let leased = world.lease(level).await;
        let mut zombie = Client::connect(&leased.url).unwrap();
        zombie.call(&["GET", "a"]).unwrap();
        let told = world.release(&leased).await;
        assert!(!told.leaks.is_empty() && told.evidence.facts.has(Fact::Leaked), "{level:?}: {told:?}");
        assert_ne!(told.fate, Fate::HandedOn);
        assert!(zombie.call(&["GET", "a"]).is_err(), "{level:?}: it was ended");
        assert!(Client::connect(&leased.url).is_err(), "{level:?}: and does not come back");
    }
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leases_never_share_what_one_of_them_may_change() {
    let world = World::new().await;
    let mut leases = Vec::new();
    for level in [Level::Transaction, Level::Isolated, Level::Exclusive].into_iter().cycle().take(12) {
        leases.push(world.lease(level).await);
    }
    let reader = world.lease(Level::Read).await;
    let servers: BTreeSet<&str> = leases.iter().chain([&reader]).map(|leased| &*leased.database).collect();
    assert_eq!(servers.len(), 13);
    for (at, leased) in leases.iter().enumerate() {
        Client::connect(&leased.url).unwrap().call(&["SET", "mine", &at.to_string()]).unwrap();
    }
    for (at, leased) in leases.iter().enumerate() {
        assert_eq!(Client::connect(&leased.url).unwrap().call(&["GET", "mine"]).unwrap(), at.to_string());
    }
    assert_eq!(Client::connect(&reader.url).unwrap().call(&["GET", "mine"]).unwrap(), "nothing");
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_wants_to_write_is_seen_and_harms_no_other() {
    let world = World::new().await;
    let (one, other) = (world.lease(Level::Read).await, world.lease(Level::Read).await);
    assert_eq!(one.database, other.database, "readers share");
    let mut client = Client::connect(&one.url).unwrap();
    client.call(&["DEL", "a"]).unwrap_err();
    drop(client);
    let told = world.release(&one).await;
    assert!(told.denied && told.level == Level::Transaction && told.fate == Fate::Kept, "{told:?}");
    assert_eq!(told.statements, ["DEL (refused)"]);
    assert_eq!(Client::connect(&other.url).unwrap().call(&["GET", "a"]).unwrap(), "1");
    let told = world.release(&other).await;
    assert!(!told.denied && told.level == Level::Read, "{told:?}");
    let idle = world.lease(Level::Read).await;
    assert_eq!(world.release(&idle).await.level, Level::None, "nobody connected meanwhile");
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shuts_us_out_of_a_server_is_judged_as_one_that_changes_servers() {
    let world = World::new().await;
    let (_, told) = world.run(Level::Isolated, &[&["ACL", "DELUSER", "regatta"]]).await;
    assert_eq!((told.level, told.fate), (Level::Exclusive, Fate::Destroyed), "{told:?}");
    let (_, told) = world.run(Level::Isolated, &[&["CLIENT", "KILL", "TYPE", "normal"]]).await;
    assert_eq!(told.level, Level::Exclusive, "we come back, and it is counted: {told:?}");
    let (_, told) = world.run(Level::Isolated, &[&["SHUTDOWN", "NOSAVE"]]).await;
    assert_eq!((told.level, told.fate), (Level::Isolated, Fate::Lost), "{told:?}");
    let (_, told) = world.run(Level::Isolated, &[&["GET", "a"]]).await;
    assert_eq!(told.fate, Fate::HandedOn, "the next is served as ever");
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_ends_every_lease_of_its_token_and_refuses_new_ones() {
    let world = World::new().await;
    let mut fenced = Vec::new();
    for level in [Level::Read, Level::Transaction, Level::Exclusive] {
        let leased = world.redis.lease(ask(level, 7)).await.unwrap();
        let client = Client::connect(&leased.url).unwrap();
        fenced.push((leased, client));
    }
    let other = world.redis.lease(ask(Level::Isolated, 8)).await.unwrap();
    world.redis.fence(Token(7));
    assert_eq!(world.redis.lease(ask(Level::None, 7)).await.unwrap_err(), Refused::Fenced);
    for (leased, client) in &mut fenced {
        until("its session is ended", || std::future::ready(client.call(&["PING"]).is_err())).await;
        let (one, two) = tokio::join!(world.release(leased), world.release(leased));
        assert_ne!(one.fate, Fate::HandedOn);
        assert_eq!(one.evidence, two.evidence, "told twice, it is the same");
        assert!(Client::connect(&leased.url).is_err());
    }
    assert_eq!(Client::connect(&other.url).unwrap().call(&["GET", "a"]).unwrap(), "1");
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_builds_the_others_wait_and_a_fenced_builder_hands_over() {
    let world = World::empty().await;
    assert_eq!(world.redis.lease(ask(Level::Read, 1)).await.unwrap_err(), Refused::NotReady);
    let first = order(&world.redis).await;
    assert!(matches!(world.redis.prepare(wanted(2, RUN)).await.unwrap(), Prepared::Building(_)));
    world.redis.fence(Token(1));
    until("its server is gone", async || Client::connect(&first.url).is_err()).await;
    let Prepared::Build(second) = world.redis.prepare(wanted(2, RUN)).await.unwrap() else { panic!("not handed over") };
    assert!(!world.redis.built(first.id, Ok(())).await, "nobody listens to the first any more");
    assert!(!world.redis.built(second.id, Err("no seed".to_owned())).await);
    match world.redis.prepare(wanted(3, RUN)).await.unwrap() {
        Prepared::Failed { log, told } => assert_eq!((&*log, told), ("no seed", false)),
        other => panic!("{other:?}"),
    }
    world.redis.retry(TEMPLATE);
    let Prepared::Build(third) = world.redis.prepare(wanted(3, RunId::from_bits(2))).await.unwrap() else {
        panic!("not tried again")
    };
    assert!(world.redis.built(third.id, Ok(())).await);
    assert!(matches!(world.redis.prepare(wanted(4, RUN)).await.unwrap(), Prepared::Ready));
    let empty = world.redis.lease(ask(Level::Isolated, 4)).await.unwrap();
    assert_eq!(Client::connect(&empty.url).unwrap().call(&["DBSIZE"]).unwrap(), "0");
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_server_that_was_killed_is_given_to_nobody() {
    let world = World::new().await;
    until("two are warm", async || world.redis.status().pooled >= 2).await;
    for (pid, line) in processes(&world.redis.directory()) {
        if line.contains("redis-server") && line.contains("redis.conf") && !line.contains("/bin/sh") {
            kill(pid, Signal::SIGKILL).unwrap();
        }
    }
    for _ in 0..3 {
        // One that has just been killed may be given for a moment, until its end is known.
        until("one that lives is given", async || {
            let leased = world.lease(Level::Isolated).await;
            let lives = Client::connect(&leased.url).and_then(|mut client| client.call(&["GET", "a"]));
            world.release(&leased).await;
            lives.is_ok_and(|value| value == "1")
        })
        .await;
    }
    world.redis.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_leaves_no_process_and_no_file() {
    let world = World::new().await;
    let home = world.redis.directory();
    for level in [Level::Read, Level::Transaction, Level::Exclusive] {
        world.lease(level).await;
    }
    assert!(!processes(&home).is_empty());
    world.redis.shutdown().await;
    assert_eq!(world.redis.lease(ask(Level::Read, 1)).await.unwrap_err(), Refused::Closing);
    drop(world);
    until("everything is gone", async || !home.exists() && processes(&home).is_empty()).await;
}

/// Not a claim of its own: the process that the next two kill.
#[tokio::test(flavor = "multi_thread")]
async fn hold() {
    let Some(directory) = std::env::var_os(HOLD) else { return };
    let redis = redis::start(settings(Path::new(&directory))).await.unwrap();
    let order = order(&redis).await;
    assert!(redis.built(order.id, Ok(())).await);
    redis.lease(ask(Level::Exclusive, 1)).await.unwrap();
    redis.lease(ask(Level::Read, 1)).await.unwrap();
    println!("home={}", redis.directory().display());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_owner_is_killed_no_server_and_no_directory_stays() {
    let directory = directory();
    let (mut owner, home) = holder("redis::hold", directory.path());
    assert!(processes(&home).iter().any(|(_, line)| line.contains("redis-server")), "{:?}", processes(&home));
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("everything is gone", async || !home.exists() && processes(&home).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_survives_owner_and_guards_is_removed_at_the_next_start() {
    let directory = directory();
    let (mut owner, home) = holder("redis::hold", directory.path());
    // Everything that would clean up is killed first.
    for (pid, line) in processes(&home) {
        if line.contains("/bin/sh") {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(home.exists() && !processes(&home).is_empty(), "servers run on without anybody");
    let next = redis::start(settings(directory.path())).await.unwrap();
    assert!(!home.exists());
    until("its servers are gone", async || processes(&home).is_empty()).await;
    next.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_redis_is_told_where_was_looked_and_what_to_do() {
    let directory = directory();
    let program = Some(directory.path().join("nowhere"));
    let error = redis::start(Settings { program, ..settings(directory.path()) }).await.unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("Install"), "{error}");
}
