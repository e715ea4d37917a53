//! The suites accept correct implementations. For a wrong implementation, a suite names the broken rule.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod dialects;
mod right_journals;
mod shared_journals;
mod store;
mod toy;
mod wrong_journals;
