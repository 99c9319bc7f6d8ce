//! Names of databases and roles: unique for ever, and telling whose they are.
//!
//! `rg_<8 hex of the template>_<epoch>_<counter>`: the epoch is the start of the engine that made it, so neither a restart
//! nor a second engine on the same server repeats a name, and whoever finds one knows which engine to ask for.

use regatta_domain::Digest;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The begin of every name of ours.
pub const PREFIX: &str = "rg_";

/// How many engines of one millisecond are told apart: eight digits of base 36.
const CHANCE: u128 = 36u128.pow(8);

/// Gives names.
#[derive(Debug)]
pub struct Names {
    epoch: String,
    counter: AtomicU64,
}

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The first eight hexadecimal digits of the template.
    pub template: &'a str,
    /// The engine that made it.
    pub epoch: &'a str,
    /// Which one of that engine.
    pub counter: u64,
}

impl Names {
    /// The names of an engine that starts now.
    #[must_use]
    pub fn begin() -> Self {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        // Many engines may start in one millisecond; among three digits of chance, a hundred of them met one time in ten.
        let chance = u128::from(u64::from_le_bytes(random())) % CHANCE;
        Self { epoch: base36(millis * CHANCE + chance), counter: AtomicU64::new(1) }
    }

    /// The start of this engine, in digits and lower-case letters.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// A name that nobody ever had.
    #[must_use]
    pub fn next(&self, template: Digest) -> String {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        format!("{PREFIX}{}_{}_{counter}", &template.to_string()[..8], self.epoch)
    }
}

/// What `name` says, if it is one of ours.
#[must_use]
pub fn parse(name: &str) -> Option<Parsed<'_>> {
    let mut parts = name.strip_prefix(PREFIX)?.split('_');
    let (template, epoch, counter) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    let hex = template.len() == 8 && template.bytes().all(|b| b.is_ascii_hexdigit());
    (hex && !epoch.is_empty() && parts.next().is_none()).then_some(Parsed { template, epoch, counter })
}

/// The group role that owns everything in a template.
#[must_use]
pub fn owner(template: Digest) -> String {
    format!("{PREFIX}{}_owner", &template.to_string()[..16])
}

/// The group role that may read everything in a template.
#[must_use]
pub fn reader(template: Digest) -> String {
    format!("{PREFIX}{}_reader", &template.to_string()[..16])
}

/// The database of a finished template.
#[must_use]
pub fn template(template: Digest) -> String {
    format!("{PREFIX}{}_template", &template.to_string()[..16])
}

/// A password: 128 bits of chance in hexadecimal, so that it needs quoting nowhere.
#[must_use]
pub fn password() -> String {
    random::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `N` bytes of chance.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .expect("a system without a source of randomness cannot keep databases apart");
    bytes
}

fn base36(mut number: u128) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.is_empty() {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
    }
    digits.reverse();
    String::from_utf8(digits).expect("the digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_never_repeat_and_fit_what_postgresql_keeps_of_a_name() {
        let digest = Digest([0xab; 32]);
        let mut seen = BTreeSet::new();
        for _ in 0..1_000 {
            let names = Names::begin();
            for _ in 0..10 {
                let name = names.next(digest);
                assert!(name.len() <= 63, "{name}");
                assert_eq!(parse(&name).map(|parsed| parsed.epoch.to_owned()), Some(names.epoch().to_owned()));
                assert!(seen.insert(name));
            }
        }
    }

    #[test]
    fn only_our_own_names_are_taken_for_ours() {
        for name in ["postgres", "rg_", "rg_12345678_a", "rg_1234567x_a_1", "rg_12345678_a_x", "rg_12345678_a_1_2"] {
            assert_eq!(parse(name), None, "{name}");
        }
        assert!(parse("rg_12345678_abc_17").is_some());
    }
}
