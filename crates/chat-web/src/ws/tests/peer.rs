//! A hub that accepts WebSockets, and its clients.

use super::super::WebSockets;
use bytes::{Bytes, BytesMut};
use chat_core::protocol::{Detected, Detection, Detector, Next, Stream, TakeOver, TakenOver};
use chat_core::{Limits, Peer};
use chat_json::JsonLines;
use chat_testkit::TestHub;
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use http::{HeaderName, Request, Response};
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, client_async};

/// The time limit for a frame to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Accepts each request of a client that asks for a WebSocket.
pub(super) struct Upgrade(pub(super) WebSockets);

impl Detector for Upgrade {
    fn detect(&self, prefix: &[u8]) -> Detection {
        Detection::by_opening(prefix, &["GET /ws "], || {
            Detected::TakeOver(Box::new(Self(self.0.clone())))
        })
    }

    fn may_take_over(&self) -> bool {
        true
    }
}

impl TakeOver for Upgrade {
    fn take_over(self: Box<Self>, mut stream: Stream, peer: Peer) -> BoxFuture<'static, TakenOver> {
        async move {
            let mut input = BytesMut::new();
            let end = loop {
                if let Some(end) = head_bytes(&input) {
                    break end;
                }
                if stream.read_buf(&mut input).await.unwrap_or(0) == 0 {
                    return TakenOver::Ended;
                }
            };
            let head = input.split_to(end);
            let accepted = match self.0.accept(&parse(&head)) {
                Ok(accepted) => accepted,
                Err(response) => {
                    stream.write_all(&written(&response)).await.unwrap();
                    return TakenOver::Ended;
                }
            };
            let response = written(&accepted.response);
            if stream.write_all(&response).await.is_err() {
                return TakenOver::Ended;
            }
            TakenOver::HandedBack {
                stream: Stream::rewound(input.freeze(), stream),
                peer,
                next: Next::Dialect(accepted.dialect),
            }
        }
        .boxed()
    }
}

/// Returns the length of a request's or a response's head, with the empty line.
fn head_bytes(input: &[u8]) -> Option<usize> {
    let end = input.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(end + 4)
}

fn parse(head: &[u8]) -> Request<()> {
    let head = std::str::from_utf8(head).unwrap();
    let mut request = Request::new(());
    for line in head.lines().skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        let value = value.trim().parse().unwrap();
        request.headers_mut().append(name, value);
    }
    request
}

fn written<T>(response: &Response<T>) -> Bytes {
    let mut head = format!("HTTP/1.1 {}\r\n", response.status());
    for (name, value) in response.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    Bytes::from(head + "\r\n")
}

pub(super) fn hub() -> TestHub {
    hub_with(Limits::default())
}

pub(super) fn hub_with(limits: Limits) -> TestHub {
    let json = JsonLines::default();
    TestHub::new(limits)
        .protocol(json.clone())
        .protocol(Upgrade(WebSockets::new(json)))
}

/// Creates a hub without a limit on the rate of lines.
pub(super) fn unlimited() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    hub_with(limits)
}

/// A client that uses `tungstenite`.
pub(super) struct Client(WebSocketStream<DuplexStream>);

impl Client {
    pub(super) async fn connect(hub: &mut TestHub) -> Self {
        let (near, far) = tokio::io::duplex(1 << 20);
        hub.serve(far, Peer::default());
        let (socket, _) = client_async("ws://chat.example/ws", near).await.unwrap();
        Self(socket)
    }

    /// Connects, and begins a session with this nick in the room `lobby`.
    pub(super) async fn join(hub: &mut TestHub, nick: &str) -> Self {
        let mut client = Self::connect(hub).await;
        let hello = format!(
            r#"{{"cmd":"hello","id":1,"v":1,"nick":"{nick}","join":[{{"room":"lobby"}}]}}"#
        );
        client.sends(&hello).await;
        let welcome = client.sees().await;
        assert_eq!(welcome["ok"]["nick"], nick, "{welcome}");
        client
    }

    pub(super) async fn sends(&mut self, text: &str) {
        self.sends_message(Message::text(text)).await;
    }

    pub(super) async fn sends_message(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// Returns the next message of any type. Returns `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        next.expect("a message arrives").map(Result::unwrap)
    }

    /// Returns the JSON of the next message, which must be text.
    pub(super) async fn sees(&mut self) -> Value {
        match self.next().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected a text, but there is {other:?}"),
        }
    }

    /// Expects a close frame, and then the end of the stream. Returns the code and the reason.
    pub(super) async fn sees_close(&mut self) -> (u16, String) {
        let Some(Message::Close(Some(CloseFrame { code, reason }))) = self.next().await else {
            panic!("expected a close frame");
        };
        assert_eq!(self.next().await, None);
        (code.into(), reason.as_str().to_owned())
    }
}

/// A client that sends and receives the bytes of frames.
pub(super) struct Raw(DuplexStream);

/// The opcodes.
pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// The bit that marks the last frame of a message.
pub(super) const FIN: u8 = 0x80;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Returns a masked frame with this first byte.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_of(first, payload.len() as u64, payload)
}

/// Returns a masked frame. Its header states `length` as the length of the payload, even if `payload` has another
/// length.
pub(super) fn frame_of(first: u8, length: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(0x80 | length as u8),
        126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

impl Raw {
    pub(super) async fn connect(hub: &mut TestHub) -> Self {
        let mut raw = Self::connect_sending(hub, b"").await;
        raw.sees_head("101").await;
        raw
    }

    /// Connects, and sends these bytes together with the request.
    pub(super) async fn connect_sending(hub: &mut TestHub, bytes: &[u8]) -> Self {
        let (near, far) = tokio::io::duplex(1 << 20);
        hub.serve(far, Peer::default());
        let mut raw = Self(near);
        let head = b"GET /ws HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Version: 13\r\n\r\n";
        raw.sends(&[head, bytes].concat()).await;
        raw
    }

    /// Expects the head of a response with this status.
    pub(super) async fn sees_head(&mut self, status: &str) {
        let mut head = Vec::new();
        while head_bytes(&head).is_none() {
            head.push(self.0.read_u8().await.unwrap());
        }
        let expected = format!("HTTP/1.1 {status} ");
        assert!(
            head.starts_with(expected.as_bytes()),
            "{}",
            head.escape_ascii()
        );
    }

    pub(super) async fn sends(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Returns the first byte and the payload of the next frame, which must not be masked.
    pub(super) async fn sees_frame(&mut self) -> (u8, Vec<u8>) {
        let read = async {
            let first = self.0.read_u8().await?;
            let length = match self.0.read_u8().await? {
                126 => self.0.read_u16().await?.into(),
                127 => self.0.read_u64().await?,
                length => length.into(),
            };
            assert!(length < 1 << 22, "{length} bytes, or a mask");
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await?;
            std::io::Result::Ok((first, payload))
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.expect("a frame arrives").expect("the stream is open")
    }

    /// Returns the payload of the next frame, which must be a complete text.
    pub(super) async fn sees_text(&mut self) -> String {
        let (first, payload) = self.sees_frame().await;
        assert_eq!(first, FIN | TEXT, "{}", payload.escape_ascii());
        String::from_utf8(payload).unwrap()
    }

    /// Expects a close frame, and then the end of the stream. Returns the code, or `None` if the frame has no code.
    pub(super) async fn sees_close(&mut self) -> Option<u16> {
        let (first, payload) = self.sees_frame().await;
        assert_eq!(first, FIN | CLOSE, "{}", payload.escape_ascii());
        assert_eq!(self.0.read(&mut [0]).await.unwrap(), 0);
        payload.first_chunk().map(|code| u16::from_be_bytes(*code))
    }

    pub(super) async fn sees_nothing(&mut self) {
        let read = tokio::time::timeout(Duration::from_millis(100), self.0.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
    }
}
