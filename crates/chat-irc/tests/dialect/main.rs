//! Conversations with IRC clients, named after the rule and the document that they test.

#![expect(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod capabilities;
mod channels;
mod history;
mod messages;
mod modes;
mod queries;
mod registration;

use chat_core::{Hub, Limits};
use chat_irc::Irc;
use chat_testkit::{TestHub, Wire};

/// Returns a hub without a rate limit, to which IRC clients connect.
fn hub() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    hub_with(limits)
}

fn hub_with(limits: Limits) -> TestHub {
    over(TestHub::new(limits))
}

fn over(hub: TestHub) -> TestHub {
    let stats: Hub = hub.hub.clone();
    hub.protocol(Irc::with_stats("irc.test", "Test", move || stats.stats()))
}

/// Connects a client without capabilities, and reads its welcome.
async fn client(hub: &mut TestHub, nick: &str) -> Wire {
    client_with(hub, nick, "").await
}

/// Connects a client that requests capabilities, and reads its welcome.
async fn client_with(hub: &mut TestHub, nick: &str, capabilities: &str) -> Wire {
    let mut wire = hub.connect(nick);
    if !capabilities.is_empty() {
        wire.sends(&format!("CAP REQ :{capabilities}")).await;
        wire.sees(&format!(":irc.test CAP * ACK :{capabilities}"))
            .await;
    }
    wire.sends(&format!("NICK {nick}")).await;
    wire.sends("USER user 0 * :Real Name").await;
    if !capabilities.is_empty() {
        wire.sends("CAP END").await;
    }
    wire.sees_in_time(&format!(
        ":irc.test 422 {nick} :There is no message of the day"
    ))
    .await;
    wire
}

/// Joins a room, and reads what the client finds there.
async fn joins(wire: &mut Wire, room: &str) -> Vec<String> {
    wire.sends(&format!("JOIN #{room}")).await;
    let mut lines = Vec::new();
    loop {
        let line = wire.next_line().await.expect("the stream is open");
        let is_end = line.contains(" 366 ");
        lines.push(line);
        if is_end {
            return lines;
        }
    }
}

/// Returns the lines that have arrived. The wait is long enough for everything that follows a line.
async fn lines_of(wire: &mut Wire) -> Vec<String> {
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    wire.sees_until_quiet().await
}

/// Sends a line, and returns what answers it.
async fn ask(wire: &mut Wire, line: &str) -> Vec<String> {
    wire.sends(line).await;
    lines_of(wire).await
}
