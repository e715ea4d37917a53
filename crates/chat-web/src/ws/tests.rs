//! The protocol from outside: an independent client library, and raw bytes for what the library can't send.

mod broken;
mod client;
mod library;
mod peer;
mod splits;
