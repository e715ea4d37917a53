//! Registration (Modern IRC Client Protocol, "Connection Registration"; IRCv3 capability negotiation).

use crate::{ask, client, hub, lines_of};
use chat_core::{CloseReason, Hub, Limits};
use chat_irc::Irc;
use chat_testkit::TestHub;

/// Modern: "the server MUST send RPL_WELCOME, RPL_YOURHOST, RPL_CREATED, RPL_MYINFO, at least one RPL_ISUPPORT, then
/// LUSERS and the MOTD".
#[tokio::test(start_paused = true)]
async fn a_welcome_has_all_that_the_document_asks_for_in_order() {
    let mut hub = hub();
    let mut alice = hub.connect("alice");
    alice.sends("NICK alice\nUSER a 0 * :Alice").await;
    let lines = lines_of(&mut alice).await;
    let numerics: Vec<_> = lines
        .iter()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    let expected = [
        "001", "002", "003", "004", "005", "005", "251", "252", "254", "255", "265", "266", "422",
    ];
    assert_eq!(numerics, expected, "{lines:#?}");
    assert_eq!(
        lines[0],
        ":irc.test 001 alice :Welcome to the Test network, alice"
    );
    for token in [
        "CASEMAPPING=ascii",
        "NETWORK=Test",
        "CHANTYPES=#",
        "CHATHISTORY=1000",
        "UTF8ONLY",
        "NICKLEN=32",
    ] {
        assert!(
            lines[4..6]
                .iter()
                .any(|line| line.contains(&format!(" {token} "))),
            "{token}"
        );
    }
    assert!(lines.iter().all(|line| line.len() <= 510));
    assert!(lines[6].contains("There are 1 users"), "{}", lines[6]);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_the_day_is_shown() {
    let builder = Hub::builder().motd("one\ntwo");
    let mut hub = crate::over(TestHub::build(builder));
    let mut alice = hub.connect("alice");
    alice.sends("NICK alice\nUSER a 0 * :Alice").await;
    alice
        .sees_in_time(":irc.test 375 alice :- irc.test Message of the day -")
        .await;
    alice.sees(":irc.test 372 alice :- one").await;
    alice.sees(":irc.test 372 alice :- two").await;
    alice
        .sees(":irc.test 376 alice :End of /MOTD command")
        .await;
}

#[tokio::test(start_paused = true)]
async fn nick_and_user_may_come_in_any_order_and_ping_is_answered_between() {
    let mut hub = hub();
    let mut alice = hub.connect("alice");
    for line in ["USER a 0 * :A", "PASS secret", "PING :one two"] {
        alice.sends(line).await;
    }
    alice.sees(":irc.test PONG irc.test :one two").await;
    alice.sees_nothing().await;
    assert_eq!(hub.hub.sessions(), 0);
    alice.sends("NICK alice").await;
    alice
        .sees(":irc.test 001 alice :Welcome to the Test network, alice")
        .await;
}

/// IRCv3: "the server MUST NOT complete registration until CAP END".
#[tokio::test(start_paused = true)]
async fn a_client_that_negotiates_is_not_registered_before_cap_end() {
    let mut hub = hub();
    let mut alice = hub.connect("alice");
    alice.sends("CAP LS 302").await;
    let listed = alice.next_line().await.unwrap();
    assert!(
        listed.starts_with(":irc.test CAP * LS :batch cap-notify "),
        "{listed}"
    );
    alice.sends("NICK alice\nUSER a 0 * :A").await;
    alice.sees_nothing().await;
    alice.sends("CAP REQ :server-time nonsense").await;
    alice
        .sees(":irc.test CAP * NAK :server-time nonsense")
        .await;
    alice.sends("CAP LIST").await;
    alice.sees(":irc.test CAP * LIST :cap-notify").await;
    alice.sends("CAP REQ :server-time batch").await;
    alice.sees(":irc.test CAP * ACK :server-time batch").await;
    alice.sends("CAP REQ :-batch").await;
    alice.sees(":irc.test CAP * ACK :-batch").await;
    alice.sends("CAP NONSENSE").await;
    alice
        .sees(":irc.test 410 * NONSENSE :Invalid CAP command")
        .await;
    alice.sends("CAP END").await;
    alice
        .sees(":irc.test 001 alice :Welcome to the Test network, alice")
        .await;
    lines_of(&mut alice).await;
    alice.sends("CAP LIST").await;
    alice
        .sees(":irc.test CAP alice LIST :cap-notify server-time")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_taken_or_bad_nick_is_refused_with_its_numeric_and_may_be_tried_again() {
    let mut hub = hub();
    let _alice = hub.member("alice").await;
    let mut bob = hub.connect("bob");
    bob.sends("NICK alice\nUSER b 0 * :B").await;
    let line = bob.next_line().await.unwrap();
    assert!(line.starts_with(":irc.test 433 * alice :"), "{line}");
    bob.sends("NICK 1bob").await;
    let line = bob.next_line().await.unwrap();
    assert!(line.starts_with(":irc.test 432 * 1bob :"), "{line}");
    bob.sends("NICK").await;
    bob.sees(":irc.test 431 * :No nickname given").await;
    bob.sends("NICK bob").await;
    bob.sees(":irc.test 001 bob :Welcome to the Test network, bob")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_command_before_registration_is_refused_with_451() {
    let mut hub = hub();
    let mut bob = hub.connect("bob");
    bob.sends("NICK bob\nJOIN #a\nUSER b\nPING").await;
    bob.sees(":irc.test 451 * JOIN :You have not registered")
        .await;
    bob.sees(":irc.test 461 * USER :Not enough parameters")
        .await;
    bob.sees(":irc.test 409 * :No origin specified").await;
    let mut alice = client(&mut hub, "alice").await;
    alice.sends("USER a 0 * :A\nPASS x").await;
    alice
        .sees(":irc.test 462 alice :You may not reregister")
        .await;
    alice
        .sees(":irc.test 462 alice :You may not reregister")
        .await;
}

/// Modern, "ERROR message": sent before a connection is closed.
#[tokio::test(start_paused = true)]
async fn an_error_comes_before_each_close() {
    let mut hub = hub();
    let mut alice = client(&mut hub, "alice").await;
    alice.sends("QUIT :so long").await;
    alice.sees("ERROR :Closing link: so long").await;
    assert!(alice.sees_the_end().await.is_empty());
    let mut slow = hub.connect("slow");
    slow.sends("NICK slow").await;
    slow.sees("ERROR :Closing link: registration timed out")
        .await;
    let mut silent = client(&mut hub, "silent").await;
    silent.sees("PING :irc.test").await;
    silent.sends("PONG :irc.test").await;
    silent.sees("PING :irc.test").await;
    // A dead peer is told nothing.
    hub.ended().await;
    hub.ended().await;
    let mut last = client(&mut hub, "last").await;
    hub.hub.drain();
    last.sees("ERROR :Closing link: server is shutting down")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_on_a_listener_for_irc_is_not_greeted_as_a_person() {
    let irc = Irc::new("irc.test", "Test");
    let own = irc.clone();
    let mut hub = TestHub::new(Limits::default())
        .protocol(irc)
        .configured(|server| server.default_dialect(move || own.dialect()));
    let mut silent = hub.connect("silent");
    silent.sees_nothing().await;
    silent.sends("NICK kim\nUSER k 0 * :K").await;
    silent
        .sees(":irc.test 001 kim :Welcome to the Test network, kim")
        .await;
    // What is not IRC never becomes chat here.
    let mut other = hub.connect("other");
    other.sends("hello there").await;
    other
        .sees(":irc.test 451 * hello :You have not registered")
        .await;
    other
        .sees("ERROR :Closing link: registration timed out")
        .await;
    assert_eq!(hub.ended().await, CloseReason::NotRegistered);
}

/// Modern, ERR_INPUTTOOLONG; IRCv3 message-tags: "Size limit".
#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_is_refused_with_417() {
    let mut hub = hub();
    let mut alice = client(&mut hub, "alice").await;
    let refused = ":irc.test 417 alice :Input line was too long";
    for line in [
        format!("PRIVMSG alice :{}", "x".repeat(500)),
        format!("@a={} PRIVMSG alice :x", "x".repeat(4093)),
        "x".repeat(9000),
    ] {
        alice.sends(&line).await;
        alice.sees(refused).await;
    }
    let fits = format!("PRIVMSG alice :{}", "x".repeat(510 - 15));
    assert_eq!(
        ask(&mut alice, &format!("@a={} {fits}", "x".repeat(4092)))
            .await
            .len(),
        2
    );
}

/// IRCv3 utf8-only.
#[tokio::test(start_paused = true)]
async fn a_line_that_is_not_utf8_is_refused() {
    let mut hub = hub();
    let mut alice = crate::client_with(&mut hub, "alice", "standard-replies").await;
    alice.sends_bytes(b"PRIVMSG alice :\xff\n").await;
    alice
        .sees_containing(":irc.test FAIL * INVALID_UTF8 :")
        .await;
    let mut bob = client(&mut hub, "bob").await;
    bob.sends_bytes(b"PRIVMSG bob :\xff\n").await;
    bob.sees_containing(":irc.test NOTICE bob :not UTF-8").await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_command_is_refused_with_421() {
    let mut hub = hub();
    let mut alice = client(&mut hub, "alice").await;
    alice.sends("NONSENSE 1\nA-VERY-LONG-COMMAND-INDEED").await;
    alice
        .sees(":irc.test 421 alice NONSENSE :Unknown command")
        .await;
    alice
        .sees(":irc.test 421 alice A-VERY-LONG-COMMAND-INDEED :Unknown command")
        .await;
}
