//! The client library with a hub in the same process, over streams that break.

mod arriving;
mod behaviour;
mod flood;
mod network;
mod torture;
