//! What questions about sessions cost, how many sessions they look at, and what they keep to themselves.

use super::*;
use chat_core::auth::{Authenticator, Credentials};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

/// Builds a hub with the default rate limits.
fn limited() -> TestHub {
    let cloak = |address: std::net::IpAddr| format!("hidden-{}", address.to_string().len());
    TestHub::build(Hub::builder().cloak(cloak)).protocol(Ask::default())
}

/// Sends each of these lines 15 times. Returns the time until the last one is answered.
async fn time_of(wire: &mut Wire, lines: [&str; 2]) -> Duration {
    let start = Instant::now();
    for _ in 0..15 {
        for line in lines {
            wire.sends(line).await;
            wire.sees_that("an answer", |_| true).await;
        }
    }
    start.elapsed()
}

async fn share(hub: &Hub, nick: &str) -> chat_core::Session {
    let device = hub.session(None).await.unwrap();
    device.set_account(Account::parse(nick).ok());
    device.rename(nick).await.unwrap();
    device
}

#[tokio::test(start_paused = true)]
async fn a_real_name_does_not_look_like_an_account_or_an_operator() {
    let mut hub = unlimited();
    let [mut alice] = crate::members(&mut hub, ["alice"]).await;
    let kim = hub.hub.session(Some("kim")).await.unwrap();
    kim.set_real_name("Kim, account admin, a server operator");
    kim.set_user("k,");
    alice.sends("/whois kim").await;
    alice.sees("* kim: k@local").await;
    alice
        .sees("* kim calls itself: Kim, account admin, a server operator")
        .await;
}

/// Counts how often it is asked whether a room may be seen. Hides the members of the room `ops`.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Policy for Counting {
    fn may_see(&self, _: &Visitor, _: &str) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn may_see_members(&self, _: &Visitor, room: &str) -> bool {
        room != "ops"
    }
}

#[tokio::test(start_paused = true)]
async fn a_lookup_of_a_shared_nick_looks_at_few_of_its_sessions_and_once_at_each_room() {
    let counting = Counting::default();
    let mut hub = build(Hub::builder().policy(counting.clone()));
    let mut lee = peer(&mut hub, "lee").await;
    let (mut devices, mut members) = (Vec::new(), Vec::new());
    for number in 0..40 {
        let device = share(&hub.hub, "kim").await;
        members.push(device.join("common").await.unwrap());
        members.push(device.join(&*format!("r{number}")).await.unwrap());
        devices.push(device);
    }
    assert_eq!(hub.hub.whois("kim").unwrap().sessions, 16);
    lee.sends("WHOIS kim").await;
    lee.sees_that("an answer", |line| line.contains("sessions: 16"))
        .await;
    assert_eq!(counting.0.load(Ordering::Relaxed), 17);
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_members_are_hidden_is_named_only_to_its_members() {
    let mut hub = build(Hub::builder().policy(Counting::default()));
    let [mut kim, mut lee] = [peer(&mut hub, "kim").await, peer(&mut hub, "lee").await];
    for room in ["ops", "shown"] {
        kim.sends(&format!("JOIN {room}")).await;
        kim.sees_until_quiet().await;
    }
    for rooms in ["shown", "ops; shown"] {
        let rooms = format!("rooms: {rooms},");
        lee.sends("WHOIS kim").await;
        lee.sees_that("the rooms that it may see", |line| line.contains(&rooms))
            .await;
        lee.sends("JOIN ops").await;
        lee.sees_until_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_nick_under_which_nobody_was_welcomed_is_not_remembered() {
    let mut hub = hub();
    let mut kim = peer(&mut hub, "kim").await;
    let mut lee = hub.connect("lee");
    lee.sends("ASK").await;
    lee.sends("HELLO kim").await;
    lee.sees("no: kim is taken: choose another nick").await;
    for number in 0..10 {
        let guest = format!("guest-{number}");
        assert!(hub.hub.ended_sessions(&guest).is_empty(), "{guest}");
    }
    kim.sends("QUIT").await;
    kim.sees_the_end().await;
    assert_eq!(hub.hub.ended_sessions("kim").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rename_is_charged_for_those_who_watch_the_nick() {
    let mut hub = limited();
    let mut kim = peer(&mut hub, "kim").await;
    let mut watchers = Vec::new();
    for number in 0..128 {
        let watcher = hub.hub.session(Some(&format!("n{number}"))).await.unwrap();
        watcher.watch(&["kim", "rob"]).unwrap();
        watchers.push(watcher);
    }
    let late = hub.hub.session(Some("late")).await.unwrap();
    assert_eq!(late.watch(&["kim"]).unwrap_err().refused, ["kim"]);
    let names = ["NICK rob", "NICK kim"];
    let start = Instant::now();
    for name in names.repeat(10) {
        kim.sends(name).await;
    }
    // The dialect does not answer `NICK`, so another answer shows that all renames are done.
    kim.sends("ONLINE kim").await;
    kim.sees_that("an answer", |_| true).await;
    // Each rename tells 256 watchers, and costs 9 lines.
    assert!(
        start.elapsed() > Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn long_questions_and_announced_changes_are_charged_like_several_lines() {
    let nicks: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    let nicks = nicks.join(",");
    let online = format!("ONLINE {nicks}");
    let watch = format!("WATCH {nicks}");
    let mut hub = limited();
    let mut kim = peer(&mut hub, "kim").await;
    let cheap = time_of(&mut kim, ["ONLINE a", "WATCHED"]).await;
    assert!(cheap < Duration::from_secs(4), "{cheap:?}");
    for lines in [[&*online, &*online], [&*watch, "UNWATCH a"]] {
        let mut rob = peer(&mut hub, "rob").await;
        let long = time_of(&mut rob, lines).await;
        assert!(long > Duration::from_secs(8), "{lines:?} {long:?}");
        rob.sends("QUIT").await;
        rob.sees_the_end().await;
    }
    let mut lee = peer(&mut hub, "lee").await;
    asks(&mut lee, "AWAY a", "away: Some(\"a\")").await;
    for room in ["a", "b", "c", "d", "e"] {
        lee.sends(&format!("JOIN {room}")).await;
        lee.sees_that("an answer", |_| true).await;
    }
    let away = time_of(&mut lee, ["AWAY", "AWAY a"]).await;
    assert!(away > Duration::from_secs(20), "{away:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_watched_nicks_is_charged_for_its_length() {
    let mut hub = limited();
    let mut kim = peer(&mut hub, "kim").await;
    let nicks: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
    kim.sends(&format!("WATCH {}", nicks.join(","))).await;
    kim.sees_that("an answer", |_| true).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let time = time_of(&mut kim, ["WATCHED", "WATCHED"]).await;
    assert!(time > Duration::from_secs(20), "{time:?}");
}

/// Knows one password.
struct Passwords;

impl Authenticator for Passwords {
    async fn authenticate(
        &self,
        _: &Peer,
        credentials: Credentials<'_>,
    ) -> Result<Option<Account>, AuthError> {
        match credentials {
            Credentials::Password { account, password } if password.reveal() == "swordfish" => {
                Ok(Account::parse(&account).ok())
            }
            Credentials::Password { .. } => Err(AuthError::new("wrong account or password")),
            _ => Ok(None),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_does_not_permit_further_guesses_of_an_operators_password() {
    let mut hub = build(Hub::builder().operators(Admin).authenticator(Passwords));
    let mut kim = peer(&mut hub, "kim").await;
    for guess in 1..=5 {
        kim.sends("OPER admin sardine").await;
        kim.sees_in_time("no: wrong name or password").await;
        if guess < 5 {
            kim.sends("LOGIN kim swordfish").await;
            kim.sees_in_time("logged in as kim").await;
        }
    }
    kim.sees("bye: too many failed logins").await;
    assert_eq!(hub.ended().await, CloseReason::NotAuthenticated);
}
