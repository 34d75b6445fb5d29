//! Numbers that look random and come again with the same seed, so that a fault can be repeated.

/// A SplitMix64 generator.
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// A generator whose numbers depend on every one of `seeds`.
    pub(super) fn seeded(seeds: &[u64]) -> Self {
        let mut random = Self { state: 0 };
        for seed in seeds {
            random.state ^= seed;
            random.state = random.next();
        }
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number from 0 to below `bound`; 0 when there is none.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// True with probability `ratio`.
    pub(super) fn chance(&mut self, ratio: f64) -> bool {
        ratio > 0.0 && ((self.next() >> 11) as f64) < ratio * (1u64 << 53) as f64
    }
}
