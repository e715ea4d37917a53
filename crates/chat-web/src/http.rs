//! HTTP/1.1 on a connection that was taken over.
//!
//! Invariant: a connection buffers a bounded number of bytes, and every wait for its peer has a deadline. Each request
//! passes the checks of [`safety`] before anything else looks at it.

mod answer;
mod body;
mod connection;
mod metered;
mod pace;
mod request_line;
mod router;
pub(crate) mod safety;
mod state;

pub(crate) use answer::{Refusal, full};
pub(crate) use connection::Connection;
pub(crate) use request_line::RequestLine;
pub(crate) use router::{READS, options};

use crate::limits::WebLimits;
use crate::page::Page;
use crate::ws::WebSockets;
use bytes::Bytes;
use chat_core::{Guest, Hub, Peer};
use http_body_util::combinators::BoxBody;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The body of an answer.
pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// What all connections of a [`Web`](crate::Web) share.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) hub: Hub,
    pub(crate) web_sockets: WebSockets,
    /// The names allowed in `Host`, in lower case.
    pub(crate) hosts: Vec<String>,
    pub(crate) limits: WebLimits,
    pub(crate) page: Page,
}

/// What an answer depends on, besides the request.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) hub: Hub,
    /// What the program knows about the peer of this connection.
    pub(crate) peer: Arc<Peer>,
    pub(crate) limits: WebLimits,
    pub(crate) site: Arc<Site>,
    guest: OnceCell<Guest>,
}

impl Context {
    fn new(site: Arc<Site>, peer: Peer) -> Self {
        Self {
            hub: site.hub.clone(),
            peer: Arc::new(peer),
            limits: site.limits.clone(),
            site,
            guest: OnceCell::new(),
        }
    }

    /// Returns the peer as a guest of the hub. The first call asks the hub's authenticator about the peer.
    pub(crate) async fn guest(&self) -> Result<&Guest, chat_core::protocol::Refusal> {
        let guest = || self.hub.guest(Arc::clone(&self.peer), "http");
        self.guest.get_or_try_init(guest).await
    }

    /// Returns the peer, for a connection that continues in another protocol. Returns `None` if an answer still uses
    /// the peer.
    fn into_peer(self) -> Option<Peer> {
        drop(self.guest);
        Arc::into_inner(self.peer)
    }
}
