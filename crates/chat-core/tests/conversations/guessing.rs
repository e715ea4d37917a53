//! Guessing passwords is slow, and affects only the peer that guesses.

use crate::identity::{Login, Texts};
use chat_core::auth::{AuthError, Authenticator, Credentials};
use chat_core::log::Account;
use chat_core::{CloseReason, Hub, Limits, Peer};
use chat_testkit::{TestHub, Wire};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// An authenticator with one password. It never answers for the password `slow`, and counts its calls.
#[derive(Clone, Default)]
struct Passwords(Arc<Counts>);

#[derive(Default)]
struct Counts {
    asked: AtomicUsize,
    running: AtomicUsize,
}

impl Passwords {
    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::Relaxed)
    }

    fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }
}

struct Running(Arc<Counts>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Authenticator for Passwords {
    async fn authenticate(
        &self,
        _: &Peer,
        credentials: Credentials<'_>,
    ) -> Result<Option<Account>, AuthError> {
        let Credentials::Password { account, password } = credentials else {
            return Ok(None);
        };
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        self.0.running.fetch_add(1, Ordering::Relaxed);
        let _running = Running(Arc::clone(&self.0));
        match password.reveal() {
            "slow" => std::future::pending().await,
            "swordfish" => Ok(Account::parse(&account).ok()),
            _ => {
                // This delay stands for the time that hashing a password takes.
                tokio::time::sleep(Duration::from_millis(10)).await;
                Err(AuthError::new("wrong account or password"))
            }
        }
    }
}

fn hub(change: impl FnOnce(&mut Limits)) -> (TestHub, Passwords) {
    let mut limits = Limits::default();
    change(&mut limits);
    let passwords = Passwords::default();
    let builder = Hub::builder().limits(limits);
    let hub = TestHub::build(builder.authenticator(passwords.clone()));
    (hub.protocol(Login(Arc::new(Texts))), passwords)
}

fn unlimited(limits: &mut Limits) {
    limits.rate = None;
}

async fn tries(hub: &mut TestHub, name: &str, password: &str) -> Wire {
    let mut wire = hub.connect(name);
    wire.sends(&format!("LOGIN {name} {password}")).await;
    wire
}

/// Lets the hub process everything that it has received.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

const WRONG: &str = "NO wrong account or password";

#[tokio::test(start_paused = true)]
async fn only_so_many_authentications_run_at_once_and_one_that_waits_too_long_is_refused() {
    let (mut hub, passwords) = hub(|limits| limits.authentications = NonZeroUsize::MIN);
    let mut one = tries(&mut hub, "one", "slow").await;
    settle().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut two = tries(&mut hub, "two", "slow").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut three = tries(&mut hub, "three", "swordfish").await;
    settle().await;
    assert_eq!((passwords.running(), passwords.asked()), (1, 1));
    one.sees_in_time("NO accounts can't be looked up now, try again")
        .await;
    settle().await;
    assert_eq!((passwords.running(), passwords.asked()), (1, 2));
    three
        .sees_in_time("NO too many peers log in now, try again")
        .await;
    assert_eq!(passwords.asked(), 2);
    two.sees_in_time("NO accounts can't be looked up now, try again")
        .await;
    three.sends("LOGIN three swordfish").await;
    three.sees_in_time("WELCOME three").await;
    assert_eq!(passwords.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_gone_gives_its_turn_back() {
    let (mut hub, passwords) = hub(|limits| limits.authentications = NonZeroUsize::MIN);
    let _slow = tries(&mut hub, "slow", "slow").await;
    settle().await;
    let _waits = tries(&mut hub, "waits", "slow").await;
    settle().await;
    assert_eq!(passwords.running(), 1);
    hub.cuts_all().await;
    assert_eq!(passwords.running(), 0);
    let start = Instant::now();
    let mut kim = tries(&mut hub, "kim", "swordfish").await;
    kim.sees("WELCOME kim").await;
    assert!(start.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn an_authenticator_that_hangs_holds_up_no_delivery_and_no_drain() {
    let (mut hub, passwords) = hub(|limits| limits.authentications = NonZeroUsize::MIN);
    let mut alice = hub.member("alice").await;
    let mut kim = tries(&mut hub, "kim", "swordfish").await;
    kim.sees("WELCOME kim").await;
    kim.sends("LOGIN kim slow").await;
    let _waits = tries(&mut hub, "waits", "slow").await;
    settle().await;
    assert_eq!(passwords.running(), 1);
    let start = Instant::now();
    alice.sends("hello").await;
    // While a member waits for its own authentication, it still receives the messages of other members.
    kim.sees_in_time("hello").await;
    assert!(start.elapsed() < Duration::from_millis(100));
    hub.hub.drain();
    for _ in 0..3 {
        let ended = tokio::time::timeout(Duration::from_secs(1), hub.ended());
        assert_eq!(ended.await, Ok(CloseReason::Draining));
    }
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn several_wrong_passwords_in_a_row_end_the_connection() {
    let (mut hub, passwords) = hub(unlimited);
    let failures = Limits::default().failed_authentications.get() as usize;
    let mut kim = hub.connect("kim");
    for password in ["sardine", "swordfish"].repeat(failures) {
        kim.sends(&format!("LOGIN kim {password}")).await;
        let answer = kim.sees_that("it is answered", |line| !line.contains("NO you are in"));
        assert_eq!(answer.await == WRONG, password == "sardine");
        kim.sees_until_quiet().await;
    }
    assert_eq!(passwords.asked(), 2 * failures);
    for _ in 0..failures + 1 {
        kim.sends("LOGIN kim sardine").await;
    }
    let told = kim.sees_the_end().await;
    let wrong = told.iter().filter(|line| *line == WRONG);
    assert_eq!(wrong.count(), failures, "{told:?}");
    assert_eq!(passwords.asked(), 3 * failures);
    drop(kim);
    assert_eq!(hub.ended().await, CloseReason::NotAuthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_costs_its_connection_much_more_than_a_line() {
    let (mut hub, _) = hub(|limits| limits.failed_authentications = NonZeroU32::MAX);
    let mut kim = hub.connect("kim");
    kim.sends("LOGIN kim sardine").await;
    kim.sees_in_time(WRONG).await;
    let mut start = Instant::now();
    for least in [Duration::from_millis(900), Duration::from_secs(5)] {
        kim.sends("LOGIN kim sardine").await;
        kim.sees_in_time(WRONG).await;
        assert!(start.elapsed() >= least, "{:?}", start.elapsed());
        start = Instant::now();
    }
}

fn at(address: &str) -> Peer {
    Peer::from(address.parse::<SocketAddr>().unwrap())
}

#[tokio::test(start_paused = true)]
async fn wrong_passwords_cost_their_address_however_many_connections_it_has() {
    let (mut hub, passwords) = hub(unlimited);
    let (burst, more) = (40, 10 + Limits::default().authentications.get());
    let mut guessers = Vec::new();
    for number in 0..200 {
        let mut guesser = hub.connect_as(&format!("guesser-{number}"), at("192.0.2.1:1000"));
        guesser.sends("LOGIN kim sardine").await;
        guessers.push(guesser);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = passwords.asked();
    assert!((burst..=burst + more).contains(&asked), "{asked}");
    guessers[199]
        .sees_that("its address must wait", |line| {
            line.starts_with("NO your address asks for too much: try again in")
        })
        .await;
    // Peers from another address need not wait.
    let mut kim = hub.connect_as("kim", at("192.0.2.2:1000"));
    kim.sends("LOGIN kim swordfish").await;
    kim.sees_in_time("WELCOME kim").await;
    // Peers from the first address must wait for at most a minute.
    tokio::time::sleep(Duration::from_secs(60)).await;
    guessers[199].sends("LOGIN kim swordfish").await;
    guessers[199].sees_in_time("WELCOME kim").await;
}
