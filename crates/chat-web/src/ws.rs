//! WebSocket (RFC 6455): the handshake, the framing, and a dialect that writes its lines as frames.

mod dialect;
mod framing;
mod handshake;
#[cfg(test)]
mod tests;

pub(crate) use handshake::WebSockets;
