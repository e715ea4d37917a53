//! WebSocket: the handshake, the framing, and a dialect in frames.
