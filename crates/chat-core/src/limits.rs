//! Every limit, in one place.
//!
//! Invariant: no peer can make memory, tasks or time grow without bound, by what it sends or by sending nothing. Limits
//! that an operator may want to change are here. Other limits are constants beside the code that keeps to them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// The default of [`Limits::line_bytes`](crate::Limits::line_bytes): the longest input line in bytes, without its
/// terminator.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// The limits of a hub and its connections. Start from [`Limits::default`] and change fields. The description of each
/// field has its default in parentheses.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The longest input line in bytes, without its terminator (8 KiB), unless the dialect sets its own limit. A longer
    /// line is skipped to its end, and its sender gets one error.
    pub line_bytes: NonZeroUsize,
    /// The longest text of one message or topic in bytes (4 KiB). A longer text is refused.
    pub text_bytes: NonZeroUsize,
    /// The longest reason of a quit, a kick, a removal or the closing of a room, in bytes (256), and the longest message
    /// of a session that is away. A longer one is cut off.
    pub reason_bytes: usize,
    /// The most rooms that one session may be in (64). Joining a further room is refused.
    pub rooms_per_session: NonZeroUsize,
    /// The most rooms that the hub has at the same time (4,096), not counting the lobby. An empty room counts as long
    /// as the hub keeps its log. When one more room is opened, the hub first forgets an empty room. If no room is
    /// empty, opening is refused. The lobby can always be joined.
    pub rooms: NonZeroUsize,
    /// The most rooms that the sessions of one address may have opened (256); `None` removes the limit. A room counts
    /// for the address of the session that opened it, as long as the hub has the room. The room still counts after this
    /// session has left, and while the room is empty and the hub keeps its log. When the address opens one more room,
    /// the hub forgets the room of this address that has been empty longest. If no room of the address is empty,
    /// opening is refused.
    pub rooms_per_address: Option<NonZeroUsize>,
    /// The most empty rooms whose log the hub keeps (256), not counting the lobby. When one more room becomes empty,
    /// the hub forgets an empty room of the address that has opened the most empty rooms: the one that has been empty
    /// longest. So an address that opens and leaves many rooms loses its own rooms before other addresses lose theirs.
    pub empty_rooms: usize,
    /// The most members that a room may have and still announce each join, leave and new nick to all of them (100). A
    /// larger room announces only its number of members.
    pub announce: usize,
    /// The most messages in a room's in-memory log (1,024). The oldest are dropped first.
    pub journal_messages: NonZeroUsize,
    /// The most bytes in a room's in-memory log (1 MiB): the bytes of the texts, and a constant for each message. The
    /// oldest messages are dropped first.
    pub journal_bytes: NonZeroUsize,
    /// The most bytes in the in-memory logs of all rooms together (256 MiB). The bytes of the texts count, and the
    /// memory of each message and each batch. Beyond the limit, the room that has been silent longest drops its oldest
    /// messages first. A member that still has to read the dropped messages gets a gap. A log keeps all its messages
    /// while it holds fewer bytes than the limit divided by the number of logs.
    pub journal_total_bytes: NonZeroUsize,
    /// The capacity of the buffer through which a room sends new items to its members (128 items; rounded up to a power
    /// of two). A batch of messages is one item. A member that falls further behind reads the messages that it missed
    /// from the journal.
    pub ring_batches: NonZeroUsize,
    /// The most bytes in one batch (64 KiB): the bytes of the texts, and a constant for each message. Messages of one
    /// peer that arrive together and exceed the limit become several batches.
    pub batch_bytes: NonZeroUsize,
    /// The most bytes that wait for a member whose socket is full (256 KiB). While this many bytes wait, the hub queues
    /// no more events for the member. After the socket has taken the waiting bytes, the hub reads the messages that the
    /// member missed from the journal and sends them. The waiting bytes occupy at most twice this number of bytes in
    /// memory, plus the bytes that one room delivers at a time.
    pub queue_bytes: NonZeroUsize,
    /// The most message keys that the hub remembers for one client (1,024). The hub identifies a client by its token,
    /// or by its session if the client has no token. If a client sends a message again under a remembered key, the hub
    /// does not publish the message again. The hub forgets the oldest keys first.
    pub keys_per_nick: NonZeroUsize,
    /// The most message keys that the hub remembers for all clients together (65,536). The oldest keys are forgotten
    /// first.
    pub keys: NonZeroUsize,
    /// The longest time that the hub remembers a message key (10 min).
    pub key_lifetime: Duration,
    /// The most direct messages that wait for one session because its peer does not read (256). A further message is
    /// refused, and its sender gets an error.
    pub mailbox: NonZeroUsize,
    /// The most nicks that one session may [watch](crate::Session::watch) (100). Watching a further nick is refused.
    pub watched_nicks: usize,
    /// How fast one connection may send lines (20 at once, then 5 a second); `None` removes the limit. See [`Rate`].
    pub rate: Option<Rate>,
    /// The most connections that one address may hold at the same time (256); `None` removes the limit. A further
    /// connection receives one line with the reason, and is closed.
    pub per_address: Option<NonZeroUsize>,
    /// How fast one address may open connections (256 at once, then 16 a second); `None` removes the limit. The default
    /// lets all connections that an address may hold reconnect at once. A connection beyond the limit receives one line
    /// with the reason, and is closed.
    pub connects_per_address: Option<Rate>,
    /// How fast all connections of one address together may join rooms (1,024 at once, then 64 a second); `None`
    /// removes the limit. A join beyond the limit waits for up to 5 s. A join that would have to wait longer is
    /// refused. A join that the room announces counts as one more join for every 8 members that receive the
    /// announcement.
    pub joins_per_address: Option<Rate>,
    /// The most work that the answers to all connections of one address together may cause (4,096 units at once, then
    /// 128 a second); `None` removes the limit. One unit is 8 KiB of answers or 5 ms of searching, so the default
    /// allows 32 MiB of answers at once and then 1 MiB a second. When an address has spent its units, the server
    /// refuses these requests until the address has earned enough units: history, reads, searches, lists of rooms and
    /// of all members, authentications, and joins.
    pub answers_per_address: Option<Rate>,
    /// The most bytes that all connections of one address together may send in a minute (4 MiB); `None` removes the
    /// limit. This is enough for three connections that send the longest texts at the default rate, or for 2,000 people
    /// who type. Beyond the limit, the server reads these connections more slowly.
    pub bytes_per_minute: Option<NonZeroUsize>,
    /// Whether the limits for addresses apply to connections over loopback. By default they do not.
    pub loopback: Loopback,
    /// The most connections that [`serve`](crate::serve()) holds at the same time (10,000). The server sends a further
    /// connection one line with the reason, and closes it.
    pub connections: NonZeroUsize,
    /// The most messages of a room that the plain dialect shows a peer when it joins (20). Also the most messages that
    /// answer a request for history or a search, if the request does not say how many messages it wants.
    pub history: usize,
    /// The most messages that one request for history returns (1,000).
    pub history_max: usize,
    /// The most bytes that the server reads from a connection to recognise its protocol (1 KiB). If no detector
    /// recognises them, the connection gets the default dialect, which is plain unless the server sets another.
    pub prefix_bytes: NonZeroUsize,
    /// The longest time that the server waits for further bytes (5 s). The server waits if it needs the bytes to
    /// recognise the protocol of a connection, or if only some bytes of a character have arrived.
    pub prefix_timeout: Duration,
    /// The longest time for a handshake (10 s). A handshake belongs to a protocol that takes over the byte stream, such
    /// as TLS. After this time, the server closes the connection.
    pub handshake_timeout: Duration,
    /// The longest time that a peer may take to register, if its dialect
    /// [registers](crate::protocol::DialectOptions::registers) over several lines (30 s). After this time, the server
    /// closes the connection.
    pub registration_timeout: Duration,
    /// The longest time that may pass from the beginning of a line until its end arrives (60 s). A line that takes
    /// longer is dropped, and its sender gets an error. `None` removes the limit. In the plain dialect, the time begins
    /// only once the line is longer than [`text_bytes`](Self::text_bytes), so a person may type as slowly as they like.
    pub line_timeout: Option<Duration>,
    /// How long the server waits for the first bytes of a connection (300 ms). If none arrive in this time, the server
    /// greets the peer in the plain dialect. A connection that may be a spare one of a browser is greeted later; see
    /// [`spare_greet_after`](Self::spare_greet_after).
    pub greet_after: Duration,
    /// How long the server waits for the first bytes of a connection that is taken for a browser's
    /// [spare connection](crate::Hub::expect_spare_connections), before it greets the peer (75 s). Chromium closes an
    /// unused connection after about 1 min, so a connection that is still open then is probably a person's. If this is
    /// `None`, no connection is taken for a spare one: every silent peer is greeted after
    /// [`greet_after`](Self::greet_after).
    pub spare_greet_after: Option<Duration>,
    /// How long a plain connection must be silent before its first text ends without a newline (200 ms). From then on,
    /// silence ends every text of the connection. A text that ends with silence is called a chunk.
    pub first_chunk_after: Duration,
    /// How long a plain connection must be silent before each further chunk ends (50 ms).
    pub chunk_after: Duration,
    /// How long a peer whose dialect has a heartbeat may be silent before the server pings it (25 s).
    pub ping_after: Duration,
    /// How long a peer whose dialect has a heartbeat may be silent before it is disconnected (35 s). This time begins
    /// with the peer's last input, not with the ping.
    pub dead_after: Duration,
    /// The longest time that a peer's socket may accept no bytes while output waits for the peer (30 s). Then the peer
    /// is disconnected.
    pub stall_timeout: Duration,
    /// The longest time that a policy may take to decide one request (2 s). The hub refuses a request that takes longer
    /// to decide.
    pub policy_timeout: Duration,
    /// The most [authentications](crate::protocol::Command::Authenticate) that the hub runs at the same time (8). A
    /// further authentication waits for its turn for at most [`policy_timeout`](Self::policy_timeout), and is then
    /// refused. An authenticator that hashes passwords should answer within `policy_timeout` when this many run.
    pub authentications: NonZeroUsize,
    /// The number of failed authentications in a row that closes a connection, with
    /// [`CloseReason::NotAuthenticated`](crate::CloseReason::NotAuthenticated) (5).
    ///
    /// Each failure also costs the connection as much as 25 lines of its [`rate`](Self::rate), and its address 100
    /// units of [`answers_per_address`](Self::answers_per_address). With the defaults, about 40 attempts of one address
    /// can fail at once, and then about one a second.
    pub failed_authentications: NonZeroU32,
    /// The longest time that a shutdown waits for connections to end (5 s). Peers that have not received their goodbye
    /// by then are disconnected.
    pub drain: Duration,
}

/// The maximum capacity of a ring, in items. A ring allocates all its slots at once. Rings above this limit would cost
/// memory without a benefit.
const RING_BATCHES_MAX: usize = 1 << 16;

impl Limits {
    /// Returns the capacity of a room's broadcast ring, in items.
    pub(crate) fn ring(&self) -> usize {
        self.ring_batches.get().min(RING_BATCHES_MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: at_least_one(LINE_BYTES_MAX),
            text_bytes: at_least_one(4 * 1024),
            reason_bytes: 256,
            rooms_per_session: at_least_one(64),
            rooms: at_least_one(4096),
            rooms_per_address: Some(at_least_one(256)),
            empty_rooms: 256,
            announce: 100,
            journal_messages: at_least_one(1024),
            journal_bytes: at_least_one(1024 * 1024),
            journal_total_bytes: at_least_one(256 * 1024 * 1024),
            ring_batches: at_least_one(128),
            batch_bytes: at_least_one(64 * 1024),
            queue_bytes: at_least_one(256 * 1024),
            keys_per_nick: at_least_one(1024),
            keys: at_least_one(65_536),
            key_lifetime: Duration::from_secs(10 * 60),
            mailbox: at_least_one(256),
            watched_nicks: 100,
            rate: Some(Rate::default()),
            per_address: Some(at_least_one(256)),
            connects_per_address: Some(rate(256, 16)),
            joins_per_address: Some(rate(1024, 64)),
            answers_per_address: Some(rate(4096, 128)),
            bytes_per_minute: Some(at_least_one(4 * 1024 * 1024)),
            loopback: Loopback::Exempt,
            connections: at_least_one(10_000),
            history: 20,
            history_max: 1000,
            prefix_bytes: at_least_one(1024),
            prefix_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            registration_timeout: Duration::from_secs(30),
            line_timeout: Some(Duration::from_secs(60)),
            greet_after: Duration::from_millis(300),
            spare_greet_after: Some(Duration::from_secs(75)),
            first_chunk_after: Duration::from_millis(200),
            chunk_after: Duration::from_millis(50),
            ping_after: Duration::from_secs(25),
            dead_after: Duration::from_secs(35),
            stall_timeout: Duration::from_secs(30),
            policy_timeout: Duration::from_secs(2),
            authentications: at_least_one(8),
            failed_authentications: match NonZeroU32::new(5) {
                Some(count) => count,
                None => NonZeroU32::MIN,
            },
            drain: Duration::from_secs(5),
        }
    }
}

/// Whether the limits for addresses apply to connections over loopback (127.0.0.0/8, ::1).
///
/// Wherever [`Limits`] mentions an address, all addresses of one IPv6 /64 network count as one. Connections without an
/// IP address (Unix sockets, streams in memory) and sessions in process have no address, so these limits do not apply
/// to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// The limits for addresses do not apply to loopback: the programs on this machine, and the clients of a proxy on
    /// it, are different peers with one address.
    Exempt,
    /// The limits for addresses also apply to loopback addresses. This is meant for tests.
    Counted,
}

/// How fast something may happen: a token bucket. The default is the rate of one connection's lines, [`Limits::rate`].
///
/// If a connection sends faster than its rate, the server stops reading from it until the connection has tokens again.
/// No input is lost, and other members are not affected. While the server does not read, the peer still receives
/// events.
///
/// # Cost of a line
///
/// Each line costs one token. Each command of a line after its first command costs one more. With the default rate, a
/// line that joins 40 rooms takes about 4 s: up to 19 rooms are joined at once, and one more every 200 ms. A long
/// answer costs tokens, too: one for each 8 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The most tokens that the bucket holds: the most lines that may arrive at once (20).
    pub burst: NonZeroU32,
    /// The tokens that the bucket earns in a second: the most lines that may follow in each second (5).
    pub per_second: NonZeroU32,
}

impl Default for Rate {
    fn default() -> Self {
        rate(20, 5)
    }
}

const fn rate(burst: u32, per_second: u32) -> Rate {
    let (Some(burst), Some(per_second)) = (NonZeroU32::new(burst), NonZeroU32::new(per_second))
    else {
        panic!("neither is zero");
    };
    Rate { burst, per_second }
}

const fn at_least_one(n: usize) -> NonZeroUsize {
    match NonZeroUsize::new(n) {
        Some(n) => n,
        None => NonZeroUsize::MIN,
    }
}
