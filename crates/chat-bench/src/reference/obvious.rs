//! The server `obvious`: a broadcast channel of strings, framed lines, and one `select!` for each member.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::codec::{Framed, LinesCodec};
use tokio_util::task::TaskTracker;

use super::BACKLOG;

/// The number of messages by which a member may fall behind: more than any workload has in flight.
const CHANNEL_SLOTS: usize = 4096;

/// Serves until the process is killed.
pub(crate) fn serve(port: u16) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()?;
    runtime.block_on(accept(port))
}

async fn accept(port: u16) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let listener: TcpListener = socket.listen(BACKLOG as u32)?;
    let (tx, _) = broadcast::channel(CHANNEL_SLOTS);
    let tasks = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tasks.spawn(serve_member(stream, tx.clone()));
    }
}

async fn serve_member(stream: TcpStream, tx: broadcast::Sender<String>) {
    let mut rx = tx.subscribe();
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(16 * 1024));
    if lines.send("* in").await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            line = lines.next() => match line {
                // Sending fails only without receivers, but this task holds a receiver.
                Some(Ok(line)) => drop(tx.send(line)),
                Some(Err(_)) | None => return,
            },
            message = rx.recv() => match message {
                Ok(message) => if lines.send(message).await.is_err() {
                    return;
                },
                // This design loses messages here without a report.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}
