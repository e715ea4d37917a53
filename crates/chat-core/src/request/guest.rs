//! A peer without a session: publishes, reads and follows rooms by single requests, as over HTTP.
//!
//! Invariant: each request is decided by the policy and charged to the peer's address by the same rules as over a
//! connection.

use crate::admission::{AddressAccount, Charge, Cost};
use crate::event::{RoomInfo, RoomSummary};
use crate::hub::{Hub, IfMissing, Question, Visit, Visitor};
use crate::log::{
    Account, Appended, Epoch, Key, KeyError, Kind, Owner, Page, Said, Seq, Span, TokenDigest,
    UserHost,
};
use crate::name::{Nick, RoomName, TYPED_NICK_BYTES_MAX};
use crate::peer::Peer;
use crate::protocol::{JoinRequest, Refusal};
use crate::request::charges::{charge_answer, may_ask, reserve};
use crate::request::decisions::{decided, may_see, may_see_members};
use crate::request::events::GuestEvents;
use crate::request::reading;
use crate::request::visiting::{charge_opening, visit};
use crate::room::{JoinError, JoinedAt, Opener, Participant, Plan, PublishError, Resume, Room};
use crate::session::SessionError;
use std::future::Future;
use std::sync::Arc;
use tokio::time::Instant;

/// A peer that makes single requests and has no session, such as a client of HTTP. [`Hub::guest`] creates it.
///
/// A guest is in no room, and no list or count of members includes it. Its requests are treated like those of a peer
/// over a connection: the [`Policy`](crate::Policy) is asked about each of them, beginning with
/// [`connect`](crate::Policy::connect), and the limits for addresses in [`Limits`](crate::Limits) apply. The program
/// that serves the guest must limit how often the guest asks, because [`Limits::rate`](crate::Limits::rate) limits
/// connections only.
///
/// A peer that stays connected uses a [`Session`](crate::Session) over [`serve_connection`](crate::serve_connection),
/// or [`Server`](crate::Server), instead.
///
/// # Overload
///
/// A request waits for up to 5 s if the peer's address opens rooms too fast, and is refused with
/// [`Code::RateLimited`](crate::protocol::Code::RateLimited) if it would have to wait longer. Requests that read are
/// refused at once if the address has used up its limit for answers. A request waits for the policy for at most
/// [`Limits::policy_timeout`](crate::Limits::policy_timeout). No room waits for a guest.
///
/// # Examples
///
/// ```
/// use chat_core::log::{Span, TokenDigest};
/// use chat_core::protocol::IfMissing;
/// use chat_core::{Hub, Peer, Seq};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::default();
/// let guest = hub.guest(Arc::new(Peer::default()), "http").await?;
/// let sender = TokenDigest::new(*b"one for a sender");
/// let key = Some(("build-7", sender));
/// let said = guest.publish(Some("ci"), "ops", "build 7 failed", key, IfMissing::Create).await?;
/// let again = guest.publish(Some("ci"), "ops", "build 7 failed", key, IfMissing::Create).await?;
/// assert_eq!((said.seq, said.is_duplicate), (Seq(1), false));
/// assert_eq!((again.seq, again.is_duplicate), (Seq(1), true));
///
/// let log = guest.history("ops", Span::Before(Seq::END), None, None).await?;
/// assert_eq!(log.page.messages().next().map(|message| message.text().to_owned()).as_deref(), Some("build 7 failed"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Guest {
    hub: Hub,
    peer: Arc<Peer>,
    dialect: &'static str,
    account: Option<Account>,
    /// What the peer's address has used of its limits; `None` if the address has no limits.
    address: Option<Arc<AddressAccount>>,
}

/// Where a guest's message was published.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestPublished {
    /// The room. The policy may have chosen another room than the guest asked for. For a duplicate, the room of the
    /// earlier message.
    pub room: RoomName,
    /// The epoch of the room's log. `None` for a duplicate whose log is gone or can't be opened.
    pub epoch: Option<Epoch>,
    /// The position of the message in the room's log.
    pub seq: Seq,
    /// Whether the message was already published by an earlier request with the same key. This request then published
    /// nothing.
    pub is_duplicate: bool,
}

/// A part of a room's log, as a guest has asked for it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GuestPage {
    /// The room. The policy may have chosen another room than the guest asked for.
    pub room: RoomName,
    /// The epoch of the page's positions.
    pub epoch: Epoch,
    /// The messages, oldest first, and the gap before them.
    pub page: Page,
}

impl Hub {
    /// Lets a peer make requests without a session. `dialect` is the name by which a [`Policy`](crate::Policy) knows
    /// the peer's protocol, such as `http`.
    ///
    /// Asks the [`Authenticator`](crate::auth::Authenticator), if there is one, for the account of the peer, with
    /// [`Credentials::Peer`](crate::auth::Credentials::Peer). If no account is found in this way, the guest has the
    /// [`Account`] that the program has added to the peer. Policies find the account in
    /// [`Visitor::account`](crate::policy::Visitor::account).
    ///
    /// Call this once for each connection of the peer: each call asks the authenticator.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the authenticator does not admit the peer, or if the hub drains.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn guest(&self, peer: Arc<Peer>, dialect: &'static str) -> Result<Guest, Refusal> {
        let mut account = peer.get::<Account>().cloned();
        if self.has_authenticator() {
            let found = unless_draining(self, self.authenticate_peer(&peer)).await?;
            let found =
                found.map_err(|error| Refusal::denied(&error.to_string(), self.limits()))?;
            account = found.or(account);
        }
        let ip = peer.address().map(|address| address.ip());
        Ok(Guest {
            address: self.limiter().account(ip, Instant::now()),
            hub: self.clone(),
            peer,
            dialect,
            account,
        })
    }
}

impl Guest {
    /// Returns the hub.
    #[must_use]
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Returns what the program knows of the peer.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns the account that the peer has proved; `None` if it has proved none.
    #[must_use]
    pub const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Publishes a message in a room under `nick`. `None` selects a free guest nick, such as `guest-7`.
    ///
    /// The nick must be free, or belong to sessions of the guest's account. The guest does not keep the nick: a session
    /// may take it afterwards.
    ///
    /// With a key, a repetition publishes nothing and returns the position of the first message. The key belongs to the
    /// sender that the [`TokenDigest`] stands for. The digest must be the same for each request of the sender, also
    /// after a restart: derive it from what identifies the sender.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the policy or a limit refuses the request, if a name, the text or the key is not valid, if
    /// the nick is taken, or if the room does not exist and `if_missing` does not allow to open it. The message is not
    /// published then. If the journal failed, the message may be published nevertheless; the refusal says so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not withdraw the message: it may still be delivered. Repeat the call with the same key
    /// to learn whether it was.
    pub async fn publish(
        &self,
        nick: Option<&str>,
        room: &str,
        text: &str,
        key: Option<(&str, TokenDigest)>,
        if_missing: IfMissing,
    ) -> Result<GuestPublished, Refusal> {
        let published = self.try_publish(nick, room, text, key, if_missing).await;
        self.counted(published)
    }

    /// Reads messages of a room's log: those nearest to the position that `span` names. `epoch` is the epoch of that
    /// position; `None` is the present epoch of the log. `limit` is the maximum number of messages, at most
    /// [`Limits::history_max`](crate::Limits::history_max); `None` is [`Limits::history`](crate::Limits::history).
    ///
    /// The caller [charges](Self::charge_answer) for the bytes of the answer.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the policy or a limit refuses the request, if the room does not exist or is hidden from the
    /// peer, or if the room's log has another epoch or can't be read now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn history(
        &self,
        room: &str,
        span: Span,
        epoch: Option<Epoch>,
        limit: Option<usize>,
    ) -> Result<GuestPage, Refusal> {
        let page = self.try_history(room, span, epoch, limit).await;
        self.counted(page)
    }

    /// Finds messages of a room's log before the position `before` that hold all the words of `text`. Returns the
    /// latest ones, oldest first. `limit` and the charge for the answer are as for [`history`](Self::history). The
    /// address is also charged for the time that the search takes.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the policy or a limit refuses the request, if the room does not exist or is hidden from the
    /// peer, or if its log can't be searched now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn search(
        &self,
        room: &str,
        text: &str,
        before: Option<Seq>,
        limit: Option<usize>,
    ) -> Result<GuestPage, Refusal> {
        let page = self.try_search(room, text, before, limit).await;
        self.counted(page)
    }

    /// Lists rooms that have members and that the policy does not hide from the peer, in the order of their folded
    /// names. The list begins after the name `after`, which may be empty. `limit` is the maximum number of rooms, at
    /// most 100; `None` is 100. Also returns whether more rooms follow.
    ///
    /// The caller [charges](Self::charge_answer) for the bytes of the answer.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the policy or a limit refuses the request.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn rooms(
        &self,
        after: &str,
        limit: Option<usize>,
    ) -> Result<(Vec<RoomSummary>, bool), Refusal> {
        let rooms = self.try_rooms(after, limit).await;
        self.counted(rooms)
    }

    /// Follows a room without joining it. Returns the room's members, topic and position at this time, and the events
    /// that follow. The request may name a position to resume from; see [`JoinRequest`].
    ///
    /// The room is opened if it is not open, and stays open as long as the guest follows it. The request counts as a
    /// join for [`Limits::joins_per_address`](crate::Limits::joins_per_address). If the policy lets the peer join the
    /// room but not read its history, the messages after the position are reported as a gap. The policy is
    /// asked again by [`GuestEvents::check`] only.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the policy or a limit refuses the request, or if the room can't be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn follow(
        &self,
        request: &JoinRequest<'_>,
    ) -> Result<(RoomInfo, GuestEvents), Refusal> {
        let followed = self.try_follow(request).await;
        self.counted(followed)
    }

    /// Charges the peer's address for an answer of this many bytes; see
    /// [`Limits::answers_per_address`](crate::Limits::answers_per_address). An address that has used up its limit is
    /// refused its next request to read.
    pub fn charge_answer(&self, bytes: usize) {
        self.charge(Cost::bytes(bytes));
    }

    /// Asks the policy whether the peer may connect under this nick. Each request asks by itself; this is for a program
    /// that must know before it reads the rest of the request.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the policy refuses the peer, or if the hub drains.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn check(&self, nick: Option<&str>) -> Result<(), Refusal> {
        let asked = self.ask(None, Question::Connect { nick }).await;
        self.counted(asked.map(drop))
    }

    /// Asks the policy whether the peer may still follow the room with this key.
    pub(super) async fn check_room(&self, key: &str) -> Result<(), Refusal> {
        let connects = Question::Connect { nick: None };
        self.ask(None, connects).await?;
        match self.ask(None, Question::Join { room: key }).await? {
            Some(other) if self.hub.fold(&other) != key => {
                Err(Refusal::denied("no longer in this room", self.hub.limits()))
            }
            _ => Ok(()),
        }
    }

    /// Returns the room's information without the members' names, if the policy hides them from the peer.
    pub(super) fn seen(&self, mut info: RoomInfo) -> RoomInfo {
        let room = self.hub.fold(info.room.as_str());
        if !may_see_members(&self.hub, &self.visitor(None), &room) {
            info.nicks = Vec::new();
            info.roles = Vec::new();
            info.away = Vec::new();
        }
        info
    }

    async fn try_publish(
        &self,
        nick: Option<&str>,
        room: &str,
        text: &str,
        key: Option<(&str, TokenDigest)>,
        if_missing: IfMissing,
    ) -> Result<GuestPublished, Refusal> {
        let owned =
            |(key, token): (&str, _)| Ok::<_, KeyError>((Key::parse(key)?, Owner::Token(token)));
        let key = key.map(owned).transpose()?;
        let key = key.as_ref().map(|(key, owner)| (key, *owner));
        let given = self.ask(None, Question::Connect { nick }).await?;
        if let Some((key, owner)) = key
            && let Some(said) = self.hub.keys().said(owner, key)
        {
            // The message is already published, so it is a duplicate even if the nick, the room or the policy has
            // changed since then.
            return self.duplicate(said).await;
        }
        self.hub.checked(text)?;
        let author = self.take_nick(given.as_deref().or(nick)).await?;
        let nick = author.nick();
        let visit = self.enter(Some(&nick), room, if_missing).await?;
        let question = Question::Say {
            room: &visit.key,
            kind: Kind::Said,
            text,
        };
        let changed = self.ask(Some(&nick), question).await?;
        let text = self.hub.checked(changed.as_deref().unwrap_or(text))?;
        let mut claims = Vec::new();
        if let Some((key, owner)) = key {
            match self.hub.keys().claim_settled(owner, key).await {
                Ok(claim) => claims.push(claim),
                Err(said) => return self.duplicate(said).await,
            }
        }
        let mut drafts = author.drafts(self.hub.now());
        if !drafts.add(Kind::Said, text, key) {
            return Err(PublishError::Empty.into());
        }
        let epoch = visit.epoch();
        let published = visit.publish_as(&author, drafts, claims).await;
        let appended = published.inspect_err(|error| {
            if let PublishError::Journal(error) = error {
                visit.log_failure(error);
            }
        })?;
        Ok(GuestPublished {
            room: visit.name.clone(),
            epoch: Some(epoch),
            seq: appended.last(),
            is_duplicate: matches!(appended, Appended::Duplicate(_)),
        })
    }

    async fn try_history(
        &self,
        room: &str,
        span: Span,
        epoch: Option<Epoch>,
        limit: Option<usize>,
    ) -> Result<GuestPage, Refusal> {
        let visit = self.enter_to_read(room).await?;
        let question = Question::History { room: &visit.key };
        self.ask(None, question).await?;
        let present = visit.epoch();
        let limit = reading::page_limit(self.hub.limits(), limit);
        let page = reading::read_page(&visit, epoch, span, limit).await?;
        Ok(GuestPage::new(&visit, present, page))
    }

    async fn try_search(
        &self,
        room: &str,
        text: &str,
        before: Option<Seq>,
        limit: Option<usize>,
    ) -> Result<GuestPage, Refusal> {
        let visit = self.enter_to_read(room).await?;
        let question = Question::Search {
            room: &visit.key,
            text,
        };
        let changed = self.ask(None, question).await?;
        let text = changed.as_deref().unwrap_or(text);
        let present = visit.epoch();
        let limit = reading::page_limit(self.hub.limits(), limit);
        let (page, cost) = reading::search(&visit, text, before, limit).await;
        self.charge(cost);
        Ok(GuestPage::new(&visit, present, page?))
    }

    async fn try_rooms(
        &self,
        after: &str,
        limit: Option<usize>,
    ) -> Result<(Vec<RoomSummary>, bool), Refusal> {
        self.connect().await?;
        let who = self.visitor(None);
        let sees = |room: &str| !self.hub.is_secret(room) && may_see(&self.hub, &who, room);
        let (rooms, has_more, cost) = reading::list_rooms(&self.hub, after, limit, sees);
        self.charge(cost);
        Ok((rooms, has_more))
    }

    async fn try_follow(
        &self,
        request: &JoinRequest<'_>,
    ) -> Result<(RoomInfo, GuestEvents), Refusal> {
        self.connect().await?;
        let now = Instant::now();
        if let Some(until) = reserve(self.address.as_ref(), Charge::Joins, 1, now)? {
            unless_draining(&self.hub, tokio::time::sleep_until(until)).await?;
        }
        let visit = self.enter(None, &request.room, IfMissing::Create).await?;
        self.check_modes(&visit)?;
        let resume = Resume {
            after: request.after,
            epoch: request.epoch,
            limit: request.limit,
        };
        let question = Question::History { room: &visit.key };
        let may_read = resume.is_empty() || self.ask(None, question).await.is_ok();
        let (subscription, info) = visit.subscribe();
        if visit.is_gone() {
            // The application has closed the room since it was opened.
            return Err(Refusal::missing(&visit.name));
        }
        let joined = JoinedAt::from(&info);
        let Plan { catch_up, .. } = if may_read {
            resume.plan(&visit, joined).await
        } else {
            resume.withhold(joined)
        };
        let events = GuestEvents::new(self.clone(), visit, subscription, catch_up);
        Ok((self.seen(info), events))
    }

    /// Asks the policy whether the peer may connect. First refuses a peer whose address has used up its limit for
    /// answers.
    async fn connect(&self) -> Result<(), Refusal> {
        may_ask(self.address.as_ref())?;
        let question = Question::Connect { nick: None };
        self.ask(None, question).await.map(drop)
    }

    async fn enter_to_read(&self, room: &str) -> Result<Visit, Refusal> {
        self.connect().await?;
        let visit = self.enter(None, room, IfMissing::Refuse).await?;
        self.check_modes(&visit)?;
        Ok(visit)
    }

    /// Refuses a room whose modes would not let the peer join it, and a secret room.
    pub(super) fn check_modes(&self, room: &Room) -> Result<(), Refusal> {
        if room.is_secret() {
            return Err(Refusal::missing(&room.name));
        }
        let may_read = room.may_read(self.account.as_ref(), self.user_host());
        may_read.map_err(|denied| JoinError::Denied(denied).into())
    }

    /// Opens a room if the policy lets the peer join it: a peer that may not join a room may not use it from outside
    /// either.
    async fn enter(
        &self,
        nick: Option<&Nick>,
        asked: &str,
        if_missing: IfMissing,
    ) -> Result<Visit, Refusal> {
        let (mut name, mut key) = self.hub.room_name(asked).map_err(JoinError::Name)?;
        if let Some(room) = self.ask(nick, Question::Join { room: &key }).await? {
            (name, key) = self.hub.room_name(&room).map_err(JoinError::Name)?;
        }
        let sees = || !self.hub.is_secret(&key) && may_see(&self.hub, &self.visitor(nick), &key);
        let is_hidden = if_missing == IfMissing::Refuse && !sees();
        self.pay_for_opening(&key, is_hidden).await?;
        if is_hidden {
            return Err(Refusal::missing(&name));
        }
        visit(&self.hub, self.opener(), &name, &key, if_missing).await
    }

    /// Returns the user name and the host under which a message of the peer is published.
    fn user_host(&self) -> UserHost {
        let address = self.peer.address().map(|address| address.ip());
        self.hub.user_host(address)
    }

    /// Claims a nick, and frees the nick at once. To other peers, the message of a guest looks like one of a session
    /// that has ended already.
    async fn take_nick(&self, nick: Option<&str>) -> Result<Arc<Participant>, Refusal> {
        // Requests under the same nick take turns, so that none finds the nick taken by another one. The length is
        // checked before the nick is folded, because the cost of folding grows with the length.
        let _turn = match nick {
            Some(nick) if nick.len() <= TYPED_NICK_BYTES_MAX => {
                Some(self.hub.guest_turn(nick).await)
            }
            _ => None,
        };
        let claimed = self
            .hub
            .claim_participant(nick, self.account.as_ref(), self.user_host());
        let author = claimed.await?;
        self.hub.release_participant(&author);
        Ok(author)
    }

    /// Asks the policy. Returns the policy's change of the request; `None` if the policy allows the request unchanged.
    async fn ask(
        &self,
        nick: Option<&Nick>,
        question: Question<'_>,
    ) -> Result<Option<String>, Refusal> {
        let Some(policy) = self.hub.policy() else {
            return Ok(None);
        };
        let decision = Arc::clone(policy).decide(self.visitor(nick), question);
        let decision = tokio::time::timeout(self.hub.limits().policy_timeout, decision);
        let decision = unless_draining(&self.hub, decision).await?;
        decided(&self.hub, decision.ok().flatten())
    }

    fn visitor(&self, nick: Option<&Nick>) -> Visitor {
        Visitor {
            peer: Arc::clone(&self.peer),
            dialect: self.dialect,
            account: self.account.clone(),
            session: None,
            nick: nick.cloned(),
            is_operator: false,
        }
    }

    /// Returns where an earlier message is. Its room may have to be opened again, and that is charged as for a message.
    async fn duplicate(&self, said: Said) -> Result<GuestPublished, Refusal> {
        let Said { room, seq } = said;
        let (name, key) = self.hub.room_name(room.as_str()).map_err(JoinError::Name)?;
        self.pay_for_opening(&key, false).await?;
        // A room whose log is gone is not opened.
        let visit = visit(&self.hub, self.opener(), &name, &key, IfMissing::Refuse).await;
        let end = visit.ok().map(|visit| visit.cursor().position());
        Ok(GuestPublished {
            epoch: end.filter(|end| seq <= end.seq).map(|end| end.epoch),
            room,
            seq,
            is_duplicate: true,
        })
    }

    /// Charges the peer's address for opening the room with this key, and waits if the address opens rooms too fast.
    async fn pay_for_opening(&self, key: &str, is_hidden: bool) -> Result<(), Refusal> {
        let account = self.address.as_ref();
        if let Some(until) = charge_opening(&self.hub, account, key, is_hidden)? {
            unless_draining(&self.hub, tokio::time::sleep_until(until)).await?;
        }
        Ok(())
    }

    fn opener(&self) -> Opener {
        self.address.as_ref().map(|account| account.address())
    }

    fn charge(&self, cost: Cost) {
        charge_answer(self.address.as_ref(), cost, Instant::now());
    }

    /// Counts a refusal in the hub's statistics.
    fn counted<T>(&self, answer: Result<T, Refusal>) -> Result<T, Refusal> {
        if answer.is_err() {
            self.hub.counters().refusals.add(1);
        }
        answer
    }
}

impl GuestPage {
    fn new(visit: &Visit, present: Epoch, page: Page) -> Self {
        Self {
            room: visit.name.clone(),
            epoch: page.epoch.unwrap_or(present),
            page,
        }
    }
}

/// Waits for `work`, unless the hub drains first.
async fn unless_draining<T>(hub: &Hub, work: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::select! {
        // If the work is done while the hub drains, its result is returned.
        biased;
        done = work => Ok(done),
        () = hub.draining() => Err(SessionError::Draining.into()),
    }
}
