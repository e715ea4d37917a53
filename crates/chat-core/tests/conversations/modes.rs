//! The modes of rooms and the roles of members: one test for each rule.

use crate::{members, unlimited};
use chat_core::error::{Denied, InviteError, JoinError, KickError, PublishError};
use chat_core::log::{Account, Span};
use chat_core::name::NameRules;
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::protocol::{IfMissing, Refusal};
use chat_core::rooms::{ModeChanges, Role};
use chat_core::{
    DirectKind, Event, Hub, JoinRequest, Kind, Limits, Member, Nick, Peer, PresenceChange, Seq,
    Session,
};
use chat_testkit::{SharedJournal, SharedRosters, TestHub};
use futures::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Begins a session and joins `ops`.
async fn join(hub: &Hub, nick: &str) -> (Session, Member) {
    let session = hub.session(Some(nick)).await.unwrap();
    let member = session.join("ops").await.unwrap();
    (session, member)
}

/// Changes the modes of `ops`.
async fn set(session: &Session, changes: &str) -> Result<Seq, PublishError> {
    let changes = ModeChanges::parse(changes).unwrap();
    session.set_modes("ops", &changes).await
}

/// Returns why `ops` refuses a change of its modes.
async fn set_denied(session: &Session, changes: &str) -> Denied {
    denied(set(session, changes).await)
}

fn denied<T: std::fmt::Debug>(published: Result<T, PublishError>) -> Denied {
    match published {
        Err(PublishError::Denied(denied)) => denied,
        other => panic!("not denied: {other:?}"),
    }
}

/// Returns why `ops` does not let the session join.
async fn join_denied(session: &Session, request: impl Into<JoinRequest<'_>>) -> Denied {
    match session.join(request).await {
        Err(JoinError::Denied(denied)) => denied,
        other => panic!("not denied: {other:?}"),
    }
}

/// Returns the messages and the changes of presence that the member has received, in words.
fn seen(member: &mut Member) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(Some(event)) = member.next().now_or_never() {
        seen.push(match event {
            Event::Message(message) if message.kind() == Kind::Mode => {
                format!("{} sets {}", message.from(), message.text())
            }
            Event::Message(message) => format!("{}: {}", message.from(), message.text()),
            Event::Presence(presence) => match &presence.change {
                PresenceChange::Joined => format!("{} joined", presence.nick),
                PresenceChange::Left { .. } => format!("{} left", presence.nick),
                PresenceChange::Removed { reason, by } => {
                    let by = by.as_ref().map_or("the program", Nick::as_str);
                    format!("{by} removed {}: {reason}", presence.nick)
                }
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        });
    }
    seen
}

#[tokio::test]
async fn the_founder_of_a_room_is_its_operator_and_the_next_member_is_not() {
    let hub = Hub::default();
    let (alice, in_ops) = join(&hub, "alice").await;
    let (bob, _bob_in_ops) = join(&hub, "bob").await;
    assert_eq!(
        (alice.role("ops"), in_ops.role()),
        (Some(Role::Operator), Some(Role::Operator))
    );
    assert_eq!(bob.role("ops"), None);
    let info = hub.info("ops").unwrap();
    assert_eq!(info.roles, [(alice.nick(), Role::Operator)]);
    // The role ends when the operator leaves, and nobody gets it then.
    drop(in_ops);
    let _again = alice.join("ops").await.unwrap();
    assert_eq!((alice.role("ops"), bob.role("ops")), (None, None));
    assert_eq!(hub.info("ops").unwrap().roles, []);
    // The lobby belongs to nobody.
    let _in_lobby = bob.join("Lobby").await.unwrap();
    assert_eq!(bob.role("lobby"), None);
}

#[tokio::test]
async fn restrictions_hold_for_the_founder_too() {
    let hub = Hub::default();
    let (alice, in_ops) = join(&hub, "alice").await;
    set(&alice, "+key s3cret").await.unwrap();
    drop(in_ops);
    assert_eq!(join_denied(&alice, "ops").await, Denied::BadKey);
    let _in_ops = alice
        .join(JoinRequest::from("ops").key("s3cret"))
        .await
        .unwrap();
    assert_eq!(
        alice.role("ops"),
        None,
        "the room has a log, and is not new"
    );
}

#[tokio::test]
async fn a_role_of_an_account_is_kept_and_founds_no_other_operator() {
    let hub = Hub::default();
    let (alice, in_ops) = join(&hub, "alice").await;
    let kim = hub.session(Some("kim")).await.unwrap();
    kim.set_account(Account::parse("kim").ok());
    let kim_in_ops = kim.join("ops").await.unwrap();
    set(&alice, "+owner $a:kim").await.map(drop).unwrap_err();
    hub_sets(&hub, "+owner $a:kim").await;
    assert_eq!(
        kim.role("ops"),
        Some(Role::Owner),
        "a member gets the role at once"
    );
    drop((in_ops, kim_in_ops));
    let _in_ops = alice.join("ops").await.unwrap();
    let _kim_in_ops = kim.join("ops").await.unwrap();
    assert_eq!(
        (alice.role("ops"), kim.role("ops")),
        (None, Some(Role::Owner))
    );
    // Nothing keeps out the account of an owner.
    let guest = hub.session(None).await.unwrap();
    guest.set_account(Account::parse("kim").ok());
    hub_sets(&hub, "+invite-only +key k +limit 1 +ban *").await;
    assert!(guest.join("ops").await.is_ok());
}

async fn hub_sets(hub: &Hub, changes: &str) {
    let by = Nick::parse("robot").unwrap();
    let changes = ModeChanges::parse(changes).unwrap();
    hub.set_modes(by, "ops", &changes).await.unwrap();
}

#[tokio::test]
async fn only_operators_change_modes_and_all_members_see_the_change() {
    let hub = Hub::default();
    let (alice, mut alice_in_ops) = join(&hub, "alice").await;
    let (bob, mut bob_in_ops) = join(&hub, "bob").await;
    for changes in [
        "+moderated",
        "-key",
        "+ban x",
        "+voice bob",
        "+operator bob",
        "-operator alice",
    ] {
        assert_eq!(
            set_denied(&bob, changes).await,
            Denied::NotOperator,
            "{changes}"
        );
    }
    set(&alice, "+moderated +operator BOB +ban x")
        .await
        .unwrap();
    assert_eq!(bob.role("ops"), Some(Role::Operator));
    let told = "alice sets +moderated +operator BOB +ban x!*@*";
    assert_eq!(seen(&mut alice_in_ops), ["bob joined"]);
    assert_eq!(seen(&mut bob_in_ops), [told]);
    assert_eq!(
        hub.modes("ops").unwrap().to_string(),
        "moderated\nban x!*@* alice 0\n".replace('0', &at(&hub))
    );
    // What a session outside the room asks for is not done.
    let carol = hub.session(Some("carol")).await.unwrap();
    assert!(matches!(
        set(&carol, "+secret").await,
        Err(PublishError::NotAMember)
    ));
}

/// Returns when the first mask of the room's bans was added.
fn at(hub: &Hub) -> String {
    let modes = hub.modes("ops").unwrap();
    modes.list(chat_core::rooms::MaskList::Ban)[0]
        .at
        .0
        .to_string()
}

#[tokio::test]
async fn a_change_is_made_as_a_whole_or_not_at_all() {
    let hub = Hub::default();
    let (alice, mut in_ops) = join(&hub, "alice").await;
    let nobody = Denied::TargetNotInRoom("nobody".into());
    assert_eq!(set_denied(&alice, "+secret +voice nobody").await, nobody);
    assert_eq!(
        set_denied(&alice, "+secret +owner alice").await,
        Denied::NotOwner
    );
    assert!(
        !hub.modes("ops")
            .unwrap()
            .has(chat_core::rooms::Setting::Secret)
    );
    set(&alice, "+secret").await.unwrap();
    for changes in [
        "+secret",
        "-key",
        "-ban x",
        "+voice alice",
        "-owner alice",
        "+secret -moderated",
    ] {
        assert_eq!(
            set_denied(&alice, changes).await,
            Denied::Unchanged,
            "{changes}"
        );
    }
    // A member in process does not receive its own changes, nor its own messages.
    assert_eq!(seen(&mut in_ops), [] as [&str; 0]);
    assert_eq!(in_ops.info().position.seq, Seq(1));
}

#[tokio::test]
async fn a_member_gives_up_its_own_role_and_takes_none_above_its_own() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    let (bob, _bob_in_ops) = join(&hub, "bob").await;
    hub_sets(&hub, "+owner bob").await;
    assert_eq!(set_denied(&alice, "-owner bob").await, Denied::NotOwner);
    set(&bob, "-operator alice").await.unwrap();
    assert_eq!(alice.role("ops"), None);
    set(&bob, "+voice alice").await.unwrap();
    set(&alice, "-voice alice").await.unwrap();
    set(&bob, "-owner bob").await.unwrap();
    assert_eq!((alice.role("ops"), bob.role("ops")), (None, None));
}

#[tokio::test]
async fn a_full_list_takes_no_more() {
    let hub = Hub::default();
    let (alice, _in_ops) = join(&hub, "alice").await;
    for first in (0..100).step_by(20) {
        let bans: Vec<_> = (first..first + 20)
            .map(|ban| format!("+ban b{ban}"))
            .collect();
        set(&alice, &bans.join(" ")).await.unwrap();
    }
    assert_eq!(set_denied(&alice, "+ban c").await, Denied::ListFull(100));
    set(&alice, "-ban b0 +ban c").await.unwrap();
}

#[tokio::test]
async fn an_invite_only_room_admits_each_invited_session_once() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    set(&alice, "+invite-only").await.unwrap();
    let mut bob = hub.session(Some("bob")).await.unwrap();
    assert_eq!(join_denied(&bob, "ops").await, Denied::InviteOnly);
    assert_eq!(alice.invite("ops", "BOB").await.unwrap(), bob.nick());
    let invitation = bob.next_direct().await.unwrap();
    assert_eq!(invitation.from, alice.nick());
    assert!(matches!(&invitation.kind, DirectKind::Invitation(room) if room.as_str() == "ops"));
    let in_ops = bob.join("ops").await.unwrap();
    let again = alice.invite("ops", "bob").await;
    assert_eq!(
        again,
        Err(InviteError::Denied(Denied::AlreadyInRoom(bob.nick())))
    );
    // A member that is no operator invites nobody.
    let carol = hub.session(Some("carol")).await.unwrap();
    let refused = bob.invite("ops", "carol").await;
    assert_eq!(refused, Err(InviteError::Denied(Denied::NotOperator)));
    drop(in_ops);
    assert_eq!(join_denied(&bob, "ops").await, Denied::InviteOnly);
    assert_eq!(
        bob.invite("ops", "carol").await,
        Err(InviteError::NotInRoom)
    );
    set(&alice, "+invite-except carol").await.unwrap();
    assert!(carol.join("ops").await.is_ok());
}

#[tokio::test]
async fn any_member_invites_to_an_open_room() {
    let hub = Hub::default();
    let (_alice, _alice_in_ops) = join(&hub, "alice").await;
    let (bob, _bob_in_ops) = join(&hub, "bob").await;
    let mut carol = hub.session(Some("carol")).await.unwrap();
    bob.invite("ops", "carol").await.unwrap();
    assert!(carol.next_direct().await.is_some());
    let nobody = bob.invite("ops", "nobody").await;
    assert!(matches!(nobody, Err(InviteError::Tell(_))));
}

#[tokio::test]
async fn invitations_are_remembered_up_to_64_rooms() {
    let hub = Hub::default();
    let alice = hub.session(Some("alice")).await.unwrap();
    let mut bob = hub.session(Some("bob")).await.unwrap();
    let only_invited = ModeChanges::parse("+invite-only").unwrap();
    for number in 0..65 {
        let room = format!("room-{number}");
        let in_room = alice.join(&room).await.unwrap();
        alice.set_modes(&room, &only_invited).await.unwrap();
        alice.invite(&room, "bob").await.unwrap();
        bob.next_direct().await.unwrap();
        drop(in_room);
    }
    assert_eq!(join_denied(&bob, "room-0").await, Denied::InviteOnly);
    assert!(bob.join("room-1").await.is_ok());
    assert!(bob.join("room-64").await.is_ok());
}

#[tokio::test]
async fn a_room_with_a_key_admits_those_who_know_it() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    set(&alice, "+key s3cret").await.unwrap();
    let bob = hub.session(Some("bob")).await.unwrap();
    assert_eq!(join_denied(&bob, "ops").await, Denied::BadKey);
    let wrong = JoinRequest::from("ops").key("S3cret");
    assert_eq!(join_denied(&bob, wrong).await, Denied::BadKey);
    assert!(
        bob.join(JoinRequest::from("ops").key("s3cret"))
            .await
            .is_ok()
    );
    set(&alice, "-key").await.unwrap();
    assert!(bob.join(JoinRequest::from("ops").key("any")).await.is_ok());
}

#[tokio::test]
async fn a_room_has_no_more_members_than_its_limit() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    set(&alice, "+limit 2").await.unwrap();
    let (_bob, bob_in_ops) = join(&hub, "bob").await;
    let carol = hub.session(Some("carol")).await.unwrap();
    let full = Denied::RoomFull(2.try_into().unwrap());
    assert_eq!(join_denied(&carol, "ops").await, full);
    drop(bob_in_ops);
    assert!(carol.join("ops").await.is_ok());
}

#[tokio::test]
async fn a_ban_keeps_out_and_silences_but_not_those_who_are_excepted_or_have_a_role() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    let (bob, bob_in_ops) = join(&hub, "Bob").await;
    set(&alice, "+ban b?b").await.unwrap();
    assert_eq!(denied(bob_in_ops.say("hi").await), Denied::Quieted);
    set(&alice, "+voice bob").await.unwrap();
    bob_in_ops.say("hi").await.unwrap();
    drop(bob_in_ops);
    assert_eq!(join_denied(&bob, "ops").await, Denied::Banned);
    set(&alice, "+except bob!*@*").await.unwrap();
    let bob_in_ops = bob.join("ops").await.unwrap();
    bob_in_ops.say("hi").await.unwrap();
    set(&alice, "-except bob +ban $a:kim").await.unwrap();
    let kim = hub.session(Some("kim")).await.unwrap();
    assert!(kim.join("ops").await.is_ok());
    kim.set_account(Account::parse("kim").ok());
    assert_eq!(join_denied(&kim, "ops").await, Denied::Banned);
}

#[tokio::test]
async fn in_a_moderated_room_only_members_with_a_role_speak() {
    let hub = Hub::default();
    let (alice, alice_in_ops) = join(&hub, "alice").await;
    let (_bob, bob_in_ops) = join(&hub, "bob").await;
    set(&alice, "+moderated").await.unwrap();
    alice_in_ops.say("hi").await.unwrap();
    assert_eq!(denied(bob_in_ops.say("hi").await), Denied::Moderated);
    assert_eq!(denied(bob_in_ops.act("waves").await), Denied::Moderated);
    assert_eq!(denied(bob_in_ops.notice("hi").await), Denied::Moderated);
    assert_eq!(denied(bob_in_ops.set_topic("hi").await), Denied::Moderated);
    assert_eq!(
        denied(bob_in_ops.say_once("k", "hi").await),
        Denied::Moderated
    );
    let carol = hub.session(Some("carol")).await.unwrap();
    assert_eq!(denied(carol.publish("ops", "hi").await), Denied::Moderated);
    set(&alice, "+voice bob").await.unwrap();
    bob_in_ops.say("hi").await.unwrap();
    set(&alice, "-voice bob -moderated").await.unwrap();
    bob_in_ops.say("hi").await.unwrap();
}

#[tokio::test]
async fn a_quieted_user_joins_and_does_not_speak() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    set(&alice, "+quiet bob").await.unwrap();
    let (bob, bob_in_ops) = join(&hub, "bob").await;
    assert_eq!(denied(bob_in_ops.say("hi").await), Denied::Quieted);
    assert_eq!(denied(bob.publish("ops", "hi").await), Denied::Quieted);
    set(&alice, "-quiet bob").await.unwrap();
    bob_in_ops.say("hi").await.unwrap();
}

#[tokio::test]
async fn messages_from_outside_are_refused_where_the_room_wants_none_or_is_closed() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    let bob = hub.session(Some("bob")).await.unwrap();
    bob.publish("ops", "hi").await.unwrap();
    for (mode, reason) in [
        ("no-external", Denied::NoExternal),
        ("invite-only", Denied::InviteOnly),
        ("key k", Denied::BadKey),
        ("ban bob", Denied::Banned),
    ] {
        set(&alice, &format!("+{mode}")).await.unwrap();
        assert_eq!(denied(bob.publish("ops", "hi").await), reason);
        set(&alice, &format!("-{}", mode.trim_end_matches(" k")))
            .await
            .unwrap();
    }
    set(&alice, "+limit 1").await.unwrap();
    bob.publish("ops", "hi").await.unwrap();
}

#[tokio::test]
async fn a_locked_topic_is_set_by_operators_alone() {
    let hub = Hub::default();
    let (alice, alice_in_ops) = join(&hub, "alice").await;
    let (_bob, bob_in_ops) = join(&hub, "bob").await;
    bob_in_ops.set_topic("one").await.unwrap();
    set(&alice, "+topic-lock +voice bob").await.unwrap();
    assert_eq!(
        denied(bob_in_ops.set_topic("two").await),
        Denied::TopicLocked
    );
    bob_in_ops.say("but I speak").await.unwrap();
    alice_in_ops.set_topic("three").await.unwrap();
    assert_eq!(&*hub.info("ops").unwrap().topic, "three");
}

#[tokio::test]
async fn a_kick_names_who_kicks_and_needs_the_rank() {
    let hub = Hub::default();
    let (alice, mut alice_in_ops) = join(&hub, "alice").await;
    let (bob, mut bob_in_ops) = join(&hub, "bob").await;
    let (carol, carol_in_ops) = join(&hub, "carol").await;
    let not_operator = Err(KickError::Denied(Denied::NotOperator));
    assert_eq!(bob.kick("ops", "alice", "").await, not_operator);
    assert_eq!(bob.kick("ops", "nobody", "").await, not_operator);
    seen(&mut alice_in_ops);
    seen(&mut bob_in_ops);
    assert_eq!(
        alice.kick("ops", "BOB", "spam\x1b[2J").await.unwrap(),
        bob.nick()
    );
    assert_eq!(seen(&mut alice_in_ops), ["alice removed bob: spam[2J"]);
    assert_eq!(seen(&mut bob_in_ops), ["alice removed bob: spam[2J"]);
    assert!(bob_in_ops.next().await.is_none());
    let not_there = Denied::TargetNotInRoom("bob".into());
    assert_eq!(
        alice.kick("ops", "bob", "").await,
        Err(KickError::Denied(not_there))
    );
    hub_sets(&hub, "+owner carol").await;
    let outranks = Denied::OutranksYou(carol.nick());
    assert_eq!(
        alice.kick("ops", "carol", "").await,
        Err(KickError::Denied(outranks))
    );
    carol.kick("ops", "alice", "").await.unwrap();
    assert_eq!(
        alice.kick("ops", "carol", "").await,
        Err(KickError::NotInRoom)
    );
    // The kicked session may come back. Its role is gone.
    let _again = alice.join("ops").await.unwrap();
    assert_eq!(alice.role("ops"), None);
    drop(carol_in_ops);
}

#[tokio::test]
async fn a_role_stays_with_the_session_under_its_next_nick() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    let (bob, _bob_in_ops) = join(&hub, "bob").await;
    set(&alice, "+voice bob").await.unwrap();
    bob.rename("rob").await.unwrap();
    let (other, _in_ops) = join(&hub, "bob").await;
    assert_eq!(
        (bob.role("ops"), other.role("ops")),
        (Some(Role::Voice), None)
    );
}

#[tokio::test]
async fn modes_survive_a_restart_and_roles_of_sessions_do_not() {
    let shared = SharedJournal::new(1);
    let hub = |node| {
        Hub::builder()
            .journal(shared.node(node))
            .incarnation(node)
            .build()
    };
    let first = hub(1);
    let (alice, in_ops) = join(&first, "alice").await;
    let (_bob, _bob_in_ops) = join(&first, "bob").await;
    set(&alice, "+topic-lock +quiet bob +voice bob")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop((in_ops, alice, first));
    let second = hub(2);
    let (bob, bob_in_ops) = join(&second, "bob").await;
    assert_eq!(bob.role("ops"), None, "the room is not new");
    let (_carol, _in_ops) = join(&second, "carol").await;
    drop(bob_in_ops);
    let bob_in_ops = bob.join("ops").await.unwrap();
    assert_eq!(denied(bob_in_ops.say("hi").await), Denied::Quieted);
}

#[tokio::test(start_paused = true)]
async fn two_hubs_that_share_a_log_agree_on_modes_and_roles() {
    for seed in 0..10 {
        let (shared, rosters) = (SharedJournal::new(seed), SharedRosters::new(seed));
        let hub = |node| {
            let hub = Hub::builder()
                .journal(shared.node(node))
                .roster(rosters.node());
            hub.incarnation(node).build()
        };
        let (here, there) = (hub(1), hub(2));
        let settle = || tokio::time::sleep(Duration::from_secs(10));
        let (alice, mut alice_in_ops) = join(&here, "alice").await;
        settle().await;
        let bob = there.session(Some("bob")).await.unwrap();
        settle().await;
        let mut bob_in_ops = bob.join("ops").await.unwrap();
        settle().await;
        assert_eq!(bob.role("ops"), None, "the room has a member elsewhere");
        set(&alice, "+moderated +operator bob").await.unwrap();
        settle().await;
        assert_eq!(bob.role("ops"), Some(Role::Operator));
        assert_eq!(here.modes("ops"), there.modes("ops"));
        assert!(
            here.info("ops")
                .unwrap()
                .roles
                .contains(&(bob.nick(), Role::Operator))
        );
        set(&bob, "-moderated +secret +key k").await.unwrap();
        settle().await;
        assert_eq!(here.modes("ops").unwrap().to_string(), "secret\nkey k\n");
        assert_eq!(here.modes("ops"), there.modes("ops"));
        let changes = [
            "alice sets +moderated +operator bob",
            "bob sets -moderated +secret +key *",
        ];
        // A member in process does not receive its own changes.
        for (member, change) in [
            (&mut bob_in_ops, changes[0]),
            (&mut alice_in_ops, changes[1]),
        ] {
            let seen = seen(member);
            assert!(seen.iter().any(|seen| seen == change), "{seen:?}");
        }
        // A kick and an invitation reach the other hub.
        let mut carol = there.session(Some("carol")).await.unwrap();
        settle().await;
        set(&alice, "+invite-only -key").await.unwrap();
        settle().await;
        alice.invite("ops", "carol").await.unwrap();
        assert!(carol.next_direct().await.is_some());
        let carol_in_ops = carol.join("ops").await.unwrap();
        settle().await;
        seen(&mut bob_in_ops);
        alice.kick("ops", "carol", "bye").await.unwrap();
        settle().await;
        assert_eq!(seen(&mut bob_in_ops), ["alice removed carol: bye"]);
        drop(carol_in_ops);
    }
}

#[tokio::test]
async fn the_program_is_not_bound_by_modes() {
    let hub = Hub::default();
    let (alice, mut in_ops) = join(&hub, "alice").await;
    hub_sets(&hub, "+moderated +owner alice").await;
    assert_eq!(alice.role("ops"), Some(Role::Owner));
    assert_eq!(seen(&mut in_ops), ["robot sets +moderated +owner alice"]);
    assert!(hub.remove("ops", "alice", "").await.is_some());
}

#[tokio::test]
async fn a_guest_reads_no_room_that_it_could_not_join() {
    let hub = Hub::default();
    let (alice, _in_ops) = join(&hub, "alice").await;
    let guest = hub.guest(Arc::new(Peer::default()), "http").await.unwrap();
    let reads = || async {
        let history = guest
            .history("ops", Span::Before(Seq::END), None, None)
            .await;
        let search = guest.search("ops", "x", None, None).await;
        let follow = guest.follow(&JoinRequest::from("ops")).await;
        let refused = [history.err(), search.err(), follow.map(drop).err()];
        refused.map(|refused| refused.and_then(|refused: Refusal| refused.denied))
    };
    let (_, events) = guest.follow(&JoinRequest::from("ops")).await.unwrap();
    assert_eq!(reads().await, [None, None, None]);
    assert!(events.check().await.is_ok());
    for (mode, reason) in [
        ("invite-only", Denied::InviteOnly),
        ("key k", Denied::BadKey),
        ("ban *", Denied::Banned),
    ] {
        set(&alice, &format!("+{mode}")).await.unwrap();
        assert_eq!(
            reads().await,
            [
                Some(reason.clone()),
                Some(reason.clone()),
                Some(reason.clone())
            ]
        );
        assert_eq!(
            events.check().await.unwrap_err().denied,
            Some(reason.clone())
        );
        let said = guest
            .publish(Some("g"), "ops", "hi", None, IfMissing::Refuse)
            .await;
        assert_eq!(said.unwrap_err().denied, Some(reason));
        set(&alice, &format!("-{}", mode.trim_end_matches(" k")))
            .await
            .unwrap();
    }
    set(&alice, "+secret").await.unwrap();
    let hidden = guest
        .history("ops", Span::Before(Seq::END), None, None)
        .await;
    assert_eq!(hidden.unwrap_err().code.as_str(), "not_found");
    let hidden = guest.follow(&JoinRequest::from("ops")).await;
    assert_eq!(hidden.unwrap_err().code.as_str(), "not_found");
    assert!(guest.rooms("", None).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_secret_room_is_listed_for_its_members_alone() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    alice.sends("/join ops").await;
    alice.sees_until_quiet().await;
    bob.sees("* alice left").await;
    alice.sends("/mode secret on").await;
    alice.sees("* alice hid the room from lists").await;
    for (asked, answer) in [
        ("/rooms", "* rooms: lobby (1)"),
        ("/who ops", "! no such room: ops (/rooms lists them)"),
    ] {
        bob.sends(asked).await;
        bob.sees(answer).await;
    }
    alice.sends("/rooms").await;
    alice.sees("* rooms: lobby (1), ops (1)").await;
    bob.sends("/join ops").await;
    bob.sees("* you are bob in ops").await;
}

#[tokio::test(start_paused = true)]
async fn plain_members_moderate_in_words() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    alice.sends("/mode").await;
    alice.sees("* lobby: no modes are set").await;
    alice.sends("/op bob").await;
    alice.sees("! only operators of the room may do that").await;
    alice.sends("/join ops").await;
    alice.sees_until_quiet().await;
    alice.sends("/mode").await;
    alice
        .sees("* ops: no modes are set; you are an operator")
        .await;
    alice.sends("/invite bob").await;
    alice.sees("* bob is invited to ops").await;
    bob.sees("* alice left").await;
    bob.sees("* alice invites you to ops: /join ops").await;
    alice.sends("/mode key s3cret").await;
    alice.sees("* alice set a key").await;
    bob.sends("/join ops").await;
    bob.sees("! that room has a key: name the right one to join")
        .await;
    bob.sends("/mode").await;
    bob.sees("* lobby: no modes are set").await;
    bob.sends("/join ops s3cret").await;
    bob.sees("* you are bob in ops").await;
    bob.sees_until_quiet().await;
    alice.sees("* bob joined").await;
    alice.sends("/who").await;
    alice.sees("* ops: 2 members: alice (operator), bob").await;
    for (typed, told) in [
        ("/mode key off", "* alice removed the key"),
        (
            "/mode moderated on",
            "* alice made the room moderated: only members with a voice may speak",
        ),
        ("/voice bob", "* alice gave bob a voice"),
        ("/devoice bob", "* alice took the voice from bob"),
    ] {
        alice.sends(typed).await;
        alice.sees(told).await;
        bob.sees(told).await;
    }
    bob.sends("hi").await;
    bob.sees("! not delivered: the room is moderated, and you have no voice")
        .await;
    alice.sends("/op bob").await;
    alice.sees("* alice made bob an operator").await;
    bob.sees("* alice made bob an operator").await;
    bob.sends("/deop alice").await;
    alice.sees("* bob made alice no longer an operator").await;
    bob.sees("* bob made alice no longer an operator").await;
    bob.sends("/ban mallory").await;
    bob.sees("* bob banned mallory!*@*").await;
    alice.sees("* bob banned mallory!*@*").await;
    alice.sends("/bans").await;
    alice.sees("* ban: mallory!*@* (set by bob)").await;
    alice.sends("/mode").await;
    alice.sees("* ops: moderated, 1 ban (/bans lists it)").await;
    bob.sends("/unban mallory").await;
    bob.sees("* bob lifted the ban of mallory!*@*").await;
    alice.sees("* bob lifted the ban of mallory!*@*").await;
    bob.sends("/bans").await;
    bob.sees("* nobody is banned from ops").await;
    bob.sends("/kick alice too loud").await;
    bob.sees("* alice was kicked by bob: too loud").await;
    alice
        .sees("* you were kicked from ops by bob: too loud")
        .await;
    alice.sees("* you are alice in lobby").await;
}

#[tokio::test]
async fn a_guest_is_shut_out_by_the_very_change_that_closes_the_room() {
    let hub = Hub::default();
    let (alice, in_ops) = join(&hub, "alice").await;
    let guest = hub.guest(Arc::new(Peer::default()), "http").await.unwrap();
    for (mode, reason) in [
        ("invite-only", Some(Denied::InviteOnly)),
        ("key k", Some(Denied::BadKey)),
        ("ban *", Some(Denied::Banned)),
        ("secret", None),
    ] {
        let (_, mut events) = guest.follow(&JoinRequest::from("ops")).await.unwrap();
        in_ops.say("for all").await.unwrap();
        set(&alice, "+moderated").await.unwrap();
        set(&alice, &format!("-moderated +{mode}")).await.unwrap();
        in_ops.say("for members").await.unwrap();
        let mut texts = Vec::new();
        while let Some(Some(event)) = events.next().now_or_never() {
            if let Event::Message(message) = event {
                texts.push(message.text().to_owned());
            }
        }
        // The guest reads slowly: the room was closed before the guest read the first change.
        assert_eq!(texts, ["for all"], "{mode}");
        assert_eq!(events.refusal().unwrap().denied, reason);
        set(&alice, &format!("-{}", mode.trim_end_matches(" k")))
            .await
            .unwrap();
        assert!(events.next().await.is_none());
    }
}

#[tokio::test]
async fn a_key_is_in_no_message_and_in_no_history() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    let (_bob, mut bob_in_ops) = join(&hub, "bob").await;
    set(&alice, "+secret +key s3cret +limit 9").await.unwrap();
    assert_eq!(
        seen(&mut bob_in_ops),
        ["alice sets +secret +key * +limit 9"]
    );
    let modes = hub.modes("ops").unwrap();
    assert_eq!(modes.to_string(), "secret\nkey s3cret\nlimit 9\n");
    set(&alice, "-secret -key").await.unwrap();
    let guest = hub.guest(Arc::new(Peer::default()), "http").await.unwrap();
    let page = guest
        .history("ops", Span::Before(Seq::END), None, None)
        .await;
    assert!(!format!("{page:?}").contains("s3cret"));
    let found = guest.search("ops", "s3cret", None, None).await.unwrap();
    assert!(!format!("{found:?}").contains("+key"));
    // The text that stands for a key is no key.
    assert!(ModeChanges::parse("+key *").is_err());
    set(&alice, "+key k").await.unwrap();
    let carol = hub.session(Some("carol")).await.unwrap();
    let star = JoinRequest::from("ops").key("*");
    assert_eq!(join_denied(&carol, star).await, Denied::BadKey);
}

#[tokio::test]
async fn a_room_whose_log_is_not_empty_belongs_to_nobody_who_comes_first() {
    let hub = Hub::default();
    let (alice, in_ops) = join(&hub, "alice").await;
    // Nothing was said, so the room is new for the next member, too.
    drop(in_ops);
    let (bob, in_ops) = join(&hub, "bob").await;
    assert_eq!(bob.role("ops"), Some(Role::Operator));
    in_ops.say("ours").await.unwrap();
    drop(in_ops);
    let _in_ops = alice.join("ops").await.unwrap();
    assert_eq!(alice.role("ops"), None);
    // The same holds for a room to which a message came from outside.
    alice.publish("dev", "hi").await.unwrap();
    let _in_dev = alice.join("dev").await.unwrap();
    assert_eq!(alice.role("dev"), None);
}

#[tokio::test]
async fn a_member_that_publishes_as_if_from_outside_is_judged_as_a_member() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    let (bob, _bob_in_ops) = join(&hub, "bob").await;
    set(&alice, "+no-external +key k").await.unwrap();
    bob.publish("ops", "hi").await.unwrap();
    set(&alice, "+moderated").await.unwrap();
    alice.publish("ops", "hi").await.unwrap();
    assert_eq!(denied(bob.publish("ops", "hi").await), Denied::Moderated);
}

#[tokio::test]
async fn an_invitation_to_an_open_room_is_no_pass_and_a_pass_ends_with_the_room() {
    let hub = Hub::default();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    let (bob, _bob_in_ops) = join(&hub, "bob").await;
    let mut carol = hub.session(Some("carol")).await.unwrap();
    bob.invite("ops", "carol").await.unwrap();
    alice.invite("ops", "carol").await.unwrap();
    set(&alice, "+invite-only").await.unwrap();
    assert_eq!(join_denied(&carol, "ops").await, Denied::InviteOnly);
    alice.invite("ops", "carol").await.unwrap();
    for _ in 0..3 {
        carol.next_direct().await.unwrap();
    }
    hub.close_room("ops", "").unwrap();
    let _in_ops = alice.join("ops").await.unwrap();
    set(&alice, "+invite-only").await.unwrap();
    assert_eq!(join_denied(&carol, "ops").await, Denied::InviteOnly);
}

/// How often a name was folded by [`counted`].
static FOLDED: AtomicUsize = AtomicUsize::new(0);

fn counted(name: &str) -> String {
    FOLDED.fetch_add(1, Ordering::Relaxed);
    name.to_lowercase()
}

/// Returns how often names are folded until the future is ready.
async fn folds<T>(future: impl Future<Output = T>) -> (usize, T) {
    let before = FOLDED.load(Ordering::Relaxed);
    let output = future.await;
    (FOLDED.load(Ordering::Relaxed) - before, output)
}

#[tokio::test]
async fn a_member_is_compared_with_the_masks_once_and_members_are_looked_through_for_operators_alone()
 {
    let mut names = NameRules::default();
    names.fold = counted;
    let hub = Hub::builder().names(names).build();
    let (alice, _alice_in_ops) = join(&hub, "alice").await;
    let (bob, bob_in_ops) = join(&hub, "bob").await;
    let mut others = Vec::new();
    for number in 0..50 {
        others.push(join(&hub, &format!("other-{number}")).await);
    }
    let quiets: Vec<_> = (0..20).map(|mask| format!("+quiet q{mask}")).collect();
    set(&alice, &quiets.join(" ")).await.unwrap();
    // The masks and the member are folded for the first message, and not for the second.
    assert!(folds(bob_in_ops.say("one")).await.0 > 20);
    assert_eq!(folds(bob_in_ops.say("two")).await.0, 0);
    set(&alice, "+quiet bob").await.unwrap();
    assert_eq!(denied(bob_in_ops.say("hi").await), Denied::Quieted);
    bob.rename("rob").await.unwrap();
    bob_in_ops.say("hi").await.unwrap();
    let (folded, refused) = folds(set(&bob, "+voice OTHER-7 +voice other-8")).await;
    assert_eq!(denied(refused), Denied::NotOperator);
    assert!(folded < 10, "{folded}");
    // Each member is looked at once to decide, and once to apply.
    let (folded, set) = folds(set(
        &alice,
        "+voice OTHER-7 +voice Other-8 +voice x-y -voice z",
    ))
    .await;
    assert_eq!(denied(set), Denied::TargetNotInRoom("x-y".into()));
    assert!((50..70).contains(&folded), "{folded}");
    assert_eq!(others[7].0.role("ops"), None);
}

#[tokio::test(start_paused = true)]
async fn modes_and_topic_are_right_after_a_gap_that_hides_their_messages() {
    let shared = SharedJournal::new(1);
    let nodes = [1, 2].map(|node| shared.node(node));
    let [here, there] = [1, 2].map(|node: u32| {
        let hub = Hub::builder().journal(nodes[node as usize - 1].clone());
        hub.incarnation(node).build()
    });
    let settle = || tokio::time::sleep(Duration::from_secs(10));
    let (alice, alice_in_ops) = join(&here, "alice").await;
    let (_bob, _bob_in_ops) = join(&there, "bob").await;
    settle().await;
    nodes[1].hold();
    set(&alice, "+moderated +key k").await.unwrap();
    alice_in_ops.set_topic("new").await.unwrap();
    settle().await;
    shared.let_go("ops");
    nodes[1].release();
    settle().await;
    assert_eq!(
        there.modes("ops").unwrap().to_string(),
        "moderated\nkey k\n"
    );
    assert_eq!(&*there.info("ops").unwrap().topic, "new");
}

/// A policy that lets nobody but Alice moderate, and keeps oaths out of the reasons of a kick.
struct Muted;

impl Muted {
    fn decide(who: &Visitor) -> Decision {
        match who.nick.as_ref().map(Nick::as_str) {
            Some("alice") => Decision::Allow,
            _ => Decision::refuse("you are muted"),
        }
    }
}

impl Policy for Muted {
    async fn set_modes(&self, who: &Visitor, room: &str, changes: &str) -> Decision {
        assert!((room, changes) == ("ops", "+ban spam!*@*") || changes == "+operator bob");
        Self::decide(who)
    }

    async fn kick(&self, who: &Visitor, _room: &str, nick: &str, reason: &str) -> Decision {
        match Self::decide(who) {
            Decision::Allow => Decision::Change(format!("{nick}: {}", reason.to_lowercase())),
            refused => refused,
        }
    }

    async fn invite(&self, who: &Visitor, _room: &str, _nick: &str) -> Decision {
        Self::decide(who)
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_asked_about_modes_kicks_and_invitations() {
    let mut hub = TestHub::build(Hub::builder().policy(Muted));
    let mut alice = hub.member("alice").await;
    let mut bob = hub.member("bob").await;
    alice.sees_until_quiet().await;
    for peer in [&mut alice, &mut bob] {
        peer.sends("/join ops").await;
        peer.sees_until_quiet().await;
    }
    alice.sends("/op bob").await;
    alice.sees_until_quiet().await;
    bob.sees_until_quiet().await;
    for typed in ["/ban spam", "/kick alice HO HO", "/invite alice"] {
        bob.sends(typed).await;
        bob.sees("! you are muted").await;
    }
    alice.sends("/kick bob OH").await;
    alice.sees("* bob was kicked by alice: bob: oh").await;
}

#[tokio::test(start_paused = true)]
async fn modes_seen_from_outside_name_nobody() {
    let hub = Hub::default();
    let (alice, _in_ops) = join(&hub, "alice").await;
    set(&alice, "+moderated +key k +limit 9 +ban bob +quiet x")
        .await
        .unwrap();
    hub_sets(&hub, "+voice $a:kim").await;
    let seen = hub.modes("ops").unwrap().seen_from_outside();
    assert_eq!(seen.to_string(), "moderated\nkey *\nlimit 9\n");
}

#[tokio::test(start_paused = true)]
async fn a_kick_from_a_big_room_is_answered() {
    let mut limits = Limits::default();
    limits.announce = 2;
    let mut hub = TestHub::build(Hub::builder().limits(limits));
    let mut alice = hub.member("alice").await;
    alice.sends("/join ops").await;
    alice.sees_until_quiet().await;
    let mut others = Vec::new();
    for nick in ["bob", "carol", "dave", "erin"] {
        others.push(join(&hub.hub, nick).await);
    }
    alice.sees_until_quiet().await;
    alice.sends("/kick erin").await;
    alice.sees("* erin is kicked from ops").await;
}

#[tokio::test]
async fn a_kick_of_sessions_that_share_a_nick_takes_all_or_none() {
    let hub = Hub::default();
    let (alice, _in_ops) = join(&hub, "alice").await;
    let kim = Account::parse("kim").ok();
    let mut kims = Vec::new();
    for _ in 0..2 {
        let session = hub.session(None).await.unwrap();
        session.set_account(kim.clone());
        session.rename("kim").await.unwrap();
        kims.push((session.join("ops").await.unwrap(), session));
    }
    hub_sets(&hub, "+owner $a:kim -owner kim +owner $a:none").await;
    // The first is no owner, and the second is.
    let again = kims.pop().unwrap();
    drop(again.0);
    let in_ops = again.1.join("ops").await.unwrap();
    assert_eq!(
        (kims[0].1.role("ops"), again.1.role("ops")),
        (None, Some(Role::Owner))
    );
    let listed = hub.info("ops").unwrap().roles;
    assert!(
        listed.contains(&(again.1.nick(), Role::Owner)),
        "{listed:?}"
    );
    let outranks = Denied::OutranksYou(again.1.nick());
    assert_eq!(
        alice.kick("ops", "kim", "").await,
        Err(KickError::Denied(outranks))
    );
    assert_eq!(hub.info("ops").unwrap().count, 2);
    drop(in_ops);
}

#[test]
fn a_request_to_join_does_not_show_its_key() {
    let request = JoinRequest::from("ops").key("s3cret");
    assert!(!format!("{request:?}").contains("s3cret"));
}
