//! The client library against a hub in process, over streams that break.

mod arriving;
mod behaviour;
mod flood;
mod network;
mod torture;
