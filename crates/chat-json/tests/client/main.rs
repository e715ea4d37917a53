//! The client library against a hub in process, over streams that break.

mod arriving;
mod behaviour;
mod network;
mod torture;
