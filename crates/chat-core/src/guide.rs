//! How to build with this crate, step by step. Each example is a test.
//!
//! 1. [Start here](start_here)
//! 2. [Rooms and members](rooms_and_members)
//! 3. [Policies](policies)
//! 4. [Ordering, lag and gaps](ordering_lag_and_gaps)
//! 5. [Shutting down](shutdown)
//! 6. [Testing](testing)
//! 7. [A WebSocket front-end](web_socket)
//! 8. [A dialect of your own](dialect)
//! 9. [A journal of your own](journal)
//! 10. [Logging](logging)

#[doc = include_str!("../guide/start_here.md")]
pub mod start_here {}

#[doc = include_str!("../guide/rooms_and_members.md")]
pub mod rooms_and_members {}

#[doc = include_str!("../guide/policies.md")]
pub mod policies {}

#[doc = include_str!("../guide/ordering_lag_and_gaps.md")]
pub mod ordering_lag_and_gaps {}

#[doc = include_str!("../guide/shutdown.md")]
pub mod shutdown {}

#[doc = include_str!("../guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../guide/web_socket.md")]
pub mod web_socket {}

#[doc = include_str!("../guide/dialect.md")]
pub mod dialect {}

#[doc = include_str!("../guide/journal.md")]
pub mod journal {}

#[doc = include_str!("../guide/logging.md")]
pub mod logging {}
