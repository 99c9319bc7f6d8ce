//! Chance, handed in as a seed. SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same everywhere.

/// A source of chance. What is drawn from it is recorded in events, so replay needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entropy(u64);

impl Entropy {
    /// The source that begins at `seed`.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`; 0 where that is 0. Biased by at most `bound / 2^64`, which nobody notices here.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }
}

/// Spreads the bits of `value` over the whole word: a rank that looks random, and is always the same.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
