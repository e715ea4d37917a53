//! What is known of a session besides its nick: who sees it, who is told when it changes, and who may ask.

mod bounds;
mod dialect;

use crate::unlimited;
use chat_core::auth::{AuthError, Operators, Secret};
use chat_core::error::{DisconnectError, TellError};
use chat_core::log::{Account, UserHost};
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::{
    CloseReason, Event, Hub, HubBuilder, Limits, Peer, PresenceChange, Profile, SessionEvent,
};
use chat_testkit::{NOW, TestHub, Wire};
use dialect::Ask;
use std::net::SocketAddr;
use std::time::Duration;

fn build(builder: HubBuilder) -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    let cloak = |address: std::net::IpAddr| format!("hidden-{}", address.to_string().len());
    TestHub::build(builder.limits(limits).cloak(cloak)).protocol(Ask::default())
}

fn hub() -> TestHub {
    build(Hub::builder())
}

/// Connects a peer whose address is hidden as `hidden-9`, and begins its session.
async fn peer(hub: &mut TestHub, nick: &str) -> Wire {
    let address: SocketAddr = "192.0.2.1:4000".parse().unwrap();
    let mut wire = hub.connect_as(nick, Peer::from(address));
    wire.sends("ASK").await;
    wire.sends(&format!("HELLO {nick}")).await;
    wire.sees(&format!("you are {nick}!~u@hidden-9")).await;
    wire
}

async fn asks(wire: &mut Wire, line: &str, answer: &str) {
    wire.sends(line).await;
    wire.sees(answer).await;
}

#[tokio::test(start_paused = true)]
async fn messages_and_joins_show_the_user_name_and_a_host_that_hides_the_address() {
    let mut hub = hub();
    let mut kim = peer(&mut hub, "kim").await;
    asks(&mut kim, "JOIN ops", "in ops, away: []").await;
    let mut lee = hub.connect("lee");
    lee.sends("ASK").await;
    asks(
        &mut lee,
        "USER l*ee@x Lee  Ha",
        "profile leex@local Some(\"Lee  Ha\") bot: false",
    )
    .await;
    asks(
        &mut lee,
        "BOT",
        "profile leex@local Some(\"Lee  Ha\") bot: true",
    )
    .await;
    asks(
        &mut lee,
        "JOIN ops",
        "no: you have not said who you are: do that first",
    )
    .await;
    // What it has said is not forgotten when a nick is taken.
    asks(
        &mut lee,
        "HELLO kim",
        "no: kim is taken: choose another nick",
    )
    .await;
    asks(&mut lee, "HELLO lee", "you are lee!leex@local").await;
    asks(&mut lee, "JOIN ops", "in ops, away: []").await;
    kim.sees("lee!leex@local joined").await;
    lee.sends("SAY ops hi").await;
    kim.sees("lee!leex@local says hi").await;
    kim.sends("SAY ops hello").await;
    lee.sees("kim!~u@hidden-9 says hello").await;
    asks(
        &mut kim,
        "MEMBERS ops",
        "kim!~u@hidden-9 (-); lee!leex@local (Lee  Ha) bot",
    )
    .await;
    lee.sends("QUIT bye").await;
    kim.sees("lee!leex@local quit: bye").await;
}

#[tokio::test(start_paused = true)]
async fn an_account_gives_its_host_and_takes_it_along() {
    let hub = hub();
    let kim = hub.hub.session(Some("kim")).await.unwrap();
    let lee = hub.hub.session(Some("lee")).await.unwrap();
    let mut listening = lee.join("ops").await.unwrap();
    let _in_ops = kim.join("ops").await.unwrap();
    listening.next().await;
    kim.set_account(Account::parse("kim").ok());
    assert_eq!(kim.profile().user_host.as_str(), "~u@kim.account");
    let Some(Event::Presence(presence)) = listening.next().await else {
        panic!("a change")
    };
    let PresenceChange::ProfileChanged { was } = &presence.change else {
        panic!("{presence:?}")
    };
    assert_eq!(was.user_host, UserHost::default());
    assert_eq!(presence.profile, kim.profile());
    kim.set_host("gateway");
    kim.set_user("k");
    assert_eq!(kim.profile().user_host.as_str(), "k@kim.account");
    kim.set_account(None);
    assert_eq!(kim.profile().user_host.as_str(), "k@gateway");
    assert_eq!(kim.account(), None);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_shares_rooms_is_told_once_who_is_away_and_who_is_back() {
    let mut hub = hub();
    let [mut kim, mut lee] = [peer(&mut hub, "kim").await, peer(&mut hub, "lee").await];
    for room in ["a", "b", "c"] {
        asks(
            &mut kim,
            &format!("JOIN {room}"),
            &format!("in {room}, away: []"),
        )
        .await;
        asks(
            &mut lee,
            &format!("JOIN {room}"),
            &format!("in {room}, away: []"),
        )
        .await;
        kim.sees("lee!~u@hidden-9 joined").await;
    }
    asks(&mut kim, "AWAY \x1b[1mlunch ", "away: Some(\"[1mlunch\")").await;
    lee.sees("kim!~u@hidden-9 away: Some(\"[1mlunch\")").await;
    asks(&mut kim, "AWAY [1mlunch", "away: Some(\"[1mlunch\")").await;
    lee.sees_nothing().await;
    asks(&mut kim, "AWAY", "away: None").await;
    lee.sees("kim!~u@hidden-9 away: None").await;
    asks(&mut kim, "AWAY \u{200b}", "away: None").await;
    asks(
        &mut kim,
        "NAME Kim",
        "profile ~u@hidden-9 Some(\"Kim\") bot: false",
    )
    .await;
    lee.sees("kim!~u@hidden-9 was ~u@hidden-9 None None now Some(\"Kim\") None")
        .await;
    lee.sees_nothing().await;
    // A peer in the plain dialect is in one room.
    let mut plain = hub.member("plain").await;
    plain.sends("/join a").await;
    plain.sees_in_time("* here with you: kim, lee").await;
    kim.sends("AWAY coffee").await;
    plain.sees("* kim is away: coffee").await;
    plain.sends("/who").await;
    plain
        .sees("* a: 3 members: kim (operator; away), lee, plain")
        .await;
    kim.sends("AWAY").await;
    plain.sees("* kim is back").await;
}

#[tokio::test(start_paused = true)]
async fn plain_members_say_that_they_are_away_and_ask_who_somebody_is() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = crate::members(&mut hub, ["alice", "bob"]).await;
    bob.sends("/away lunch").await;
    bob.sees("* you are away: lunch (/away alone tells that you are back)")
        .await;
    alice.sees("* bob is away: lunch").await;
    alice.sends("/msg bob psst").await;
    alice.sees("14:02 you -> bob: psst").await;
    alice.sees("* bob is away: lunch").await;
    bob.sees("14:02 alice -> you: psst").await;
    // It is not said again while the message stays the same.
    alice.sends("/msg bob psst").await;
    alice.sees("14:02 you -> bob: psst").await;
    alice.sees_nothing().await;
    bob.sees("14:02 alice -> you: psst").await;
    alice.sends("/whois BOB").await;
    alice.sees("* bob: ~u@local").await;
    alice.sees("* bob is away: lunch").await;
    alice.sees("* bob is in lobby").await;
    bob.sends("/away").await;
    bob.sees("* you are back").await;
    alice.sees("* bob is back").await;
    alice.sends("/whois").await;
    alice.sees("! usage: /whois NICK").await;
    alice.sends("/whois carol").await;
    alice
        .sees("! nobody here is called carol: /who lists who is")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_direct_message_to_a_peer_that_is_away_says_so() {
    let mut hub = hub();
    let [mut kim, mut lee] = [peer(&mut hub, "kim").await, peer(&mut hub, "lee").await];
    asks(&mut kim, "AWAY lunch", "away: Some(\"lunch\")").await;
    asks(&mut lee, "TELL kim psst", "told kim, away: Some(\"lunch\")").await;
    kim.sees("lee tells: psst").await;
    asks(&mut kim, "AWAY", "away: None").await;
    asks(&mut lee, "TELL kim psst", "told kim, away: None").await;
}

#[tokio::test(start_paused = true)]
async fn a_big_room_announces_neither_who_is_away_nor_other_changes() {
    let mut limits = Limits::default();
    limits.announce = 2;
    let hub = Hub::new(limits);
    let mut members = Vec::new();
    for nick in ["a", "b", "c"] {
        let session = hub.session(Some(nick)).await.unwrap();
        members.push((session.join("ops").await.unwrap(), session));
    }
    let mut follower = hub.follow("ops").unwrap();
    members[1].1.set_away(Some("lunch"));
    members[1].1.set_real_name("B");
    members[2].0.say("end").await.unwrap();
    let (listening, _) = &mut members[0];
    loop {
        match listening.next().await {
            Some(Event::Message(message)) => break assert_eq!(message.text(), "end"),
            Some(Event::Presence(presence)) => assert!(
                !matches!(
                    presence.change,
                    PresenceChange::Away { .. } | PresenceChange::ProfileChanged { .. }
                ),
                "{presence:?}"
            ),
            other => panic!("{other:?}"),
        }
    }
    let Some((_, Event::Presence(presence))) = follower.next().await else {
        panic!("a follower is told")
    };
    assert!(matches!(presence.change, PresenceChange::Away { .. }));
    let away = hub.info("ops").unwrap().away;
    assert!(away.iter().map(|nick| nick.as_str()).eq(["b"]));
}

/// A member in process does not receive its own changes of presence. It must not take one for its own end.
#[tokio::test(start_paused = true)]
async fn a_member_in_process_stays_in_the_room_when_its_session_changes() {
    let hub = Hub::default();
    let kim = hub.session(Some("kim")).await.unwrap();
    let lee = hub.session(Some("lee")).await.unwrap();
    let mut listening = kim.join("ops").await.unwrap();
    kim.set_away(Some("lunch"));
    kim.set_real_name("Kim");
    let talking = lee.join("ops").await.unwrap();
    talking.say("hello").await.unwrap();
    assert!(matches!(listening.next().await, Some(Event::Presence(_))));
    assert!(matches!(listening.next().await, Some(Event::Message(_))));
}

/// Only the server says who has an account and who is an operator.
#[tokio::test(start_paused = true)]
async fn a_real_name_passes_for_no_account_and_no_operator() {
    let mut hub = unlimited();
    let [mut alice] = crate::members(&mut hub, ["alice"]).await;
    let kim = hub.hub.session(Some("kim")).await.unwrap();
    kim.set_real_name("Kim, account admin, a server operator");
    alice.sends("/whois kim").await;
    alice.sees("* kim: ~u@local").await;
    alice
        .sees("* kim calls itself: Kim, account admin, a server operator")
        .await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_session_says_of_itself_is_bounded() {
    let hub = Hub::default();
    let kim = hub.session(Some("kim")).await.unwrap();
    let long = "한".repeat(10_000);
    let away = kim.set_away(Some(&long)).unwrap();
    kim.set_real_name(&long);
    kim.set_user(&long);
    kim.set_host(&long);
    let profile = kim.profile();
    assert_eq!(away.len(), hub.limits().reason_bytes / 3 * 3);
    assert_eq!(profile.away, Some(away));
    assert_eq!(
        profile.real_name.unwrap().len(),
        Profile::REAL_NAME_BYTES_MAX / 3 * 3
    );
    assert!(profile.user_host.user().len() <= UserHost::USER_BYTES_MAX);
    assert!(profile.user_host.host().len() <= UserHost::HOST_BYTES_MAX);
    kim.set_real_name(" \u{3164}");
    assert_eq!(kim.profile().real_name, None);
}

/// Hides the room `secret` from everybody outside, and changes what members say of themselves.
struct Secretive;

impl Policy for Secretive {
    fn may_see(&self, _: &Visitor, room: &str) -> bool {
        room != "secret"
    }

    async fn set_away(&self, _: &Visitor, message: &str) -> Decision {
        match message {
            "rude" => Decision::refuse("be kind"),
            message => Decision::Change(message.to_uppercase()),
        }
    }

    async fn set_real_name(&self, who: &Visitor, name: &str) -> Decision {
        match who.is_operator {
            true => Decision::Allow,
            false => Decision::Change(format!("{name}?")),
        }
    }

    async fn say(&self, who: &Visitor, _: &str, _: chat_core::Kind, _: &str) -> Decision {
        match who.is_operator {
            true => Decision::Change("an operator spoke".into()),
            false => Decision::Allow,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_decides_what_is_said_and_which_rooms_are_shown() {
    let mut hub = build(Hub::builder().policy(Secretive));
    let [mut kim, mut lee] = [peer(&mut hub, "kim").await, peer(&mut hub, "lee").await];
    asks(&mut kim, "AWAY rude", "no: be kind").await;
    asks(&mut kim, "AWAY lunch", "away: Some(\"LUNCH\")").await;
    asks(
        &mut kim,
        "NAME Kim",
        "profile ~u@hidden-9 Some(\"Kim?\") bot: false",
    )
    .await;
    for room in ["ops", "secret"] {
        asks(
            &mut kim,
            &format!("JOIN {room}"),
            &format!("in {room}, away: [\"kim\"]"),
        )
        .await;
    }
    let whois = |rooms: &str| {
        let (since, idle) = (NOW.0, Duration::ZERO);
        format!(
            "kim!~u@hidden-9 (Kim?) away rooms: {rooms}, sessions: 1, since: Some({since}), idle: Some({idle:?})"
        )
    };
    asks(&mut lee, "WHOIS Kim", &whois("ops")).await;
    asks(&mut kim, "WHOIS kim", &whois("ops; secret")).await;
    asks(&mut lee, "JOIN secret", "in secret, away: [\"kim\"]").await;
    kim.sees("lee!~u@hidden-9 joined").await;
    asks(&mut lee, "WHOIS kim", &whois("ops; secret")).await;
    asks(&mut lee, "WHOIS nobody", "no: nobody here is called nobody").await;
    asks(
        &mut lee,
        "ONLINE KIM,nobody,lee",
        "KIM is kim!~u@hidden-9 (Kim?) away; nobody is offline; lee is lee!~u@hidden-9 (-)",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn at_most_a_hundred_nicks_are_looked_up_at_once() {
    let mut hub = hub();
    let mut kim = peer(&mut hub, "kim").await;
    let nicks: Vec<String> = (0..150).map(|number| format!("n{number}")).collect();
    kim.sends(&format!("ONLINE {}", nicks.join(","))).await;
    let line = kim.next_line().await.unwrap();
    assert_eq!(line.split("; ").count(), 100);
}

#[tokio::test(start_paused = true)]
async fn the_hub_remembers_who_had_a_nick() {
    let mut hub = hub();
    let [mut kim, mut lee] = [peer(&mut hub, "kim").await, peer(&mut hub, "lee").await];
    asks(&mut lee, "WHOWAS kim", "kim was: ").await;
    kim.sends("NICK rob").await;
    kim.sees_nothing().await;
    asks(&mut lee, "WHOWAS KIM", "KIM was: kim!~u@hidden-9").await;
    kim.sends("USER rob Rob").await;
    kim.sends("QUIT").await;
    kim.sees_the_end().await;
    asks(&mut lee, "WHOWAS rob", "rob was: rob!rob@hidden-9").await;
    assert_eq!(
        hub.hub.ended_sessions("rob")[0].real_name.as_deref(),
        Some("Rob")
    );
    // A request of a guest begins no session.
    let guest = hub.hub.guest(Peer::default().into(), "http").await.unwrap();
    let create = chat_core::protocol::IfMissing::Create;
    guest
        .publish(Some("ci"), "ops", "hi", None, create)
        .await
        .unwrap();
    assert!(hub.hub.ended_sessions("ci").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_when_a_nick_comes_and_goes() {
    let mut hub = hub();
    let mut lee = peer(&mut hub, "lee").await;
    asks(
        &mut lee,
        "WATCH Kim,lee,not a nick",
        "watching: Kim is offline; lee is lee!~u@hidden-9 (-); not a nick is offline, refused: []",
    )
    .await;
    let mut kim = peer(&mut hub, "kim").await;
    lee.sees("news: Kim is kim!~u@hidden-9 (-)").await;
    kim.sends("NICK KIM").await;
    lee.sees_nothing().await;
    kim.sends("NICK rob").await;
    lee.sees("news: Kim is offline").await;
    kim.sends("NICK kim").await;
    lee.sees("news: Kim is kim!~u@hidden-9 (-)").await;
    asks(
        &mut lee,
        "WATCHED",
        "watching: Kim is kim!~u@hidden-9 (-); lee is lee!~u@hidden-9 (-), refused: []",
    )
    .await;
    kim.sends("QUIT").await;
    lee.sees("news: Kim is offline").await;
    asks(&mut lee, "UNWATCH KIM", "watching: , refused: []").await;
    let mut kim = peer(&mut hub, "kim").await;
    lee.sees_nothing().await;
    asks(
        &mut lee,
        "WATCH kim",
        "watching: kim is kim!~u@hidden-9 (-), refused: []",
    )
    .await;
    asks(&mut lee, "CLEAR", "watching: , refused: []").await;
    kim.sends("QUIT").await;
    lee.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_a_shared_nick_is_told_of_the_first_and_the_last_session() {
    let hub = Hub::default();
    let mut lee = hub.session(Some("lee")).await.unwrap().into_events();
    lee.session().watch(&["kim"]).unwrap();
    let mut devices = Vec::new();
    for _ in 0..3 {
        let device = hub.session(None).await.unwrap();
        device.set_account(Account::parse("kim").ok());
        device.rename("kim").await.unwrap();
        devices.push(device);
    }
    let mut told = |expected: bool| {
        let news = futures::FutureExt::now_or_never(lee.next()).flatten();
        let Some(SessionEvent::Watched(status)) = news else {
            panic!("{news:?}")
        };
        assert_eq!((status.online.is_some(), &*status.asked), (expected, "kim"));
        assert!(futures::FutureExt::now_or_never(lee.next()).is_none());
    };
    told(true);
    devices[0].set_away(Some("lunch"));
    let whois = hub.whois("kim").unwrap();
    assert_eq!((whois.sessions, whois.profile.away), (3, None));
    devices
        .iter()
        .for_each(|device| _ = device.set_away(Some("bed")));
    assert_eq!(
        hub.whois("kim").unwrap().profile.away.as_deref(),
        Some("bed")
    );
    devices.clear();
    told(false);
}

#[tokio::test(start_paused = true)]
async fn a_session_watches_a_bounded_number_of_nicks() {
    let mut limits = Limits::default();
    limits.watched_nicks = 2;
    let hub = Hub::new(limits);
    let kim = hub.session(Some("kim")).await.unwrap();
    kim.watch(&["a", "b"]).unwrap();
    kim.watch(&["A"]).unwrap();
    let error = kim.watch(&["b", "c", "d"]).unwrap_err();
    assert_eq!(
        (error.watched.len(), &*error.refused),
        (1, &["c".to_owned(), "d".to_owned()][..])
    );
    kim.unwatch(&["A"]);
    kim.watch(&["c"]).unwrap();
    assert_eq!(Limits::default().watched_nicks, 100);
}

/// A watcher that does not read is told only of the last state of each nick.
#[tokio::test(start_paused = true)]
async fn news_of_watched_nicks_do_not_pile_up() {
    let hub = Hub::default();
    let mut lee = hub.session(Some("lee")).await.unwrap().into_events();
    lee.session().watch(&["kim", "rob"]).unwrap();
    for _ in 0..500 {
        drop(hub.session(Some("kim")).await.unwrap());
    }
    let _rob = hub.session(Some("rob")).await.unwrap();
    let mut news = Vec::new();
    while let Some(Some(event)) = futures::FutureExt::now_or_never(lee.next()) {
        let SessionEvent::Watched(status) = event else {
            panic!("{event:?}")
        };
        news.push((status.asked, status.online.is_some()));
    }
    assert_eq!(news, [("kim".to_owned(), false), ("rob".to_owned(), true)]);
}

/// Knows one operator. The check of the name `bug` panics.
struct Admin;

impl Operators for Admin {
    async fn check(&self, _: &Peer, name: &str, password: &Secret<'_>) -> Result<(), AuthError> {
        match (name, password.reveal()) {
            ("bug", _) => panic!("operators with a bug"),
            ("admin", "swordfish") => Ok(()),
            _ => Err(AuthError::new("wrong name or password")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_server_operator_ends_the_sessions_of_others() {
    let mut hub = build(Hub::builder().operators(Admin).policy(Secretive));
    let [mut kim, mut lee] = [peer(&mut hub, "kim").await, peer(&mut hub, "lee").await];
    let mut rob = peer(&mut hub, "rob").await;
    for wire in [&mut kim, &mut lee, &mut rob] {
        wire.sends("JOIN ops").await;
        wire.sees_until_quiet().await;
    }
    kim.sees_until_quiet().await;
    lee.sees_until_quiet().await;
    let refused = "no: only a server operator may do that";
    asks(&mut kim, "KILL lee spam", refused).await;
    asks(&mut kim, "OPER admin sardine", "no: wrong name or password").await;
    asks(&mut kim, "KILL lee spam", refused).await;
    kim.sends("SAY ops one").await;
    rob.sees("kim!~u@hidden-9 says one").await;
    asks(&mut kim, "OPER admin swordfish", "operator").await;
    kim.sends("SAY ops two").await;
    rob.sees("kim!~u@hidden-9 says an operator spoke").await;
    asks(
        &mut rob,
        "ONLINE kim",
        "kim is kim!~u@hidden-9 (-) operator",
    )
    .await;
    asks(
        &mut kim,
        "KILL nobody spam",
        "no: nobody here is called nobody",
    )
    .await;
    kim.sends("KILL Lee spam").await;
    let mut seen = kim.sees_until_quiet().await;
    seen.sort();
    assert_eq!(
        seen,
        ["killed lee", "lee!~u@hidden-9 quit: kicked: kim: spam"]
    );
    rob.sees("lee!~u@hidden-9 quit: kicked: kim: spam").await;
    lee.sees_in_time("bye: kicked: kim: spam").await;
}

#[tokio::test(start_paused = true)]
async fn a_program_makes_operators_of_its_own_sessions() {
    let hub = Hub::default();
    let kim = hub.session(Some("kim")).await.unwrap();
    let mut lee = hub.session(Some("lee")).await.unwrap();
    let refused = kim.disconnect("lee", "spam").await;
    assert_eq!(refused, Err(DisconnectError::NotOperator));
    kim.set_operator(true);
    assert!(kim.is_operator() && kim.profile().is_operator);
    assert_eq!(kim.disconnect("LEE", "").await.unwrap().as_str(), "lee");
    assert!(lee.next_direct().await.is_none());
    let nobody = kim.disconnect("lee", "").await.unwrap_err();
    assert!(matches!(
        nobody,
        DisconnectError::NoSuchNick(TellError::NoSuchNick(_))
    ));
    kim.set_operator(false);
    assert!(!kim.is_operator());
}

#[tokio::test(start_paused = true)]
async fn guessing_the_password_of_an_operator_ends_the_connection() {
    let mut hub = build(Hub::builder().operators(Admin));
    let mut kim = peer(&mut hub, "kim").await;
    for _ in 0..5 {
        kim.sends("OPER admin sardine").await;
        kim.sees_in_time("no: wrong name or password").await;
    }
    kim.sees("bye: too many failed logins").await;
    assert_eq!(hub.ended().await, CloseReason::NotAuthenticated);
    let mut lee = peer(&mut hub, "lee").await;
    asks(
        &mut lee,
        "OPER bug swordfish",
        "no: operators can't be looked up now, try again",
    )
    .await;
    assert_eq!(hub.hub.stats().policy_failures, 1);
    let mut without = build(Hub::builder());
    let mut rob = peer(&mut without, "rob").await;
    asks(
        &mut rob,
        "OPER admin swordfish",
        "no: this server has no operators",
    )
    .await;
}
