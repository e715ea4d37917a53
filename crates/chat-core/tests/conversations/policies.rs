//! The effect of policies, as peers of the plain dialect see it.

use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::{CloseReason, Hub, Kind, Limits, Peer};
use chat_testkit::{TestHub, Wire, WordPolicy};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

async fn strict<const N: usize>(nicks: [&str; N]) -> (TestHub, [Wire; N]) {
    let mut limits = Limits::default();
    limits.rate = None;
    let mut hub = TestHub::build(
        Hub::builder()
            .limits(limits)
            .policy(WordPolicy::refusing("no")),
    );
    let members = crate::members(&mut hub, nicks).await;
    (hub, members)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_hurts_nobody_else() {
    let (_hub, [mut alice, mut bob]) = strict(["alice", "bob"]).await;
    for line in [
        "no",
        "/me no",
        "/topic no",
        "/nick nobody",
        "/msg bob no",
        "/join nowhere",
    ] {
        alice.sends(line).await;
        alice.sees("! that is not done here").await;
    }
    bob.sees_nothing().await;
    alice.sends("fine").await;
    bob.sees("14:02 alice: fine").await;
}

#[tokio::test(start_paused = true)]
async fn a_change_is_done_instead_of_what_was_asked() {
    let (_hub, [mut alice, mut bob]) = strict(["alice", "bob"]).await;
    alice.sends("teh cat").await;
    bob.sees("14:02 alice: the cat").await;
    alice.sends("/me pets teh cat").await;
    bob.sees("14:02 * alice pets the cat").await;
    alice.sends("/msg bob teh dog").await;
    bob.sees("14:02 alice -> you: the dog").await;
    alice.sees("14:02 you -> bob: the dog").await;
    alice.sends("/topic teh zoo").await;
    bob.sees("* alice set the topic: the zoo").await;
    alice.sees("* alice set the topic: the zoo").await;
    alice.sends("/nick tehodor").await;
    alice.sees("* you are now theodor").await;
    bob.sees("* alice is now theodor").await;
    alice.sends("/join teh-zoo").await;
    alice.sees("* you are theodor in the-zoo").await;
}

#[tokio::test(start_paused = true)]
async fn a_reason_to_leave_is_a_text_like_others() {
    let (_hub, [mut alice, mut bob, mut carol]) = strict(["alice", "bob", "carol"]).await;
    bob.sends("/quit no fun").await;
    alice.sees("* bob left (gone: quit)").await;
    carol.sends("/quit teh end").await;
    alice.sees("* carol left (gone: the end)").await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_or_hangs_refuses() {
    let (hub, [mut alice, mut bob]) = strict(["alice", "bob"]).await;
    let refused = "! whether that is allowed can't be decided now, try again";
    alice.sends("panic").await;
    alice.sees(refused).await;
    let before = Instant::now();
    alice.sends("hang").await;
    bob.sends("meanwhile").await;
    alice.sees("14:02 bob: meanwhile").await;
    assert!(before.elapsed() < Duration::from_millis(5));
    alice.sees(refused).await;
    assert_eq!(before.elapsed().as_secs(), 2);
    assert_eq!(hub.hub.stats().policy_failures, 2);
    alice.sends("still here").await;
    bob.sees("14:02 alice: still here").await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_takes_a_second_for_one_delays_nobody_else() {
    let (_hub, [mut alice, mut bob, mut carol]) = strict(["alice", "bob", "carol"]).await;
    let begun = Instant::now();
    alice.sends("first\nslow second\nthird").await;
    bob.sends("quick").await;
    // The message that the policy allowed earlier is delivered at once, and so are the messages of other members.
    carol.sees("14:02 alice: first").await;
    carol.sees("14:02 bob: quick").await;
    alice.sees("14:02 bob: quick").await;
    assert!(
        begun.elapsed() < Duration::from_millis(5),
        "{:?}",
        begun.elapsed()
    );
    carol.sees("14:02 alice: slow second").await;
    carol.sees("14:02 alice: third").await;
    let took = begun.elapsed();
    assert!((1000..1005).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_thinks_about_is_gone_at_once_all_the_same() {
    let (mut hub, [alice, mut bob]) = strict(["alice", "bob"]).await;
    let mut alice = alice;
    alice.sends("hang").await;
    alice.sees_until_quiet().await;
    let begun = Instant::now();
    hub.hub.kick("alice", "").await.unwrap();
    bob.sees("* alice left (gone: kicked)").await;
    alice.sees_in_time("* goodbye: you were sent away").await;
    assert!(begun.elapsed() < Duration::from_millis(5));
    drop(alice);
    hub.ended().await;
    hub.hub.drain();
}

/// A policy that admits only peers with a ticket. The peer's nick is the name on the ticket.
struct Doorman {
    is_asked: Arc<AtomicBool>,
}

struct Ticket(&'static str);

impl Policy for Doorman {
    async fn connect(&self, who: &Visitor, nick: Option<&str>) -> Decision {
        self.is_asked.store(true, Ordering::Relaxed);
        assert_eq!((who.dialect, nick), ("plain", None));
        assert!(who.nick.is_none() && who.session.is_none());
        match who.peer.get::<Ticket>() {
            Some(Ticket(name)) => Decision::Change((*name).to_owned()),
            None => Decision::refuse("no ticket"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn admission_is_decided_before_the_hub_knows_of_the_peer() {
    let is_asked = Arc::new(AtomicBool::new(false));
    let policy = Doorman {
        is_asked: Arc::clone(&is_asked),
    };
    let mut hub = TestHub::build(Hub::builder().policy(policy));
    let mut stranger = hub.connect("stranger");
    stranger.sends("hello?").await;
    stranger.sees("! no ticket").await;
    assert!(stranger.sees_the_end().await.is_empty());
    assert_eq!(hub.ended().await, CloseReason::Refused);
    assert!(is_asked.load(Ordering::Relaxed));
    assert_eq!((hub.hub.sessions(), hub.hub.stats().rooms), (0, 0));

    let mut guest = hub.connect_as("guest", Peer::default().with(Ticket("kim")));
    guest
        .sees("* you are kim in lobby: /nick NAME changes your nick, /help lists the commands")
        .await;
    // A peer whose name is already taken is admitted as a guest.
    let mut twin = hub.connect_as("twin", Peer::default().with(Ticket("kim")));
    twin.sees("* you are guest-1 in lobby: /nick NAME changes your nick, /help lists the commands")
        .await;
}

#[tokio::test(start_paused = true)]
async fn no_spelling_of_a_room_gets_around_a_policy() {
    struct Newsroom;
    impl Policy for Newsroom {
        async fn say(&self, _who: &Visitor, room: &str, _kind: Kind, _text: &str) -> Decision {
            match room {
                "news" => Decision::refuse("only the newsroom speaks here"),
                _ => Decision::Allow,
            }
        }
    }
    let mut hub = TestHub::build(Hub::builder().policy(Newsroom));
    let mut alice = hub.member("alice").await;
    alice.sends("/join #NEWS").await;
    alice.sees_until_quiet().await;
    alice.sends("breaking").await;
    alice.sees("! only the newsroom speaks here").await;
}

/// A policy that admits only the boss to `secret`, and hides the room from all other members. The policy panics for the
/// room `broken`.
struct Discreet;

impl Policy for Discreet {
    async fn join(&self, who: &Visitor, room: &str) -> Decision {
        if self.may_see(who, room) {
            Decision::Allow
        } else {
            Decision::refuse("no such room")
        }
    }

    fn may_see(&self, who: &Visitor, room: &str) -> bool {
        assert_ne!(room, "broken", "a policy with a bug");
        let is_boss = who
            .nick
            .as_ref()
            .is_some_and(|nick| nick.as_str() == "boss");
        room != "secret" || is_boss
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_the_policy_hides_is_neither_listed_nor_are_its_members() {
    let mut limits = Limits::default();
    limits.rate = None;
    let mut hub = TestHub::build(Hub::builder().limits(limits).policy(Discreet));
    let [mut boss, mut alice] = crate::members(&mut hub, ["boss", "alice"]).await;
    let spy = hub.hub.session(Some("spy")).await.unwrap();
    let _in_secret = spy.join("secret").await.unwrap();
    let _in_broken = spy.join("broken").await.unwrap();
    alice.sends("/rooms").await;
    alice.sees("* rooms: lobby (2)").await;
    for room in ["secret", "#Secret", "broken", "nowhere"] {
        alice.sends(&format!("/who {room}")).await;
        alice
            .sees(&format!("! no such room: {room} (/rooms lists them)"))
            .await;
    }
    alice.sends("/join secret").await;
    alice.sees("! no such room").await;
    boss.sends("/rooms").await;
    boss.sees("* rooms: lobby (2), secret (1)").await;
    boss.sends("/who secret").await;
    boss.sees("* secret: 1 member: spy (operator)").await;
    // A member of a room sees the room regardless of the policy.
    boss.sends("/join secret").await;
    boss.sees_until_quiet().await;
    boss.sends("/nick retired").await;
    boss.sees("* you are now retired").await;
    boss.sends("/who secret").await;
    boss.sees("* secret: 2 members: retired, spy (operator)")
        .await;
}

/// A policy that appends the first letter to each text, refuses texts that contain the second letter, and hides rooms
/// whose names contain the first letter.
struct Letter(char, char);

impl Policy for Letter {
    async fn say(&self, _who: &Visitor, _room: &str, _kind: Kind, text: &str) -> Decision {
        if text.contains(self.1) {
            return Decision::refuse(format!("no {}", self.1));
        }
        Decision::Change(format!("{text}{}", self.0))
    }

    fn may_see(&self, _who: &Visitor, room: &str) -> bool {
        !room.contains(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn policies_are_asked_in_their_order_and_the_first_refusal_decides() {
    let builder = Hub::builder();
    let builder = builder.policy(Letter('x', 'q')).policy(Letter('y', 'z'));
    let mut hub = TestHub::build(builder);
    let (mut alice, mut bob) = (hub.member("alice").await, hub.member("bob").await);
    bob.sends("a").await;
    alice.sees_in_time("14:02 bob: axy").await;
    bob.sends("qz").await;
    bob.sees_in_time("! no q").await;
    bob.sends("z").await;
    bob.sees_in_time("! no z").await;
    // A room is hidden if any of the policies hides it.
    alice.sends("/join xroom").await;
    bob.sends("/who xroom").await;
    bob.sees_in_time("! no such room: xroom (/rooms lists them)")
        .await;
}

/// A policy for joins. It sends peers that join `ops` to another room, or refuses joins of one room.
enum Usher {
    Sends(&'static str),
    Refuses(&'static str),
}

impl Policy for Usher {
    async fn join(&self, _who: &Visitor, room: &str) -> Decision {
        match self {
            Self::Sends(other) if room == "ops" => Decision::Change((*other).to_owned()),
            Self::Refuses(refused) if room == *refused => Decision::refuse("not in there"),
            _ => Decision::Allow,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_policy_is_asked_about_the_folded_name_of_the_other_room() {
    let builder = Hub::builder().policy(Usher::Sends("Staff"));
    let mut hub = TestHub::build(builder.policy(Usher::Refuses("staff")));
    let mut bob = hub.member("bob").await;
    bob.sends("/join ops").await;
    bob.sees_in_time("! not in there").await;
}

/// A policy that hides the room's messages from sessions that only listen.
struct Blind;

impl Policy for Blind {
    fn may_see_members(&self, who: &Visitor, _room: &str) -> bool {
        who.nick
            .as_ref()
            .is_some_and(|nick| nick.as_str() == "alice")
    }

    async fn history(&self, who: &Visitor, room: &str) -> Decision {
        if self.may_see_members(who, room) {
            Decision::Allow
        } else {
            Decision::refuse("the history is for members of staff")
        }
    }

    async fn search(&self, _who: &Visitor, _room: &str, text: &str) -> Decision {
        match text {
            "secret" => Decision::refuse("not that word"),
            text => Decision::Change(text.replace("open", "hello")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_hides_members_history_and_what_a_search_finds() {
    let mut hub = TestHub::build(Hub::builder().policy(Blind));
    let mut alice = hub.member("alice").await;
    alice.sends("hello secret").await;
    let mut bob = hub.connect("bob");
    bob.sends("/who").await;
    bob.sees("* you are guest-2 in lobby: /nick NAME changes your nick, /help lists the commands")
        .await;
    bob.sees("* members here: 2").await;
    bob.sees("* lobby: 2 members").await;
    bob.sends("/history").await;
    bob.sees("! the history is for members of staff").await;
    bob.sends("/search secret").await;
    bob.sees("! not that word").await;
    bob.sends("/search open").await;
    bob.sees_that("it searches for the other word", |line| {
        line.ends_with("alice: hello secret")
    })
    .await;
    alice.sends("/history").await;
    alice.sees_in_time("14:02 alice: hello secret").await;
}
