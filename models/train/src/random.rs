//! Numbers drawn from a seed: the same on every machine, for every order in which samples are made.
//!
//! Owns the generator (splitmix64) and how a seed and a few counts become one stream. Refuses the machine's entropy: a
//! run that cannot be repeated proves nothing.

/// The increment of splitmix64.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// One stream of numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of these numbers together: the run's seed, then what it is for and which one of these.
    ///
    /// A batch is drawn from its seed and its number alone, so that a run that goes on needs no state of a generator.
    #[must_use]
    pub fn of(parts: &[u64]) -> Self {
        let state = parts.iter().fold(0, |state, &part| mix(state ^ part).wrapping_add(GAMMA));
        Self { state }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// Uniform in 0..1, of 24 bits.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in `low..high`; `low` if both are the same.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // The upper half of a product: its bias is n / 2^64.
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// True in one of two.
    pub fn coin(&mut self) -> bool {
        self.bits() >> 63 == 1
    }
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_from_its_parts_and_from_their_order() {
        let first = |parts: &[u64]| Random::of(parts).bits();
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
        assert_ne!(first(&[1, 2]), first(&[2, 1]));
        assert_ne!(first(&[1]), first(&[1, 0]));
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_both_ends() {
        let mut random = Random::of(&[7]);
        let mut seen = [0; 10];
        let mut sum = 0.0;
        for _ in 0..10_000 {
            seen[random.below(10)] += 1;
            let value = random.between(-2.0, 3.0);
            assert!((-2.0..3.0).contains(&value));
            sum += value;
        }
        assert!(seen.iter().all(|&n| (900..1100).contains(&n)), "{seen:?}");
        assert!((sum / 10_000.0 - 0.5).abs() < 0.05, "{sum}");
        assert_eq!(random.below(0), 0);
    }
}
