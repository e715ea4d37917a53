//! The token of a hello identifies a client: it owns the client's keys, and takes the nick back from a lost connection.

use crate::kept::Kept;
use crate::program::Program;
use crate::{builder, hub, replayed, unlimited};
use serde_json::{Value, json};

const TOKEN: &str = "5f1c0b7e9a3d4f2688c1";

fn with_token(nick: &str, token: &str) -> Value {
    json!({"nick": nick, "token": token, "join": [{"room": "ops"}]})
}

fn deployed() -> Value {
    json!({"room": "ops", "text": "deployed", "key": "c-77"})
}

fn again(seq: u64) -> Value {
    json!({"room": "ops", "seq": seq, "dup": true})
}

#[tokio::test(start_paused = true)]
async fn a_client_takes_its_nick_back_from_its_own_half_dead_connection_at_once() {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    let (mut ghost, _) = Program::hello(&mut hub, with_token("bot", TOKEN)).await;
    alice.next().await;
    // The server still considers the earlier connection of this client open.
    let (mut bot, welcome) = Program::hello(&mut hub, with_token("BOT", TOKEN)).await;
    assert_eq!(welcome["nick"], "BOT");
    assert_eq!(welcome["rooms"][0]["members"], json!(["alice", "BOT"]));
    let seen = alice.sees_until_quiet().await;
    let expected = [
        json!({"ev": "left", "room": "ops", "nick": "bot", "reason": "taken over"}),
        json!({"ev": "joined", "room": "ops", "nick": "BOT"}),
    ];
    assert_eq!(seen, expected, "one goodbye, and then one arrival");
    ghost
        .sees(json!({"ev": "bye", "code": "taken_over", "reconnect": false}))
        .await;
    bot.says("ops", "back").await;
}

#[tokio::test(start_paused = true)]
async fn no_nick_is_taken_over_without_its_token() {
    let mut hub = hub(unlimited());
    let (mut bot, welcome) = Program::hello(&mut hub, with_token("bot", TOKEN)).await;
    assert_eq!(welcome["token"], TOKEN);
    // If a client sends no token, the server gives the client a token that can't be guessed.
    let (_plain, welcome) = Program::hello(&mut hub, json!({"nick": "kim"})).await;
    let given = welcome["token"].as_str().unwrap().to_owned();
    assert!(given.len() >= 22, "{given}");
    for fields in [
        json!({"nick": "bot"}),
        json!({"nick": "bot", "token": "5f1c0b7e9a3d4f2688c2"}),
        json!({"nick": "bot", "token": given}),
        json!({"nick": "kim", "token": TOKEN}),
    ] {
        let mut mallory = Program::connect(&mut hub, "mallory");
        let refused = mallory.asks("hello", fields.clone()).await;
        assert_eq!(refused["err"]["code"], "nick_taken", "{fields}");
    }
    bot.says("ops", "still here").await;
}

#[tokio::test(start_paused = true)]
async fn the_token_that_the_server_gave_takes_the_nick_back_and_knows_the_keys() {
    let mut hub = hub(unlimited());
    let hello = json!({"nick": "bot", "join": [{"room": "ops"}]});
    let (mut ghost, welcome) = Program::hello(&mut hub, hello).await;
    assert_eq!(ghost.does("say", deployed()).await["seq"], 1);
    let token = welcome["token"].as_str().unwrap();
    let (mut bot, welcome) = Program::hello(&mut hub, with_token("bot", token)).await;
    assert_eq!(welcome["token"], token);
    assert_eq!(bot.does("say", deployed()).await, again(1));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_its_tokens_and_not_its_nicks() {
    for token in [None, Some("a token of mallory's")] {
        let mut hub = hub(unlimited());
        let mut fields = json!({"nick": "bot", "join": [{"room": "ops"}]});
        if let Some(token) = token {
            fields["token"] = json!(token);
        }
        // Mallory takes the nick while it is free, and publishes a text under the key that the bot will use.
        let (mut mallory, _) = Program::hello(&mut hub, fields).await;
        assert_eq!(mallory.does("say", deployed()).await["seq"], 1);
        mallory.does("nick", json!({"nick": "mallory"})).await;
        let (mut bot, _) = Program::hello(&mut hub, with_token("bot", TOKEN)).await;
        let said = bot.does("say", deployed()).await;
        assert_eq!(said, json!({"room": "ops", "seq": 2}));
        // The client keeps its keys after a change of its nick.
        bot.does("nick", json!({"nick": "robot"})).await;
        bot.sees_until_quiet().await;
        assert_eq!(bot.does("say", deployed()).await, again(2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_nick_says_nothing_twice() {
    let mut hub = hub(unlimited());
    let (mut bot, _) = Program::hello(&mut hub, with_token("bot", TOKEN)).await;
    bot.does("say", deployed()).await;
    drop(bot);
    hub.ended().await;
    let (mut bot, _) = Program::hello(&mut hub, with_token("bot-2", TOKEN)).await;
    assert_eq!(bot.does("say", deployed()).await, again(1));
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_token_has_its_keys_for_one_session() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    bot.does("say", deployed()).await;
    assert_eq!(bot.does("say", deployed()).await, again(1));
    drop(bot);
    hub.ended().await;
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    let said = bot.does("say", deployed()).await;
    assert_eq!(said, json!({"room": "ops", "seq": 2}));
}

#[tokio::test(start_paused = true)]
async fn a_token_knows_its_keys_on_the_next_server_that_keeps_the_same_log() {
    let kept = Kept::new();
    let mut hub = crate::build(builder(unlimited()).journal(kept.clone()));
    let (mut bot, _) = Program::hello(&mut hub, with_token("bot", TOKEN)).await;
    bot.does("say", deployed()).await;
    // The server ended before its answer arrived. The bot connects to the next server and repeats the message.
    let mut next = crate::build(builder(unlimited()).journal(kept));
    // Another client with the bot's nick has used the bot's key for a different message.
    let mut other = Program::join(&mut next, "bot", &["ops"]).await;
    assert_eq!(other.does("say", deployed()).await["seq"], 2);
    let (mut bot, _) = Program::hello(&mut next, with_token("bot-2", TOKEN)).await;
    assert_eq!(bot.does("say", deployed()).await, again(1));
}

#[tokio::test(start_paused = true)]
async fn what_can_be_no_token_is_refused() {
    let mut hub = hub(unlimited());
    let mut bot = Program::connect(&mut hub, "bot");
    for token in ["", "123456789012345", &"x".repeat(129)] {
        let refused = bot.asks("hello", with_token("bot", token)).await;
        assert_eq!(refused["err"]["code"], "bad_request", "{token:?}");
    }
    bot.does("hello", with_token("bot", "1234567890123456"))
        .await;
}

/// Lets a client publish one message with a key and one without, and then join again at an earlier position. Returns
/// the objects that the client receives.
async fn comes_back_to_its_own(echo: bool) -> Vec<Value> {
    let mut hub = hub(unlimited());
    let mut alice = Program::join(&mut hub, "alice", &["ops"]).await;
    alice.says("ops", "one").await;
    let mut fields = with_token("bot", TOKEN);
    fields["echo"] = json!(echo);
    let (mut bot, _) = Program::hello(&mut hub, fields.clone()).await;
    bot.sends(json!({"cmd": "say", "room": "ops", "text": "deployed", "key": "c-77"}))
        .await;
    bot.sends(json!({"cmd": "say", "room": "ops", "text": "without a key"}))
        .await;
    bot.sees_until_quiet().await;
    alice.sees_until_quiet().await;
    alice.says("ops", "two").await;
    fields["join"][0]["after"] = json!({"seq": 0});
    let (mut bot, welcome) = Program::hello(&mut hub, fields).await;
    assert_eq!(welcome["rooms"][0]["recovered"], true);
    bot.sees_until_quiet().await
}

#[tokio::test(start_paused = true)]
async fn a_resume_without_echo_leaves_out_what_the_client_said_under_a_key() {
    let seen = comes_back_to_its_own(false).await;
    let expected = [
        replayed("ops", 1, "alice", "one"),
        replayed("ops", 3, "bot", "without a key"),
        replayed("ops", 4, "alice", "two"),
    ];
    assert_eq!(seen, expected);
    let with_echo = comes_back_to_its_own(true).await;
    assert_eq!(with_echo.len(), 4);
    assert_eq!(with_echo[1]["key"], "c-77");
}

#[tokio::test(start_paused = true)]
async fn a_client_cut_before_the_reply_learns_of_its_message_by_its_key() {
    let mut hub = hub(unlimited());
    let (mut bot, _) = Program::hello(&mut hub, with_token("bot", TOKEN)).await;
    bot.sends(json!({"cmd": "say", "id": 1, "room": "ops", "text": "deployed", "key": "c-77"}))
        .await;
    bot.wire.sees_until_quiet().await;
    hub.cuts_all().await;
    let mut fields = with_token("bot", TOKEN);
    fields["join"][0]["after"] = json!({"seq": 0});
    let (mut bot, _) = Program::hello(&mut hub, fields).await;
    bot.wire.sees_nothing().await;
    assert_eq!(bot.does("say", deployed()).await, again(1));
}

/// A client connects twice with one token. The hello of the first connection has to wait, and the second connection
/// begins a session in the meantime. The server must refuse the delayed hello: it must not end that session.
#[tokio::test(start_paused = true)]
async fn an_earlier_connection_does_not_end_a_later_session_of_its_client() {
    let mut limits = unlimited();
    let once_in_three_seconds = chat_core::Rate {
        burst: 3.try_into().unwrap(),
        per_second: 1.try_into().unwrap(),
    };
    limits.joins_per_address = Some(once_in_three_seconds);
    let mut hub = hub(limits);
    let peer = |address: &str| {
        let address: std::net::SocketAddr = address.parse().unwrap();
        chat_core::Peer::from(address)
    };
    let hello = |nick: &str, token: &str, rooms: usize| {
        let join: Vec<_> = (0..rooms)
            .map(|n| json!({"room": format!("r{n}")}))
            .collect();
        json!({"cmd": "hello", "id": 1, "nick": nick, "token": token, "join": join}).to_string()
    };
    let mut neighbour = hub.connect_as("neighbour", peer("192.0.2.1:1"));
    neighbour.sends(&hello("kim", "0000000000000000", 3)).await;
    neighbour.sees_containing("\"nick\":\"kim\"").await;
    let mut early = hub.connect_as("early", peer("192.0.2.1:2"));
    early.sends(&hello("bot", TOKEN, 2)).await;
    early.sees_nothing().await;
    let mut late = hub.connect_as("late", peer("192.0.2.2:1"));
    late.sends(&hello("bot", TOKEN, 0)).await;
    late.sees_containing("\"nick\":\"bot\"").await;
    early.sees_containing("nick_taken").await;
    late.sends(&json!({"cmd": "ping", "id": 2}).to_string())
        .await;
    late.sees(r#"{"re":2,"ok":{}}"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_would_wait_too_long_is_told_when_to_come_back() {
    let mut limits = unlimited();
    limits.joins_per_address = Some(chat_core::Rate {
        burst: 10.try_into().unwrap(),
        per_second: 1.try_into().unwrap(),
    });
    let mut hub = hub(limits);
    let address: std::net::SocketAddr = "192.0.2.1:1".parse().unwrap();
    let join: Vec<_> = (0..10).map(|n| json!({"room": format!("r{n}")})).collect();
    let hello = json!({"cmd": "hello", "id": 1, "join": join}).to_string();
    let mut first = hub.connect_as("first", chat_core::Peer::from(address));
    first.sends(&hello).await;
    first.sees_containing("\"rooms\"").await;
    let mut second = hub.connect_as("second", chat_core::Peer::from(address));
    second.sends(&hello).await;
    let bye: Value = serde_json::from_str(&second.sees_containing("bye").await).unwrap();
    assert_eq!(bye["code"], "rate_limited");
    assert_eq!(bye["reconnect"], true);
    assert!(bye["after_ms"].as_u64().unwrap() > 9_000, "{bye}");
}
