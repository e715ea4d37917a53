//! Tests the promises in `docs/promises.md` with random input and random conversations. The tests run on stable Rust
//! and in virtual time.
//!
//! By default a run has a fixed number of cases and a fixed seed, so the result is always the same. For a long run with
//! new seeds: `PROPTEST_CASES=100000 cargo test --release -p chat-core --test fuzz`. The run prints its seed, and
//! `PROPTEST_RNG_SEED` repeats the run. A failure is reported with the smallest input that was found.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod account;
mod codec;
mod crowd;
mod drills;
mod harness;
mod hostile;
mod names;
mod openings;
mod peer;
mod recorder;
mod view;
