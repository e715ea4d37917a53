//! Two hubs that share one roster: each nick has one owner, and the members of a room are those on both hubs.

use chat_core::error::{NickError, SessionError, TellError};
use chat_core::log::{Account, SessionId};
use chat_core::roster::{
    Claimed, LocalRoster, NickClaim, NickKeys, Roster, RosterCommand, RosterEvent, SessionPresence,
};
use chat_core::{Event, Hub, Limits, Member, Nick, Profile, RoomName, SessionEvent};
use chat_testkit::{SharedRosters, conformance, in_words};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use std::sync::mpsc;
use std::time::Duration;

/// A time that is longer than all delays of a test's events together.
const SETTLED: Duration = Duration::from_secs(10);

fn two_hubs(seed: u64) -> (SharedRosters, Hub, Hub) {
    let rosters = SharedRosters::new(seed);
    let hub = || Hub::builder().roster(rosters.node()).build();
    let (one, two) = (hub(), hub());
    (rosters, one, two)
}

/// Returns the presence events that a member has received, in words.
async fn presence(member: &mut Member) -> Vec<String> {
    tokio::time::sleep(SETTLED).await;
    let mut told = Vec::new();
    while let Some(Some(event)) = member.next().now_or_never() {
        if let Event::Presence(_) = event {
            told.push(in_words(&event));
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn the_local_and_the_shared_roster_conform() {
    conformance::assert_conforms(conformance::roster(&LocalRoster::default()).await);
    for seed in 0..8 {
        let rosters = SharedRosters::new(seed);
        let (one, _two) = (rosters.node(), rosters.node());
        conformance::assert_conforms(conformance::roster(&one).await);
    }
}

#[tokio::test(start_paused = true)]
async fn promise_5_one_nick_has_one_owner_over_two_hubs() {
    for seed in 0..20 {
        let (_rosters, one, two) = two_hubs(seed);
        let (a, b) = tokio::join!(one.session(Some("kim")), two.session(Some("Kim")));
        let (owner, other, refused) = match (a, b) {
            (Ok(owner), Err(refused)) => (owner, &two, refused),
            (Err(refused), Ok(owner)) => (owner, &one, refused),
            both => panic!("seed {seed}: {both:?}"),
        };
        assert!(matches!(refused, SessionError::Nick(NickError::Taken(_))));
        // If the future of a rename is dropped, the new nick must not stay taken.
        let guest = other.session(None).await.unwrap();
        drop(tokio::time::timeout(Duration::from_millis(20), guest.rename("lee")).await);
        if guest.nick().as_str() != "lee" {
            tokio::time::sleep(SETTLED).await;
            let lee = one.session(Some("lee")).await;
            assert!(lee.is_ok(), "seed {seed}: {lee:?}");
        }
        drop(owner);
        assert!(other.session(Some("kim")).await.is_ok(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn members_are_listed_on_both_hubs_and_told_of_each_other() {
    let (_rosters, one, two) = two_hubs(1);
    let alice = one.session(Some("alice")).await.unwrap();
    let mut listening = alice.join("ops").await.unwrap();
    let bob = two.session(Some("bob")).await.unwrap();
    let in_ops = bob.join("ops").await.unwrap();
    assert_eq!(presence(&mut listening).await, ["bob joined"]);
    for hub in [&one, &two] {
        let mut nicks: Vec<_> = hub.members("ops").iter().map(ToString::to_string).collect();
        nicks.sort();
        assert_eq!(nicks, ["alice", "bob"]);
        assert_eq!(hub.info("ops").unwrap().count, 2);
        assert_eq!(hub.rooms()[0].count, 2);
    }
    bob.rename("robert").await.unwrap();
    assert_eq!(presence(&mut listening).await, ["bob is robert"]);
    in_ops.leave();
    assert_eq!(presence(&mut listening).await, ["robert left"]);
    assert_eq!(one.members("ops").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn rooms_are_listed_on_both_hubs_wherever_their_members_are() {
    let (_rosters, one, two) = two_hubs(1);
    let (alice, bob) = (one.session(Some("alice")), two.session(Some("bob")));
    let (alice, bob) = (alice.await.unwrap(), bob.await.unwrap());
    let mut members = Vec::new();
    for room in ["a", "c", "d"] {
        members.push(alice.join(room).await.unwrap());
    }
    for room in ["b", "d", "e"] {
        members.push(bob.join(room).await.unwrap());
    }
    tokio::time::sleep(SETTLED).await;
    for hub in [&one, &two] {
        let listed = |after, limit| {
            let rooms = hub.rooms_after(after, limit).into_iter();
            rooms.map(|room| format!("{} {}", room.room, room.count))
        };
        let all = ["a 1", "b 1", "c 1", "d 2", "e 1"];
        assert!(listed("", 9).eq(all));
        assert_eq!(hub.rooms().len(), 5);
        assert!(listed("a", 3).eq(["b 1", "c 1", "d 2"]));
        assert!(listed("d", 3).eq(["e 1"]));
    }
}

#[tokio::test(start_paused = true)]
async fn direct_messages_and_kicks_reach_the_other_hub() {
    let (_rosters, one, two) = two_hubs(2);
    let alice = one.session(Some("alice")).await.unwrap();
    let mut bob = two.session(Some("bob")).await.unwrap();
    let to = alice.tell("BOB", "psst").await.unwrap();
    assert_eq!(to.as_str(), "bob");
    let direct = bob.next_direct().await.unwrap();
    assert_eq!((direct.from.as_str(), &*direct.text), ("alice", "psst"));
    let mut in_ops = bob.join("ops").await.unwrap();
    assert!(one.remove("ops", "bob", "not here").await.is_some());
    assert!(presence(&mut in_ops).await[0].starts_with("bob Removed"));
    assert_eq!(one.kick("bob", "bye").await.unwrap().as_str(), "bob");
    assert!(bob.next_direct().await.is_none());
    assert!(one.kick("bob", "again").await.is_none());
    assert!(one.session(Some("bob")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn promise_5_each_member_says_one_goodbye_when_its_hub_is_dropped() {
    for is_crash in [false, true] {
        let (rosters, one, two) = two_hubs(3);
        let alice = one.session(Some("alice")).await.unwrap();
        let mut listening = alice.join("ops").await.unwrap();
        let mut gone = Vec::new();
        for nick in ["bob", "carol"] {
            let session = two.session(Some(nick)).await.unwrap();
            let member = session.join("ops").await.unwrap();
            gone.push((session, member));
        }
        assert_eq!(
            presence(&mut listening).await,
            ["bob joined", "carol joined"]
        );
        if is_crash {
            rosters.crash(2);
        }
        drop((gone, two));
        let mut told = presence(&mut listening).await;
        told.sort();
        assert_eq!(told, ["bob left", "carol left"], "crash: {is_crash}");
        assert_eq!(one.members("ops").len(), 1);
        assert!(one.session(Some("bob")).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_of_one_account_share_a_nick_and_say_one_goodbye() {
    let (_rosters, one, two) = two_hubs(4);
    let alice = one.session(Some("alice")).await.unwrap();
    let mut listening = alice.join("ops").await.unwrap();
    let mut devices = Vec::new();
    for hub in [&one, &one, &two] {
        let device = hub.session(None).await.unwrap();
        device.set_account(Account::parse("kim@example.org").ok());
        device.rename("kim").await.unwrap();
        let member = device.join("ops").await.unwrap();
        tokio::time::sleep(SETTLED).await;
        devices.push((device, member));
    }
    assert_eq!(presence(&mut listening).await, ["kim joined"]);
    assert_eq!(one.info("ops").unwrap().count, 2);
    assert_eq!(one.members("ops").len(), 2);
    let other = one.session(None).await.unwrap();
    assert!(matches!(
        other.rename("kim").await,
        Err(NickError::Taken(_))
    ));
    alice.tell("kim", "psst").await.unwrap();
    for (device, _) in &mut devices {
        assert_eq!(&*device.next_direct().await.unwrap().text, "psst");
    }
    devices.pop();
    devices.pop();
    assert!(presence(&mut listening).await.is_empty());
    devices.pop();
    assert_eq!(presence(&mut listening).await, ["kim left"]);
    other.rename("kim").await.unwrap();
}

/// A roster without delays. One session on another node is in a hundred rooms.
#[derive(Default)]
struct BusyElsewhere(LocalRoster);

impl Roster for BusyElsewhere {
    async fn claim(&self, claim: NickClaim) -> Result<Claimed, NickError> {
        self.0.claim(claim).await
    }

    fn release(&self, who: SessionId, nick: &NickKeys) {
        self.0.release(who, nick);
    }

    fn find(&self, key: &str) -> Vec<SessionId> {
        self.0.find(key)
    }

    async fn send(&self, to: SessionId, command: RosterCommand) -> Result<Nick, TellError> {
        self.0.send(to, command).await
    }

    fn follow(&self) -> Option<BoxStream<'static, RosterEvent>> {
        let rooms = (0..100).map(|number| RoomName::parse(&format!("there-{number}")).unwrap());
        let presence = SessionPresence {
            nick: Nick::parse("bob").unwrap(),
            profile: Profile::default(),
            rooms: rooms.collect(),
        };
        let event = RosterEvent::Present(SessionId::new(2, 1), presence);
        Some(stream::iter([event]).chain(stream::pending()).boxed())
    }
}

/// Listing the rooms needs two tables of the hub, and so does opening a room. If each thread held one table and waited
/// for the other table, neither thread would ever continue.
#[test]
fn rooms_are_listed_while_other_rooms_are_opened() {
    let mut limits = Limits::default();
    limits.empty_rooms = 0;
    let roster = BusyElsewhere::default();
    let hub = Hub::builder().limits(limits).roster(roster).build();
    let (done, ended) = mpsc::channel();
    let (listing, listed) = (hub.clone(), done.clone());
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let alice = hub.session(Some("alice")).await.unwrap();
            while hub.rooms_after("", 200).len() < 100 {
                tokio::task::yield_now().await;
            }
            ready.send(()).unwrap();
            for number in 0..2000 {
                drop(alice.join(format!("here-{number}").as_str()).await.unwrap());
            }
        });
        done.send("opened").unwrap();
    });
    is_ready.recv_timeout(Duration::from_secs(60)).unwrap();
    std::thread::spawn(move || {
        for _ in 0..200 {
            assert!(listing.rooms_after("", 200).len() >= 100);
        }
        listed.send("listed").unwrap();
    });
    for _ in 0..2 {
        let end = ended.recv_timeout(Duration::from_secs(60));
        assert!(end.is_ok(), "both threads wait for each other");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_session_is_known_on_the_other_hub() {
    let (_rosters, one, two) = two_hubs(5);
    let alice = one.session(Some("alice")).await.unwrap();
    let mut listening = alice.join("ops").await.unwrap();
    alice.watch(&["bob"]).unwrap();
    let mut alice = alice.into_events();
    let bob = two.session(Some("bob")).await.unwrap();
    let in_ops = bob.join("ops").await.unwrap();
    assert_eq!(presence(&mut listening).await, ["bob joined"]);
    bob.set_user("bob");
    bob.set_away(Some("lunch"));
    bob.set_operator(true);
    let told = presence(&mut listening).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("bob ProfileChanged") && told[1].starts_with("bob Away"));
    let whois = one.whois("BOB").unwrap();
    assert_eq!(whois.profile, bob.profile());
    assert_eq!(whois.profile.user_host.as_str(), "bob@local");
    assert!(whois.rooms.iter().map(RoomName::as_str).eq(["ops"]));
    assert_eq!((whois.since, whois.idle), (None, None));
    assert!(two.whois("bob").unwrap().since.is_some());
    assert!(one.online("bob").unwrap().is_away);
    assert!(
        one.info("ops")
            .unwrap()
            .away
            .iter()
            .map(Nick::as_str)
            .eq(["bob"])
    );
    // Bob is an operator on its own hub, and ends a session of the other hub.
    let carol = one.session(Some("carol")).await.unwrap();
    assert!(bob.disconnect("carol", "spam").await.is_ok());
    drop((in_ops, bob, carol));
    assert_eq!(presence(&mut listening).await, ["bob left"]);
    assert!(one.whois("bob").is_none() && one.ended_sessions("bob").is_empty());
    assert_eq!(two.ended_sessions("bob").len(), 1);
    let mut news = Vec::new();
    while let Some(Some(SessionEvent::Watched(status))) = alice.next().now_or_never() {
        news.push(status.online.is_some());
    }
    assert_eq!(news, [false], "only the last state of a nick waits");
}
