//! A roster that several hubs in one process share. Its events pass through channels with delays.

use crate::random::Random;
use chat_core::error::{NickError, TellError};
use chat_core::log::SessionId;
use chat_core::roster::{
    Claimed, LocalRoster, NickClaim, NickKeys, Roster, RosterCommand, RosterEvent, SessionPresence,
};
use chat_core::{CloseReason, Nick};
use futures::stream::BoxStream;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The maximum number of waiting events for one node: more than any test produces.
const EVENTS_MAX: usize = 65_536;

/// The limit of each delay, in milliseconds; all delays are shorter.
const DELAY_MAX: usize = 50;

/// How long a node waits for another node's answer to a command. After this time, the command fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects the rosters of several hubs in one process. Each hub is a node, and gets its roster from
/// [`node`](Self::node).
#[derive(Debug, Clone)]
pub struct SharedRosters(Arc<Bus>);

/// The roster of one node. Dropping the roster ends its node, and the other nodes learn that the node has ended.
#[derive(Debug)]
pub struct SharedRoster {
    bus: Arc<Bus>,
    incarnation: u32,
    events: Mutex<Option<mpsc::Receiver<RosterEvent>>>,
}

#[derive(Debug)]
struct Bus {
    claims: LocalRoster,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: Random,
    incarnations: u32,
    nodes: HashMap<u32, mpsc::Sender<RosterEvent>>,
    present: HashMap<SessionId, SessionPresence>,
    claimed: HashMap<SessionId, Vec<NickKeys>>,
}

impl SharedRosters {
    /// Creates shared rosters that have no nodes yet. The same seed gives the same delays.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Bus {
            claims: LocalRoster::default(),
            state: Mutex::new(State {
                random: Random::new(seed),
                incarnations: 0,
                nodes: HashMap::new(),
                present: HashMap::new(),
                claimed: HashMap::new(),
            }),
        }))
    }

    /// Adds a node, and returns its roster for [`HubBuilder::roster`](chat_core::HubBuilder::roster). The nodes have
    /// the numbers 1, 2 and so on, which are their [incarnations](Roster::incarnation).
    #[must_use]
    pub fn node(&self) -> SharedRoster {
        let (tx, events) = mpsc::channel(EVENTS_MAX);
        let mut state = self.0.lock();
        state.incarnations += 1;
        let incarnation = state.incarnations;
        for (who, presence) in &state.present {
            drop(tx.try_send(RosterEvent::Present(*who, presence.clone())));
        }
        state.nodes.insert(incarnation, tx);
        drop(state);
        SharedRoster {
            bus: Arc::clone(&self.0),
            incarnation,
            events: Mutex::new(Some(events)),
        }
    }

    /// Simulates a crash: disconnects the node with the number `incarnation`. The other nodes learn that the node has
    /// ended, and the node's nicks become free.
    pub fn crash(&self, incarnation: u32) {
        self.0.end_node(incarnation);
    }
}

impl Bus {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn delay(&self) {
        let millis = self.lock().random.below(DELAY_MAX);
        tokio::time::sleep(Duration::from_millis(millis as u64)).await;
    }

    fn end_node(&self, incarnation: u32) {
        let mut state = self.lock();
        if state.nodes.remove(&incarnation).is_none() {
            return;
        }
        state
            .present
            .retain(|who, _| who.incarnation() != incarnation);
        let claimed = std::mem::take(&mut state.claimed);
        let (gone, kept) = claimed
            .into_iter()
            .partition(|(who, _)| who.incarnation() == incarnation);
        state.claimed = kept;
        let gone: HashMap<SessionId, Vec<NickKeys>> = gone;
        for (who, nicks) in &gone {
            nicks
                .iter()
                .for_each(|nick| self.claims.release(*who, nick));
        }
        for tx in state.nodes.values() {
            drop(tx.try_send(RosterEvent::NodeGone(incarnation)));
        }
    }
}

impl Roster for SharedRoster {
    fn incarnation(&self) -> u32 {
        self.incarnation
    }

    async fn claim(&self, claim: NickClaim) -> Result<Claimed, NickError> {
        self.bus.delay().await;
        let (who, keys) = (claim.who, claim.keys.clone());
        if !self.bus.lock().nodes.contains_key(&self.incarnation) {
            return Err(NickError::Unavailable("the node is cut off".into()));
        }
        let claimed = self.bus.claims.claim(claim).await;
        if claimed.is_ok() {
            self.bus.lock().claimed.entry(who).or_default().push(keys);
        }
        self.bus.delay().await;
        claimed
    }

    fn release(&self, who: SessionId, nick: &NickKeys) {
        self.bus.claims.release(who, nick);
    }

    fn publish(&self, who: SessionId, now: Result<SessionPresence, CloseReason>) {
        let mut state = self.bus.lock();
        if !state.nodes.contains_key(&self.incarnation) {
            return;
        }
        match &now {
            Ok(presence) => drop(state.present.insert(who, presence.clone())),
            Err(_) => drop(state.present.remove(&who)),
        }
        let others = state
            .nodes
            .iter()
            .filter(|(node, _)| **node != self.incarnation);
        for (_, tx) in others {
            let event = match &now {
                Ok(presence) => RosterEvent::Present(who, presence.clone()),
                Err(reason) => RosterEvent::Ended(who, reason.clone()),
            };
            drop(tx.try_send(event));
        }
    }

    fn find(&self, key: &str) -> Vec<SessionId> {
        self.bus.claims.find(key)
    }

    async fn send(&self, to: SessionId, command: RosterCommand) -> Result<Nick, TellError> {
        let (answer, answered) = oneshot::channel();
        let node = self.bus.lock().nodes.get(&to.incarnation()).cloned();
        let unreachable = || TellError::NoSuchNick(String::new());
        let event = RosterEvent::Command {
            to,
            command,
            answer,
        };
        node.and_then(|node| node.try_send(event).ok())
            .ok_or_else(unreachable)?;
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(done)) => done,
            _ => Err(unreachable()),
        }
    }

    fn follow(&self) -> Option<BoxStream<'static, RosterEvent>> {
        let events = self
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let bus = Arc::downgrade(&self.bus);
        Some(Box::pin(futures::stream::unfold(
            (events, bus),
            |(mut events, bus)| async move {
                let event = events.recv().await?;
                // The stream delays the events one after the other, so their order is kept.
                if let Some(bus) = bus.upgrade() {
                    bus.delay().await;
                }
                Some((event, (events, bus)))
            },
        )))
    }
}

impl Drop for SharedRoster {
    fn drop(&mut self) {
        self.bus.end_node(self.incarnation);
    }
}
