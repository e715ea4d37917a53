//! Reproducible random bytes.

use std::env;

/// Returns a generator with the seed in `CHAT_TEST_SEED`, or with a new seed. If the test fails, the seed is printed.
pub(crate) fn random() -> fastrand::Rng {
    let given = env::var("CHAT_TEST_SEED").ok();
    let given = given.and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("CHAT_TEST_SEED={seed} repeats this test");
    fastrand::Rng::with_seed(seed)
}
