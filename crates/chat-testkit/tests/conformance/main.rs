//! The suites pass what is right, and name what is wrong.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod dialects;
mod right_journals;
mod shared_journals;
mod store;
mod toy;
mod wrong_journals;
