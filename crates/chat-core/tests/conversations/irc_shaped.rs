//! What a dialect like IRC needs from the traits for dialects. Each need is tested with a dialect of less than 200
//! lines.

mod dialect;
mod labelled;

use crate::rate;
use crate::spares::Ask;
use chat_core::log::Span;
use chat_core::protocol::Detector;
use chat_core::{CloseReason, Hub, Limits, Member, Peer, Seq, Session};
use chat_testkit::{SharedJournal, SharedNode, TestHub, Wire};
use dialect::Irc;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

fn hub(limits: Limits) -> TestHub {
    TestHub::new(limits).protocol(Irc::default())
}

fn unlimited() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    hub(limits)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_before_a_registration_of_three_lines_is_complete() {
    let mut hub = unlimited();
    let mut alice = hub.connect("alice");
    for line in ["CAP LS 302", "NICK alice", "USER a 0 * :Alice", "PING 1"] {
        alice.sends(line).await;
    }
    alice.sees("PONG 1").await;
    alice.sends("JOIN #ops").await;
    alice
        .sees("400 you have not said who you are: do that first")
        .await;
    alice.sees_nothing().await;
    assert_eq!(hub.hub.sessions(), 0);
    alice.sends("CAP END").await;
    alice.sees("001 alice").await;
    assert_eq!(hub.hub.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_registration_whose_nick_is_taken_may_be_tried_again() {
    let mut hub = unlimited();
    let _alice = hub.member("alice").await;
    let mut bob = hub.connect_saying("bob", ["NICK alice", "USER b"]).await;
    bob.sees("433").await;
    assert_eq!(hub.hub.sessions(), 1);
    bob.sends("NICK bob").await;
    bob.sees("001 bob").await;
    bob.sends("QUIT").await;
    bob.sees_in_time("ERROR :quit").await;
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_does_not_finish_in_time_ends() {
    let mut hub = unlimited();
    let mut alice = hub.connect("alice");
    let began = Instant::now();
    alice.sends("NICK alice").await;
    alice.sees("ERROR :registration timed out").await;
    let took = began.elapsed().as_secs();
    assert_eq!(took, Limits::default().registration_timeout.as_secs());
    assert_eq!(hub.ended().await, CloseReason::NotRegistered);
}

/// The silence before the registration does not count, because a person may wait for a long time before the client
/// starts to register.
#[tokio::test(start_paused = true)]
async fn the_time_to_register_begins_when_a_greeted_peer_speaks() {
    let mut hub = unlimited();
    let mut bob = hub.connect("bob");
    tokio::time::sleep(2 * Limits::default().registration_timeout).await;
    bob.sends("NICK bob").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bob.sends("USER b").await;
    bob.sees_in_time("001 bob").await;
}

/// The server gives a silent peer the default dialect, which is not plain here.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_of_another_default_dialect_is_not_greeted_as_a_person() {
    let irc = Irc::default();
    let mut hub = unlimited().configured(|server| server.default_dialect(move || irc.dialect()));
    let mut silent = hub.connect("silent");
    silent.sees_nothing().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(hub.hub.sessions(), 0);
    for line in ["NICK kim", "USER k"] {
        silent.sends(line).await;
    }
    silent.sees("001 kim").await;
    // First bytes that no protocol recognises are passed to this default dialect, and not to the plain one.
    let mut other = hub.connect("other");
    other.sends("hello").await;
    other.sees("421 hello").await;
    other.sees("ERROR :registration timed out").await;
    assert_eq!(hub.ended().await, CloseReason::NotRegistered);
}

/// The time to register begins when the spare connection gets the default dialect. The connection is older than that.
#[tokio::test(start_paused = true)]
async fn a_spare_connection_has_all_its_time_to_register() {
    let irc = Irc::default();
    let configured = unlimited().configured(|server| server.default_dialect(move || irc.dialect()));
    let mut hub = configured.protocol(Ask);
    let peer = Peer::from(SocketAddr::from(([192, 0, 2, 1], 1000)));
    hub.hub.expect_spare_connections(&peer);
    let mut spare = hub.connect_as("spare", peer);
    tokio::time::sleep(Duration::from_secs(80)).await;
    for line in ["NICK kim", "USER k"] {
        spare.sends(line).await;
    }
    spare.sees("001 kim").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_greeted_as_a_guest_leaves_to_register() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let mut bob = hub.connect("bob");
    bob.sees_in_time("* here with you: alice").await;
    alice.sees("* guest-2 joined").await;
    bob.sends("NICK bob").await;
    alice.sees("* guest-2 left (gone: quit)").await;
    bob.sends("USER b").await;
    bob.sees("001 bob").await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_registration() {
    let mut hub = unlimited();
    let mut alice = hub.connect("alice");
    alice.sends("NICK alice\nPING 1").await;
    alice.sees("PONG 1").await;
    hub.hub.drain();
    alice.sees("ERROR :server is shutting down").await;
}

#[tokio::test(start_paused = true)]
async fn a_line_joins_a_list_of_rooms_and_is_answered_in_its_order() {
    let mut hub = unlimited();
    let mut alice = hub.connect("alice");
    alice.sends("NICK alice\nUSER a").await;
    alice.sees("001 alice").await;
    alice.sends("JOIN #a,b,#c").await;
    alice.sees(":alice JOIN #a").await;
    alice.sees("403 b").await;
    alice.sees(":alice JOIN #c").await;
    assert_eq!(hub.hub.rooms().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_follows_an_answer_comes_before_the_rest_of_the_line() {
    let mut hub = unlimited();
    let mut alice = hub
        .connect_saying("alice", ["NICK alice", "USER a", "JOIN #a,#b,#c,#d"])
        .await;
    alice.sees_in_time(":alice JOIN #d").await;
    alice.sends("LIST\nPING 1").await;
    for line in ["322 #a", "322 #b", "322 #c", "322 #d", "323", "PONG 1"] {
        alice.sees(line).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_speaks_in_a_list_of_rooms() {
    let mut hub = unlimited();
    let mut alice = hub
        .connect_saying("alice", ["NICK alice", "USER a", "JOIN #a,#b"])
        .await;
    alice.sees_in_time(":alice JOIN #b").await;
    let mut bob = hub
        .connect_saying("bob", ["NICK bob", "USER b", "JOIN #b,#a"])
        .await;
    bob.sees_in_time(":bob JOIN #a").await;
    lines_of(&mut alice).await;
    alice.sends("PRIVMSG #a,#elsewhere,#b :hello").await;
    // The message is published in each listed room that alice is in. For the other listed room, alice receives an
    // error. The answers come in the order of the list.
    alice.sees(":alice PRIVMSG #a :hello").await;
    alice
        .sees("400 you are not in that room: join it first")
        .await;
    alice.sees(":alice PRIVMSG #b :hello").await;
    let mut seen = [
        bob.next_line().await.unwrap(),
        bob.next_line().await.unwrap(),
    ];
    seen.sort_unstable();
    assert_eq!(
        seen,
        [":alice PRIVMSG #a :hello", ":alice PRIVMSG #b :hello"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_command_of_a_line_is_charged_like_a_line() {
    let mut limits = Limits::default();
    limits.rate = Some(rate(5, 1));
    let mut hub = hub(limits);
    let mut alice = hub.connect("alice");
    let began = Instant::now();
    alice.sends("NICK alice\nUSER a").await;
    alice.sends("JOIN #a,#b,#c,#d,#e,#f,#g").await;
    alice.sees_in_time(":alice JOIN #b").await;
    assert!(
        began.elapsed() < Duration::from_millis(100),
        "the burst passes"
    );
    alice.sees_in_time(":alice JOIN #g").await;
    assert!(
        began.elapsed() >= Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn peers_who_share_three_rooms_are_told_once_of_another_nick_and_of_the_end() {
    let mut hub = unlimited();
    let mut alice = hub
        .connect_saying("alice", ["NICK alice", "USER a", "JOIN #a,#b,#c"])
        .await;
    alice.sees_in_time(":alice JOIN #c").await;
    let mut carol = hub
        .connect_saying("carol", ["NICK carol", "USER c", "JOIN #c"])
        .await;
    carol.sees_in_time(":carol JOIN #c").await;
    let mut bob = hub
        .connect_saying("bob", ["NICK bob", "USER b", "JOIN #a,#b,#c"])
        .await;
    bob.sees_in_time(":bob JOIN #c").await;
    alice.sees_until_quiet().await;
    carol.sees_until_quiet().await;

    bob.sends("NICK rob").await;
    bob.sees(":you NICK rob").await;
    for peer in [&mut alice, &mut carol] {
        peer.sees(":bob NICK rob").await;
        peer.sees_nothing().await;
    }
    bob.sends("NICK bob").await;
    alice.sees(":rob NICK bob").await;
    alice.sees_nothing().await;
    bob.sends("QUIT :so long").await;
    alice.sees(":bob QUIT :so long").await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_plain_member_and_an_irc_peer_share_a_room_and_each_is_told_its_way() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let mut bob = hub
        .connect_saying("bob", ["NICK bob", "USER b", "JOIN #lobby,#a,#b"])
        .await;
    bob.sees_in_time(":bob JOIN #b").await;
    alice.sees("* bob joined").await;
    bob.sends("NICK rob").await;
    alice.sees("* bob is now rob").await;
    alice.sends("/nick ally").await;
    bob.sees_in_time(":alice NICK ally").await;
}

/// Connects an IRC peer that joins `#a`.
async fn irc_in_a(hub: &mut TestHub, nick: &str) -> Wire {
    let mut peer = hub
        .connect_saying(nick, [&format!("NICK {nick}"), "USER u", "JOIN #a"])
        .await;
    peer.sees_in_time(&format!(":{nick} JOIN #a")).await;
    peer
}

/// Returns the lines that a peer receives until nothing more comes. The wait is long enough for a slow log.
async fn lines_of(peer: &mut Wire) -> Vec<String> {
    tokio::time::sleep(Duration::from_secs(10)).await;
    peer.sees_until_quiet().await
}

#[tokio::test(start_paused = true)]
async fn a_labelled_message_is_answered_in_its_place_among_the_rooms_messages() {
    let mut hub = unlimited();
    let mut alice = irc_in_a(&mut hub, "alice").await;
    let mut bob = irc_in_a(&mut hub, "bob").await;
    let mut carol = irc_in_a(&mut hub, "carol").await;
    for peer in [&mut alice, &mut bob, &mut carol] {
        lines_of(peer).await;
    }
    let dave = hub.hub.session(Some("dave")).await.unwrap();
    for round in 0..50 {
        // All members act before any member has read, so the room decides the order.
        let member = dave.join("a").await.unwrap();
        bob.sends(&format!("PRIVMSG #a :b{round}\nPRIVMSG #a :bb{round}"))
            .await;
        alice
            .sends(&format!("@label=x{round} PRIVMSG #a :a{round}"))
            .await;
        bob.sends(&format!("PRIVMSG #a :c{round}")).await;
        drop(member);
        if round % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let seen = lines_of(&mut carol).await;
    assert_eq!(seen.len(), 300);
    let unlabelled = |line: &String| match line.strip_prefix("@label=") {
        Some(line) => line.split_once(' ').unwrap().1.to_owned(),
        None => line.clone(),
    };
    let alices = lines_of(&mut alice).await;
    let labelled: Vec<_> = alices.iter().filter(|line| line.starts_with('@')).collect();
    let expected: Vec<_> = (0..50)
        .map(|round| format!("@label=x{round} :alice PRIVMSG #a :a{round}"))
        .collect();
    assert_eq!(labelled, expected.iter().collect::<Vec<_>>());
    for peer in [alices, lines_of(&mut bob).await] {
        let peer: Vec<_> = peer.iter().map(unlabelled).collect();
        assert_eq!(peer, seen, "one order for all");
    }
    assert_eq!(hub.hub.stats().lag_repairs, 0, "a reply is not a lag");
}

#[tokio::test(start_paused = true)]
async fn a_labelled_command_waits_for_the_echo_before_it() {
    let mut hub = unlimited();
    let mut alice = irc_in_a(&mut hub, "alice").await;
    alice
        .sends("@label=1 PRIVMSG #a,#nowhere,#a :hi\n@label=2 TOPIC #a :new\n@label=3 TOPIC #a\nPING 4")
        .await;
    alice.sees("@label=1 :alice PRIVMSG #a :hi").await;
    alice
        .sees("@label=1 400 you are not in that room: join it first")
        .await;
    alice.sees("@label=1 :alice PRIVMSG #a :hi").await;
    alice.sees("@label=2 :alice TOPIC #a :new").await;
    alice.sees("@label=3 332 #a :new").await;
    let set = alice.next_line().await.unwrap();
    assert!(set.starts_with("333 #a alice "), "{set}");
    alice.sees("PONG 4").await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_before_the_end_of_its_session() {
    for end in ["\nQUIT :bye", "\nNICK bob", ""] {
        let mut shared = Shared::new(5).await;
        // The log already has the message, but the hub has not delivered it yet.
        shared.node.hold();
        let alice = &mut shared.alice;
        alice
            .sends(&format!("@label=1 PRIVMSG #a :last{end}"))
            .await;
        alice.sees_nothing().await;
        alice.ends().await;
        tokio::time::sleep(Limits::default().stall_timeout).await;
        let lines = lines_of(alice).await;
        assert_eq!(
            lines.first().map(String::as_str),
            Some("@label=1 :alice PRIVMSG #a :last"),
            "{end:?}: {lines:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_does_not_wait_for_its_place_for_ever() {
    let mut shared = Shared::new(6).await;
    shared.node.hold();
    let began = Instant::now();
    shared
        .alice
        .sends("@label=1 PRIVMSG #a :hi\n@label=2 NICK ally")
        .await;
    shared.alice.sees("@label=1 :alice PRIVMSG #a :hi").await;
    shared.alice.sees("@label=2 :you NICK ally").await;
    let waited = began.elapsed().as_secs();
    assert_eq!(waited, Limits::default().stall_timeout.as_secs());
    // Alice has already received her message as a reply, so she does not receive it again when the hub delivers it.
    shared.node.release();
    shared.bob.say("later").await.unwrap();
    shared.alice.sees(":bob PRIVMSG #a :later").await;
}

#[tokio::test(start_paused = true)]
async fn all_names_of_a_room_of_three_hundred_are_listed_once() {
    let mut hub = unlimited();
    let mut members = Vec::new();
    for number in 0..299 {
        let session = hub.hub.session(Some(&format!("m{number}"))).await.unwrap();
        members.push((session.join("a").await.unwrap(), session));
    }
    let mut alice = irc_in_a(&mut hub, "alice").await;
    lines_of(&mut alice).await;
    alice.sends("@label=n NAMES #a\nPING 1").await;
    let lines = lines_of(&mut alice).await;
    assert_eq!(lines.len(), 5, "{lines:?}");
    let listed: Vec<_> = lines[..3]
        .iter()
        .map(|line| line.trim_start_matches("@label=n "))
        .flat_map(|line| line.strip_prefix("353 #a :").unwrap().split(' '))
        .map(str::to_owned)
        .collect();
    let mut expected: Vec<_> = (0..299).map(|number| format!("m{number}")).collect();
    expected.push("alice".to_owned());
    assert_eq!(listed, expected);
    assert_eq!(lines[3..], ["366 #a", "PONG 1"]);
    // The list is also complete for a peer that closes its sending half and whose stream holds only 512 bytes.
    let mut bob = hub.connect_with("bob", 512);
    bob.sends("NICK bob\nUSER b\nNAMES #a").await;
    bob.ends().await;
    let lines = bob.sees_the_end().await;
    let names = lines.iter().filter(|line| line.starts_with("353"));
    assert_eq!(names.count(), 3);
    assert!(lines.contains(&"366 #a".to_owned()), "{lines:?}");
}

/// A client receives the list of members, and then announcements of changes. If the client applies the changes to the
/// list, it knows the right members.
#[tokio::test(start_paused = true)]
async fn a_list_of_names_fits_what_is_announced_after_it() {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.announce = 1000;
    let mut hub = hub(limits);
    let mut members = Vec::new();
    for number in 0..250 {
        let session = hub.hub.session(Some(&format!("m{number}"))).await.unwrap();
        members.push((Some(session.join("a").await.unwrap()), session));
    }
    let mut alice = hub.connect_with("alice", 256);
    alice.sends("NICK alice\nUSER a\nJOIN #a").await;
    alice.sees_in_time(":alice JOIN #a").await;
    alice.sends("NAMES #a\nPING end").await;
    let mut known = BTreeSet::new();
    let mut next = 0;
    loop {
        // While the list is sent, members leave and others join.
        if let Some((member, _)) = members.get_mut(next) {
            *member = None;
        }
        if next % 3 == 0 {
            let session = hub.hub.session(Some(&format!("n{next}"))).await.unwrap();
            members.push((Some(session.join("a").await.unwrap()), session));
        }
        next += 7;
        let line = alice.next_line().await.unwrap();
        if let Some(nicks) = line.strip_prefix("353 #a :") {
            known.extend(nicks.split(' ').map(str::to_owned));
        } else if let Some((nick, _)) = line[1..].split_once(" JOIN #a") {
            known.insert(nick.to_owned());
        } else if let Some((nick, _)) = line[1..].split_once(" PART #a") {
            known.remove(nick);
        } else if line == "PONG end" {
            break;
        }
    }
    for line in lines_of(&mut alice).await {
        match line[1..].split_once(' ') {
            Some((nick, "JOIN #a")) => known.insert(nick.to_owned()),
            Some((nick, "PART #a")) => known.remove(nick),
            _ => panic!("{line}"),
        };
    }
    let members = hub
        .hub
        .members("a")
        .into_iter()
        .map(|nick| nick.to_string());
    assert_eq!(known, members.collect());
}

/// Two hubs on one log. The IRC peer `alice` is on the hub `here`. The member `bob` is on the hub `there`, in the same
/// room.
struct Shared {
    here: TestHub,
    alice: Wire,
    there: Hub,
    bob: Member,
    _bob: Session,
    node: SharedNode,
    journal: SharedJournal,
}

impl Shared {
    async fn new(seed: u64) -> Self {
        Self::with(seed, Irc::default()).await
    }

    async fn with(seed: u64, protocol: impl Detector) -> Self {
        let journal = SharedJournal::new(seed);
        let (node, other) = (journal.node(1), journal.node(2));
        let mut limits = Limits::default();
        limits.rate = None;
        let hub = Hub::builder().limits(limits.clone()).journal(node.clone());
        let mut here = TestHub::build(hub).protocol(protocol);
        let there = Hub::builder().limits(limits).journal(other).build();
        let session = there.session(Some("bob")).await.unwrap();
        let bob = session.join("a").await.unwrap();
        let alice = irc_in_a(&mut here, "alice").await;
        Self {
            here,
            alice,
            there,
            bob,
            _bob: session,
            node,
            journal,
        }
    }

    /// Returns whether the log of the room has a message with this text.
    async fn has_stored(&self, text: &str) -> bool {
        let page = self.there.history("a", Span::Before(Seq(u64::MAX)), 9);
        let page = page.await.unwrap();
        page.messages().any(|message| message.text() == text)
    }
}

#[tokio::test(start_paused = true)]
async fn a_labelled_message_is_answered_in_its_place_in_a_log_that_hubs_share() {
    for seed in 0..20 {
        let mut shared = Shared::new(seed).await;
        let mut carol = irc_in_a(&mut shared.here, "carol").await;
        lines_of(&mut shared.alice).await;
        for round in 0..20 {
            let label = format!("@label={round} PRIVMSG #a :alice {round}");
            let bobs = format!("bob {round}");
            let (said, ()) = tokio::join!(shared.bob.say(&bobs), shared.alice.sends(&label));
            said.unwrap();
        }
        let expected = lines_of(&mut carol).await;
        assert_eq!(expected.len(), 40, "seed {seed}");
        let seen = lines_of(&mut shared.alice).await;
        let mut label = 0..;
        let expected: Vec<_> = expected
            .into_iter()
            .map(|line| match line.starts_with(":alice") {
                true => format!("@label={} {line}", label.next().unwrap()),
                false => line,
            })
            .collect();
        assert_eq!(seen, expected, "seed {seed}");
    }
}

/// The log ends, begins anew or loses the message before the hub has delivered the message.
#[tokio::test(start_paused = true)]
async fn a_labelled_message_that_is_never_delivered_is_answered_all_the_same() {
    for fault in ["let go", "reset", "removed", "kicked", "drained"] {
        let mut shared = Shared::new(3).await;
        shared.node.hold();
        shared
            .alice
            .sends("@label=1 PRIVMSG #a :hi\n@label=2 NICK ally")
            .await;
        shared.alice.sees_nothing().await;
        let hub = shared.here.hub.clone();
        match fault {
            "let go" => shared.journal.let_go("a"),
            "reset" => shared.journal.reset("a"),
            "removed" => hub.remove("a", "alice", "out").await.map(drop).unwrap(),
            "kicked" => hub.kick("alice", "out").await.map(drop).unwrap(),
            _ => hub.drain(),
        }
        shared.node.release();
        let lines = lines_of(&mut shared.alice).await;
        let answers = lines
            .iter()
            .filter(|line| line.starts_with("@label=1 :alice"));
        assert_eq!(answers.count(), 1, "{fault}: {lines:?}");
        let renamed = lines.contains(&"@label=2 :you NICK ally".to_owned());
        assert_eq!(
            renamed,
            ["let go", "reset", "removed"].contains(&fault),
            "{fault}: {lines:?}"
        );
        drop(shared.there);
    }
}
