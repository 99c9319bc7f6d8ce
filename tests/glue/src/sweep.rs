//! Many seeds, each in a process of its own, two at a time; and some of them again, to see that they tell the same story.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Of so many seeds one is played again, and two at least.
const AGAIN: u64 = 100;

/// How many are played at once.
const AT_ONCE: usize = 2;

/// How long one is waited for, in looks.
const LOOKS: u32 = 60_000;

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(2);

struct Played {
    seed: u64,
    /// What it printed last.
    end: String,
    is_ok: bool,
}

/// Plays seeds, and tells how that went. `false` when something was broken.
pub(crate) fn sweep(from: u64, seeds: u64) -> bool {
    let began = uptime();
    let again = (0..seeds).filter(|at| at % AGAIN == 0 || *at == seeds - 1).map(|at| from + at);
    let wanted: Vec<u64> = (from..from + seeds).chain(again).collect();
    let played = play_all(&wanted);
    let seconds = uptime() - began;
    let mut is_ok = true;
    let mut broke = |seed: u64, what: &str| {
        is_ok = false;
        println!("seed {seed} broke: {what}\ncargo run -p regatta-glue -- --seed {seed}");
    };
    let (mut us, mut begun, mut twice) = (0, 0, 0);
    for (at, one) in played.iter().enumerate() {
        if !one.is_ok {
            broke(one.seed, &one.end);
            continue;
        }
        us += number(&one.end, "us=");
        begun += number(&one.end, "begun=");
        if let Some(first) = played[..at].iter().find(|first| first.seed == one.seed) {
            twice += 1;
            if first.end != one.end {
                broke(one.seed, &format!("it told two stories: {} and {}", first.end, one.end));
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (hours, rate) = (us as f64 / 3_600e6, played.len() as f64 / seconds);
    println!(
        "{seeds} seeds in {seconds:.1} s: {hours:.2} simulated hours, {begun} tests begun, {rate:.1} seeds/s; {twice} played twice"
    );
    is_ok
}

fn play_all(seeds: &[u64]) -> Vec<Played> {
    let mut played = Vec::with_capacity(seeds.len());
    let mut running: Vec<(u64, Child, u32)> = Vec::new();
    let mut next = seeds.iter();
    loop {
        while running.len() < AT_ONCE
            && let Some(&seed) = next.next()
        {
            match start(seed) {
                Ok(child) => running.push((seed, child, 0)),
                Err(error) => played.push(Played { seed, end: format!("it does not start: {error}"), is_ok: false }),
            }
        }
        if running.is_empty() {
            return played;
        }
        running.retain_mut(|(seed, child, looks)| {
            *looks += 1;
            if *looks > LOOKS {
                let _gone = child.kill();
            }
            let is_ok = match child.try_wait() {
                Ok(None) => return true,
                Ok(Some(status)) => status.success(),
                Err(_) => false,
            };
            let printed = child.stdout.take().map(std::io::read_to_string);
            let printed = printed.and_then(Result::ok).unwrap_or_default();
            let end = printed.lines().last().unwrap_or("it said nothing; it took too long, or crashed").to_owned();
            played.push(Played { seed: *seed, end, is_ok });
            false
        });
        std::thread::sleep(LOOK);
    }
}

fn start(seed: u64) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--seed", &seed.to_string(), "--quiet"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
}

/// A number in what a seed printed.
fn number(end: &str, name: &str) -> u64 {
    end.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok()).unwrap_or(0)
}

/// Seconds since the system started: this program has no clock but simulated ones.
fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}
