//! End-to-end tests of the real binaries as black boxes, from the point of view of people, scripts and attackers.
//!
//! There is one test binary. No test sleeps to wait for an event: each wait is for a line and has a deadline, and a
//! failure prints the transcript. A test sleeps only to check that nothing happens (`harness::pause`).
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod harness;

mod arguments;
mod arriving;
mod bad_input;
mod client;
mod conversation;
mod http;
mod irc;
mod kept;
mod log;
mod manual;
mod names;
mod openings;
mod order;
mod readme;
mod screen;
mod screen_daily;
mod scripting;
mod shutdown;
mod unterminated;
