//! The suites accept correct implementations. For wrong implementations, they name the rule that is broken.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod dialects;
mod right_journals;
mod shared_journals;
mod store;
mod toy;
mod wrong_journals;
