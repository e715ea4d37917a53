//! What rooms make of the profile of a session: bans of hosts, server operators, and accounts on other nodes.

use crate::unlimited;
use chat_core::error::{Denied, JoinError};
use chat_core::log::{Account, Span, UserHost};
use chat_core::rooms::{ModeChanges, Role};
use chat_core::{Hub, Member, Nick, Peer, Seq, Session};
use chat_testkit::{SharedJournal, SharedRosters};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Begins a session with this host and joins `ops`.
async fn join(hub: &Hub, nick: &str, host: &str) -> (Session, Result<Member, JoinError>) {
    let session = hub.session(Some(nick)).await.unwrap();
    session.set_host(host);
    let member = session.join("ops").await;
    (session, member)
}

async fn set(session: &Session, changes: &str) {
    let changes = ModeChanges::parse(changes).unwrap();
    session.set_modes("ops", &changes).await.unwrap();
}

#[tokio::test]
async fn a_ban_of_a_host_keeps_out_and_silences_all_nicks_with_the_host() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice", "home").await;
    let (_early, early_in_ops) = join(&hub, "early", "a.bad.ip").await;
    set(&alice, "+ban *!*@*.bad.ip").await;
    for nick in ["mallory", "trudy"] {
        let (_session, joined) = join(&hub, nick, "b.bad.ip").await;
        let Err(JoinError::Denied(denied)) = joined else {
            panic!("{joined:?}")
        };
        assert_eq!(denied, Denied::Banned);
    }
    assert!(early_in_ops.unwrap().say("hi").await.is_err());
    assert!(join(&hub, "bob", "good.ip").await.1.is_ok());
    set(&alice, "-ban *!*@*.bad.ip +ban *!eve@*").await;
    let eve = hub.session(Some("other")).await.unwrap();
    eve.set_user("eve");
    let joined = eve.join("ops").await;
    assert!(matches!(joined, Err(JoinError::Denied(Denied::Banned))));
}

#[tokio::test]
async fn a_ban_of_a_host_keeps_guests_from_reading() {
    let hub = Hub::builder().cloak(|_| "cloaked".into()).build();
    let (alice, _alice_in_ops) = join(&hub, "alice", "home").await;
    let address: SocketAddr = "192.0.2.1:4000".parse().unwrap();
    let guest = hub.guest(Arc::new(Peer::from(address)), "http").await;
    let guest = guest.unwrap();
    let reads = || guest.history("ops", Span::Before(Seq::END), None, None);
    assert!(reads().await.is_ok());
    set(&alice, "+ban *!*@cloaked").await;
    assert_eq!(reads().await.unwrap_err().denied, Some(Denied::Banned));
}

#[tokio::test]
async fn a_server_operator_is_obeyed_as_an_owner() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice", "home").await;
    set(&alice, "+invite-only +key k +limit 1 +moderated +ban *").await;
    let (root, refused) = join(&hub, "root", "home").await;
    assert!(matches!(refused, Err(JoinError::Denied(Denied::Banned))));
    root.set_operator(true);
    let root_in_ops = root.join("ops").await.unwrap();
    assert_eq!(root.role("ops"), None, "it has no role of its own");
    root_in_ops.say("hear me").await.unwrap();
    set(&root, "+owner alice -moderated").await;
    assert_eq!(alice.role("ops"), Some(Role::Owner));
    root.kick("ops", "alice", "bye").await.unwrap();
    root.set_operator(false);
    let changes = ModeChanges::parse("-ban *").unwrap();
    assert!(root.set_modes("ops", &changes).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_a_member_names_no_secret_room_to_those_outside() {
    let mut hub = unlimited();
    let (alice, _alice_in_ops) = join(&hub.hub, "alice", "home").await;
    let _in_lobby = alice.join("lobby").await.unwrap();
    let rooms = |session: &Session| {
        let rooms = session.whois("alice").unwrap().rooms;
        rooms.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let bob = hub.hub.session(Some("bob")).await.unwrap();
    assert_eq!(rooms(&bob), ["lobby", "ops"]);
    set(&alice, "+secret").await;
    assert_eq!(rooms(&bob), ["lobby"]);
    assert_eq!(rooms(&alice), ["lobby", "ops"]);
    let mut plain = hub.connect("plain");
    plain.sends("/nick plain").await;
    plain.sees_until_quiet().await;
    plain.sends("/whois alice").await;
    let lines = plain.sees_until_quiet().await;
    assert!(lines.iter().any(|line| line.contains("lobby")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("ops")), "{lines:?}");
    let _in_ops = bob.join("ops").await.unwrap();
    assert_eq!(rooms(&bob), ["lobby", "ops"]);
}

#[tokio::test]
async fn a_direct_message_and_an_invitation_carry_the_host_of_their_sender() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice", "home").await;
    let mut bob = hub.session(Some("bob")).await.unwrap();
    alice.tell("bob", "hi").await.unwrap();
    alice.invite("ops", "bob").await.unwrap();
    let robot = Nick::parse("robot").unwrap();
    hub.tell(robot, "bob", "beep").await.unwrap();
    let home = UserHost::parse("~u@home").ok();
    for expected in [home.clone(), home, None] {
        assert_eq!(bob.next_direct().await.unwrap().user_host, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_role_of_an_account_holds_on_all_nodes() {
    let (shared, rosters) = (SharedJournal::new(0), SharedRosters::new(0));
    let hub = |node| {
        let hub = Hub::builder().journal(shared.node(node));
        let hub = hub.roster(rosters.node());
        hub.incarnation(node).build()
    };
    let (here, there) = (hub(1), hub(2));
    let settle = || tokio::time::sleep(Duration::from_secs(10));
    let (alice, _alice_in_ops) = join(&here, "alice", "home").await;
    settle().await;
    let kim = there.session(Some("kim")).await.unwrap();
    kim.set_account(Account::parse("kim").ok());
    let early = there.session(Some("early")).await.unwrap();
    early.set_account(Account::parse("early").ok());
    let _early_in_ops = early.join("ops").await.unwrap();
    settle().await;
    set(&alice, "+operator $a:kim +operator $a:early").await;
    settle().await;
    let _kim_in_ops = kim.join("ops").await.unwrap();
    settle().await;
    for nick in [early.nick(), kim.nick()] {
        let role = Some(Role::Operator);
        let known = [&here, &there].map(|hub| hub.info("ops").unwrap().role_of(&nick));
        assert_eq!(known, [role, role], "{nick}");
    }
    let _held = (here, there);
}
