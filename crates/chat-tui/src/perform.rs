//! What the client asks of the server for an effect, and what came of it.

use crate::found::{list, list_found};
use crate::update::{Answer, Effect};
use chat_json::{AskError, Client, Listing, Message};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

/// How many messages of a room are loaded at first, and then at a time.
pub(crate) const HISTORY: usize = 100;

/// How many messages a search of the server's shows, and how many are shown around a place.
const FOUND: usize = 20;
const AROUND: usize = 11;

/// How many rooms are listed.
const ROOMS_LISTED: usize = 100;

/// Asks the server for what an effect wants; `None` if that is not the server's business.
pub(crate) fn perform(client: &Client, effect: Effect) -> Option<BoxFuture<'static, Answer>> {
    let client = client.clone();
    Some(match effect {
        Effect::Say {
            room,
            id,
            text,
            is_action,
        } => say(client, room, id, text, is_action).boxed(),
        Effect::Tell { room, id, to, text } => async move {
            let result = client.tell(&to, &text).await.map_err(why);
            Answer::Direct {
                room,
                id,
                to,
                text,
                result,
            }
        }
        .boxed(),
        Effect::Join { room, from } => async move {
            let joined = client.join_with_history(&room, HISTORY).await;
            let result = joined.map_err(why);
            Answer::Joined { room, from, result }
        }
        .boxed(),
        Effect::Leave { room } => async move {
            let result = client.leave(&room).await.map_err(why);
            Answer::Left { room, result }
        }
        .boxed(),
        Effect::Nick { room, nick } => async move {
            let result = client.nick(&nick).await.map_err(why);
            Answer::Renamed { room, result }
        }
        .boxed(),
        Effect::Who { room, of } => who(client, room, of).boxed(),
        Effect::Rooms { room } => rooms(client, room).boxed(),
        Effect::Topic { room, text } => async move {
            let set = client.set_topic(&room, &text).await;
            told(room, set.map(|_| Vec::new()))
        }
        .boxed(),
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
        Effect::Around { room, place } => around(client, room, place).boxed(),
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
        result: said.map_err(why),
        took: began.elapsed(),
    }
}

async fn who(client: Client, room: String, of: String) -> Answer {
    let who = client.who(&of).await.map(|who| {
        let members = who.members.join(", ");
        vec![format!("{}: {} here: {members}", who.room, who.count)]
    });
    told(room, who)
}

async fn rooms(client: Client, room: String) -> Answer {
    let line = |listed: &Listing| format!("{} ({}) {}", listed.room, listed.count, listed.topic);
    let rooms = client.rooms().await;
    told(
        room,
        rooms.map(|rooms| rooms.iter().take(ROOMS_LISTED).map(line).collect()),
    )
}

async fn older(client: Client, room: String, epoch: String, before: u64) -> Answer {
    let before = (before < u64::MAX).then_some(before);
    let result = client.history(&room, before, HISTORY).await.map_err(why);
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
        result: result.map_err(why),
        words,
    }
}

async fn around(client: Client, room: String, place: u64) -> Answer {
    let before = place.saturating_add(AROUND as u64 / 2 + 1);
    let result = match client.history(&room, Some(before), AROUND).await {
        Ok(messages) => list_around(&messages, place),
        Err(error) => Err(why(error)),
    };
    Answer::Told { room, result }
}

/// What was said around a place; or why there is nothing to show.
fn list_around(messages: &[Message], place: u64) -> Result<Vec<String>, String> {
    match messages.iter().map(|message| message.seq).max() {
        None => Err(format!("nothing is kept from around {place}")),
        Some(last) if last < place => Err(format!(
            "there is no message {place}: the last one before it is {last}"
        )),
        Some(_) => Ok(list(messages)),
    }
}

fn told(room: String, result: Result<Vec<String>, AskError>) -> Answer {
    let result = result.map_err(why);
    Answer::Told { room, result }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn why(error: AskError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_where_nothing_is_is_no_reason_to_show_the_latest() {
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
            "nothing is kept from around 5"
        );
    }
}
