//! Queries (Modern IRC Client Protocol, "Server Queries" and "User-Based Queries"; IRCv3 WHOX).

use crate::{ask, client, hub, hub_with, joins, lines_of};
use chat_core::{Limits, Rate};
use std::num::NonZero;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn who_lists_the_members_of_a_room() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut bob, "a").await;
    let end = ":irc.test 315 bob #a :End of /WHO list";
    assert_eq!(
        ask(&mut bob, "WHO #a").await,
        [":irc.test 352 bob #a ~u hidden irc.test bob H@ :0 bob", end]
    );
    assert_eq!(
        ask(&mut bob, "WHO #a %tcuhnfdar,42").await,
        [":irc.test 354 bob 42 #a ~u hidden bob H@ 0 0 :bob", end]
    );
    assert_eq!(
        ask(&mut bob, "WHO #a %na").await,
        [":irc.test 354 bob bob 0", end]
    );
    assert_eq!(
        ask(&mut bob, "WHO #nowhere").await,
        [":irc.test 315 bob #nowhere :End of /WHO list"]
    );
    assert_eq!(ask(&mut bob, "WHO BOB").await.len(), 2);
    assert_eq!(
        ask(&mut bob, "WHO *").await,
        [":irc.test 315 bob * :End of /WHO list"]
    );
}

#[tokio::test(start_paused = true)]
async fn whois_tells_what_is_known() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    let mut alice = client(&mut hub, "alice").await;
    for room in ["a", "b"] {
        joins(&mut bob, room).await;
        joins(&mut alice, room).await;
    }
    lines_of(&mut bob).await;
    assert_eq!(
        ask(&mut bob, "WHOIS Alice").await,
        [
            ":irc.test 311 bob alice ~u hidden * :alice",
            ":irc.test 319 bob alice :#b #a",
            ":irc.test 312 bob alice irc.test :Test",
            ":irc.test 318 bob Alice :End of /WHOIS list",
        ]
    );
    assert_eq!(
        ask(&mut bob, "WHOIS nobody").await,
        [
            ":irc.test 401 bob nobody :No such nick",
            ":irc.test 318 bob nobody :End of /WHOIS list",
        ]
    );
    assert_eq!(
        ask(&mut bob, "WHOIS").await,
        [":irc.test 431 bob :No nickname given"]
    );
    assert_eq!(
        ask(&mut bob, "ISON alice nobody BOB").await,
        [":irc.test 303 bob :bob alice"]
    );
    assert_eq!(
        ask(&mut bob, "USERHOST alice nobody").await,
        [":irc.test 302 bob :alice=+~u@hidden"]
    );
    assert!(ask(&mut bob, "WHOWAS alice").await[0].starts_with(":irc.test 406 bob alice :"));
}

#[tokio::test(start_paused = true)]
async fn a_server_describes_itself() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    for (command, numerics) in [
        ("MOTD", "422"),
        ("LUSERS", "251 252 254 255 265 266"),
        ("VERSION", "351 005 005"),
        ("TIME", "391"),
        ("INFO", "371 371 374"),
        ("ADMIN", "256 257 258 259"),
        ("LINKS", "364 365"),
        ("HELP", "704 705 705 705 705 706"),
        ("HELP JOIN", "704 705 706"),
        ("HELP nonsense", "524"),
        ("OPER a b", "491"),
        ("KILL bob", "481"),
    ] {
        let lines = ask(&mut bob, command).await;
        let found: Vec<_> = lines
            .iter()
            .map(|line| line.split(' ').nth(1).unwrap())
            .collect();
        assert_eq!(found.join(" "), numerics, "{command}");
    }
}

/// A list is written page by page, so that a peer which does not read it makes the server hold little of it.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_read_does_not_pile_up() {
    let mut limits = Limits::default();
    limits.rate = None;
    let mut hub = hub_with(limits);
    let (mut members, mut sessions) = (Vec::new(), Vec::new());
    for number in 0..40 {
        let session = hub.hub.session(Some(&format!("m{number}"))).await.unwrap();
        for room in 0..64 {
            let room = format!("room-{number}-{room}-{}", "x".repeat(40));
            members.push(session.join(&*room).await.unwrap());
        }
        sessions.push(session);
    }
    let mut bob = hub.connect_with("bob", 1024);
    bob.sends("NICK bob").await;
    bob.sends("USER u 0 * :r").await;
    bob.sees_in_time(":irc.test 422 bob :There is no message of the day")
        .await;
    let before = hub.hub.stats().bytes_out;
    bob.sends("LIST").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let held = hub.hub.stats().bytes_out - before;
    let all = lines_of(&mut bob).await;
    let listed = all.iter().filter(|line| line.contains(" 322 ")).count();
    assert_eq!(listed, 40 * 64);
    let bytes: usize = all.iter().map(|line| line.len() + 2).sum();
    assert!(
        held > 0 && held < bytes as u64 / 2,
        "{held} of {bytes} bytes"
    );
}

/// Each room that a search looks at costs as much as a line.
#[tokio::test(start_paused = true)]
async fn a_search_through_many_rooms_is_charged() {
    let mut hub = hub_with(Limits::default());
    let mut bob = client(&mut hub, "bob").await;
    let rooms: Vec<_> = (0..40).map(|room| format!("#r{room}")).collect();
    bob.sends(&format!("JOIN {}", rooms.join(","))).await;
    bob.sees_in_time(":irc.test 366 bob #r39 :End of /NAMES list")
        .await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let began = Instant::now();
    bob.sends("ISON nobody").await;
    bob.sees_in_time(":irc.test 303 bob :").await;
    // 20 tokens at once, then 5 a second.
    assert!(
        began.elapsed() > Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

/// A refusal for lack of allowance is not told as a fact, such as that nobody is there.
#[tokio::test(start_paused = true)]
async fn what_is_refused_for_now_is_told_with_263() {
    let mut limits = Limits::default();
    limits.answers_per_address = Some(Rate {
        burst: NonZero::new(1).unwrap(),
        per_second: NonZero::new(1).unwrap(),
    });
    let mut hub = hub_with(limits);
    let mut bob = hub.connect_as(
        "bob",
        "192.0.2.1:4242"
            .parse::<std::net::SocketAddr>()
            .unwrap()
            .into(),
    );
    bob.sends("NICK bob").await;
    bob.sends("USER u 0 * :r").await;
    bob.sees_in_time(":irc.test 422 bob :There is no message of the day")
        .await;
    joins(&mut bob, "a").await;
    let mut members = Vec::new();
    for number in 0..1000 {
        let nick = format!("a-long-nick-of-a-member-{number}");
        let session = hub.hub.session(Some(&nick)).await.unwrap();
        members.push((session.join("a").await.unwrap(), session));
    }
    for _ in 0..4 {
        bob.sends("NAMES #a").await;
    }
    lines_of(&mut bob).await;
    for (line, command, end) in [
        ("ISON carol", "ISON", None),
        ("WHOIS carol", "WHOIS", None),
        ("NAMES #a", "NAMES", None),
        ("WHO #a", "WHO", Some(315)),
        ("LIST", "LIST", Some(323)),
    ] {
        let lines = ask(&mut bob, line).await;
        let start = format!(":irc.test 263 bob {command} :");
        let refused = lines.iter().filter(|line| line.starts_with(&start)).count();
        assert_eq!(refused, 1, "{line}: {lines:?}");
        let others: Vec<_> = lines
            .iter()
            .filter(|line| !line.starts_with(&start))
            .collect();
        let is_end = |line: &&String| end.is_some_and(|end| line.contains(&format!(" {end} bob ")));
        assert!(
            others
                .iter()
                .all(|line| line.contains(" 321 ") || is_end(line)),
            "{others:?}"
        );
    }
}
