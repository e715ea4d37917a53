//! A web application with rooms on its own port: its own page, its own users, and a WebSocket for each browser tab.
//!
//! Run it with `cargo run --example axum_rooms` and open `http://127.0.0.1:5080/?user=kim`. A real application knows
//! the user from its own login; here the address names the user.
//!
//! A text frame of the browser is a command of JSON Lines, such as `{"cmd":"join","id":1,"room":"ops"}`, and a text
//! frame to the browser is a reply or an event of JSON Lines; see `docs/protocol.md`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use chat_core::log::Account;
use chat_core::protocol::Refusal;
use chat_core::{Echo, Hub, SessionEvents};
use chat_json::wire::Event;
use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{interval, timeout};
use tokio_util::task::TaskTracker;

type Failure = Box<dyn Error + Send + Sync>;

/// The handler pings the browser at this interval. A browser that sends nothing for a whole interval is disconnected.
const PING_EVERY: Duration = Duration::from_secs(25);
/// Maximum time in which the browser must accept one frame.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum length of a frame from the browser, in bytes.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of frames of a browser between two pings. A session in process has no other rate limit.
const COMMANDS_MAX: u32 = 250;

/// The state that all requests share.
#[derive(Clone, Default)]
struct App {
    hub: Hub,
    /// The connected tabs. The program waits for the tabs before it ends.
    tabs: TaskTracker,
}

async fn open(
    upgrade: WebSocketUpgrade,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
    State(app): State<App>,
) -> Result<Response, (StatusCode, String)> {
    // Any web page can open a WebSocket to this server, so only pages of the server itself are accepted.
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = header("host").unwrap_or_default();
    if header("origin").is_some_and(|origin| origin.split_once("//") != Some(("http:", host))) {
        return Err((StatusCode::FORBIDDEN, "a page of another site".to_owned()));
    }
    let user = query.get("user").map(String::as_str).unwrap_or_default();
    let refused = |error: Refusal| (StatusCode::CONFLICT, error.to_string());
    let session = app
        .hub
        .session(None)
        .await
        .map_err(|error| refused(error.into()))?;
    // Only sessions of one account can share a nick. A user needs several sessions under one nick: one for each tab,
    // and one more while a tab reconnects.
    session.set_account(Account::parse(user).ok());
    session
        .take_nick(user)
        .await
        .map_err(|error| refused(error.into()))?;
    let upgrade = upgrade
        .max_frame_size(FRAME_BYTES_MAX)
        .max_message_size(FRAME_BYTES_MAX);
    let token = app.tabs.token();
    Ok(upgrade.on_upgrade(async move |socket| {
        let _token = token;
        if let Err(error) = serve(socket, session.into_events()).await {
            eprintln!("a browser was disconnected: {error}");
        }
    }))
}

/// Serves one browser tab until the browser or the hub ends the session.
async fn serve(mut socket: WebSocket, mut chat: SessionEvents) -> Result<(), Failure> {
    chat.set_echo(Echo::Include);
    let (mut ping, mut is_alive, mut commands) = (interval(PING_EVERY), true, 0);
    loop {
        let frame = tokio::select! {
            received = socket.recv() => {
                (is_alive, commands) = (true, commands + 1);
                match received.transpose()? {
                    Some(_) if commands > COMMANDS_MAX => return Err("too fast".into()),
                    Some(Frame::Text(text)) => match chat_json::answer(&mut chat, &text).await {
                        Some(answer) => Frame::text(answer),
                        None => continue,
                    },
                    Some(Frame::Close(_)) | None => return Ok(()),
                    Some(_) => continue,
                }
            }
            event = chat.next() => match event {
                Some(event) => Frame::text(serde_json::to_string(&Event::from(&event))?),
                None => break,
            },
            _ = ping.tick() => {
                if !std::mem::take(&mut is_alive) {
                    return Err("no answer to a ping".into());
                }
                commands = 0;
                Frame::Ping(Bytes::new())
            }
        };
        timeout(SEND_TIMEOUT, socket.send(frame)).await??;
    }
    let reason = chat.end_reason();
    if let Some(bye) = reason.as_ref().and_then(Event::bye) {
        let bye = Frame::text(serde_json::to_string(&bye)?);
        timeout(SEND_TIMEOUT, socket.send(bye)).await??;
    }
    Ok(timeout(SEND_TIMEOUT, socket.send(Frame::Close(None))).await??)
}

fn application(app: App) -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("axum_rooms.html"))))
        .route("/ws", any(open))
        .with_state(app)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:5080")).await?;
    println!("open http://{}/?user=kim", listener.local_addr()?);
    // A reply and an event are two small frames: without TCP_NODELAY, the second one waits for the browser's ACK.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let app = App::default();
    let (hub, tabs) = (app.hub.clone(), app.tabs.clone());
    let drain = hub.limits().drain;
    axum::serve(listener, application(app))
        .with_graceful_shutdown(async move {
            drop(tokio::signal::ctrl_c().await);
            hub.drain();
        })
        .await?;
    // axum does not wait for connections that have become WebSockets, so this program waits for them itself.
    tabs.close();
    drop(timeout(drain, tabs.wait()).await);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{SinkExt, TryStreamExt};
    use serde_json::{Value, json};
    use std::future::IntoFuture;
    use std::net::SocketAddr;
    use tokio::task::JoinSet;
    use tokio_tungstenite::tungstenite::{Error, Message, client::IntoClientRequest as _};
    use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

    /// A browser tab of a test. It sends commands, and returns the replies and events that it receives.
    struct Tab(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

    impl Tab {
        async fn open(address: SocketAddr, user: &str) -> Result<Self, Failure> {
            let (socket, _) = connect_async(format!("ws://{address}/ws?user={user}")).await?;
            Ok(Self(socket))
        }

        async fn send(&mut self, command: Value) -> Result<(), Failure> {
            Ok(self.0.send(Message::text(command.to_string())).await?)
        }

        /// Returns the next reply or event; `null` at the end. If the server closes the socket before its close frame is
        /// answered, reading ends with an I/O error.
        async fn next(&mut self) -> Result<Value, Failure> {
            loop {
                match self.0.try_next().await {
                    Ok(Some(Message::Text(text))) => return Ok(serde_json::from_str(&text)?),
                    Ok(Some(_)) => {}
                    Ok(None) | Err(Error::Io(_)) => return Ok(Value::Null),
                    Err(error) => return Err(error.into()),
                }
            }
        }

        /// Returns the reply to a command with the id 1, and skips the events before it.
        async fn ask(&mut self, command: Value) -> Result<Value, Failure> {
            self.send(command).await?;
            loop {
                let line = self.next().await?;
                if line["re"] == 1 || line.is_null() {
                    return Ok(line);
                }
            }
        }
    }

    /// Serves the application until the returned set of tasks is dropped.
    async fn served(app: App) -> Result<(SocketAddr, JoinSet<std::io::Result<()>>), Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(axum::serve(listener, application(app)).into_future());
        Ok((address, serving))
    }

    #[tokio::test]
    async fn a_tab_that_returns_is_sent_what_it_missed_in_each_room() -> Result<(), Failure> {
        let (address, _serving) = served(App::default()).await?;
        let join =
            |room, after: &Value| json!({"cmd": "join", "id": 1, "room": room, "after": after});
        let (mut kim, mut lee) = (
            Tab::open(address, "kim").await?,
            Tab::open(address, "lee").await?,
        );
        let mut places = Vec::new();
        for room in ["ops", "dev"] {
            let place = kim.ask(join(room, &Value::Null)).await?["ok"].take();
            places.push((room, json!({"epoch": place["epoch"], "seq": place["seq"]})));
            lee.ask(join(room, &Value::Null)).await?;
            assert_eq!(
                kim.next().await?,
                json!({"ev": "joined", "room": room, "nick": "lee"})
            );
        }
        drop(kim);
        let said =
            |room, key| json!({"cmd": "say", "id": 1, "room": room, "text": "hi", "key": key});
        for (room, key, dup) in [("ops", "1", false), ("dev", "2", false), ("dev", "2", true)] {
            let said = lee.ask(said(room, key)).await?["ok"].take();
            assert_eq!((&said["seq"], said["dup"] == true), (&json!(1), dup));
        }
        let mut kim = Tab::open(address, "kim").await?;
        for (room, after) in &places {
            let place = kim.ask(join(room, after)).await?["ok"].take();
            assert_eq!((&place["seq"], &place["count"]), (&json!(1), &json!(2)));
            let missed = kim.next().await?;
            assert_eq!(
                (&missed["ev"], &missed["replay"]),
                (&json!("said"), &json!(true))
            );
            assert_eq!(
                (&missed["room"], &missed["from"]),
                (&json!(room), &json!("lee"))
            );
        }
        let page = kim
            .ask(json!({"cmd": "history", "id": 1, "room": "ops"}))
            .await?;
        assert_eq!(page["ok"]["messages"][0]["text"], "hi");
        Ok(())
    }

    #[tokio::test]
    async fn what_a_tab_may_not_do_is_refused_and_the_tab_goes_on() -> Result<(), Failure> {
        let app = App::default();
        let (address, _serving) = served(app.clone()).await?;
        let mut kim = Tab::open(address, "kim").await?;
        for (command, code) in [
            (json!({"cmd": "history", "id": 1, "room": "ops"}), "denied"),
            (json!({"cmd": "join", "id": 1, "room": "a b"}), "bad_name"),
        ] {
            assert_eq!(kim.ask(command).await?["err"]["code"], code);
        }
        kim.send(json!(["join", 1])).await?;
        assert_eq!(kim.next().await?["err"]["code"], "bad_request");
        let mut elsewhere = format!("ws://{address}/ws?user=lee").into_client_request()?;
        elsewhere
            .headers_mut()
            .insert("origin", "http://example.org".parse()?);
        assert!(connect_async(elsewhere).await.is_err());
        let mut long = Tab::open(address, "long").await?;
        let command = json!({"cmd": "ping", "id": "x".repeat(FRAME_BYTES_MAX)});
        assert_eq!(long.ask(command).await.unwrap_or(Value::Null), Value::Null);
        app.hub.drain();
        assert_eq!(kim.next().await?["code"], "draining");
        assert_eq!(kim.next().await?, Value::Null);
        app.tabs.close();
        app.tabs.wait().await;
        Ok(())
    }
}
