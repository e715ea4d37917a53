//! Match rooms that close after the game. A player who says `play` in the lobby waits for a second player. Then both
//! players may join a room of their own. The room is closed when one of the players says `gg`.
//!
//! Run it with `cargo run --example game_lobby`, and play with two `nc 127.0.0.1 5001`.

use chat_core::log::SessionId;
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::{Event, Hub, Message, Session};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// The two sessions that may join each match, by the name of the match's room.
#[derive(Clone, Default)]
struct Matches(Arc<Mutex<HashMap<String, [SessionId; 2]>>>);

impl Policy for Matches {
    async fn join(&self, who: &Visitor, room: &str) -> Decision {
        let matches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (matches.get(room), who.session) {
            (Some(players), Some(session)) if players.contains(&session) => Decision::Allow,
            (Some(_), _) => Decision::refuse("that match is for two others"),
            (None, _) if room.starts_with("match-") => Decision::refuse("there is no such match"),
            (None, _) => Decision::Allow,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:5001")).await?;
    println!("listening on {}", listener.local_addr()?);
    let matches = Matches::default();
    let hub = Hub::builder().policy(matches.clone()).build();
    let referee = hub.session(Some("referee")).await?;
    let serving = chat_core::serve(listener, hub.clone(), async {
        drop(tokio::signal::ctrl_c().await);
    });
    tokio::join!(serving, watch(hub, referee, matches)).1
}

/// Watches the messages of all rooms without being a member of a room.
async fn watch(hub: Hub, referee: Session, matches: Matches) -> anyhow::Result<()> {
    let mut events = hub.follow_all();
    let mut waiting: Option<Message> = None;
    let mut number = 0;
    while let Some((room, event)) = events.next().await {
        let Event::Message(message) = event else {
            continue;
        };
        if message.text() == "gg" && room.as_str().starts_with("match-") {
            hub.close_room(room.as_str(), "good game");
            let mut matches = matches.0.lock().unwrap_or_else(PoisonError::into_inner);
            matches.remove(room.as_str());
        } else if message.text() == "play" && room == *hub.lobby() {
            let other = waiting.take_if(|other| other.author() != message.author());
            let Some(other) = other else {
                waiting = Some(message);
                continue;
            };
            number += 1;
            let name = format!("match-{number}");
            let players = [other.author(), message.author()];
            {
                let mut open = matches.0.lock().unwrap_or_else(PoisonError::into_inner);
                open.insert(name.clone(), players);
            }
            for player in [other.from(), message.from()] {
                // The invitation fails if a player has left. The other player notices the absence when the match
                // begins.
                let invitation = format!("your match: /join {name}");
                drop(referee.tell(player.as_str(), &invitation).await);
            }
        }
    }
    Ok(())
}
