//! Random input and random conversations against the promises, on stable Rust and in virtual time.
//!
//! A plain run takes a fixed number of cases from a fixed seed, so it says the same every time. To run for hours,
//! from another seed each time: `PROPTEST_CASES=100000 cargo test --release -p chat-core --test fuzz`. The seed is
//! printed; `PROPTEST_RNG_SEED` repeats a run. A failure is shown with the smallest input that was found for it.

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
