//! A policy that decides what peers may do: a word filter, a room where only the program may speak, and a room for
//! members who know a password.
//!
//! Run it with `cargo run --example policy`, and talk to it with `nc 127.0.0.1 5001`: say `darn`, `/join news` and say
//! something, `/join staff`, `/msg door swordfish` and `/join staff` again.

use chat_core::log::SessionId;
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::{Hub, Kind, Session};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use tokio::net::TcpListener;

const WORD: &str = "swordfish";

#[derive(Default)]
struct House {
    staff: Mutex<HashSet<SessionId>>,
}

impl Policy for House {
    async fn join(&self, who: &Visitor, room: &str) -> Decision {
        let staff = self.staff.lock().unwrap_or_else(PoisonError::into_inner);
        match (room, who.session) {
            ("staff", Some(session)) if staff.contains(&session) => Decision::Allow,
            ("staff", _) => Decision::refuse("staff only: tell door the word"),
            _ => Decision::Allow,
        }
    }

    async fn say(&self, _who: &Visitor, room: &str, _kind: Kind, text: &str) -> Decision {
        if room == "news" {
            return Decision::refuse("only the newsroom speaks here");
        }
        Decision::Change(text.replace("darn", "d—n"))
    }

    /// Checks the password in a message to `door`. The password itself is never delivered; its sender only learns
    /// whether the password was right.
    async fn tell(&self, who: &Visitor, to: &str, text: &str) -> Decision {
        let (true, Some(session)) = (to.eq_ignore_ascii_case("door"), who.session) else {
            return Decision::Allow;
        };
        if text != WORD {
            return Decision::refuse("that is not the word");
        }
        let mut staff = self.staff.lock().unwrap_or_else(PoisonError::into_inner);
        staff.insert(session);
        Decision::Change("come in: /join staff".into())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:5001")).await?;
    println!("listening on {}", listener.local_addr()?);
    let hub = Hub::builder().policy(House::default()).build();
    let door = hub.session(Some("door")).await?;
    let news = hub.session(Some("newsroom")).await?;
    news.publish("news", "the house is open").await?;
    let serving = chat_core::serve(listener, hub, async {
        drop(tokio::signal::ctrl_c().await);
    });
    tokio::join!(serving, answer(door));
    Ok(())
}

/// Sends the text of each direct message back to its sender. The policy may have changed this text.
async fn answer(mut door: Session) {
    while let Some(direct) = door.next_direct().await {
        // The reply fails if the sender has left. The result is irrelevant.
        drop(door.tell(direct.from.as_str(), &direct.text).await);
    }
}
