//! This process's rooms and sessions.
//!
//! Invariant: the hub opens no socket and reads no environment variable. It starts no task until a member needs one.

use crate::admission::{ConnectionLimiter, SpareConnections};
use crate::event::CloseReason;
use crate::hub::authenticator::{AuthError, Credentials, DynAuthenticator, NotProved, Secret};
use crate::hub::builder::HubBuilder;
use crate::hub::cloak::Cloak;
use crate::hub::ended::Ended;
use crate::hub::operators::DynOperators;
use crate::hub::policy::DynPolicy;
use crate::hub::rooms::Rooms;
use crate::hub::roster::DynRoster;
use crate::hub::session_table::Sessions;
use crate::hub::watching::Watches;
use crate::limits::Limits;
use crate::log::{Account, DynJournal, JournalError, Keys, SessionId, Timestamp};
use crate::log_gate::LogGate;
use crate::name::{NameError, NameRules, RoomName};
use crate::peer::Peer;
use crate::room::{Closed, Feed, Participant, PublishError, RoomContext, Told};
use crate::stats::{Counters, Stats};
use crate::sync::{Mutex, Turns};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{MutexGuard, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Holds rooms and sessions. A `Hub` is a handle that is cheap to clone: all clones are the same hub.
///
/// A process may have several hubs. The tasks of a hub end when its last handle, session and member are dropped.
///
/// # Examples
///
/// ```
/// use chat_core::{Event, Hub};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::default();
/// let alice = hub.session(Some("alice")).await?;
/// let bob = hub.session(Some("bob")).await?;
/// let mut listening = alice.join("lobby").await?;
/// let talking = bob.join("lobby").await?;
///
/// talking.say("hello").await?;
/// # listening.next().await; // bob joined
/// let Some(Event::Message(message)) = listening.next().await else { panic!("a message") };
/// assert_eq!((message.from().as_str(), message.text()), ("bob", "hello"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hub(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) limits: Arc<Limits>,
    pub(super) names: NameRules,
    pub(super) clock: fn() -> Timestamp,
    pub(super) journal: Box<dyn DynJournal>,
    pub(super) lobby: RoomName,
    pub(super) motd: Vec<String>,
    pub(super) policy: Option<Arc<dyn DynPolicy>>,
    pub(super) authenticator: Option<Arc<dyn DynAuthenticator>>,
    /// Limits how many authentications run at the same time.
    pub(super) authenticating: Semaphore,
    pub(super) policy_log: LogGate,
    pub(super) operator_log: LogGate,
    pub(super) cloak: Cloak,
    pub(super) operators: Option<Arc<dyn DynOperators>>,
    pub(super) ended: Ended,
    pub(super) watches: Watches,
    pub(super) roster: Box<dyn DynRoster>,
    pub(super) participants: Sessions,
    pub(super) rooms: Mutex<Rooms>,
    pub(super) openings: Turns,
    /// Holds a lock for each session that is claiming another nick. The locks are here, so that an idle session needs
    /// none of its own.
    pub(super) renamings: Turns,
    /// Holds a lock for each nick that a guest is claiming, so that requests of guests under one nick take turns.
    pub(super) guest_nicks: Turns,
    /// The hub holds this lock while it reads the keys of recent messages from a log, so that it reads only one log at
    /// a time.
    pub(super) recalls: tokio::sync::Mutex<()>,
    pub(super) context: RoomContext,
    pub(super) counters: Arc<Counters>,
    pub(super) keys: Arc<Keys>,
    pub(super) limiter: ConnectionLimiter,
    pub(super) spares: SpareConnections,
    pub(super) sessions: AtomicU64,
    pub(super) guests: AtomicU64,
    pub(super) draining: CancellationToken,
}

impl Hub {
    /// Creates a hub with these limits. All its other parts are the defaults of [`HubBuilder`].
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::builder().limits(limits).build()
    }

    /// Returns a builder that sets the parts of a hub, such as its journal and its policies.
    #[must_use]
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// Returns how many sessions the hub has, in process and over connections.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.participants.len()
    }

    /// Returns counters of what the hub has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.counters().snapshot();
        stats.connections = self.limiter().len() as u64;
        stats.sessions = self.sessions() as u64;
        stats.rooms = self.0.rooms.lock().by_key.len() as u64;
        stats
    }

    /// Begins to shut down: the hub accepts no new session, its rooms accept no more messages, and each session is
    /// asked to end.
    ///
    /// Returns at once. Connections say goodbye to their peers and end. For a session in process,
    /// [`Session::next_direct`](crate::Session::next_direct), [`SessionEvents::next`](crate::SessionEvents::next) and
    /// [`Member::next`](crate::Member::next) return `None` once they have returned all earlier messages. The program
    /// must then drop the session.
    pub fn drain(&self) {
        self.0.draining.cancel();
        let rooms = self.all_rooms();
        // All rooms stop accepting messages first, so that all members see the same last message. The members in
        // process are woken last. They then notice that their sessions end.
        rooms.iter().for_each(|room| room.seal());
        self.0.participants.all().iter().for_each(|session| {
            session.ask_to_close(CloseReason::Draining);
        });
        rooms.iter().for_each(|room| room.nudge());
    }

    /// Returns whether [`drain`](Self::drain) was called on this hub.
    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.is_cancelled()
    }

    /// Waits until [`drain`](Self::drain) is called. Returns at once if the hub is draining already.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn drained(&self) {
        self.draining().await;
    }

    pub(crate) fn draining(&self) -> WaitForCancellationFutureOwned {
        self.0.draining.clone().cancelled_owned()
    }

    /// Tells the hub that the program at this peer's address opens spare connections: connections that stay silent
    /// until the program needs one, which may be never. Browsers do so. A protocol that takes over the stream calls
    /// this when it recognises such a program; HTTP does, when a browser requests the page.
    ///
    /// The server must not greet a spare connection in plain: a guest would join the lobby and leave it again, and the
    /// program would find the greeting instead of an answer. So the call changes what the silence of a connection from
    /// the same address means:
    ///
    /// - A connection that was opened in the 2 s before or after the call, and that was not greeted yet, is taken for a
    ///   spare one. Its first bytes select the protocol as always, so a person on such a connection is greeted with
    ///   their first line. Silence greets it only after [`Limits::spare_greet_after`].
    /// - Any other connection that is opened in the hour after the call is greeted after 2 s of silence, if
    ///   [`Limits::greet_after`] is shorter.
    ///
    /// The call concerns all peers of the address, and the addresses of one IPv6 /64 network are one. A peer can
    /// therefore delay the greeting of silent peers behind the same address, but not prevent that they talk. Loopback
    /// is an address like any other here. Without an address, the call does nothing.
    ///
    /// Only a server with a protocol that [may take over](crate::protocol::Detector::may_take_over) the stream treats
    /// silence in this way. The call changes nothing if `spare_greet_after` is `None`. The hub remembers at most 8,192
    /// addresses, and forgets the oldest first.
    pub fn expect_spare_connections(&self, peer: &Peer) {
        if let Some(address) = peer.address() {
            self.spares().note(address.ip(), Instant::now());
        }
    }

    /// Returns the hub's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Returns how the hub parses and compares names.
    #[must_use]
    pub fn names(&self) -> &NameRules {
        &self.0.names
    }

    /// Returns the room that peers over a connection join first.
    #[must_use]
    pub fn lobby(&self) -> &RoomName {
        &self.0.lobby
    }

    /// Returns the message of the day, which peers over a connection receive first, line by line.
    #[must_use]
    pub fn motd(&self) -> &[String] {
        &self.0.motd
    }

    /// Returns an id that no other session of this hub has.
    pub(crate) fn next_session_id(&self) -> SessionId {
        SessionId(self.0.sessions.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits for the session's turn to change its nick. The turn ends when the guard is dropped. Cancel safe.
    pub(crate) async fn renaming(&self, session: SessionId) -> MutexGuard<'_, ()> {
        self.0.renamings.turn(&session).await
    }

    /// Waits for a guest's turn to claim this nick. The turn ends when the guard is dropped. Cancel safe.
    pub(crate) async fn guest_turn(&self, nick: &str) -> MutexGuard<'_, ()> {
        self.0.guest_nicks.turn(&self.fold(nick)).await
    }

    pub(crate) fn next_guest(&self) -> u64 {
        self.0.guests.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    pub(crate) fn fold(&self, name: &str) -> String {
        (self.0.names.fold)(name)
    }

    /// Parses the name of a room that a peer wants to enter. Returns the name and its key.
    pub(crate) fn room_name(&self, typed: &str) -> Result<(RoomName, String), NameError> {
        let name = self.names().room(typed)?;
        let key = self.fold(name.as_str());
        Ok((name, key))
    }

    /// Returns the key of the room that a peer names; see [`NameRules::room_key`].
    pub(crate) fn room_key(&self, typed: &str) -> Option<String> {
        self.names().room_key(typed)
    }

    /// Returns the text, unless it is longer than [`Limits::text_bytes`].
    pub(crate) fn checked<'a>(&self, text: &'a str) -> Result<&'a str, PublishError> {
        let limit = self.limits().text_bytes.get();
        if text.len() > limit {
            Err(PublishError::TooLong(limit))
        } else {
            Ok(text)
        }
    }

    pub(crate) fn roster(&self) -> &dyn DynRoster {
        &*self.0.roster
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Logs that a journal failed, once a second at most. The log names the cause for the operator; peers do not see
    /// it.
    pub(crate) fn log_journal_failure(&self, room: &str, error: &JournalError) {
        self.0.context.log_journal_failure(room, error);
    }

    pub(crate) fn policy(&self) -> Option<&Arc<dyn DynPolicy>> {
        self.0.policy.as_ref()
    }

    /// Finds the account of a peer that has not sent anything. If the authenticator fails or does not answer in time,
    /// the peer has no account.
    ///
    /// # Errors
    ///
    /// Returns an error if the peer must not be admitted.
    pub(crate) async fn authenticate_peer(
        &self,
        peer: &Peer,
    ) -> Result<Option<Account>, AuthError> {
        let found = self.find_account(peer, Credentials::Peer).await;
        found.unwrap_or(Ok(None))
    }

    /// Finds the account that credentials prove. The caller must hold [a permit](Self::turn_to_authenticate).
    ///
    /// # Errors
    ///
    /// Returns an error if the credentials are wrong, or if the authenticator failed.
    pub(crate) async fn authenticate(
        &self,
        peer: &Peer,
        credentials: Credentials<'_>,
    ) -> Result<Account, NotProved> {
        if !self.has_authenticator() {
            return Err(NotProved::Unknown("this server has no accounts"));
        }
        match self.find_account(peer, credentials).await {
            Some(Ok(Some(account))) => Ok(account),
            Some(Ok(None)) => Err(NotProved::Wrong(AuthError::new("no account is known"))),
            Some(Err(error)) => Err(NotProved::Wrong(error)),
            None => Err(NotProved::Unknown(
                "accounts can't be looked up now, try again",
            )),
        }
    }

    /// Checks whether a peer may become a server operator. The caller must hold [a permit](Self::turn_to_authenticate).
    ///
    /// # Errors
    ///
    /// Returns an error if the name or the password is wrong, or if they could not be checked.
    pub(crate) async fn check_operator(
        &self,
        peer: &Peer,
        name: &str,
        password: &Secret<'_>,
    ) -> Result<(), NotProved> {
        let Some(operators) = &self.0.operators else {
            return Err(NotProved::Unknown("this server has no operators"));
        };
        let checking = Arc::clone(operators).check(peer, name, password);
        let checked = tokio::time::timeout(self.limits().policy_timeout, checking).await;
        match checked.ok().flatten() {
            Some(checked) => checked.map_err(NotProved::Wrong),
            None => {
                self.note_policy_failure();
                Err(NotProved::Unknown(
                    "operators can't be looked up now, try again",
                ))
            }
        }
    }

    /// Waits for a turn to authenticate. The turn ends when the permit is dropped. Returns `None` if no turn comes
    /// within [`Limits::policy_timeout`].
    pub(crate) async fn turn_to_authenticate(&self) -> Option<SemaphorePermit<'_>> {
        let turn = self.0.authenticating.acquire();
        let turn = tokio::time::timeout(self.limits().policy_timeout, turn);
        turn.await.ok()?.ok()
    }

    /// Asks the authenticator. Returns `None` if the hub has no authenticator, or if the authenticator panicked or did
    /// not answer in time.
    async fn find_account(
        &self,
        peer: &Peer,
        credentials: Credentials<'_>,
    ) -> Option<Result<Option<Account>, AuthError>> {
        let authenticator = Arc::clone(self.0.authenticator.as_ref()?);
        let finding = authenticator.authenticate(peer, credentials);
        let found = tokio::time::timeout(self.limits().policy_timeout, finding).await;
        let found = found.ok().flatten();
        if found.is_none() {
            self.note_policy_failure();
        }
        found
    }

    pub(crate) fn has_authenticator(&self) -> bool {
        self.0.authenticator.is_some()
    }

    /// Returns whether a connection must keep this `Peer`. It must if the hub has a policy, an authenticator or
    /// operators, or if the program has proved the peer's account.
    pub(crate) fn is_interested_in(&self, peer: &Peer) -> bool {
        self.0.policy.is_some()
            || self.0.authenticator.is_some()
            || self.0.operators.is_some()
            || peer.get::<Account>().is_some()
    }

    /// Counts a failure of the policy or of the authenticator: a panic, or no answer in time. Logs such failures once a
    /// second at most.
    pub(crate) fn note_policy_failure(&self) {
        self.counters().policy_failures.add(1);
        if self.0.policy_log.opens() {
            let timeout = self.limits().policy_timeout;
            tracing::error!(
                ?timeout,
                "the policy panicked or did not answer in time: refused"
            );
        }
    }

    /// Logs that the peer of a session has failed to become an operator: at most once a second. The host stands for the
    /// peer, because no log line of this level contains an address.
    pub(crate) fn log_failed_operator(&self, session: &Participant) {
        if self.0.operator_log.opens() {
            let (nick, user_host) = (session.nick(), session.user_host());
            tracing::warn!(%nick, host = user_host.host(), "a peer failed to become an operator");
        }
    }

    pub(crate) fn feed(&self) -> &Feed<Told, Closed> {
        &self.0.context.feed
    }

    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.0.keys
    }

    pub(crate) fn limiter(&self) -> &ConnectionLimiter {
        &self.0.limiter
    }

    pub(crate) fn spares(&self) -> &SpareConnections {
        &self.0.spares
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}
