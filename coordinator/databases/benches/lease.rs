//! What a lease costs, and what it costs beside the least that PostgreSQL could do: `cargo bench -p regatta-databases`.
//!
//! Each comparison is made in turn on the same server (A B A B), because this and that run differ by more than this and that way.
//! The template is fifty tables with keys, an index and twenty rows each: some 14 MB and 750 files.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing to say")]

use regatta_databases::binaries::Binaries;
use regatta_databases::{Ask, Leased, Place, Postgres, Prepared, Settings, Wanted, names};
use regatta_domain::{Digest, Level, RunId, TestIx, Token};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Config, NoTls};

const TEMPLATE: Digest = Digest([0xbe; 32]);

/// Leases of so long are not counted: the pool follows a rate that it has seen for a while, and its first seconds are those of
/// a server that was idle.
const WARM_UP: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    let postgres = Postgres::start(Settings::default()).await.unwrap();
    let begun = Instant::now();
    build(&postgres).await;
    println!("template built and served in {:.0?}; {:?}", begun.elapsed(), postgres.status().templates[0].bytes);
    clones().await;
    private(&postgres).await;
    for (rate, count) in [(20.0, 600), (50.0, 1_250), (100.0, 2_500)] {
        load(&postgres, rate, count).await;
    }
    let status = postgres.status();
    println!("at the end: made {} reused {} dropped {}", status.made, status.reused, status.dropped);
    println!("releases p50/p99 {:.1?} / {:.1?}", status.release.0, status.release.1);
    postgres.shutdown().await;
}

async fn build(postgres: &Postgres) {
    let (token, run) = (Token(1), RunId::from_bits(1));
    let wanted = Wanted { template: TEMPLATE, place: Place::Shared, extensions: Vec::new(), token, run };
    let Prepared::Build(order) = postgres.prepare(wanted).await.unwrap() else { panic!("there is nothing to build") };
    let mut sql = String::new();
    for table in 0..50 {
        let parent = if table == 0 { String::new() } else { format!(" REFERENCES t{}", table - 1) };
        sql += &format!(
            "CREATE TABLE t{table} (id bigserial PRIMARY KEY, email text UNIQUE, name text, up bigint{parent}); \
             CREATE INDEX ON t{table} (name); \
             INSERT INTO t{table} (email, name) SELECT 'e' || n, 'n' || n FROM generate_series(1, 20) n;"
        );
    }
    connect(&order.url.parse().unwrap()).await.batch_execute(&sql).await.unwrap();
    assert!(postgres.built(order.id, Ok(())).await);
}

/// What one lease took.
struct Took {
    at: Instant,
    lease: Duration,
    ready: Duration,
    bare: Option<Duration>,
    release: Duration,
}

/// A mixed load of `rate` leases per second: reads, rolled-back writes, commits, and some that do not do as they say.
async fn load(postgres: &Postgres, rate: f64, count: u32) {
    let before = postgres.status();
    let (mut chance, mut running) = (Chance(42), Vec::new());
    let begun = Instant::now();
    let mut due = begun;
    for at in 0..count {
        due += Duration::from_secs_f64(-chance.next().ln() / rate);
        tokio::time::sleep_until(due.into()).await;
        let (kind, hold) = (chance.next(), Duration::from_secs_f64(0.05 + 0.2 * chance.next()));
        let (level, sql) = match kind {
            kind if kind < 0.40 => (Level::Read, "SELECT count(*) FROM t7 JOIN t8 USING (id)"),
            kind if kind < 0.75 => {
                (Level::Transaction, "BEGIN; INSERT INTO t3 (email) VALUES ('x'); UPDATE t4 SET name = 'y'; ROLLBACK")
            }
            kind if kind < 0.95 => (Level::Isolated, "INSERT INTO t3 (email) VALUES ('x')"),
            _ => (Level::Transaction, "INSERT INTO t5 (email) VALUES ('liar')"),
        };
        let postgres = postgres.clone();
        running.push(tokio::spawn(async move { one(&postgres, at, level, sql, hold).await }));
    }
    let (mut took, mut refused) = (Vec::new(), 0);
    for task in running {
        match task.await.unwrap() {
            Ok(one) => took.push(one),
            Err(why) => {
                refused += 1;
                eprintln!("refused: {why}");
            }
        }
    }
    let made = postgres.status().made - before.made;
    let all = took.len();
    took.retain(|took: &Took| took.at >= begun + WARM_UP);
    let warm = all - took.len();
    println!(
        "\n{rate}/s, {} leases in {:.1?} after {warm} to warm up, {refused} refused",
        took.len(),
        begun.elapsed() - WARM_UP
    );
    for (what, of) in [
        ("lease", (|took: &Took| Some(took.lease)) as fn(&Took) -> Option<Duration>),
        ("lease + connect + query", |took| Some(took.ready)),
        ("bare connect + query", |took| took.bare),
        ("release", |took| Some(took.release)),
    ] {
        let mut all: Vec<Duration> = took.iter().filter_map(of).collect();
        all.sort();
        let at = |percent: usize| all[all.len() * percent / 100];
        println!("  {what:<24} p50 {:>9.2?}  p99 {:>9.2?}  max {:>9.2?}", at(50), at(99), all[all.len() - 1]);
    }
    println!("  clones made per 100 leases: {:.1}", f64::from(u32::try_from(made).unwrap()) * 100.0 / f64::from(count));
}

async fn one(postgres: &Postgres, number: u32, level: Level, sql: &str, hold: Duration) -> Result<Took, String> {
    let at = Instant::now();
    let leased = lease(postgres, number, level).await?;
    let lease = at.elapsed();
    let config: Config = leased.url.parse().unwrap();
    let client = connect(&config).await;
    client.simple_query("SELECT count(*) FROM t1").await.unwrap();
    let ready = at.elapsed();
    // Now and then the same once more: the least that anybody pays who connects at this moment. Not each time: it would be
    // half of the load.
    let bare = if number.is_multiple_of(5) {
        let begun = Instant::now();
        let again = connect(&config).await;
        again.simple_query("SELECT count(*) FROM t1").await.unwrap();
        Some(begun.elapsed())
    } else {
        None
    };
    let _ = client.batch_execute(sql).await;
    tokio::time::sleep(hold).await;
    drop(client);
    let begun = Instant::now();
    postgres.release(leased.id).await.unwrap();
    Ok(Took { at, lease, ready, bare, release: begun.elapsed() })
}

async fn lease(postgres: &Postgres, at: u32, level: Level) -> Result<Leased, String> {
    let (token, run) = (Token(1), RunId::from_bits(1));
    let (test, application, statements) = (TestIx(at), String::new(), false);
    let ask = Ask { token, run, test, attempt: 1, level, template: TEMPLATE, application, statements };
    postgres.lease(ask).await.map_err(|refused| refused.to_string())
}

/// How fast clones come: `CREATE DATABASE` over two connections and nothing else, and the pool with all it does besides.
async fn clones() {
    const CLONES: u32 = 30;
    println!("\nclones per second, raw and pool in turn");
    let mut ratios = Vec::new();
    for round in 0..3 {
        // An engine of its own, which has seen no demand yet and holds the least.
        let engine = Postgres::start(Settings::default()).await.unwrap();
        let postgres = &engine;
        build(postgres).await;
        quiet(postgres).await;
        let admin = postgres.shelf(TEMPLATE).unwrap().admin;
        let begun = Instant::now();
        let makers: Vec<_> = (0..2).map(|maker| tokio::spawn(raw(admin.clone(), round, maker, CLONES / 2))).collect();
        let mut made = Vec::new();
        for maker in makers {
            made.extend(maker.await.unwrap());
        }
        let raw = f64::from(CLONES) / begun.elapsed().as_secs_f64();
        let client = connect(&admin).await;
        for name in made {
            client.batch_execute(&format!("DROP DATABASE {name}")).await.unwrap();
        }
        quiet(postgres).await;
        let (before, begun) = (postgres.status().made, Instant::now());
        let mut asking = Vec::new();
        for at in 0..CLONES {
            let postgres = postgres.clone();
            asking.push(tokio::spawn(async move { lease(&postgres, at, Level::Isolated).await }));
        }
        let mut held = Vec::new();
        for task in asking {
            held.push(task.await.unwrap().unwrap());
        }
        let made = u32::try_from(postgres.status().made - before).unwrap();
        let pool = f64::from(made) / begun.elapsed().as_secs_f64();
        for leased in held {
            postgres.release(leased.id).await.unwrap();
        }
        println!("  raw {raw:>6.1}  pool {pool:>6.1}  ratio {:.2}", pool / raw);
        ratios.push(pool / raw);
        engine.shutdown().await;
    }
    ratios.sort_by(f64::total_cmp);
    println!("  median ratio {:.2}", ratios[ratios.len() / 2]);
}

async fn raw(admin: Config, round: u32, maker: u32, count: u32) -> Vec<String> {
    let client = connect(&admin).await;
    let template = names::template(TEMPLATE);
    let mut made = Vec::new();
    for at in 0..count {
        let name = format!("raw_{round}_{maker}_{at}");
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await.unwrap();
        made.push(name);
    }
    made
}

/// Waits until the engine has nothing to do: half a second in which nothing was made, dropped or handed on.
async fn quiet(postgres: &Postgres) {
    let figures = |postgres: &Postgres| {
        let status = postgres.status();
        (status.made, status.dropped, status.reused, status.pooled)
    };
    let mut last = figures(postgres);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = figures(postgres);
        if now == last {
            return;
        }
        last = now;
    }
}

/// How soon a private server is there, beside copying the image with `cp` and starting it.
async fn private(postgres: &Postgres) {
    println!("\nprivate servers");
    let (mut made, mut plain, mut warm) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..5 {
        quiet(postgres).await;
        plain.push(copy_and_start(postgres, round).await);
        let begun = Instant::now();
        let leased = lease(postgres, round, Level::Exclusive).await.unwrap();
        let took = begun.elapsed();
        if round > 0 {
            warm.push(took);
        }
        // Whoever took the warm one had the next begun: what making it takes until it could be leased.
        let begun = Instant::now();
        while postgres.status().templates[0].private == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        made.push(begun.elapsed());
        postgres.release(leased.id).await.unwrap();
    }
    for (what, all) in
        [("copy + start", &mut plain), ("made, watched, marked", &mut made), ("lease of a warm one", &mut warm)]
    {
        all.sort();
        println!("  {what:<24} p50 {:>9.2?}  max {:>9.2?}", all[all.len() / 2], all[all.len() - 1]);
    }
}

async fn copy_and_start(postgres: &Postgres, round: u32) -> Duration {
    let home = postgres.directory().unwrap();
    let image =
        std::fs::read_dir(&home).unwrap().flatten().find(|entry| entry.file_name().to_string_lossy().starts_with('i'));
    let (image, target) = (image.unwrap().path(), home.join(format!("x{round}")));
    let binaries = Binaries::find(None).unwrap();
    let begun = Instant::now();
    assert!(Command::new("cp").arg("-a").arg(&image).arg(&target).status().unwrap().success());
    let mut command = Command::new(binaries.program("postgres"));
    command
        .arg("-D")
        .arg(target.join("data"))
        .args(["-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-k"])
        .arg(&target);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if nix::unistd::geteuid().is_root() {
        let user = nix::unistd::User::from_name("postgres").unwrap().unwrap();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let mut server = command.spawn().unwrap();
    let text = std::fs::read_to_string(target.join("data/postgresql.conf")).unwrap();
    let port = text.lines().find_map(|line| line.strip_prefix("port = ")).unwrap().parse().unwrap();
    let mut config = Config::new();
    config.host_path(&target).port(port).user("regatta").dbname("postgres");
    while config.connect(NoTls).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = begun.elapsed();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(server.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT).unwrap();
    server.wait().unwrap();
    std::fs::remove_dir_all(&target).unwrap();
    took
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Chance that is the same each time: splitmix64.
struct Chance(u64);

impl Chance {
    /// A number above 0 and at most 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap_or(1).max(1)) / f64::from(u32::MAX)
    }
}
