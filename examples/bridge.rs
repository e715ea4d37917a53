//! A bridge between two rooms, on one server or two: each message in one room is published in the other.
//!
//! Run it with `cargo run --example bridge -- HOST:PORT/ROOM HOST:PORT/ROOM`. Ctrl+C ends it.

use anyhow::Context;
use chat_json::{Client, Event, Events, MessageKind};

/// Each nick of the bridge begins with this text. The name of a room follows.
const NICK: &str = "bridge";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut end = |default: &str| arguments.next().unwrap_or_else(|| default.into());
    let (here, there) = (end("127.0.0.1:5000/lobby"), end("127.0.0.1:5000/there"));
    let (near, near_events, near_room) = open(&here).await?;
    let (far, far_events, far_room) = open(&there).await?;
    println!("listening in {here} and {there}");

    tokio::select! {
        carried = carry(near_events, &far, &far_room) => carried,
        carried = carry(far_events, &near, &near_room) => carried,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Connects to one end, given as `HOST:PORT/ROOM`, and joins the room.
async fn open(end: &str) -> anyhow::Result<(Client, Events, String)> {
    let (address, room) = end.split_once('/').context("an end is HOST:PORT/ROOM")?;
    // Both ends may be on one server, where two sessions can't have the same nick.
    let nick = format!("{NICK}-{room}");
    let opened = Client::connect(address).nick(nick).join(room).open().await;
    let (client, events) = opened.with_context(|| format!("can't join {end}"))?;
    Ok((client, events, room.to_owned()))
}

/// Publishes the messages of one room in the other room, in the same order. Messages that were sent while the bridge
/// was disconnected are included.
async fn carry(mut from: Events, to: &Client, room: &str) -> anyhow::Result<()> {
    while let Some(event) = from.next().await {
        let line = match event {
            // Messages from bridges are skipped, so that two bridges do not send each other the same messages for ever.
            // A bridge does not receive its own messages.
            Event::Message(message) if message.from.starts_with(NICK) => continue,
            Event::Message(message) if message.kind == MessageKind::Said => {
                format!("<{}> {}", message.from, message.text)
            }
            Event::Message(message) if message.kind == MessageKind::Acted => {
                format!("* {} {}", message.from, message.text)
            }
            Event::Gap { room, .. } => format!("(messages of {room} are missing here)"),
            _ => continue,
        };
        if let Err(error) = to.say(room, &line).await {
            eprintln!("not carried: {error}");
        }
    }
    anyhow::bail!("the connection is closed")
}
