//! One admitted connection, from its first byte to its end: protocols that take over the stream, then the conversation.
//!
//! Invariant: a protocol that takes over gets the peer's bytes from the first one on. Once the peer was greeted in
//! plain, no protocol takes over any more, because what the peer was sent belongs to no other protocol.

use crate::admission::{AddressAccount, Permit};
use crate::connection::{Dialects, Opening, drive_stream};
use crate::event::CloseReason;
use crate::hub::Hub;
use crate::hub::authenticator::Credentials;
use crate::peer::Peer;
use crate::protocol::{Detected, Detection, Next, Stream, TakeOver, TakenOver};
use bytes::{Bytes, BytesMut};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::Instant;

/// How many protocols may follow each other in one connection: a PROXY header, TLS, HTTP, WebSocket.
const TAKE_OVERS_MAX: usize = 4;

/// What a connection was admitted with.
pub(super) struct Admission {
    /// `None` if the program serves the stream itself, where [`Limits::connections`](crate::Limits) does not hold.
    permit: Option<Permit>,
    account: Option<Arc<AddressAccount>>,
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

    /// Counts the connection for the address that a handshake has told.
    ///
    /// # Errors
    ///
    /// That address may not open another connection.
    fn moved(mut self, hub: &Hub, peer: &Peer) -> Result<Self, String> {
        if ip(peer) == self.address {
            return Ok(self);
        }
        // It gives its place back first: it needs one, not two.
        if self.permit.take().is_none() {
            return Ok(Self::by_program(hub, peer));
        }
        let admitted = hub
            .limiter()
            .admit(ip(peer), hub.counters(), Instant::now());
        Ok(Self::permitted(admitted?, peer))
    }
}

/// Drives a stream to its end, and returns why it ended.
pub(super) async fn drive<S>(
    mut stream: S,
    peer: Peer,
    admission: Admission,
    hub: Hub,
    dialects: Arc<Dialects>,
) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let opened = Instant::now();
    let mut opening = Opening::new(opened);
    if dialects.may_take_over() {
        // Boxed, so that a connection that talks keeps no space for it.
        match Box::pin(recognise(&mut stream, opened, &hub, &dialects)).await {
            Ok((ahead, Some(protocol))) => {
                let stream = Stream::rewound(ahead, stream);
                return Box::pin(taken_over(protocol, stream, peer, admission, hub, dialects))
                    .await;
            }
            Ok((ahead, None)) => opening.ahead = ahead,
            Err(_) => return CloseReason::Broken,
        }
    }
    let peer = match authenticated(peer, &hub, &mut opening).await {
        Ok(peer) => peer,
        Err(reason) => return reason,
    };
    let account = admission.account.clone();
    let reason = drive_stream(stream, peer, account, hub, dialects, opening).await;
    drop(admission);
    reason
}

/// Reads until the first bytes tell whether a protocol takes over, or until silence has told that none does.
async fn recognise(
    stream: &mut (impl AsyncRead + Unpin),
    opened: Instant,
    hub: &Hub,
    dialects: &Dialects,
) -> io::Result<(Bytes, Option<Box<dyn TakeOver>>)> {
    let limits = hub.limits();
    let prefix_max = limits.prefix_bytes.get();
    let mut ahead = BytesMut::new();
    let mut draining = pin!(hub.draining());
    while ahead.len() < prefix_max {
        let patience = if ahead.is_empty() {
            limits.greet_after
        } else {
            limits.prefix_timeout
        };
        let mut limited = (&mut *stream).take((prefix_max - ahead.len()) as u64);
        let read = tokio::select! {
            read = limited.read_buf(&mut ahead) => read?,
            () = tokio::time::sleep_until(opened + patience) => break,
            () = &mut draining => break,
        };
        if read == 0 {
            break;
        }
        match dialects.take_over(&ahead) {
            Detection::Found(Detected::TakeOver(protocol)) => {
                return Ok((ahead.freeze(), Some(protocol)));
            }
            Detection::NeedMore => {}
            Detection::Found(_) | Detection::NotFound => break,
        }
    }
    Ok((ahead.freeze(), None))
}

/// Has a protocol take over the stream, and goes on with what it hands back.
async fn taken_over(
    mut protocol: Box<dyn TakeOver>,
    mut stream: Stream,
    mut peer: Peer,
    mut admission: Admission,
    hub: Hub,
    dialects: Arc<Dialects>,
) -> CloseReason {
    for _ in 0..TAKE_OVERS_MAX {
        let handed_back = match hand_over(protocol, stream, peer, &hub).await {
            Ok(handed_back) => handed_back,
            Err(reason) => return reason,
        };
        let next;
        (stream, peer, next) = handed_back;
        admission = match admission.moved(&hub, &peer) {
            Ok(admission) => admission,
            Err(refusal) => {
                tracing::debug!(peer.addr = ?peer.address(), refusal, "connection refused");
                return CloseReason::Refused;
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
            Next::Detect => match recognise(&mut stream, opened, &hub, &dialects).await {
                Ok((ahead, Some(next))) => {
                    protocol = next;
                    stream = Stream::rewound(ahead, stream);
                    continue;
                }
                Ok((ahead, None)) => opening.ahead = ahead,
                Err(_) => return CloseReason::Broken,
            },
        }
        let peer = match authenticated(peer, &hub, &mut opening).await {
            Ok(peer) => peer,
            Err(reason) => return reason,
        };
        let account = admission.account.clone();
        return drive_stream(stream, peer, account, hub, dialects, opening).await;
    }
    let address: Option<SocketAddr> = peer.address();
    tracing::debug!(peer.addr = ?address, "too many protocols inside of each other");
    CloseReason::Refused
}

/// Gives a protocol the stream, and waits for what it hands back; a handshake is under a deadline.
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

/// Adds the account that is known of a peer before it has said a word.
///
/// The peer's time to speak begins after it: what the peer has sent is read before silence counts.
async fn authenticated(peer: Peer, hub: &Hub, opening: &mut Opening) -> Result<Peer, CloseReason> {
    if !hub.has_authenticator() {
        return Ok(peer);
    }
    // Boxed, so that a connection that talks keeps no space for it.
    let found = Box::pin(async {
        tokio::select! {
            found = hub.authenticate(&peer, Credentials::Peer) => Some(found),
            () = hub.draining() => None,
        }
    })
    .await;
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
