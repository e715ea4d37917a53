//! Serves the same rooms over TCP and over a Unix socket. Users of the socket are identified by their user id, and get
//! a nick that no other session may have.
//!
//! Run it with `cargo run --example unix_socket`, and talk to it with `nc -U /tmp/chat.sock` and `nc 127.0.0.1 5001`.

use anyhow::Context;
use chat_core::listener::Listener;
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::{Hub, Peer};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// The id of a user of this machine, as the kernel reports it.
struct User(u32);

struct ByUser;

impl Policy for ByUser {
    async fn connect(&self, who: &Visitor, nick: Option<&str>) -> Decision {
        match who.peer.get::<User>() {
            Some(User(id)) => Decision::Change(format!("user-{id}")),
            None if is_reserved(nick.unwrap_or_default()) => Decision::refuse(RESERVED),
            None => Decision::Allow,
        }
    }

    async fn rename(&self, _who: &Visitor, nick: &str) -> Decision {
        if is_reserved(nick) {
            return Decision::refuse(RESERVED);
        }
        Decision::Allow
    }
}

const RESERVED: &str = "user-… is for those who come over the Unix socket";

fn is_reserved(nick: &str) -> bool {
    nick.to_lowercase().starts_with("user-")
}

/// Adds to `peer` the user id of the process at the other end of the stream.
fn know(stream: &UnixStream, peer: Peer) -> Peer {
    match stream.peer_cred() {
        Ok(credentials) => peer.with(User(credentials.uid())),
        Err(_) => peer,
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:5001".into());
    let path = args.next().unwrap_or_else(|| "/tmp/chat.sock".into());
    let tcp = TcpListener::bind(&address).await?;
    let unix = UnixListener::bind(&path)
        .with_context(|| format!("can't listen on {path}: is it there already?"))?;
    println!("listening on {} and {path}", tcp.local_addr()?);
    let hub = Hub::builder().policy(ByUser).build();
    let stop = CancellationToken::new();
    let serving = async {
        tokio::join!(
            chat_core::serve(tcp, hub.clone(), stop.cancelled()),
            chat_core::serve(unix.map_peer(know), hub.clone(), stop.cancelled()),
        )
    };
    tokio::join!(serving, async {
        drop(tokio::signal::ctrl_c().await);
        stop.cancel();
    });
    std::fs::remove_file(&path).with_context(|| format!("can't remove {path}"))
}
