//! The detector of HTTP, and its settings.

use crate::http::{Connection, RequestLine, Site};
use crate::limits::WebLimits;
use crate::page::{self, Page};
use crate::ws::WebSockets;
use chat_core::Hub;
use chat_core::protocol::{Detected, Detection, Detector};
use chat_json::JsonLines;
use std::path::PathBuf;
use std::sync::Arc;

/// Makes a server answer HTTP on its port: the web client, WebSocket, and requests for programs.
///
/// # Examples
///
/// ```
/// use chat_core::{Hub, Server};
/// use chat_json::JsonLines;
/// use chat_web::Web;
///
/// let hub = Hub::default();
/// let json = JsonLines::default();
/// let web = Web::new(hub.clone(), json.clone()).host("chat.example.org");
/// let server = Server::new(hub).protocol(web).protocol(json);
/// # drop(server);
/// ```
///
/// # Safety against other sites
///
/// A browser sends requests to a chat server in the name of any page that its user has open. Every request must
/// therefore name the server as an IP address, as `localhost`, or as one of the [`host`](Self::host) names. A page of
/// another site can neither publish nor open a WebSocket: its requests are answered with 403.
///
/// # Spare connections
///
/// A browser opens connections and leaves them silent until it needs them. When a browser requests the page, silent
/// connections from its address are therefore not greeted at once; see
/// [`Hub::expect_spare_connections`](chat_core::Hub::expect_spare_connections).
///
/// # Overload
///
/// A request over [`Limits::rate`](chat_core::Limits::rate) waits; nothing is dropped. [`WebLimits`] bounds what one
/// connection may send and how long it may take.
#[derive(Debug, Clone)]
pub struct Web {
    site: Arc<Site>,
}

impl Web {
    /// Creates the detector for a server of this hub. `json` is the dialect of WebSocket members. Members of several
    /// servers that are given clones of one `JsonLines` share its encoder.
    #[must_use]
    pub fn new(hub: Hub, json: JsonLines) -> Self {
        page::prepare();
        Self {
            site: Arc::new(Site {
                hub,
                web_sockets: WebSockets::new(json),
                hosts: Vec::new(),
                limits: WebLimits::default(),
                page: Page::Embedded,
            }),
        }
    }

    /// Allows a name in `Host`, without a port: a name under which browsers reach the server. IP addresses and
    /// `localhost` are always allowed. May be called several times.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        let mut name = name.into().to_ascii_lowercase();
        if name.ends_with('.') {
            name.pop();
        }
        Arc::make_mut(&mut self.site).hosts.push(name);
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: WebLimits) -> Self {
        Arc::make_mut(&mut self.site).limits = limits;
        self
    }

    /// Serves the page from the files of a directory, which are read for each request, and not from the program. This
    /// is for developing the page.
    #[must_use]
    pub fn web_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        Arc::make_mut(&mut self.site).page = Page::Directory(directory.into());
        self
    }
}

impl Detector for Web {
    fn detect(&self, prefix: &[u8]) -> Detection {
        match RequestLine::recognise(prefix) {
            Some(RequestLine::Unfinished) => Detection::NeedMore,
            Some(line) => {
                let connection = Connection::new(Arc::clone(&self.site), line);
                Detection::Found(Detected::TakeOver(Box::new(connection)))
            }
            None => Detection::NotFound,
        }
    }

    fn may_take_over(&self) -> bool {
        true
    }
}
