//! Messages (Modern IRC Client Protocol, "Sending Messages"; IRCv3 echo-message, server-time, message-tags).

use crate::{ask, client, client_with, hub, joins, lines_of};
use chat_core::name::NameRules;
use chat_core::{Hub, Limits};
use chat_testkit::TestHub;

const U: &str = "~u@hidden";

#[tokio::test(start_paused = true)]
async fn an_own_message_comes_back_only_with_echo_message() {
    let mut hub = hub();
    let mut alice = client(&mut hub, "alice").await;
    let mut bob = client_with(&mut hub, "bob", "echo-message").await;
    joins(&mut alice, "a").await;
    joins(&mut bob, "a").await;
    lines_of(&mut alice).await;
    assert!(ask(&mut alice, "PRIVMSG #a :one").await.is_empty());
    assert_eq!(
        lines_of(&mut bob).await,
        [format!(":alice!{U} PRIVMSG #a :one")]
    );
    assert_eq!(
        ask(&mut bob, "PRIVMSG #a :two").await,
        [format!(":bob!{U} PRIVMSG #a :two")]
    );
    assert_eq!(
        lines_of(&mut alice).await,
        [format!(":bob!{U} PRIVMSG #a :two")]
    );
    assert_eq!(
        ask(&mut bob, "PRIVMSG alice :psst").await,
        [format!(":bob!{U} PRIVMSG alice :psst")]
    );
    assert_eq!(
        lines_of(&mut alice).await,
        [format!(":bob!{U} PRIVMSG alice :psst")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_reaches_a_list_of_targets() {
    let mut hub = hub();
    let mut alice = client(&mut hub, "alice").await;
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut alice, "a").await;
    joins(&mut bob, "a").await;
    lines_of(&mut alice).await;
    let refused = ask(&mut bob, "PRIVMSG #a,#b,nobody,alice :hi").await;
    assert_eq!(
        refused[0],
        ":irc.test 404 bob #b :you are not in that room: join it first"
    );
    assert!(
        refused[1].starts_with(":irc.test 401 bob nobody :"),
        "{refused:?}"
    );
    let mut seen = lines_of(&mut alice).await;
    seen.sort();
    assert_eq!(
        seen,
        [
            format!(":bob!{U} PRIVMSG #a :hi"),
            format!(":bob!{U} PRIVMSG alice :hi")
        ]
    );
    let many = ask(&mut bob, "PRIVMSG a,b,c,d,e :hi").await;
    assert!(many[0].starts_with(":irc.test 407 bob "), "{many:?}");
}

#[tokio::test(start_paused = true)]
async fn errors_have_their_numerics_and_a_notice_has_none() {
    let mut hub = hub();
    let mut bob = client(&mut hub, "bob").await;
    assert_eq!(
        ask(&mut bob, "PRIVMSG").await,
        [":irc.test 411 bob :No recipient given (PRIVMSG)"]
    );
    assert_eq!(
        ask(&mut bob, "PRIVMSG #a").await,
        [":irc.test 412 bob :No text to send"]
    );
    assert_eq!(
        ask(&mut bob, "PRIVMSG bob :\u{3164}").await,
        [":irc.test 412 bob :No text to send"]
    );
    assert_eq!(
        ask(&mut bob, "PRIVMSG &a :x").await,
        [":irc.test 403 bob &a :No such channel"]
    );
    for silent in [
        "NOTICE",
        "NOTICE #a",
        "NOTICE #nowhere :x",
        "NOTICE nobody :x",
        "NOTICE &a :x",
    ] {
        assert!(ask(&mut bob, silent).await.is_empty(), "{silent}");
    }
}

#[tokio::test(start_paused = true)]
async fn notices_stay_notices() {
    let mut hub = hub();
    let mut kim = hub.member("kim").await;
    let mut alice = client(&mut hub, "alice").await;
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut alice, "lobby").await;
    joins(&mut bob, "lobby").await;
    lines_of(&mut alice).await;
    lines_of(&mut kim).await;
    bob.sends("NOTICE #lobby,alice,kim :careful").await;
    let mut seen = lines_of(&mut alice).await;
    seen.sort();
    assert_eq!(
        seen,
        [
            format!(":bob!{U} NOTICE #lobby :careful"),
            format!(":bob!{U} NOTICE alice :careful")
        ]
    );
    let mut seen = lines_of(&mut kim).await;
    seen.sort();
    assert_eq!(
        seen,
        ["14:02 bob -> you (notice): careful", "14:02 bob: careful"]
    );
}

/// CTCP: ACTION is an action of core. Other requests pass between clients, and never reach a room.
#[tokio::test(start_paused = true)]
async fn ctcp_passes_between_clients() {
    let mut hub = hub();
    let mut kim = hub.member("kim").await;
    let mut alice = client(&mut hub, "alice").await;
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut bob, "lobby").await;
    lines_of(&mut kim).await;
    bob.sends("PRIVMSG #lobby,alice,kim :\x01ACTION waves\x01")
        .await;
    let mut seen = lines_of(&mut kim).await;
    seen.sort();
    assert_eq!(
        seen,
        ["14:02 * bob waves", "14:02 bob -> you (action): waves"]
    );
    assert_eq!(
        lines_of(&mut alice).await,
        [format!(":bob!{U} PRIVMSG alice :\x01ACTION waves\x01")]
    );
    bob.sends("PRIVMSG alice,kim :\x01VERSION\x01").await;
    assert_eq!(
        lines_of(&mut alice).await,
        [format!(":bob!{U} PRIVMSG alice :\x01VERSION\x01")]
    );
    assert!(lines_of(&mut kim).await.is_empty());
    alice.sends("NOTICE bob :\x01VERSION client 1\x01").await;
    assert_eq!(
        lines_of(&mut bob).await,
        [format!(":alice!{U} NOTICE bob :\x01VERSION client 1\x01")]
    );
    let refused = ask(&mut bob, "PRIVMSG #lobby :\x01VERSION\x01").await;
    assert!(
        refused[0].starts_with(":irc.test 404 bob #lobby :"),
        "{refused:?}"
    );
}

/// The Modern document: "messages are limited to 512 bytes".
#[tokio::test(start_paused = true)]
async fn a_long_text_of_another_dialect_is_split_at_characters() {
    let mut hub = hub();
    let mut bob = client_with(&mut hub, "bob", "server-time message-tags").await;
    joins(&mut bob, "a").await;
    let kim = hub.hub.session(Some("kim")).await.unwrap();
    let member = kim.join("a").await.unwrap();
    let text = "한글 ".repeat(500);
    let text = text.trim();
    member.say(text).await.unwrap();
    let lines = lines_of(&mut bob).await;
    let mut joined = String::new();
    for line in &lines[1..] {
        let (tags, line) = line.split_once(' ').unwrap();
        assert!(tags.starts_with("@time=1970-01-01T14:02:00.000Z"));
        assert_eq!(tags.contains(";msgid="), joined.is_empty());
        assert!(line.len() <= 510);
        joined += line.split_once(" :").unwrap().1;
    }
    assert_eq!(joined, text);
    assert!(lines.len() > 5);
}

/// IRCv3 server-time and message-ids: all clients see the same id.
#[tokio::test(start_paused = true)]
async fn tags_are_sent_to_those_who_asked_for_them() {
    let mut hub = hub();
    let mut alice = client_with(&mut hub, "alice", "server-time message-tags echo-message").await;
    let mut bob = client_with(&mut hub, "bob", "message-tags").await;
    let mut carol = client(&mut hub, "carol").await;
    for wire in [&mut alice, &mut bob, &mut carol] {
        joins(wire, "a").await;
    }
    for wire in [&mut alice, &mut bob, &mut carol] {
        lines_of(wire).await;
    }
    let echo = ask(&mut alice, "PRIVMSG #a :hi").await;
    let (tags, rest) = echo[0].split_once(' ').unwrap();
    assert_eq!(rest, format!(":alice!{U} PRIVMSG #a :hi"));
    let (time, id) = tags.split_once(";msgid=").unwrap();
    assert_eq!(time, "@time=1970-01-01T14:02:00.000Z");
    assert_eq!(lines_of(&mut bob).await, [format!("@msgid={id} {rest}")]);
    assert_eq!(lines_of(&mut carol).await, [rest]);
    // Client-only tags are dropped, and a TAGMSG is not an error.
    assert!(ask(&mut bob, "@+typing=active TAGMSG #a").await.is_empty());
    assert!(ask(&mut carol, "TAGMSG #a").await[0].starts_with(":irc.test 421 "));
}

#[tokio::test(start_paused = true)]
async fn control_characters_reach_nobody() {
    let mut hub = hub();
    let mut kim = hub.member("kim").await;
    let mut alice = client(&mut hub, "alice").await;
    let mut bob = client(&mut hub, "bob").await;
    joins(&mut alice, "lobby").await;
    joins(&mut bob, "lobby").await;
    lines_of(&mut kim).await;
    lines_of(&mut alice).await;
    for (sent, shown) in [
        ("\x02bold\x02 \x1b[2J\x01x", "bold [2Jx"),
        ("one\rQUIT :two", "one QUIT :two"),
        ("one\0two", "onetwo"),
    ] {
        bob.sends(&format!("PRIVMSG #lobby :{sent}")).await;
        kim.sees(&format!("14:02 bob: {shown}")).await;
        alice
            .sees(&format!(":bob!{U} PRIVMSG #lobby :{shown}"))
            .await;
        bob.sends(&format!("PRIVMSG alice :{sent}")).await;
        alice
            .sees(&format!(":bob!{U} PRIVMSG alice :{shown}"))
            .await;
    }
}

/// Between the longest nicks, no line has space for a text, so the sender is named in the text of a notice.
#[tokio::test(start_paused = true)]
async fn a_direct_message_between_the_longest_nicks_keeps_its_text() {
    let mut names = NameRules::default();
    // As the composition of Unicode does.
    names.fold = |name| {
        name.to_lowercase()
            .replace("\u{1112}\u{1161}\u{11ab}", "한")
    };
    let mut limits = Limits::default();
    limits.rate = None;
    let builder = Hub::builder().limits(limits).names(names);
    let mut hub = crate::over(TestHub::over(builder.build()));
    let long = |end: &str| "\u{1112}\u{1161}\u{11ab}".repeat(31) + end;
    let mut bob = client(&mut hub, &long("b")).await;
    let kim = hub.hub.session(Some(&long("k"))).await.unwrap();
    let text = "안녕 ".repeat(100);
    let text = text.trim();
    kim.tell(&long("b"), text).await.unwrap();
    let lines = lines_of(&mut bob).await;
    let begin = format!(":irc.test NOTICE * :{} -> you: ", long("k"));
    let pieces = lines.iter().map(|line| line.strip_prefix(&begin).unwrap());
    assert_eq!(pieces.collect::<String>(), text);
    assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 510));
}
