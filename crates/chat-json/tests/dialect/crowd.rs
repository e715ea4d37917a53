//! Rooms with so many members that the server does not announce each join and leave.

use crate::program::Program;
use crate::{hub, unlimited};
use chat_core::{Hub, Member, Session};
use chat_json::wire::REPLY_BYTES_MAX;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Adds a member in process, which needs no connection.
async fn extra(hub: &Hub, number: usize) -> (Session, Member) {
    let session = hub.session(Some(&format!("m{number}"))).await.unwrap();
    let member = session.join("ops").await.unwrap();
    (session, member)
}

fn count_of(events: &[Value], ev: &str) -> usize {
    events.iter().filter(|event| event["ev"] == ev).count()
}

#[tokio::test(start_paused = true)]
async fn a_big_room_is_hushed_once_and_then_counted_at_most_once_a_second() {
    let mut hub = hub(unlimited());
    let mut bot = Program::join(&mut hub, "bot", &["ops"]).await;
    let mut crowd = Vec::new();
    for number in 0..99 {
        crowd.push(extra(&hub.hub, number).await);
        let nick = format!("m{number}");
        bot.sees(json!({"ev": "joined", "room": "ops", "nick": nick}))
            .await;
    }
    bot.wire.sees_nothing().await;
    crowd.push(extra(&hub.hub, 99).await);
    bot.sees(json!({"ev": "hushed", "room": "ops", "on": true}))
        .await;
    bot.sees(json!({"ev": "members", "room": "ops", "count": 101}))
        .await;

    // Members join, leave and rename for ten seconds.
    let began = Instant::now();
    for number in 100..200 {
        crowd.push(extra(&hub.hub, number).await);
        drop(crowd.remove(50));
        let name = format!("renamed-{number}");
        crowd.last().unwrap().0.rename(&name).await.unwrap();
        crowd.push(extra(&hub.hub, number + 1000).await);
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(1)).await;
    let seconds = began.elapsed().as_secs() as usize;
    let events = bot.sees_until_quiet().await;
    let counts = count_of(&events, "members");
    assert_eq!(counts, events.len(), "nothing else: {events:?}");
    assert!(
        (seconds - 2..=seconds).contains(&counts),
        "{counts} in {seconds} s"
    );
    assert_eq!(events.last().unwrap()["count"], 201);
    let who = bot.does("who", json!({"room": "ops"})).await;
    assert_eq!(who["count"], 201);
    assert_eq!(who["members"].as_array().unwrap().len(), 100);

    // Once few members are left, the server sends the number of members one last time. After that, it announces each
    // leave again.
    crowd.truncate(73);
    let events = bot.sees_until_quiet().await;
    assert_eq!(count_of(&events, "left"), 1, "{events:?}");
    let unhushed = json!({"ev": "hushed", "room": "ops", "on": false});
    assert!(events.contains(&unhushed), "{events:?}");
    let who = bot.does("who", json!({"room": "ops"})).await;
    let named = who["members"].as_array().unwrap().len();
    assert_eq!((&who["count"], named), (&json!(74), 74));
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_to_a_big_room_is_told_the_count_and_the_first_hundred() {
    let mut hub = hub(unlimited());
    let mut crowd = Vec::new();
    for number in 0..150 {
        crowd.push(extra(&hub.hub, number).await);
    }
    let hello = json!({"nick": "bot", "join": [{"room": "ops"}]});
    let (mut bot, welcome) = Program::hello(&mut hub, hello).await;
    let room = &welcome["rooms"][0];
    assert_eq!(room["count"], 151);
    let members: Vec<_> = (0..100).map(|number| format!("m{number}")).collect();
    assert_eq!(room["members"], json!(members));
    crowd.push(extra(&hub.hub, 150).await);
    bot.sees(json!({"ev": "members", "room": "ops", "count": 152}))
        .await;
}

#[tokio::test(start_paused = true)]
async fn rooms_are_listed_in_pages_none_twice_and_all() {
    let mut hub = hub(unlimited());
    let topic = "\\".repeat(4096);
    let mut sessions = Vec::new();
    for number in 0..64 {
        let session = hub.hub.session(Some(&format!("m{number}"))).await.unwrap();
        let mut members = Vec::new();
        for at in 0..64 {
            let room = format!("r-{number}-{at}-{}", "x".repeat(64));
            let member = session.join(&room[..64]).await.unwrap();
            member.set_topic(&topic).await.unwrap();
            members.push(member);
        }
        sessions.push((session, members));
    }
    let mut bot = Program::join(&mut hub, "bot", &[]).await;
    let mut listed: Vec<String> = Vec::new();
    loop {
        let request = json!({"cmd": "rooms", "id": 1, "room": listed.last()});
        bot.sends(request).await;
        let line = bot.wire.next_line().await.unwrap();
        assert!(line.len() <= 64 * 1024, "{} bytes", line.len());
        let reply: Value = serde_json::from_str(&line).unwrap();
        let rooms = reply["ok"]["rooms"].as_array().unwrap();
        assert!(rooms.iter().all(|room| room["topic"] == topic[..64]));
        listed.extend(
            rooms
                .iter()
                .map(|room| room["room"].as_str().unwrap().to_owned()),
        );
        if reply["ok"]["more"] != true {
            break;
        }
        assert_eq!(rooms.len(), 100);
    }
    assert_eq!(listed.len(), 4096);
    assert!(listed.is_sorted());
    listed.dedup();
    assert_eq!(listed.len(), 4096);
}

#[tokio::test(start_paused = true)]
async fn the_welcome_to_64_full_rooms_fits_into_a_line() {
    let mut hub = hub(unlimited());
    let rooms: Vec<_> = (0..64)
        .map(|number| format!("r{number:02}{}", "x".repeat(61)))
        .collect();
    let mut sessions = Vec::new();
    for number in 0..100u32 {
        let last = char::from_u32(0x2_0000 + number).unwrap();
        let nick = format!("{}{last}", "\u{20000}".repeat(31));
        let session = hub.hub.session(Some(&nick)).await.unwrap();
        let mut members = Vec::new();
        for room in &rooms {
            members.push(session.join(room).await.unwrap());
        }
        sessions.push((session, members));
    }
    let join: Vec<_> = rooms.iter().map(|room| json!({"room": room})).collect();
    let mut bot = Program::connect(&mut hub, "bot");
    bot.sends(json!({"cmd": "hello", "id": 1, "join": join}))
        .await;
    let line = bot.wire.next_line().await.unwrap();
    assert!(line.len() > 800_000, "{} bytes", line.len());
    assert!(line.len() <= REPLY_BYTES_MAX, "{} bytes", line.len());
}
