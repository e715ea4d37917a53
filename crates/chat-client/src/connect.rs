//! Connects to the server: tries every address that the server's name resolves to, each for a limited time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::args::Address;

/// Connects to the first address that accepts.
///
/// # Errors
///
/// Returns an error if no address accepts. The error says in one line which addresses were tried, why the attempts
/// failed, and what to do.
///
/// # Cancel safety
///
/// Cancel safe: a half-open connection is dropped.
pub(crate) async fn connect(address: &Address) -> anyhow::Result<TcpStream> {
    let resolved = lookup_host((address.host.as_str(), address.port))
        .await
        .with_context(|| format!("can't find the host {}: check its name", address.host))?;

    let mut failures = Vec::new();
    for candidate in resolved {
        match reach(candidate).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failures.push(format!("{candidate}: {error}")),
        }
    }
    Err(anyhow!(
        "no chat server at {address} ({}): start one with `chat-server`, \
         or name its address: chat-client HOST:PORT",
        failures.join("; ")
    ))
}

async fn reach(candidate: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(candidate))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer"))??;
    // Nagle's algorithm would delay typed lines, which are small.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// How long connecting to one address may take: two SYN retransmissions (after 1 s and 3 s) and a margin.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
