//! A bot that answers `!ping` with `pong`. It reconnects when the server restarts.
//!
//! Start a server with `cargo run -p chat-server`, run this with `cargo run --example bot`, then say `!ping` in the
//! lobby. Arguments: the server's address, and the room. Ctrl+C ends it.

use chat_json::{Client, Event, Events, Message, RequestError};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:5000".into());
    let room = arguments.next().unwrap_or_else(|| "lobby".into());

    let (client, events) = Client::connect(address)
        .nick("pingbot")
        .join(room)
        .open()
        .await?;
    tokio::select! {
        answered = answer(&client, events) => answered?,
        _ = tokio::signal::ctrl_c() => client.quit("switched off").await?,
    }
    Ok(())
}

/// Answers requests until the connection is closed for good.
async fn answer(client: &Client, mut events: Events) -> Result<(), RequestError> {
    while let Some(event) = events.next().await {
        match event {
            Event::Entered(room) => println!("listening in {}", room.room),
            // Replayed requests are ignored, because their senders no longer wait for an answer.
            Event::Message(Message {
                is_replay: false,
                room,
                from,
                text,
                ..
            }) if text == "!ping" => match client.say(&room, &format!("{from}: pong")).await {
                // The answer is published exactly once, even if the connection broke while the answer was sent.
                Ok(seq) => println!("answered {from} with message {seq}"),
                // The bot may have left the room, or the server may be shutting down. The bot continues in either case.
                Err(error) => eprintln!("not answered: {error}"),
            },
            Event::Offline { why, retry_in } => eprintln!("offline: {why}, again in {retry_in:?}"),
            Event::NotEntered { room, message, .. } => eprintln!("not in {room}: {message}"),
            _ => {}
        }
    }
    Err(RequestError::Closed)
}
