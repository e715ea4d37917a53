//! The parts of a hub, and their defaults.

use crate::admission::{ConnectionLimiter, SpareConnections};
use crate::hub::authenticator::{Authenticator, DynAuthenticator};
use crate::hub::cloak::{Cloak, HostOf};
use crate::hub::ended::Ended;
use crate::hub::hub::{Hub, Inner};
use crate::hub::local_roster::LocalRoster;
use crate::hub::operators::{DynOperators, Operators};
use crate::hub::policy::{DynPolicy, InOrder, Policy};
use crate::hub::rooms::Rooms;
use crate::hub::roster::{DynRoster, Roster};
use crate::hub::session_table::Sessions;
use crate::hub::watching::Watches;
use crate::limits::Limits;
use crate::log::{DynJournal, Journal, Keys, MemoryJournal, SessionId, Timestamp};
use crate::log_gate::LogGate;
use crate::name::{NameRules, RoomName};
use crate::room::{Feed, RoomContext, SearchQueue};
use crate::sync::{Mutex, Turns};
use crate::text;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Builds a hub from its parts. Every part has a working default.
pub struct HubBuilder {
    limits: Limits,
    names: NameRules,
    clock: fn() -> Timestamp,
    journal: Option<Box<dyn DynJournal>>,
    lobby: Option<RoomName>,
    motd: Vec<String>,
    policies: Vec<Arc<dyn DynPolicy>>,
    authenticator: Option<Arc<dyn DynAuthenticator>>,
    cloak: Option<HostOf>,
    operators: Option<Arc<dyn DynOperators>>,
    roster: Option<Box<dyn DynRoster>>,
    delivery_tasks: usize,
    incarnation: u32,
}

impl HubBuilder {
    /// Sets the hub's limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how names are parsed and compared.
    #[must_use]
    pub const fn names(mut self, names: NameRules) -> Self {
        self.names = names;
        self
    }

    /// Sets the journal, which keeps the rooms' logs. The default is a [`MemoryJournal`].
    #[must_use]
    pub fn journal(mut self, journal: impl Journal) -> Self {
        self.journal = Some(Box::new(journal));
        self
    }

    /// Sets the room that peers over a connection join first; the default is `lobby`.
    #[must_use]
    pub fn lobby(mut self, room: RoomName) -> Self {
        self.lobby = Some(room);
        self
    }

    /// Sets the message of the day, which peers over a connection receive first. Control characters are removed.
    #[must_use]
    pub fn motd(mut self, motd: &str) -> Self {
        self.motd = motd
            .lines()
            .map(|line| text::clean(line).into_owned())
            .collect();
        self
    }

    /// Adds a policy, which decides what peers may do. The hub asks policies in the order in which they were added.
    /// Without a policy, peers may do all that the limits allow.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policies.push(Arc::new(policy));
        self
    }

    /// Sets the authenticator, which finds the accounts of peers. Without an authenticator no peer has an account.
    #[must_use]
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// Sets who may become a server operator. Without it, no peer may.
    #[must_use]
    pub fn operators(mut self, operators: impl Operators) -> Self {
        self.operators = Some(Arc::new(operators));
        self
    }

    /// Sets the function that returns the host which other members see of a peer, from the peer's address. The host
    /// should hide the address. Characters that a host can't have are removed, and what is longer than
    /// [`UserHost::HOST_BYTES_MAX`](crate::log::UserHost::HOST_BYTES_MAX) is cut off.
    ///
    /// By default, the host is a keyed hash of the address and of its networks, such as `h3xk2mp0.9f0c2d7e.kq4z8w2a.ip`:
    /// the parts stand for the address, its /24 and its /16, or for the /64, /48 and /32 of an IPv6 address. So a mask
    /// can match a network. The key is random: after a restart, and on another node, an address has another host. A
    /// program that stores masks, or has several nodes, sets a function with a key of its own.
    ///
    /// A session with an account has the host `ACCOUNT.account` instead, and a session without an address `local`. The
    /// function is not called for accounts: every peer may learn the id of an account, so there is nothing to hide.
    #[must_use]
    pub fn cloak(mut self, host_of: impl Fn(IpAddr) -> String + Send + Sync + 'static) -> Self {
        self.cloak = Some(Box::new(host_of));
        self
    }

    /// Sets the roster, which knows which session owns each nick and which rooms each session is in. The default is a
    /// [`LocalRoster`], for hubs that share no sessions.
    #[must_use]
    pub fn roster(mut self, roster: impl Roster) -> Self {
        self.roster = Some(Box::new(roster));
        self
    }

    /// Sets the clock that gives messages their times. The default is the system's clock.
    #[must_use]
    pub const fn clock(mut self, clock: fn() -> Timestamp) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how many delivery tasks a big room may have; the default is one for each processor.
    #[must_use]
    pub fn delivery_tasks(mut self, tasks: usize) -> Self {
        self.delivery_tasks = tasks.max(1);
        self
    }

    /// Sets the incarnation of the hub: the part of each [`SessionId`](crate::log::SessionId) that distinguishes the
    /// sessions of this hub from those of other hubs.
    ///
    /// Hubs that share a journal or a roster need different incarnations. A hub must not take an incarnation that
    /// another hub has had recently. The default is 0, for a hub that shares neither a journal nor a roster. If the
    /// [`Roster`] has an incarnation other than 0, the hub takes the roster's incarnation instead.
    ///
    /// # Panics
    ///
    /// Panics if the incarnation is larger than [`SessionId::INCARNATION_MAX`](crate::log::SessionId::INCARNATION_MAX).
    #[must_use]
    pub const fn incarnation(mut self, incarnation: u32) -> Self {
        assert!(
            incarnation <= SessionId::INCARNATION_MAX,
            "an incarnation has at most 20 bits"
        );
        self.incarnation = incarnation;
        self
    }

    /// Builds the hub.
    #[must_use]
    pub fn build(self) -> Hub {
        let Self {
            limits,
            names,
            clock,
            journal,
            lobby,
            motd,
            mut policies,
            authenticator,
            cloak,
            operators,
            roster,
            delivery_tasks,
            incarnation,
        } = self;
        let policy: Option<Arc<dyn DynPolicy>> = match policies.len() {
            0 | 1 => policies.pop(),
            _ => Some(Arc::new(InOrder {
                policies,
                fold: names.fold,
            })),
        };
        let journal =
            journal.unwrap_or_else(|| Box::new(MemoryJournal::new(&limits).fold(names.fold)));
        let roster = roster.unwrap_or_else(|| Box::new(LocalRoster::default()));
        let incarnation = match roster.incarnation() {
            0 => incarnation,
            incarnation => incarnation,
        };
        let lobby = lobby.unwrap_or_else(RoomName::lobby);
        let lobby_key: Arc<str> = (names.fold)(lobby.as_str()).into();
        let context = context(limits, delivery_tasks, (lobby_key, names.fold));
        let limits = Arc::clone(&context.limits);
        let authentications = limits.authentications.get().min(Semaphore::MAX_PERMITS);
        Hub(Arc::new(Inner {
            keys: Arc::new(Keys::new(&limits)),
            limiter: ConnectionLimiter::new(Arc::clone(&limits)),
            spares: SpareConnections::default(),
            authenticating: Semaphore::new(authentications),
            limits,
            rooms: Mutex::new(Rooms::new((names.fold)(lobby.as_str()))),
            names,
            clock,
            journal,
            lobby,
            motd,
            policy,
            authenticator,
            policy_log: LogGate::default(),
            operator_log: LogGate::default(),
            cloak: Cloak::new(cloak),
            operators,
            ended: Ended::default(),
            watches: Watches::default(),
            participants: Sessions::new(roster.follow()),
            roster,
            openings: Turns::default(),
            renamings: Turns::default(),
            guest_nicks: Turns::default(),
            recalls: tokio::sync::Mutex::default(),
            counters: Arc::clone(&context.counters),
            context,
            // Sessions are counted from 1, because the id 0 is `SessionId::NOBODY`.
            sessions: AtomicU64::new(SessionId::new(incarnation, 1).0),
            guests: AtomicU64::new(1),
            draining: CancellationToken::new(),
        }))
    }
}

/// Creates the context that all rooms of the hub share.
fn context(
    limits: Limits,
    delivery_tasks: usize,
    (lobby, fold): (Arc<str>, fn(&str) -> String),
) -> RoomContext {
    RoomContext {
        lobby,
        fold,
        feed: Arc::new(Feed::new(limits.ring())),
        limits: Arc::new(limits),
        counters: Arc::default(),
        tasks: TaskTracker::new(),
        searches: Arc::new(SearchQueue::new()),
        journal_log: Arc::default(),
        announcing: Arc::new(Semaphore::new((delivery_tasks / 2).max(1))),
        shards_max: delivery_tasks,
    }
}

impl Default for HubBuilder {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            names: NameRules::default(),
            clock: Timestamp::now,
            journal: None,
            lobby: None,
            motd: Vec::new(),
            policies: Vec::new(),
            authenticator: None,
            cloak: None,
            operators: None,
            incarnation: 0,
            roster: None,
            delivery_tasks: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
