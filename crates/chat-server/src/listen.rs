//! The addresses on which the server listens.

use anyhow::{Context, anyhow, bail};
use socket2::{SockRef, TcpKeepalive};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// Which protocols the connections of a listener may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// All that the server speaks. The first bytes decide.
    All,
    /// IRC only (`irc://`).
    #[cfg(feature = "irc")]
    Irc,
    /// The plain dialect only (`plain://`).
    Plain,
}

impl Protocols {
    /// Splits an address as the user wrote it into its protocols and the rest.
    fn split(asked: &str) -> anyhow::Result<(Self, &str)> {
        let Some((scheme, address)) = asked.split_once("://") else {
            return Ok((Self::All, asked));
        };
        let protocols = match scheme {
            #[cfg(feature = "irc")]
            "irc" => Self::Irc,
            "plain" => Self::Plain,
            _ => bail!("--listen {asked}: give HOST:PORT, irc://HOST:PORT or plain://HOST:PORT"),
        };
        Ok((protocols, address.trim_end_matches('/')))
    }

    /// Returns what comes before the address in the banner.
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::All => "",
            #[cfg(feature = "irc")]
            Self::Irc => "irc://",
            Self::Plain => "plain://",
        }
    }
}

const DEFAULT_PORT: u16 = 5000;

/// The maximum number of connections that wait to be accepted. With Tokio's default of 1,024, clients in a burst wait
/// a second until they resend their SYN.
const BACKLOG: u32 = 4096;

/// The maximum number of unsent bytes that the kernel buffers for a peer. Without this limit, the kernel buffers some 4
/// MiB for a peer that does not read, and reports the socket as full until a third of these bytes is sent. A slow
/// reader would then look like a stalled reader.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NOTSENT_BYTES_MAX: u32 = 16 * 1024;

/// Binds all requested addresses, or both loopback addresses if no address was requested.
pub(crate) async fn bind(
    listen: &[String],
    keepalive: Option<Duration>,
) -> anyhow::Result<Vec<(TcpListener, Protocols)>> {
    let with = |protocols| move |listener| (listener, protocols);
    if listen.is_empty() {
        let listeners = bind_loopback(DEFAULT_PORT, keepalive)?;
        return Ok(listeners.into_iter().map(with(Protocols::All)).collect());
    }
    let mut listeners = Vec::new();
    for asked in listen {
        let (protocols, asked) = Protocols::split(asked)?;
        if let Ok(port) = asked.strip_prefix(':').unwrap_or(asked).parse() {
            let bound = bind_loopback(port, keepalive)?;
            listeners.extend(bound.into_iter().map(with(protocols)));
            continue;
        }
        let hint = "give HOST:PORT, for example --listen 0.0.0.0:5000";
        let addresses = tokio::net::lookup_host(asked).await;
        let addresses =
            addresses.with_context(|| format!("--listen {asked}: no such address; {hint}"))?;
        let before = listeners.len();
        for address in addresses {
            listeners.push((bind_one(address, keepalive)?, protocols));
        }
        if listeners.len() == before {
            bail!("--listen {asked}: no such address; {hint}");
        }
    }
    Ok(listeners)
}

/// Binds both loopback addresses. Skips the IPv6 address on a machine without IPv6.
fn bind_loopback(port: u16, keepalive: Option<Duration>) -> anyhow::Result<Vec<TcpListener>> {
    let first = bind_one(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), keepalive)?;
    // If port 0 was requested, this is the port that the system chose.
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
    match listen_on(v6, keepalive) {
        Ok(listener) => listeners.push(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(explain(v6, &error)),
        Err(error) => tracing::debug!(%error, "no IPv6 here"),
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr, keepalive: Option<Duration>) -> anyhow::Result<TcpListener> {
    listen_on(address, keepalive).map_err(|error| explain(address, &error))
}

fn listen_on(address: SocketAddr, keepalive: Option<Duration>) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(&socket).set_tcp_notsent_lowat(NOTSENT_BYTES_MAX)?;
    if let Some(silence) = keepalive {
        notice_dead_peers(&socket, silence)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Makes the kernel detect peers that have disappeared without closing the connection. Accepted connections inherit
/// these options from the listening socket.
fn notice_dead_peers(socket: &TcpSocket, silence: Duration) -> std::io::Result<()> {
    let socket = SockRef::from(socket);
    let probes = TcpKeepalive::new()
        .with_time(silence)
        .with_interval(silence / 4);
    #[cfg(not(any(target_os = "openbsd", target_os = "haiku")))]
    let probes = probes.with_retries(4);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(silence))?;
    Ok(())
}

/// Returns an error that says what went wrong and what to do.
fn explain(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let port = if address.port() < 1024 {
        DEFAULT_PORT
    } else {
        address.port()
    };
    let other = SocketAddr::new(address.ip(), port.checked_add(1).unwrap_or(DEFAULT_PORT));
    match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "can't listen on {address}: another program does already (macOS's AirPlay and Flask like port 5000); \
             end it, or choose another address: --listen {other}"
        ),
        ErrorKind::PermissionDenied => {
            anyhow!(
                "can't listen on {address}: not permitted; ports below 1024 need privileges: try --listen {other}"
            )
        }
        ErrorKind::AddrNotAvailable => anyhow!(
            "can't listen on {address}: this machine has no such address; try --listen 0.0.0.0:{}",
            address.port()
        ),
        _ => anyhow!("can't listen on {address}: {error}; choose another address with --listen"),
    }
}
