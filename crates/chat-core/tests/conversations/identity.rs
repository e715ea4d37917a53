//! Authenticated accounts: an authenticator finds them, policies see them, and the journal stores them with messages.

use bytes::{BufMut, BytesMut};
use chat_core::auth::{AuthError, Authenticator, Credentials, Secret};
use chat_core::log::{Account, Span};
use chat_core::policy::{Decision, Policy, Visitor};
use chat_core::protocol::{
    Broadcast, Command, Commands, Detected, Detection, Detector, Dialect, DialectOptions, Encoder,
    Greeting, JoinRequest, Moment, Reply,
};
use chat_core::{CloseReason, Direct, Echo, Hub, Kind, Peer, Seq};
use chat_testkit::TestHub;
use std::sync::Arc;

/// The name of the user at the other end of a Unix socket.
struct User(&'static str);

/// An authenticator that knows the users of this machine, and one password. The authenticator never answers for the
/// account `slow`, and panics for the account `bug`.
struct Users;

impl Authenticator for Users {
    async fn authenticate(
        &self,
        peer: &Peer,
        credentials: Credentials<'_>,
    ) -> Result<Option<Account>, AuthError> {
        match credentials {
            Credentials::Peer => match peer.get::<User>() {
                Some(User("mallory")) => Err(AuthError::new("mallory is not let in")),
                Some(User("slow")) => std::future::pending().await,
                Some(User("later")) => {
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    Ok(Account::parse("later").ok())
                }
                Some(User("bug")) => panic!("an authenticator with a bug"),
                user => Ok(user.and_then(|User(name)| Account::parse(name).ok())),
            },
            Credentials::Password { account, password } if password.reveal() == "swordfish" => {
                Ok(Account::parse(&account).ok())
            }
            _ => Err(AuthError::new("wrong account or password")),
        }
    }
}

/// A policy that allows only peers with an account to speak.
struct AccountsOnly;

impl Policy for AccountsOnly {
    async fn say(&self, who: &Visitor, _room: &str, _kind: Kind, _text: &str) -> Decision {
        match &who.account {
            Some(_) => Decision::Allow,
            None => Decision::refuse("log in first"),
        }
    }
}

/// A policy that makes the name of the account the nick, before the session is created.
struct NickOfAccount;

impl Policy for NickOfAccount {
    async fn connect(&self, who: &Visitor, _nick: Option<&str>) -> Decision {
        match &who.account {
            Some(account) => Decision::Change(account.to_string()),
            None => Decision::Allow,
        }
    }
}

fn hub() -> TestHub {
    let builder = Hub::builder().authenticator(Users);
    TestHub::build(builder.policy(NickOfAccount).policy(AccountsOnly))
}

async fn accounts(hub: &TestHub) -> Vec<(String, Option<Account>)> {
    let page = hub
        .hub
        .history("lobby", Span::Before(Seq::END), 9)
        .await
        .unwrap();
    let slices = page.slices.iter();
    slices
        .map(|slice| {
            (
                slice.batch.from().to_string(),
                slice.batch.account().cloned(),
            )
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_known_has_its_account_for_policies_and_in_the_log() {
    let mut hub = hub();
    let mut alice = hub.connect_as("alice", Peer::default().with(User("alice")));
    alice.sends("hello").await;
    alice
        .sees_in_time(
            "* you are alice in lobby: /nick NAME changes your nick, /help lists the commands",
        )
        .await;
    alice.sends("/nick 앨리스").await;
    alice.sees_in_time("* you are now 앨리스").await;
    alice.sends("again").await;
    let mut guest = hub.connect("guest");
    guest.sends("hello").await;
    guest.sees_in_time("! log in first").await;
    let alice = Account::parse("alice").ok();
    let expected = [
        ("alice".to_owned(), alice.clone()),
        ("앨리스".to_owned(), alice),
    ];
    assert_eq!(accounts(&hub).await, expected);
}

#[tokio::test(start_paused = true)]
async fn wrong_peers_are_refused_and_what_is_not_found_in_time_is_not_known() {
    let mut hub = hub();
    let _mallory = hub.connect_as("mallory", Peer::default().with(User("mallory")));
    assert_eq!(hub.ended().await, CloseReason::Refused);
    for user in ["slow", "bug"] {
        let mut peer = hub.connect_as(user, Peer::default().with(User(user)));
        peer.sends("hello").await;
        peer.sees_in_time("! log in first").await;
    }
    assert_eq!(hub.hub.stats().policy_failures, 2);
}

/// The connection reads the bytes that a peer has already sent before it treats the peer as silent. So a program does
/// not get the greeting for people.
#[tokio::test(start_paused = true)]
async fn a_peer_that_has_spoken_is_not_greeted_however_long_the_authenticator_takes() {
    let mut hub = hub().protocol(Login(Arc::new(Texts)));
    let mut kim = hub.connect_as("kim", Peer::default().with(User("later")));
    kim.sends("LOGIN kim swordfish").await;
    kim.sees("WELCOME kim").await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_the_program_knows_is_kept_without_policy_or_authenticator() {
    let mut hub = TestHub::default();
    let kim = Account::parse("kim").unwrap();
    let mut peer = hub.connect_as("kim", Peer::default().with(kim.clone()));
    peer.sends("hello").await;
    peer.sees_in_time("* nobody else is here yet").await;
    assert_eq!(accounts(&hub).await, [("guest-1".to_owned(), Some(kim))]);
}

#[tokio::test(start_paused = true)]
async fn a_program_sets_the_account_of_its_own_session() {
    let hub = hub();
    let session = hub.hub.session(Some("bot")).await.unwrap();
    session.set_account(Account::parse("robots").ok());
    let member = session.join("lobby").await.unwrap();
    member.say("beep").await.unwrap();
    let expected = [("bot".to_owned(), Account::parse("robots").ok())];
    assert_eq!(accounts(&hub).await, expected);
}

#[test]
fn a_secret_is_never_printed() {
    let password = Secret::new("swordfish");
    let printed = format!(
        "{:?}",
        Credentials::Password {
            account: "alice".into(),
            password
        }
    );
    assert!(
        printed.contains("alice") && !printed.contains("swordfish"),
        "{printed}"
    );
}

/// A dialect in which a peer logs in with `LOGIN account password`, and then talks.
pub(crate) struct Login(pub(crate) Arc<Texts>);

pub(crate) struct Texts;

impl Encoder for Texts {
    fn encode(&self, item: &Broadcast<'_>, _moment: Moment, out: &mut BytesMut) {
        if let Broadcast::Messages(batch, range) = item {
            for message in batch.messages(range.clone()) {
                out.put_slice(format!("{}\n", message.text).as_bytes());
            }
        }
    }
}

impl Detector for Login {
    fn detect(&self, prefix: &[u8]) -> Detection {
        match prefix.starts_with(b"LOGIN ") {
            true => Detection::Found(Detected::Dialect(Box::new(Self(Arc::clone(&self.0))))),
            false => Detection::NotFound,
        }
    }
}

impl Dialect for Login {
    fn name(&self) -> &'static str {
        "login"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        Arc::<Texts>::clone(&self.0)
    }

    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn options(&self) -> DialectOptions {
        DialectOptions::default()
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        let words: Vec<&str> = line.split(' ').collect();
        let Some(("LOGIN", [account, password])) =
            words.split_first().map(|(first, rest)| (*first, rest))
        else {
            commands.push(Command::Say {
                room: None,
                text: line.into(),
                key: None,
            });
            return;
        };
        commands.push(Command::Authenticate(Credentials::Password {
            account: (*account).into(),
            password: Secret::new(*password),
        }));
        commands.push(Command::Join(JoinRequest::new("lobby".into())));
    }

    fn greet(&mut self, _: &Greeting<'_>, _: &mut BytesMut) {}

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        match reply {
            Reply::Authenticated(account) => {
                out.put_slice(format!("WELCOME {account}\n").as_bytes())
            }
            Reply::Refused(refusal) | Reply::Unpublished(_, refusal) => {
                out.put_slice(format!("NO {refusal}\n").as_bytes());
            }
            _ => {}
        }
    }

    fn direct(&mut self, _: &Direct, _: &mut BytesMut) {}

    fn goodbye(&mut self, _: &CloseReason, _: &mut BytesMut) {}
}

#[tokio::test(start_paused = true)]
async fn a_dialect_proves_an_account_by_a_password() {
    let mut hub = hub().protocol(Login(Arc::new(Texts)));
    let mut kim = hub.connect("kim");
    kim.sends("LOGIN kim sardine").await;
    kim.sees("NO wrong account or password").await;
    kim.sends("hello").await;
    kim.sees("NO log in first").await;
    kim.sends("LOGIN kim swordfish").await;
    kim.sees("WELCOME kim").await;
    kim.sees_that("it is in the lobby already", |line| {
        line.starts_with("NO you are in")
    })
    .await;
    kim.sends("hello").await;
    kim.sees_nothing().await;
    let (_, account) = accounts(&hub).await.pop().unwrap();
    assert_eq!(account, Account::parse("kim").ok());
}
