//! Protocols that take over the byte stream, and protocols that return another stream.

use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::protocol::{Detected, Detection, Detector, Next, Stream, TakeOver, TakenOver};
use chat_core::{CloseReason, Hub, Limits, Peer};
use chat_testkit::{TestHub, Wire};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The first bytes of the toy cipher. After them come the peer's name, a newline and the enciphered bytes.
const HELLO: &[u8] = b"\x16CIPHER ";

/// The key of the toy cipher: each byte is XORed with it.
const KEY: u8 = 0x55;

/// The peer's name, which the handshake reads from the peer's first line.
#[derive(Debug, PartialEq)]
struct Certificate(String);

struct Cipher;

struct Handshake;

/// A stream whose bytes are enciphered in both directions.
struct Ciphered<S>(S);

impl Detector for Cipher {
    fn detect(&self, prefix: &[u8]) -> Detection {
        if prefix.starts_with(HELLO) {
            Detection::Found(Detected::TakeOver(Box::new(Handshake)))
        } else if HELLO.starts_with(prefix) {
            Detection::NeedMore
        } else {
            Detection::NotFound
        }
    }

    fn may_take_over(&self) -> bool {
        true
    }
}

impl TakeOver for Handshake {
    fn take_over(self: Box<Self>, mut stream: Stream, peer: Peer) -> BoxFuture<'static, TakenOver> {
        async move {
            let mut hello = Vec::new();
            while hello.last() != Some(&b'\n') {
                match stream.read_u8().await {
                    Ok(byte) => hello.push(byte),
                    Err(_) => return TakenOver::Ended,
                }
            }
            let name = String::from_utf8_lossy(&hello[HELLO.len()..])
                .trim()
                .to_owned();
            if stream.write_all(b"GO\n").await.is_err() {
                return TakenOver::Ended;
            }
            TakenOver::HandedBack {
                stream: Stream::new(Ciphered(stream)),
                peer: peer.with(Certificate(name)),
                next: Next::Detect,
            }
        }
        .boxed()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ciphered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = pin!(&mut self.0).poll_read(cx, buffer);
        buffer.filled_mut()[before..]
            .iter_mut()
            .for_each(|byte| *byte ^= KEY);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ciphered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let ciphered: Vec<u8> = bytes.iter().map(|byte| byte ^ KEY).collect();
        pin!(&mut self.0).poll_write(cx, &ciphered)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.0).poll_shutdown(cx)
    }
}

/// A policy that admits peers with a certificate. The peer's nick is the name in the certificate.
struct ByCertificate;

impl Policy for ByCertificate {
    async fn connect(&self, who: &Visitor, _nick: Option<&str>) -> Decision {
        match who.peer.get::<Certificate>() {
            Some(Certificate(name)) => Decision::Change(name.clone()),
            None => Decision::Allow,
        }
    }
}

fn hub(limits: Limits) -> TestHub {
    let builder = Hub::builder().limits(limits).policy(ByCertificate);
    TestHub::build(builder).protocol(Cipher)
}

/// Connects a member over the toy cipher. When this function returns, the handshake is complete.
async fn ciphered(hub: &mut TestHub, name: &str) -> Wire {
    let (mut near, far) = tokio::io::duplex(1 << 20);
    hub.serve(far, Peer::default());
    near.write_all(&[HELLO, name.as_bytes(), b"\n"].concat())
        .await
        .unwrap();
    let mut go = [0; 3];
    near.read_exact(&mut go).await.unwrap();
    assert_eq!(&go, b"GO\n");
    Wire::new(name, Ciphered(near))
}

#[tokio::test(start_paused = true)]
async fn a_protocol_takes_over_the_stream_extends_the_peer_and_hands_a_stream_back() {
    let mut hub = hub(Limits::default());
    let mut alice = hub.member("alice").await;
    let mut bob = ciphered(&mut hub, "bob").await;
    // The peer has sent nothing inside the cipher. The server greets the peer as it greets a silent peer without a
    // cipher.
    bob.sees("* you are bob in lobby: /nick NAME changes your nick, /help lists the commands")
        .await;
    alice.sees_in_time("* bob joined").await;
    bob.sends("안녕").await;
    alice.sees_in_time("14:02 bob: 안녕").await;
    alice.sends("hi").await;
    bob.sees_in_time("14:02 alice: hi").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_read_ahead_is_not_lost_inside_or_outside() {
    let mut hub = hub(Limits::default());
    let mut alice = hub.member("alice").await;
    let (mut near, far) = tokio::io::duplex(1 << 20);
    hub.serve(far, Peer::default());
    let inside: Vec<u8> = b"hello\n".iter().map(|byte| byte ^ KEY).collect();
    // All bytes arrive at once. The handshake must leave the bytes that follow it in the stream.
    near.write_all(&[HELLO, b"bob\n", &inside].concat())
        .await
        .unwrap();
    alice.sees_in_time("14:02 bob: hello").await;
    // A peer whose first bytes only resemble `HELLO`, the beginning of the toy cipher, uses the plain dialect.
    let mut carol = hub.connect("carol");
    carol.sends("\u{16}CIPHEx").await;
    alice.sees_in_time("14:02 guest-2: CIPHEx").await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_in_time_ends_its_connection() {
    let mut hub = hub(Limits::default());
    let (mut near, far) = tokio::io::duplex(1 << 20);
    hub.serve(far, Peer::default());
    near.write_all(HELLO).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(hub.ended().await, CloseReason::TimedOut);
    assert_eq!(began.elapsed(), Limits::default().handshake_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_ends_when_the_hub_drains() {
    let mut hub = hub(Limits::default());
    let (mut near, far) = tokio::io::duplex(1 << 20);
    hub.serve(far, Peer::default());
    near.write_all(HELLO).await.unwrap();
    tokio::task::yield_now().await;
    hub.hub.drain();
    assert_eq!(hub.ended().await, CloseReason::Draining);
}

/// The server greets a silent peer. After the greeting, no other protocol can take over.
#[tokio::test(start_paused = true)]
async fn no_protocol_takes_over_from_a_peer_that_was_greeted() {
    let mut hub = hub(Limits::default());
    let mut alice = hub.member("alice").await;
    let mut late = hub.connect("late");
    alice.sees_in_time("* guest-2 joined").await;
    late.sends("\u{16}CIPHER mallory").await;
    alice.sees_in_time("14:02 guest-2: CIPHER mallory").await;
}

/// A protocol that takes over the stream and returns the same stream, again and again.
struct Nested(Arc<AtomicUsize>);

impl Detector for Nested {
    fn detect(&self, prefix: &[u8]) -> Detection {
        match prefix.first() {
            Some(b'N') => Detection::Found(Detected::TakeOver(Box::new(Self(Arc::clone(&self.0))))),
            _ => Detection::NotFound,
        }
    }

    fn may_take_over(&self) -> bool {
        true
    }
}

impl TakeOver for Nested {
    fn take_over(self: Box<Self>, stream: Stream, peer: Peer) -> BoxFuture<'static, TakenOver> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let next = Next::Detect;
        std::future::ready(TakenOver::HandedBack { stream, peer, next }).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn protocols_inside_of_each_other_are_bounded() {
    let count = Arc::new(AtomicUsize::new(0));
    let mut hub = TestHub::default().protocol(Nested(Arc::clone(&count)));
    let mut nested = hub.connect("nested");
    nested.sends("N").await;
    assert_eq!(hub.ended().await, CloseReason::Refused);
    assert_eq!(count.load(Ordering::Relaxed), 4);
}

/// A protocol whose header contains the original address of the peer.
struct Forwarded;

impl Detector for Forwarded {
    fn detect(&self, prefix: &[u8]) -> Detection {
        match prefix.first() {
            Some(b'F') => Detection::Found(Detected::TakeOver(Box::new(Self))),
            _ => Detection::NotFound,
        }
    }

    fn may_take_over(&self) -> bool {
        true
    }
}

impl TakeOver for Forwarded {
    fn take_over(self: Box<Self>, mut stream: Stream, peer: Peer) -> BoxFuture<'static, TakenOver> {
        async move {
            let mut header = [0; 2];
            let Ok(_) = stream.read_exact(&mut header).await else {
                return TakenOver::Ended;
            };
            TakenOver::HandedBack {
                stream,
                peer: peer.with_address(([192, 0, 2, header[1]], 1).into()),
                next: Next::Detect,
            }
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_forwarded_peer_counts_for_its_own_address() {
    let mut limits = Limits::default();
    limits.rooms_per_address = std::num::NonZeroUsize::new(1);
    let mut hub = TestHub::new(limits).protocol(Forwarded);
    let proxy = || Peer::from(std::net::SocketAddr::from(([198, 51, 100, 1], 1)));
    let mut members = Vec::new();
    for (index, room) in ["one", "two"].into_iter().enumerate() {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        hub.serve(far, proxy());
        near.write_all(&[b'F', index as u8 + 1]).await.unwrap();
        let mut member = Wire::new(room, near);
        member.sends(&format!("/join {room}")).await;
        // Each address opens its own room. If both rooms counted for the proxy's address, the hub would refuse the
        // second room.
        let nick = format!("guest-{}", index + 1);
        member
            .sees_in_time(&format!("* you are {nick} in {room}"))
            .await;
        members.push(member);
    }
    let mut direct = hub.connect_as("direct", proxy());
    direct.sends("/join three").await;
    direct.sees_in_time("* you are guest-3 in three").await;
    direct.sees("* nobody else is here yet").await;
    direct.sends("/join four").await;
    direct
        .sees_that("its own address is counted, too", |line| {
            line.starts_with("! your address")
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_silence_of_a_forwarded_peer_is_judged_by_its_own_address() {
    let mut hub = TestHub::default().protocol(Forwarded);
    let proxy = || Peer::from(std::net::SocketAddr::from(([198, 51, 100, 1], 1)));
    let browser = Peer::from(std::net::SocketAddr::from(([192, 0, 2, 1], 1)));
    hub.hub.expect_spare_connections(&browser);
    let mut silent = Vec::new();
    for address in [1, 2] {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        hub.serve(far, proxy());
        near.write_all(&[b'F', address]).await.unwrap();
        silent.push(Wire::new("silent", near));
    }
    silent[1].sees_containing("* you are guest-1").await;
    silent[0].sees_nothing().await;
}
