//! A web application with rooms. axum answers HTTP on one port, the chat server listens on another, and texts posted
//! over HTTP are published in a room.
//!
//! Run it with `cargo run --example axum_side_by_side`, watch with `nc 127.0.0.1 5001`, and post with
//! `curl -d 'build 12 failed' http://127.0.0.1:5080/rooms/lobby`; `curl http://127.0.0.1:5080/rooms` lists the rooms.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use chat_core::{Hub, Session};
use std::future::IntoFuture;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The state that all HTTP handlers share: the hub, and the session that publishes for the application.
struct App {
    hub: Hub,
    web: Session,
}

async fn say(
    State(app): State<Arc<App>>,
    Path(room): Path<String>,
    text: String,
) -> Result<String, (StatusCode, String)> {
    match app.web.publish(&room, &text).await {
        Ok(seq) => Ok(format!("{seq}\n")),
        Err(error) => Err((StatusCode::BAD_REQUEST, format!("{error}\n"))),
    }
}

async fn rooms(State(app): State<Arc<App>>) -> String {
    let rooms = app.hub.rooms();
    let lines = rooms
        .iter()
        .map(|room| format!("{} {}\n", room.room, room.count));
    lines.collect()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut address = |default: &str| args.next().unwrap_or_else(|| default.into());
    let chat = TcpListener::bind(address("127.0.0.1:5001")).await?;
    let http = TcpListener::bind(address("127.0.0.1:5080")).await?;
    println!(
        "listening on {} and http://{}",
        chat.local_addr()?,
        http.local_addr()?
    );

    let hub = Hub::default();
    let web = hub.session(Some("web")).await?;
    let app = Router::new()
        .route("/rooms", get(rooms))
        .route("/rooms/{room}", post(say))
        .with_state(Arc::new(App {
            hub: hub.clone(),
            web,
        }));
    let stop = CancellationToken::new();
    let stopped = || stop.clone().cancelled_owned();
    let ((), served, ()) = tokio::join!(
        chat_core::serve(chat, hub, stopped()),
        axum::serve(http, app)
            .with_graceful_shutdown(stopped())
            .into_future(),
        async {
            drop(tokio::signal::ctrl_c().await);
            stop.cancel();
        }
    );
    Ok(served?)
}
