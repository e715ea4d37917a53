//! Sends the request of an effect to the server, and turns the reply into an [`Answer`]. There is one function for each
//! effect.

use crate::found::{list, list_found};
use crate::update::{Answer, Effect};
use chat_json::{Client, Listing, Message, RequestError, Whois};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

/// The most messages that are loaded when a room is joined, and by each request for older messages.
pub(crate) const HISTORY: usize = 100;

/// The most messages that one search on the server returns, and the number of messages shown around a position.
const FOUND: usize = 20;
const AROUND: usize = 11;

/// The most rooms that are listed.
const ROOMS_LISTED: usize = 100;

/// Returns the future that performs an effect. Returns `None` for an effect that the driver handles without the server.
pub(crate) fn perform(client: &Client, effect: Effect) -> Option<BoxFuture<'static, Answer>> {
    let client = client.clone();
    Some(match effect {
        Effect::Say {
            room,
            id,
            text,
            is_action,
        } => say(client, room, id, text, is_action).boxed(),
        Effect::Tell { room, id, to, text } => tell(client, room, id, to, text).boxed(),
        Effect::Join { room, from } => join(client, room, from).boxed(),
        Effect::Leave { room } => leave(client, room).boxed(),
        Effect::Nick { room, nick } => rename(client, room, nick).boxed(),
        Effect::Who { room, of } => who(client, room, of).boxed(),
        Effect::Rooms { room } => rooms(client, room).boxed(),
        Effect::Away { room, text } => away(client, room, text).boxed(),
        Effect::Whois { room, nick } => whois(client, room, nick).boxed(),
        Effect::Topic { room, text } => set_topic(client, room, text).boxed(),
        Effect::Older {
            room,
            epoch,
            before,
        } => older(client, room, epoch, before).boxed(),
        Effect::Search {
            room,
            words,
            before,
        } => search(client, room, words, before).boxed(),
        Effect::Around { room, seq } => around(client, room, seq).boxed(),
        Effect::Quit { .. } | Effect::Bell | Effect::Suspend | Effect::Reconnect { .. } => {
            return None;
        }
    })
}

async fn say(client: Client, room: String, id: u64, text: String, is_action: bool) -> Answer {
    let began = Instant::now();
    let said = match is_action {
        true => client.act(&room, &text).await,
        false => client.say(&room, &text).await,
    };
    Answer::Said {
        room,
        id,
        result: said.map_err(reason),
        took: began.elapsed(),
    }
}

async fn tell(client: Client, room: String, id: Option<u64>, to: String, text: String) -> Answer {
    let result = client.tell(&to, &text).await.map_err(reason);
    Answer::Direct {
        room,
        id,
        to,
        text,
        result,
    }
}

async fn join(client: Client, room: String, from: String) -> Answer {
    let joined = client.join_with_history(&room, HISTORY).await;
    let result = joined.map_err(reason);
    Answer::Joined { room, from, result }
}

async fn leave(client: Client, room: String) -> Answer {
    let result = client.leave(&room).await.map_err(reason);
    Answer::Left { room, result }
}

async fn rename(client: Client, room: String, nick: String) -> Answer {
    let result = client.nick(&nick).await.map_err(reason);
    Answer::Renamed { room, result }
}

async fn who(client: Client, room: String, of: String) -> Answer {
    let who = client.who(&of).await.map(|who| {
        let marked = |nick: &String| match who.away.contains(nick) {
            true => format!("{nick} (away)"),
            false => nick.clone(),
        };
        let members: Vec<String> = who.members.iter().map(marked).collect();
        let members = members.join(", ");
        vec![format!("{}: {} here: {members}", who.room, who.count)]
    });
    lines(room, who)
}

async fn rooms(client: Client, room: String) -> Answer {
    let line = |listed: &Listing| format!("{} ({}) {}", listed.room, listed.count, listed.topic);
    let rooms = client.rooms().await;
    lines(
        room,
        rooms.map(|rooms| rooms.iter().take(ROOMS_LISTED).map(line).collect()),
    )
}

async fn away(client: Client, room: String, text: Option<String>) -> Answer {
    let away = client.away(text.as_deref()).await.map(|away| {
        vec![match away {
            Some(text) => format!("you are away: {text} (/away alone marks you as back)"),
            None => "you are back".to_owned(),
        }]
    });
    lines(room, away)
}

async fn whois(client: Client, room: String, nick: String) -> Answer {
    let whois = client.whois(&nick).await.map(|whois| whois_lines(&whois));
    lines(room, whois)
}

/// Returns what is known of a member, as lines to show.
fn whois_lines(whois: &Whois) -> Vec<String> {
    let nick = &whois.nick;
    let mut known: Vec<&str> = vec![&whois.who];
    let account = whois.account.as_ref();
    let account = account.map(|account| format!("account {account}"));
    known.extend(account.as_deref());
    known.extend(whois.is_bot.then_some("a bot"));
    known.extend(whois.is_operator.then_some("a server operator"));
    let mut lines = vec![format!("{nick}: {}", known.join(", "))];
    // The member chooses its name. A line of its own keeps the name from looking like an account or a mark.
    let name = whois.name.as_ref();
    lines.extend(name.map(|name| format!("{nick} calls itself: {name}")));
    let away = whois.away.as_ref();
    lines.extend(away.map(|text| format!("{nick} is away: {text}")));
    if !whois.rooms.is_empty() {
        lines.push(format!("{nick} is in {}", whois.rooms.join(", ")));
    }
    lines
}

async fn set_topic(client: Client, room: String, text: String) -> Answer {
    let set = client.set_topic(&room, &text).await;
    lines(room, set.map(|_| Vec::new()))
}

async fn older(client: Client, room: String, epoch: String, before: u64) -> Answer {
    let before = (before < u64::MAX).then_some(before);
    let result = client.history(&room, before, HISTORY).await.map_err(reason);
    Answer::Older {
        room,
        epoch,
        result,
    }
}

async fn search(client: Client, room: String, words: String, before: Option<u64>) -> Answer {
    let found = client.search(&room, &words, before, FOUND).await;
    let oldest = |found: &[Message]| found.iter().map(|message| message.seq).min();
    let result = found.map(|found| (list_found(&found, &words), oldest(&found)));
    Answer::Found {
        room,
        result: result.map_err(reason),
        words,
    }
}

async fn around(client: Client, room: String, seq: u64) -> Answer {
    let before = seq.saturating_add(AROUND as u64 / 2 + 1);
    let result = match client.history(&room, Some(before), AROUND).await {
        Ok(messages) => list_around(&messages, seq),
        Err(error) => Err(reason(error)),
    };
    Answer::Lines { room, result }
}

/// Returns the messages around position `seq` as lines, or why there are no messages to show.
fn list_around(messages: &[Message], seq: u64) -> Result<Vec<String>, String> {
    match messages.iter().map(|message| message.seq).max() {
        None => Err(format!("no messages are kept around {seq}")),
        Some(last) if last < seq => Err(format!(
            "there is no message {seq}: the last one before it is {last}"
        )),
        Some(_) => Ok(list(messages)),
    }
}

fn lines(room: String, result: Result<Vec<String>, RequestError>) -> Answer {
    let result = result.map_err(reason);
    Answer::Lines { room, result }
}

#[expect(clippy::needless_pass_by_value, reason = "passed to map_err by name")]
fn reason(error: RequestError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_the_log_does_not_show_the_latest_messages() {
        let said = |seq| Message::said("lobby", seq, "kim", "안녕");
        let messages: Vec<Message> = (95..=100).map(said).collect();
        let shown = list_around(&messages, 97).unwrap();
        assert!(shown.len() == 6 && shown[2].starts_with("[97] "));
        let error = list_around(&messages, 99_999_999).unwrap_err();
        assert_eq!(
            error,
            "there is no message 99999999: the last one before it is 100"
        );
        assert_eq!(
            list_around(&[], 5).unwrap_err(),
            "no messages are kept around 5"
        );
    }
}
