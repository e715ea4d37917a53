//! A hub inside another program. An in-process member greets each session that joins the lobby, and a TCP listener
//! serves clients.
//!
//! Run it with `cargo run --example embed`, then talk to it with `nc 127.0.0.1 5001`. Ctrl+C ends it.

use anyhow::Context;
use chat_core::{Event, Hub, Member, PresenceChange};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:5001".into());
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("can't listen on {address}"))?;
    println!("listening on {}", listener.local_addr()?);

    let hub = Hub::default();
    let host = hub.session(Some("host")).await?;
    let greeter = greet(host.join("lobby").await?);
    let server = chat_core::serve(listener, hub, async {
        // If the signal handler can't be installed, the program runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    });
    tokio::pin!(server);
    tokio::select! {
        () = &mut server => Ok(()),
        result = greeter => {
            result?;
            server.await;
            Ok(())
        }
    }
}

/// Greets each session that joins the lobby, until the lobby is closed.
async fn greet(mut lobby: Member) -> anyhow::Result<()> {
    while let Some(event) = lobby.next().await {
        if let Event::Presence(presence) = event
            && matches!(presence.change, PresenceChange::Joined)
        {
            lobby.say(&format!("welcome, {}!", presence.nick)).await?;
        }
    }
    Ok(())
}
