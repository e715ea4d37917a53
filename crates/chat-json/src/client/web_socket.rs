//! Connections over WebSocket, for a [`Client`](super::Client): each line is one text frame.
//!
//! Invariant: the client and the server send the same lines as over TCP. So the rest of the client does not depend on
//! the transport.

use super::builder::{ByteStream, Connect};
use crate::wire::REPLY_BYTES_MAX;
use bytes::{Buf, BufMut, BytesMut};
use futures::future::BoxFuture;
use futures::{FutureExt, Sink, Stream, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, connect_async_with_config};

/// The subprotocol of JSON Lines: one object in each text frame.
const SUBPROTOCOL: HeaderValue = HeaderValue::from_static("chat.v1");

/// The size of the read buffer in bytes. The WebSocket library allocates the whole buffer when the connection opens.
const READ_BYTES: usize = 16 * 1024;

/// Opens WebSocket connections to this URL, such as `ws://127.0.0.1:5000/ws`.
#[derive(Debug)]
pub(super) struct WebSocket(pub(super) String);

impl Connect for WebSocket {
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let url = self.0.clone();
        async move {
            let mut request = url.into_client_request().map_err(failed)?;
            let headers = request.headers_mut();
            headers.insert("sec-websocket-protocol", SUBPROTOCOL);
            let is_nodelay = true;
            let opened = connect_async_with_config(request, Some(config()), is_nodelay).await;
            let (socket, _) = opened.map_err(failed)?;
            Ok(Box::new(Lines::new(socket)) as Box<dyn ByteStream>)
        }
        .boxed()
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(REPLY_BYTES_MAX))
        .max_frame_size(Some(REPLY_BYTES_MAX))
}

/// A WebSocket as a stream of lines.
struct Lines<S> {
    socket: WebSocketStream<S>,
    /// Received lines that the client has not read yet.
    received: BytesMut,
    /// The beginning of a line whose newline the client has not written yet.
    unsent: BytesMut,
    /// Whether frames wait in the socket's buffer to be flushed.
    must_flush: bool,
    /// Whether the server has sent a close frame.
    has_ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    fn new(socket: WebSocketStream<S>) -> Self {
        Self {
            socket,
            received: BytesMut::new(),
            unsent: BytesMut::new(),
            must_flush: false,
            has_ended: false,
        }
    }

    fn poll_flush_frames(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.must_flush {
            ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(failed)?;
            self.must_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the complete lines of `unsent` as frames.
    fn send_lines(&mut self) -> io::Result<()> {
        while let Some(end) = self.unsent.iter().position(|&byte| byte == b'\n') {
            let line = self.unsent.split_to(end);
            self.unsent.advance(1);
            let text = String::from_utf8(line.to_vec())
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            let sent = Pin::new(&mut self.socket).start_send(Message::text(text));
            sent.map_err(failed)?;
            self.must_flush = true;
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lines<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The client never flushes, but always reads. So a read sends the frames that the write could not send.
        if let Poll::Ready(Err(error)) = self.poll_flush_frames(cx) {
            return Poll::Ready(Err(error));
        }
        while self.received.is_empty() && !self.has_ended {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Text(text))) => {
                    self.received.extend_from_slice(text.as_bytes());
                    self.received.put_u8(b'\n');
                }
                Some(Ok(Message::Binary(_))) => {
                    let why = "received a binary message, which no chat server sends";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                Some(Ok(Message::Close(_))) => {
                    self.has_ended = true;
                    // The library has queued its own close frame. If the stream does not accept the frame now, the
                    // frame is never sent.
                    self.must_flush = true;
                    drop(self.poll_flush_frames(cx));
                }
                // The library answers pings by itself.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.received.len().min(buffer.remaining());
        buffer.put_slice(&self.received.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lines<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(failed)?;
        self.unsent.extend_from_slice(bytes);
        self.send_lines()?;
        match self.poll_flush_frames(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush_frames(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(failed)
    }
}

/// Converts an error. The kind `InvalidData` means that the server does not speak the protocol. Other kinds mean that
/// the server can't be reached.
fn failed(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::UnexpectedEof.into(),
        Error::Http(response) => {
            let why = format!("it answers a WebSocket with HTTP {}", response.status());
            io::Error::new(io::ErrorKind::InvalidData, why)
        }
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{SinkExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_tungstenite::tungstenite::protocol::Role;

    /// Returns a stream of lines and the server's end of its WebSocket.
    async fn pair(stream_bytes: usize) -> (Lines<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (near, far) = tokio::io::duplex(stream_bytes);
        let near = WebSocketStream::from_raw_socket(near, Role::Client, Some(config())).await;
        let far = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        (Lines::new(near), far)
    }

    #[tokio::test(start_paused = true)]
    async fn each_line_is_a_frame_in_both_directions() {
        let (mut lines, mut server) = pair(1 << 16).await;
        lines.write_all(b"one\ntwo\nth").await.unwrap();
        lines.write_all("ree 안녕\n".as_bytes()).await.unwrap();
        for text in ["one", "two", "three 안녕"] {
            let received = server.next().await.unwrap().unwrap();
            assert_eq!(received, Message::text(text));
        }
        server.send(Message::text("four")).await.unwrap();
        server
            .send(Message::Ping("still there?".into()))
            .await
            .unwrap();
        server.send(Message::text("five")).await.unwrap();
        let mut received = [0; 10];
        lines.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"four\nfive\n");
        server.close(None).await.unwrap();
        assert_eq!(lines.read(&mut received).await.unwrap(), 0);
    }

    /// The client never flushes. A stream with little space accepts only a part of a frame at once, so reads must send
    /// the remaining parts.
    #[tokio::test(start_paused = true)]
    async fn a_line_that_the_stream_accepts_in_parts_is_sent_while_the_client_reads() {
        let (mut lines, mut server) = pair(64).await;
        let line = "x".repeat(10_000);
        lines
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        let mut received = [0; 3];
        let ((), read) = tokio::join!(
            async {
                let received = server.next().await.unwrap().unwrap();
                assert_eq!(received, Message::text(line));
                server.send(Message::text("ok")).await.unwrap();
            },
            lines.read_exact(&mut received)
        );
        read.unwrap();
        assert_eq!(&received, b"ok\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_binary_message_is_not_from_a_chat_server() {
        let (mut lines, mut server) = pair(1 << 16).await;
        server.send(Message::binary("{}")).await.unwrap();
        let failed = lines.read(&mut [0]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::InvalidData);
    }
}
