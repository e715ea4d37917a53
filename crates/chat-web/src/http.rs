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

pub(crate) use answer::{Endless, Refusal, full};
pub(crate) use connection::Connection;
pub(crate) use request_line::RequestLine;
pub(crate) use router::{READS, options};

use crate::api::Caller;
use crate::limits::WebLimits;
use crate::page::Page;
use crate::ws::WebSockets;
use bytes::Bytes;
use chat_core::{Hub, Peer};
use http_body_util::combinators::BoxBody;
use std::sync::Arc;

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
    /// In whose name the requests for programs ask.
    pub(crate) caller: Caller,
    pub(crate) limits: WebLimits,
    pub(crate) site: Arc<Site>,
}

impl Context {
    fn new(site: Arc<Site>, peer: Peer) -> Self {
        Self {
            hub: site.hub.clone(),
            peer: Arc::new(peer),
            caller: Caller::default(),
            limits: site.limits.clone(),
            site,
        }
    }

    /// Returns the peer, if no answer is being given to it any more.
    fn into_peer(self) -> Option<Peer> {
        let Self { peer, caller, .. } = self;
        // The caller shares the peer.
        drop(caller);
        Arc::into_inner(peer)
    }
}
