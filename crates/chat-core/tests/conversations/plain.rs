//! Every line of the plain dialect, exactly as it is sent over the connection.

use crate::{members, unlimited};
use chat_core::{Hub, Limits};
use chat_testkit::TestHub;

#[tokio::test(start_paused = true)]
async fn a_silent_newcomer_is_greeted_after_a_while() {
    let mut hub = TestHub::build(Hub::builder().motd("be kind\nhave fun\x1b[2J"));
    let mut nobody = hub.connect("nobody");
    nobody.sees("* be kind").await;
    nobody.sees("* have fun[2J").await;
    nobody
        .sees("* you are guest-1 in lobby: /nick NAME changes your nick, /help lists the commands")
        .await;
    nobody.sees("* nobody else is here yet").await;
    nobody.sees_nothing().await;
    let mut other = hub.connect("other");
    other.sees_in_time("* here with you: guest-1").await;
    nobody.sees("* guest-2 joined").await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_looks_as_the_protocol_says() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "한글"]).await;
    alice.sends("hello").await;
    bob.sees("14:02 alice: hello").await;
    bob.sends("/me 손을 흔든다").await;
    alice.sees("14:02 * 한글 손을 흔든다").await;
    bob.sends("/msg ALICE psst").await;
    bob.sees("14:02 you -> alice: psst").await;
    alice.sees("14:02 한글 -> you: psst").await;
    alice.sends("/topic on call: kim").await;
    alice.sees("* alice set the topic: on call: kim").await;
    bob.sees("* alice set the topic: on call: kim").await;
    bob.sends("/topic").await;
    bob.sees("* topic: on call: kim").await;
    bob.sends("/topic -").await;
    bob.sees("* 한글 took the topic away").await;
    alice.sees("* 한글 took the topic away").await;
    alice.sends("//shrug").await;
    bob.sees("14:02 alice: /shrug").await;
    bob.sends("/who").await;
    bob.sees("* lobby: 2 members: alice, 한글").await;
    bob.sends("/nick ㅋㅋ").await;
    bob.sees("* you are now ㅋㅋ").await;
    alice.sees("* 한글 is now ㅋㅋ").await;
    bob.sends("/quit 안녕").await;
    bob.sees("* goodbye").await;
    alice.sees("* ㅋㅋ left (gone: 안녕)").await;
    assert!(bob.sees_the_end().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_is_in_one_room_at_a_time_and_finds_what_was_said_there() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    alice.sends("/join #ops").await;
    alice.sees("* you are alice in ops").await;
    alice.sees("* nobody else is here yet").await;
    bob.sees("* alice left").await;
    alice.sends("/topic deploys").await;
    alice.sees("* alice set the topic: deploys").await;
    alice.sends("first").await;
    bob.sends("/rooms").await;
    bob.sees("* rooms: lobby (1), ops (1)").await;
    bob.sends("/who ops").await;
    bob.sees("* ops: 1 member: alice (operator)").await;
    bob.sends("/join OPS").await;
    bob.sees("* you are bob in ops").await;
    bob.sees("* here with you: alice").await;
    bob.sees("* topic: deploys").await;
    bob.sees("* alice set the topic: deploys").await;
    bob.sees("14:02 alice: first").await;
    alice.sees("* bob joined").await;
    bob.sends("/leave").await;
    bob.sees("* you are bob in lobby").await;
    alice.sees("* bob left").await;
    bob.sends("/who ops2").await;
    bob.sees_in_time("! no such room: ops2 (/rooms lists them)")
        .await;
    bob.sends("/join lobby").await;
    bob.sees("! you are in lobby already").await;
}

#[tokio::test(start_paused = true)]
async fn history_echo_and_time_are_each_members_choice() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    alice.sends("/history").await;
    alice.sees("* nothing has been said here yet").await;
    alice.sends("/echo on").await;
    alice.sees("* your own messages are shown to you too").await;
    bob.sends("/time off").await;
    bob.sees("* the time is not shown").await;
    for text in ["one", "two", "three"] {
        alice.sends(text).await;
        alice.sees(&format!("14:02 alice: {text}")).await;
        bob.sees(&format!("alice: {text}")).await;
    }
    bob.sends("/history 2").await;
    bob.sees("alice: two").await;
    bob.sees("alice: three").await;
    bob.sends("/msg alice hi").await;
    bob.sees("you -> alice: hi").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_said_is_found_by_its_words() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    for text in ["결제 is down", "nothing", "/me fixes 결제", "결제 is back"] {
        alice.sends(text).await;
    }
    bob.sees_until_quiet().await;
    bob.sends("/search 결제 IS").await;
    bob.sees("* 1970-01-01 14:02 [4] alice: 결제 is back").await;
    bob.sees("* 1970-01-01 14:02 [1] alice: 결제 is down").await;
    bob.sees("* 2 found; /history N PLACE shows what led to one")
        .await;
    bob.sends("/history 2 3").await;
    bob.sees("14:02 alice: nothing").await;
    bob.sees("14:02 * alice fixes 결제").await;
    bob.sends("/search \"* OR").await;
    bob.sees("* nothing found").await;
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_shown_the_last_twenty_messages() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    for number in 1..=25 {
        alice.sends(&number.to_string()).await;
    }
    alice.sends("/who").await;
    alice.sees("* lobby: 1 member: alice").await;
    let mut bob = hub.connect("bob");
    bob.sees_in_time("* here with you: alice").await;
    for number in 6..=25 {
        bob.sees(&format!("14:02 alice: {number}")).await;
    }
    bob.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_big_room_is_told_once_that_arrivals_are_not_announced() {
    let mut limits = Limits::default();
    limits.announce = 4;
    let mut hub = TestHub::new(limits);
    let mut first = hub.connect("first");
    first.sees_in_time("* nobody else is here yet").await;
    let mut others = Vec::new();
    for number in 2..=6 {
        let mut other = hub.connect("other");
        let hint = "/nick NAME changes your nick, /help lists the commands";
        other
            .sees(&format!("* you are guest-{number} in lobby: {hint}"))
            .await;
        others.push(other);
    }
    for number in 2..=4 {
        first.sees(&format!("* guest-{number} joined")).await;
    }
    first
        .sees("* more than 4 are in lobby: who comes and goes is not announced now (/who tells)")
        .await;
    first.sends("/who").await;
    first
        .sees("* lobby: 6 members: guest-1, guest-2, guest-3, guest-4, guest-5, guest-6")
        .await;
    others.truncate(2);
    first
        .sees("* who comes and goes in lobby is announced again")
        .await;
    drop(others.pop());
    first.sees("* guest-3 left (gone: connection closed)").await;
}

#[tokio::test(start_paused = true)]
async fn a_nick_that_is_taken_or_no_name_is_refused_with_a_reason() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    bob.sends("/nick ALICE").await;
    bob.sees("! alice is taken: choose another nick").await;
    bob.sends("/nick a\u{3164}b").await;
    bob.sees("! that can't be a nick: a name may not hold the invisible character U+3164")
        .await;
    bob.sends("/nick two words").await;
    bob.sees("! that can't be a nick: a name may not hold a space")
        .await;
    bob.sends("/nick 7up").await;
    bob.sees("! that can't be a nick: a name may not begin with '7'")
        .await;
    bob.sends("/msg nobody hi").await;
    bob.sees("! nobody here is called nobody: /who lists who is")
        .await;
    bob.sends("/nick BOB").await;
    bob.sees("* you are now BOB").await;
    alice.sees("* bob is now BOB").await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_command_is_answered_and_not_said() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    alice.sends("/hepl").await;
    alice
        .sees("! no such command: /hepl (did you mean /help?)")
        .await;
    alice.sends("/help msg").await;
    alice
        .sees("* /msg NICK TEXT: says something to one member alone")
        .await;
    alice.sends("/help").await;
    alice
        .sees_in_time("* anything else is said to the room")
        .await;
    bob.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_other_protocols_open_with_never_becomes_chat() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    for opening in [
        &b"POST / HTTP/1.1\r\nHost: x\r\n\r\nhello\n"[..],
        b"\x16\x03\x01\x02\x00\x01hello\n",
        b"SSH-2.0-x\r\n",
        b"EHLO x\r\n",
    ] {
        let mut stranger = hub.connect("stranger");
        stranger.sends_bytes(opening).await;
        assert!(
            !stranger.next_bytes().await.is_empty(),
            "{} is answered",
            opening.escape_ascii()
        );
        drop(stranger);
        hub.ended().await;
    }
    // A browser may connect long before it sends its request. Until then, the server treats it as a person.
    let mut late = hub.connect("late");
    late.sees_in_time("* here with you: alice").await;
    alice.sees("* guest-2 joined").await;
    late.sends_bytes(b"GET / HTTP/1.1\r\n\r\n").await;
    late.sees("HTTP/1.1 400 Bad Request").await;
    alice.sees("* guest-2 left (gone: connection closed)").await;
    let mut talker = hub.connect("talker");
    talker.sends("GET lost").await;
    alice.sees("* guest-3 joined").await;
    alice.sees("14:02 guest-3: GET lost").await;
}

#[tokio::test(start_paused = true)]
async fn telnet_options_are_refused_and_never_shown() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    alice.sends_bytes(b"he\xff\xfd\x03llo\r\0").await;
    bob.sees("14:02 alice: hello").await;
    assert_eq!(alice.next_bytes().await, [255, 252, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_peer_is_given_what_it_asked_for() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut script = hub.connect("script");
    script.sends_bytes(b"/join ops\nhello\n/who\n/rooms").await;
    script.ends().await;
    let seen = script.sees_the_end().await;
    assert_eq!(
        seen[seen.len() - 2..],
        [
            "* ops: 1 member: guest-2 (operator)",
            "* rooms: lobby (1), ops (1)"
        ]
    );
    alice.sends("/join ops").await;
    alice.sees_in_time("14:02 guest-2: hello").await;
}

#[tokio::test(start_paused = true)]
async fn a_text_of_which_nothing_can_be_seen_is_refused() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    for text in [
        "\u{3164}",
        "\u{200b}",
        "\u{115f} \u{1160}",
        "\u{feff}",
        "\u{2800}\u{ad}\u{fe0f}",
    ] {
        for command in ["", "/me ", "/msg bob ", "/topic "] {
            alice.sends(&format!("{command}{text}")).await;
            alice.sees("! nothing visible to say").await;
        }
    }
    bob.sees_nothing().await;
    alice.sends("\u{200b}안녕").await;
    bob.sees("14:02 alice: \u{200b}안녕").await;
}

#[tokio::test(start_paused = true)]
async fn a_nick_that_passes_for_the_server_or_wears_stray_marks_is_refused() {
    let mut hub = unlimited();
    let [mut mallory] = members(&mut hub, ["mallory"]).await;
    for nick in ["you", "Server", "ADMIN", "system", "chat"] {
        mallory.sends(&format!("/nick {nick}")).await;
        mallory
            .sees("! that can't be a nick: it is reserved, or looks like a name that is")
            .await;
    }
    mallory.sends("/nick a\u{332}lice").await;
    mallory
        .sees("! that can't be a nick: a name may not hold the mark U+0332 there")
        .await;
    mallory.sends("/nick Jose\u{301}").await;
    mallory.sees("* you are now Jose\u{301}").await;
}
