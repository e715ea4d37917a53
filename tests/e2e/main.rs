//! End-to-end tests of the real binaries, as black boxes: what a person, a script or an abuser meets.
//!
//! One test binary. Nothing here sleeps to wait for something: every wait is for a line, with a deadline, and a failure
//! prints what was said. Only a silence that is itself under test takes real time (`harness::pause`).
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod harness;

mod arguments;
mod arriving;
mod bad_input;
mod client;
mod conversation;
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
