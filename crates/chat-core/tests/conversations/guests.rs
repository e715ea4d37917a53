//! Tests guests: peers without a session. The hub asks its policy about the requests of guests, and charges for them,
//! in the same way as for requests over a connection.

use crate::{members, rate, unlimited};
use chat_core::auth::{AuthError, Authenticator, Credentials};
use chat_core::log::{Account, Position, Span, TokenDigest};
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::protocol::{Code, IfMissing, JoinRequest, Refusal};
use chat_core::{Event, Guest, GuestEvents, Hub, Kind, Limits, Peer, Seq};
use chat_testkit::{SlowJournal, TestHub, WordPolicy, in_words};
use futures::FutureExt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const SENDER: TokenDigest = TokenDigest::new([7; TokenDigest::BYTES]);

async fn guest(hub: &Hub) -> Guest {
    hub.guest(Arc::default(), "http").await.unwrap()
}

async fn guest_from(hub: &Hub, address: &str) -> Guest {
    let address: SocketAddr = address.parse().unwrap();
    let peer = Arc::new(Peer::from(address));
    hub.guest(peer, "http").await.unwrap()
}

/// Publishes under the nick `ci`, in a room that must exist. Returns the position, or the code of the refusal.
async fn say(guest: &Guest, room: &str, text: &str) -> Result<u64, Code> {
    let said = guest.publish(Some("ci"), room, text, None, IfMissing::Refuse);
    code(said.await).map(|said| said.seq.0)
}

fn code<T>(answer: Result<T, Refusal>) -> Result<T, Code> {
    answer.map_err(|refusal| refusal.code)
}

async fn history(guest: &Guest, room: &str) -> Result<Vec<String>, Code> {
    let page = guest.history(room, Span::Before(Seq::END), None, None);
    let page = code(page.await)?.page;
    Ok(page
        .messages()
        .map(|message| message.text().to_owned())
        .collect())
}

/// Returns the next event in words, or `pending` if no event has arrived yet.
fn next(events: &mut GuestEvents) -> String {
    match events.next().now_or_never() {
        Some(Some(Event::Message(message))) => format!("{} {}", message.seq(), message.text()),
        Some(Some(Event::Replayed(message))) => format!("replay {}", message.text()),
        Some(Some(Event::Gap(missed))) => match missed.gap() {
            Some(gap) => format!("gap {}-{}", gap.from, gap.to),
            None => "gap".into(),
        },
        Some(Some(event)) => in_words(&event),
        Some(None) => "the end".into(),
        None => "pending".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_guest_says_is_heard_and_the_guest_is_in_no_list() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let ci = guest(&hub.hub).await;
    assert_eq!(say(&ci, "lobby", "build 7\nfailed\x1b[1m").await, Ok(1));
    alice.sees("14:02 ci: build 7 failed[1m").await;
    let unnamed = ci.publish(None, "lobby", "hi", None, IfMissing::Refuse);
    assert_eq!(unnamed.await.unwrap().seq, Seq(2));
    alice.sees_containing(": hi").await;
    assert_eq!(hub.hub.members("lobby").len(), 1);
    assert_eq!((hub.hub.sessions(), hub.hub.stats().rooms), (1, 1));
    // The guest does not own its nick, so a session can take the nick.
    hub.hub.session(Some("ci")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn promise_5_a_guest_does_not_speak_under_the_nick_of_a_session() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let guest = guest(&hub.hub).await;
    for nick in ["alice", "ALICE"] {
        let said = guest.publish(Some(nick), "lobby", "it is me", None, IfMissing::Create);
        assert_eq!(code(said.await).unwrap_err(), Code::NickTaken, "{nick}");
    }
    let said = guest.publish(Some("no nick"), "lobby", "hi", None, IfMissing::Create);
    assert_eq!(code(said.await).unwrap_err(), Code::BadName);
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_is_decided_by_the_policy() {
    let hub = Hub::builder().policy(WordPolicy::refusing("no")).build();
    let guest = guest(&hub).await;
    assert_eq!(say(&guest, "lobby", "no").await, Err(Code::Denied));
    assert_eq!(say(&guest, "nowhere", "hi").await, Err(Code::Denied));
    assert_eq!(say(&guest, "lobby", "panic").await, Err(Code::Unavailable));
    let begun = Instant::now();
    assert_eq!(say(&guest, "lobby", "hang").await, Err(Code::Unavailable));
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert_eq!(hub.stats().policy_failures, 2);
    assert_eq!(say(&guest, "lobby", "teh cat").await, Ok(1));
    assert_eq!(history(&guest, "lobby").await, Ok(vec!["the cat".into()]));
    let refused = guest.follow(&JoinRequest::from("nowhere")).await;
    assert_eq!(code(refused).unwrap_err(), Code::Denied);
}

/// Lets only the peer `admin` connect, under the nick `root`, and hides the room `secret` and the history of `quiet`.
struct Strict;

impl Policy for Strict {
    async fn connect(&self, who: &Visitor, nick: Option<&str>) -> Decision {
        assert_eq!((who.dialect, who.session), ("http", None));
        match (&who.account, nick) {
            (None, _) => Decision::refuse("log in"),
            (Some(_), Some(_)) => Decision::Change("root".into()),
            (Some(_), None) => Decision::Allow,
        }
    }

    async fn say(&self, who: &Visitor, _room: &str, _kind: Kind, _text: &str) -> Decision {
        assert_eq!(who.nick.as_ref().map(|nick| nick.as_str()), Some("root"));
        Decision::Allow
    }

    fn may_see(&self, _who: &Visitor, room: &str) -> bool {
        room != "secret"
    }

    fn may_see_members(&self, _who: &Visitor, _room: &str) -> bool {
        false
    }

    async fn history(&self, _who: &Visitor, room: &str) -> Decision {
        match room {
            "quiet" => Decision::refuse("no history"),
            _ => Decision::Allow,
        }
    }
}

impl Authenticator for Strict {
    async fn authenticate(
        &self,
        peer: &Peer,
        _credentials: Credentials<'_>,
    ) -> Result<Option<Account>, AuthError> {
        match peer.get::<&str>() {
            Some(&"banned") => Err(AuthError::new("banned")),
            Some(account) => Ok(Account::parse(account).ok()),
            None => Ok(None),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_authenticator_and_the_policy_decide_who_may_ask() {
    let hub = Hub::builder().policy(Strict).authenticator(Strict).build();
    let banned = hub.guest(Arc::new(Peer::default().with("banned")), "http");
    assert_eq!(code(banned.await).unwrap_err(), Code::Denied);
    let stranger = guest(&hub).await;
    assert_eq!(say(&stranger, "lobby", "hi").await, Err(Code::Denied));
    assert_eq!(history(&stranger, "lobby").await, Err(Code::Denied));
    let listed = stranger.rooms("", None).await;
    assert_eq!(code(listed).unwrap_err(), Code::Denied);

    let admin = Arc::new(Peer::default().with("admin"));
    let admin = hub.guest(admin, "http").await.unwrap();
    assert_eq!(say(&admin, "lobby", "hi").await, Ok(1));
    let page = admin.history("lobby", Span::Before(Seq::END), None, None);
    let said = page.await.unwrap().page.messages().next().unwrap();
    assert_eq!(said.from().as_str(), "root");
    assert_eq!(said.account().map(Account::as_str), Some("admin"));
}

#[tokio::test(start_paused = true)]
async fn a_guest_learns_nothing_of_what_the_policy_hides() {
    let hub = Hub::builder().policy(Strict).authenticator(Strict).build();
    let alice = hub.session(Some("alice")).await.unwrap();
    let mut rooms = Vec::new();
    for room in ["secret", "quiet", "open"] {
        rooms.push(alice.join(room).await.unwrap());
        alice.publish(room, "one").await.unwrap();
    }
    let admin = Arc::new(Peer::default().with("admin"));
    let admin = hub.guest(admin, "http").await.unwrap();
    let (listed, has_more) = admin.rooms("", None).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|room| room.room.as_str()).collect();
    assert_eq!((names, has_more), (vec!["open", "quiet"], false));
    assert_eq!(history(&admin, "secret").await, Err(Code::NotFound));
    assert_eq!(say(&admin, "secret", "hi").await, Err(Code::NotFound));
    assert_eq!(history(&admin, "nothing").await, Err(Code::NotFound));
    assert_eq!(history(&admin, "quiet").await, Err(Code::Denied));
    let mut request = JoinRequest::from("quiet");
    request.after = Some(Seq(0));
    let (info, mut events) = admin.follow(&request).await.unwrap();
    assert_eq!((info.count, info.nicks.len()), (1, 0));
    assert_eq!(next(&mut events), "gap 1-1");
    rooms[1].say("two").await.unwrap();
    assert_eq!(next(&mut events), "2 two");
}

#[tokio::test(start_paused = true)]
async fn a_key_says_one_message_however_often_and_at_once_it_is_repeated() {
    let journal = SlowJournal::new(vec![Duration::from_secs(1)]);
    let hub = Hub::builder().journal(journal).build();
    let guest = guest(&hub).await;
    let once = || {
        guest.publish(
            Some("ci"),
            "ops",
            "failed",
            Some(("k", SENDER)),
            IfMissing::Create,
        )
    };
    let said = futures::future::join_all((0..100).map(|_| once())).await;
    let said: Vec<_> = said.into_iter().map(Result::unwrap).collect();
    assert!(said.iter().all(|said| said.seq == Seq(1)));
    assert_eq!(said.iter().filter(|said| !said.is_duplicate).count(), 1);
    // A session takes the nick. The repetition still succeeds, because the message was published earlier.
    let _session = hub.session(Some("ci")).await.unwrap();
    let again = once().await.unwrap();
    assert_eq!((again.seq, again.is_duplicate), (Seq(1), true));
    assert_eq!(again.epoch, said[0].epoch);
    let other = TokenDigest::new([8; TokenDigest::BYTES]);
    let theirs = guest.publish(
        Some("cd"),
        "ops",
        "failed",
        Some(("k", other)),
        IfMissing::Create,
    );
    assert!(!theirs.await.unwrap().is_duplicate);
    let long = "k".repeat(65);
    let refused = guest.publish(
        Some("cd"),
        "ops",
        "hi",
        Some((&long, other)),
        IfMissing::Create,
    );
    assert_eq!(code(refused.await).unwrap_err(), Code::BadRequest);
}

#[tokio::test(start_paused = true)]
async fn guests_and_connections_of_an_address_pay_together() {
    let mut limits = Limits::default();
    limits.answers_per_address = Some(rate(100, 1));
    limits.joins_per_address = Some(rate(2, 1));
    let mut hub = TestHub::new(limits);
    let guest = guest_from(&hub.hub, "192.0.2.1:1").await;
    assert_eq!(history(&guest, "lobby").await, Ok(vec![]));
    guest.charge_answer(2000 * 8 * 1024);
    let refused = guest.rooms("", None).await.unwrap_err();
    assert_eq!(refused.code, Code::RateLimited);
    assert!(refused.retry_after.unwrap() > Duration::from_secs(30));
    let address: SocketAddr = "192.0.2.1:2".parse().unwrap();
    let mut twin = hub.connect_as("twin", Peer::from(address));
    twin.sends("/nick twin").await;
    twin.sees_in_time("* you are now twin").await;
    twin.sends("/rooms").await;
    twin.sees_containing("! your address asks for too much")
        .await;
    let other = guest_from(&hub.hub, "192.0.2.2:1").await;
    other.rooms("", None).await.unwrap();
    // The guest can still publish, because the limit on answers does not apply to publishing. Publishing to a room that
    // is not open counts as a join, so the third message waits for the rate of joins.
    let begun = Instant::now();
    for room in ["a", "b", "c"] {
        let said = guest.publish(None, room, "hi", None, IfMissing::Create);
        said.await.unwrap();
    }
    let took = begun.elapsed().as_secs();
    assert!((1..=2).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn what_an_address_sends_and_is_answered_is_metered() {
    let mut limits = Limits::default();
    limits.bytes_per_minute = NonZeroUsize::new(6000);
    limits.answers_per_address = Some(rate(100, 1));
    let hub = Hub::new(limits);
    let meter = |address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        hub.address_meter(&Peer::from(address))
    };
    let (one, twin) = (meter("192.0.2.1:1"), meter("192.0.2.1:2"));
    assert_eq!(one.charge_input(6000), None);
    assert_eq!(twin.charge_input(100), Some(Duration::from_secs(1)));
    one.charge_answer(100 * 8 * 1024);
    assert_eq!(twin.may_ask(), Ok(()));
    one.charge_answer(20 * 8 * 1024);
    assert_eq!(twin.may_ask().unwrap_err().code, Code::RateLimited);
    for other in [meter("192.0.2.2:1"), meter("127.0.0.1:1")] {
        assert_eq!(other.charge_input(6000), None);
        assert_eq!(other.may_ask(), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_repetition_pays_for_the_room_that_it_opens() {
    let mut limits = Limits::default();
    limits.joins_per_address = Some(rate(1, 1));
    limits.empty_rooms = 0;
    let journal = SlowJournal::new(vec![Duration::ZERO]);
    let hub = Hub::builder().limits(limits).journal(journal).build();
    let guest = guest_from(&hub, "192.0.2.1:1").await;
    let once = || {
        guest.publish(
            None,
            "ops",
            "failed",
            Some(("k", SENDER)),
            IfMissing::Create,
        )
    };
    assert!(!once().await.unwrap().is_duplicate);
    let begun = Instant::now();
    for _ in 0..3 {
        let again = once().await.unwrap();
        assert_eq!((again.seq, again.is_duplicate), (Seq(1), true));
    }
    let took = begun.elapsed().as_millis();
    assert!((2900..3100).contains(&took), "{took} ms");
    // A room that is open costs nothing.
    let _watch = guest.follow(&JoinRequest::from("ops")).await.unwrap();
    let begun = Instant::now();
    once().await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(10));
}

/// Lets nobody connect, or nobody into a room, once it is told to.
#[derive(Clone, Default)]
struct Ban(Arc<Mutex<&'static str>>);

impl Policy for Ban {
    async fn connect(&self, _who: &Visitor, nick: Option<&str>) -> Decision {
        match (*self.0.lock().unwrap(), nick) {
            ("all", _) | ("mallory", Some("mallory")) => Decision::refuse("banned"),
            _ => Decision::Allow,
        }
    }

    async fn join(&self, _who: &Visitor, room: &str) -> Decision {
        match *self.0.lock().unwrap() {
            "ops" if room == "ops" => Decision::refuse("members only"),
            "moved" => Decision::Change("elsewhere".into()),
            "same" => Decision::Change("OPS".into()),
            _ => Decision::Allow,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_can_be_asked_again_while_a_guest_follows_a_room() {
    let ban = Ban::default();
    let hub = Hub::builder().policy(ban.clone()).build();
    let guest = guest(&hub).await;
    let (_, events) = guest.follow(&JoinRequest::from("ops")).await.unwrap();
    for (banned, expected) in [
        ("", None),
        ("dev", None),
        ("same", None),
        ("ops", Some("members only")),
        ("moved", Some("no longer in this room")),
        ("all", Some("banned")),
    ] {
        *ban.0.lock().unwrap() = banned;
        let refusal = events.check().await.err();
        assert_eq!(refusal.as_ref().map(|refusal| &*refusal.message), expected);
        assert!(refusal.is_none_or(|refusal| refusal.code == Code::Denied));
    }
    *ban.0.lock().unwrap() = "mallory";
    assert_eq!(code(guest.check(Some("mallory")).await), Err(Code::Denied));
    assert_eq!(code(guest.check(None).await), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_guest_that_follows_resumes_without_a_hole() {
    let mut limits = Limits::default();
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    limits.journal_messages = NonZeroUsize::new(20).unwrap();
    let hub = Hub::new(limits);
    let alice = hub.session(Some("alice")).await.unwrap();
    let guest = guest(&hub).await;
    for number in 1..=3 {
        alice.publish("ops", &format!("m{number}")).await.unwrap();
    }
    let Position { epoch, .. } = hub.position("ops").await.unwrap();
    let after = |seq| {
        JoinRequest::from("ops").resume(Position {
            epoch,
            seq: Seq(seq),
        })
    };
    let (info, mut events) = guest.follow(&after(1)).await.unwrap();
    assert_eq!((info.position.seq, events.epoch()), (Seq(3), epoch));
    assert_eq!(next(&mut events), "replay m2");
    assert_eq!(next(&mut events), "replay m3");
    assert_eq!(next(&mut events), "pending");
    let member = alice.join("ops").await.unwrap();
    assert_eq!(next(&mut events), "alice joined");
    member.say("m4").await.unwrap();
    assert_eq!(next(&mut events), "4 m4");
    // The guest lags, because the ring holds only 8 items. The log holds only 20 messages.
    for number in 5..=40 {
        member.say(&format!("m{number}")).await.unwrap();
    }
    assert_eq!(next(&mut events), "gap 5-20");
    for number in 21..=40 {
        assert_eq!(next(&mut events), format!("{number} m{number}"));
    }
    let (_, mut late) = guest.follow(&after(2)).await.unwrap();
    assert_eq!(next(&mut late), "gap 3-20");
    assert_eq!(next(&mut late), "replay m21");
    let mut other = after(2);
    other.epoch = Some(chat_core::log::Epoch(epoch.0 ^ 1));
    let (_, mut other) = guest.follow(&other).await.unwrap();
    assert_eq!(next(&mut other), "gap");
    hub.drain();
    assert_eq!(next(&mut events), "the end");
}

#[tokio::test(start_paused = true)]
async fn a_room_stays_open_while_a_guest_follows_it_and_ends_when_it_is_closed() {
    let hub = Hub::default();
    let guest = guest(&hub).await;
    let (_, mut events) = guest.follow(&JoinRequest::from("ops")).await.unwrap();
    assert_eq!(hub.stats().rooms, 1);
    let alice = hub.session(Some("alice")).await.unwrap();
    alice.publish("ops", "one").await.unwrap();
    assert_eq!(next(&mut events), "1 one");
    hub.close_room("ops", "late");
    assert_eq!(next(&mut events), "closed late");
    assert_eq!(next(&mut events), "the end");
    let (_, events) = guest.follow(&JoinRequest::from("dev")).await.unwrap();
    drop(events);
    assert_eq!(hub.stats().rooms, 0);
}
