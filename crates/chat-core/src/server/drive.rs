//! One admitted connection, from its first byte to its end: protocols that take over the stream, then the conversation.
//!
//! Invariant: a protocol that takes over the stream receives the peer's bytes from the first one. Once the peer was
//! greeted in the plain dialect, no protocol takes over the stream, because the greeting is not part of that protocol.

use crate::admission::{AddressAccount, Permit, SpareConnections};
use crate::connection::{Dialects, Opening, drive_stream};
use crate::event::CloseReason;
use crate::hub::Hub;
use crate::peer::Peer;
use crate::protocol::{Detected, Detection, Next, Stream, TakeOver, TakenOver};
use bytes::BytesMut;
use futures::FutureExt;
use futures::future::{Either, ready};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::Instant;

/// Maximum number of protocols that take over one connection's stream one after another, such as a PROXY header, TLS,
/// HTTP and WebSocket.
const TAKE_OVERS_MAX: usize = 4;

/// The permit of an admitted connection, and the address whose limits apply to the connection.
pub(super) struct Admission {
    /// Counts the connection toward [`Limits::connections`](crate::Limits) until the permit is dropped. `None` if the
    /// program serves the stream itself, because that limit does not apply to such a stream.
    permit: Option<Permit>,
    /// How much the connections of the peer's address have used of the address's limits; `None` if the address has no
    /// limits.
    account: Option<Arc<AddressAccount>>,
    /// The peer's address when the connection was admitted.
    address: Option<IpAddr>,
}

impl Admission {
    pub(super) fn permitted(permit: Permit, peer: &Peer) -> Self {
        Self {
            account: permit.account().cloned(),
            permit: Some(permit),
            address: ip(peer),
        }
    }

    pub(super) fn by_program(hub: &Hub, peer: &Peer) -> Self {
        let address = ip(peer);
        Self {
            permit: None,
            account: hub.limiter().account(address, Instant::now()),
            address,
        }
    }

    /// Counts the connection for the new address that a handshake revealed. The old address no longer counts it.
    ///
    /// # Errors
    ///
    /// Returns the reason if the new address may not open another connection.
    fn moved(mut self, hub: &Hub, peer: &Peer) -> Result<Self, String> {
        if ip(peer) == self.address {
            return Ok(self);
        }
        // The permit for the old address is released before the permit for the new address is taken. So the connection
        // is never counted twice.
        if self.permit.take().is_none() {
            return Ok(Self::by_program(hub, peer));
        }
        let admitted = hub
            .limiter()
            .admit(ip(peer), hub.counters(), Instant::now());
        Ok(Self::permitted(admitted?, peer))
    }
}

/// The future of a connection's conversation. The future holds the connection's permit until the conversation ends.
type Talk = Pin<Box<dyn Future<Output = CloseReason> + Send>>;

/// Drives a stream to its end, and returns why it ended.
///
/// Each idle connection keeps this future in memory, so the future must be small. Therefore the future of `begin` and
/// the future of the conversation are boxed. The box of `begin` is freed once the conversation begins.
pub(super) fn drive<S>(
    stream: S,
    peer: Peer,
    admission: Admission,
    hub: Hub,
    dialects: Arc<Dialects>,
) -> impl Future<Output = CloseReason> + Send
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let beginning = Box::pin(begin(stream, peer, admission, hub, dialects));
    beginning.then(|begun| match begun {
        Ok(talk) => Either::Left(talk),
        Err(reason) => Either::Right(ready(reason)),
    })
}

/// Begins a connection: recognises a protocol that takes over the stream, hands the stream to that protocol, and finds
/// the peer's account. Returns the future that runs the conversation.
async fn begin<S>(
    mut stream: S,
    peer: Peer,
    admission: Admission,
    hub: Hub,
    dialects: Arc<Dialects>,
) -> Result<Talk, CloseReason>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let opened = Instant::now();
    let mut opening = Opening::new(opened);
    if dialects.may_take_over() {
        let protocol;
        (opening, protocol) = recognise(&mut stream, ip(&peer), opened, &hub, &dialects).await?;
        if let Some(protocol) = protocol {
            let stream = Stream::rewound(opening.ahead, stream);
            return taken_over(protocol, stream, peer, admission, hub, dialects).await;
        }
    }
    let peer = authenticated(peer, &hub, &mut opening).await?;
    Ok(talk(stream, peer, admission, hub, dialects, opening))
}

fn talk<S>(
    stream: S,
    peer: Peer,
    admission: Admission,
    hub: Hub,
    dialects: Arc<Dialects>,
    opening: Opening,
) -> Talk
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Admission {
        permit, account, ..
    } = admission;
    let talk = drive_stream(stream, peer, account, hub, dialects, opening);
    Box::pin(talk.inspect(move |_| drop(permit)))
}

/// Reads until the first bytes, or silence, tell whether a protocol takes over the stream. Returns the protocol, `None`
/// if no protocol takes over, and the opening of the conversation, which has the bytes that were read.
///
/// # Errors
///
/// Returns an error if the stream broke.
async fn recognise(
    stream: &mut (impl AsyncRead + Unpin),
    address: Option<IpAddr>,
    opened: Instant,
    hub: &Hub,
    dialects: &Dialects,
) -> Result<(Opening, Option<Box<dyn TakeOver>>), CloseReason> {
    let limits = hub.limits();
    let prefix_max = limits.prefix_bytes.get();
    let greeted_at = opened + limits.greet_after;
    let mut silent_until = SpareConnections::asked_at(opened, limits);
    let mut opening = Opening::new(opened);
    let mut ahead = BytesMut::new();
    let mut protocol = None;
    let mut draining = pin!(hub.draining());
    while ahead.len() < prefix_max {
        let is_first = ahead.is_empty();
        let until = match is_first {
            true => silent_until,
            false => opening.opened + limits.prefix_timeout,
        };
        let mut limited = (&mut *stream).take((prefix_max - ahead.len()) as u64);
        let read = tokio::select! {
            read = limited.read_buf(&mut ahead) => read.map_err(|_| CloseReason::Broken)?,
            () = tokio::time::sleep_until(until) => {
                if !is_first {
                    break;
                }
                let now = Instant::now();
                silent_until = hub.spares().greets_at(address, opened, now, limits);
                if silent_until > now {
                    continue;
                }
                // The conversation greets the peer at once, and its time limits count as if it had connected later.
                opening.opened += now - greeted_at;
                break;
            }
            () = &mut draining => break,
        };
        let now = Instant::now();
        if is_first && now > greeted_at {
            // A spare connection was used or has ended. The time limits of the conversation begin now, so that the peer
            // is not greeted before the conversation has seen which of the two it is.
            opening.opened = now;
        }
        if read == 0 {
            break;
        }
        match dialects.take_over(&ahead) {
            Detection::Found(Detected::TakeOver(found)) => {
                protocol = Some(found);
                break;
            }
            Detection::NeedMore => {}
            Detection::Found(_) | Detection::NotFound => break,
        }
    }
    opening.ahead = ahead.freeze();
    Ok((opening, protocol))
}

/// Lets a protocol take over the stream, and continues with the stream that the protocol hands back.
async fn taken_over(
    mut protocol: Box<dyn TakeOver>,
    mut stream: Stream,
    mut peer: Peer,
    mut admission: Admission,
    hub: Hub,
    dialects: Arc<Dialects>,
) -> Result<Talk, CloseReason> {
    for _ in 0..TAKE_OVERS_MAX {
        let next;
        (stream, peer, next) = hand_over(protocol, stream, peer, &hub).await?;
        admission = match admission.moved(&hub, &peer) {
            Ok(admission) => admission,
            Err(refusal) => {
                tracing::debug!(peer.addr = ?peer.address(), refusal, "connection refused");
                return Err(CloseReason::Refused);
            }
        };
        let opened = Instant::now();
        let mut opening = Opening::new(opened);
        match next {
            Next::TakeOver(next) => {
                protocol = next;
                continue;
            }
            Next::Dialect(dialect) => opening.dialect = Some(dialect),
            Next::Detect => {
                let next;
                (opening, next) =
                    recognise(&mut stream, ip(&peer), opened, &hub, &dialects).await?;
                if let Some(next) = next {
                    protocol = next;
                    stream = Stream::rewound(opening.ahead, stream);
                    continue;
                }
            }
        }
        let peer = authenticated(peer, &hub, &mut opening).await?;
        return Ok(match stream.into_tcp() {
            Ok(tcp) => talk(tcp, peer, admission, hub, dialects, opening),
            Err(stream) => talk(stream, peer, admission, hub, dialects, opening),
        });
    }
    let address: Option<SocketAddr> = peer.address();
    tracing::debug!(peer.addr = ?address, "too many protocols inside of each other");
    Err(CloseReason::Refused)
}

/// Gives the stream to a protocol, and waits until the protocol hands back a stream. A handshake must finish within
/// `Limits::handshake_timeout`. It also fails when the hub begins to drain.
async fn hand_over(
    protocol: Box<dyn TakeOver>,
    stream: Stream,
    peer: Peer,
    hub: &Hub,
) -> Result<(Stream, Peer, Next), CloseReason> {
    let is_handshake = protocol.is_handshake();
    let taken = protocol.take_over(stream, peer);
    let taken = if is_handshake {
        tokio::select! {
            taken = tokio::time::timeout(hub.limits().handshake_timeout, taken) => {
                taken.map_err(|_| CloseReason::TimedOut)?
            }
            () = hub.draining() => return Err(CloseReason::Draining),
        }
    } else {
        taken.await
    };
    match taken {
        TakenOver::Ended => Err(CloseReason::Disconnected),
        TakenOver::HandedBack { stream, peer, next } => Ok((stream, peer, next)),
    }
}

/// Asks the authenticator for an account that is proved before the peer has sent anything, and adds the account to the
/// peer.
///
/// The connection's deadlines begin when the authenticator has answered, because nothing is read from the peer before
/// the answer.
async fn authenticated(peer: Peer, hub: &Hub, opening: &mut Opening) -> Result<Peer, CloseReason> {
    if !hub.has_authenticator() {
        return Ok(peer);
    }
    let found = tokio::select! {
        found = hub.authenticate_peer(&peer) => Some(found),
        () = hub.draining() => None,
    };
    opening.opened = Instant::now();
    let Some(found) = found else {
        return Err(CloseReason::Draining);
    };
    match found {
        Ok(Some(account)) => Ok(peer.with(account)),
        Ok(None) => Ok(peer),
        Err(reason) => {
            tracing::debug!(peer.addr = ?peer.address(), refusal = %reason, "connection refused");
            Err(CloseReason::Refused)
        }
    }
}

fn ip(peer: &Peer) -> Option<IpAddr> {
    peer.address().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The future of `drive` exists for as long as its peer is connected, so it must stay small.
    #[tokio::test]
    async fn a_connection_keeps_no_room_for_how_it_began() {
        let (stream, _far) = tokio::io::duplex(1);
        let (hub, peer) = (Hub::default(), Peer::default());
        let admission = Admission::by_program(&hub, &peer);
        let future = drive(Box::pin(stream), peer, admission, hub, Arc::default());
        let size = size_of_val(&future);
        assert!(size <= 40, "{size} bytes");
    }
}
