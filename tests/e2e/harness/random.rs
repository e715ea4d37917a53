//! Random bytes that can be had again.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// A small generator (SplitMix64). Its seed is printed with a failing test, and can be given back.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Takes the seed from `CHAT_TEST_SEED`, else a fresh one.
    pub(crate) fn new() -> Self {
        let given = env::var("CHAT_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        });
        println!("CHAT_TEST_SEED={seed} repeats this test");
        Self(seed)
    }

    /// Returns that many random bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        words.take(count).collect()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
