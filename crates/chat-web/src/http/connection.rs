//! One connection that speaks HTTP, from its first request to its end or to a WebSocket.
//!
//! Invariant: the connection ends by itself when the hub drains, and every wait for the peer has a deadline.

use super::answer::{Endless, Refusal};
use super::metered::Metered;
use super::state::{State, TimedOut};
use super::{Body, Context, RequestLine, Site, router};
use crate::limits::WebLimits;
use bytes::Bytes;
use chat_core::protocol::{Next, Stream, TakeOver, TakenOver};
use chat_core::{AddressMeter, Hub, Peer};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

/// The smallest buffer that hyper accepts.
const BUFFER_BYTES_MIN: usize = 8 * 1024;

/// How long the server goes on reading after its last answer, so that a peer that is still sending can read the answer.
/// A socket that is closed with unread input is reset, and the answer is lost.
const LINGER: Duration = Duration::from_secs(1);
/// The most bytes that are read for this purpose. The peer's address is charged for them.
const LINGER_BYTES: u64 = 256 * 1024;

/// A connection whose first bytes are a request line.
pub(crate) struct Connection {
    site: Arc<Site>,
    line: RequestLine,
}

/// A connection that hyper serves.
type Served = http1::Connection<TokioIo<Metered>, Requests>;

/// How a connection that hyper has served ends.
enum End {
    /// HTTP ends: the last answer is sent, or the peer has ended the connection.
    Finished,
    /// The peer has broken the rules of HTTP, or the stream.
    Broken,
    /// The peer has not done something in time.
    TimedOut(TimedOut),
    /// The hub drains.
    Draining,
}

impl Connection {
    pub(crate) const fn new(site: Arc<Site>, line: RequestLine) -> Self {
        Self { site, line }
    }
}

impl TakeOver for Connection {
    fn take_over(self: Box<Self>, stream: Stream, peer: Peer) -> BoxFuture<'static, TakenOver> {
        match self.line {
            RequestLine::OtherVersion => refuse_version(self.site, stream, peer).boxed(),
            RequestLine::Http1 | RequestLine::Unfinished => serve(self.site, stream, peer).boxed(),
        }
    }

    fn is_handshake(&self) -> bool {
        false
    }
}

async fn refuse_version(site: Arc<Site>, stream: Stream, peer: Peer) -> TakenOver {
    let meter = site.hub.address_meter(&peer);
    let refusal = Refusal::new(
        StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        "unknown_version",
        "this server speaks HTTP/1.1",
    );
    close(stream, Some(refusal), &meter, Drain::new(&site.hub)).await;
    TakenOver::Ended
}

/// Answers the requests of a connection, until it ends or continues as a WebSocket.
async fn serve(site: Arc<Site>, stream: Stream, peer: Peer) -> TakenOver {
    let hub = site.hub.clone();
    let limits = site.limits.clone();
    let meter = hub.address_meter(&peer);
    let state = Arc::new(State::new(meter, &limits, hub.limits(), Instant::now()));
    let requests = Requests {
        context: Arc::new(Context::new(site, peer)),
        state: Arc::clone(&state),
    };
    let stream = Metered::new(stream, Arc::clone(&state));
    let mut connection = http1::Builder::new()
        // hyper then reads while it answers, and ends when the peer ends its side. `Metered` tells it of that only
        // when no answer is lost.
        .half_close(false)
        // `State` has the deadlines.
        .header_read_timeout(None)
        .max_headers(limits.headers.get())
        .max_buf_size(limits.header_bytes.get().max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), requests);
    let mut drain = Drain::new(&hub);
    let end = drive(&mut connection, &state, &mut drain, &limits).await;
    let parts = connection.into_parts();
    let stream = parts.io.into_inner().into_stream();
    match end {
        End::Finished => {
            let context = Arc::into_inner(parts.service.context);
            let peer = context.and_then(Context::into_peer);
            if let (Some(dialect), Some(peer)) = (state.take_dialect(), peer) {
                return TakenOver::HandedBack {
                    stream: rewound(parts.read_buf, stream),
                    peer,
                    next: Next::Dialect(dialect),
                };
            }
            close(stream, None, state.meter(), drain).await;
        }
        End::TimedOut(TimedOut::Head) => {
            let message = "the request did not arrive in time";
            let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", message);
            close(stream, Some(refusal), state.meter(), drain).await;
        }
        End::Broken => {
            let refusal = state.rejected().map(Refusal::unparsed);
            close(stream, refusal, state.meter(), drain).await;
        }
        End::TimedOut(TimedOut::Idle) => close(stream, None, state.meter(), drain).await,
        End::TimedOut(TimedOut::Stalled) | End::Draining => {}
    }
    TakenOver::Ended
}

/// When the connection must have ended, because the hub drains.
struct Drain<'a> {
    hub: &'a Hub,
    begins: BoxFuture<'a, ()>,
    /// The end of the hub's drain; `None` while the hub does not drain.
    until: Option<Instant>,
}

impl<'a> Drain<'a> {
    fn new(hub: &'a Hub) -> Self {
        Self {
            hub,
            begins: hub.drained().boxed(),
            until: None,
        }
    }

    /// Returns whether the drain begins now. Later calls return `false`.
    fn poll_begins(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let begins = self.until.is_none() && self.begins.as_mut().poll(cx).is_ready();
        if begins {
            self.until = Some(Instant::now() + self.hub.limits().drain);
        }
        begins
    }

    /// Waits for the end of the drain.
    async fn ends(mut self) {
        if self.until.is_none() {
            self.begins.as_mut().await;
        }
        let drain = self.hub.limits().drain;
        sleep_until(self.until.unwrap_or_else(|| Instant::now() + drain)).await;
    }
}

/// Drives a connection to its end, and returns how it ended.
async fn drive(
    connection: &mut Served,
    state: &State,
    drain: &mut Drain<'_>,
    limits: &WebLimits,
) -> End {
    let stall = drain.hub.limits().stall_timeout;
    let mut timer = pin!(sleep_until(Instant::now()));
    std::future::poll_fn(|cx| {
        loop {
            // `Metered` does not shut the stream down.
            if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(ended.map_or_else(
                    |error| {
                        tracing::debug!(%error, "HTTP ended");
                        End::Broken
                    },
                    |()| End::Finished,
                ));
            }
            if state.reveals_end() {
                continue;
            }
            if !drain.poll_begins(cx) {
                break;
            }
            if state.is_waiting() {
                return Poll::Ready(End::Draining);
            }
            // Polls the connection once more, which may end now.
            Pin::new(&mut *connection).graceful_shutdown();
        }
        let waits = state.deadline(limits, stall);
        let waits = waits.map(|(at, timed_out)| (at, End::TimedOut(timed_out)));
        let drains = drain.until.map(|at| (at, End::Draining));
        let first = waits.into_iter().chain(drains).min_by_key(|&(at, _)| at);
        let Some((at, end)) = first else {
            return Poll::Pending;
        };
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(end)
    })
    .await
}

/// Returns a stream from which `ahead` is read first.
fn rewound(ahead: Bytes, stream: Stream) -> Stream {
    if ahead.is_empty() {
        stream
    } else {
        Stream::rewound(ahead, stream)
    }
}

/// Sends a last answer, and closes the stream so that the peer can read it. Takes at most `LINGER`, and as long again
/// if the peer goes on sending. Ends with the hub's drain in any case.
async fn close(stream: Stream, refusal: Option<Refusal>, meter: &AddressMeter, drain: Drain<'_>) {
    tokio::select! {
        () = linger(stream, refusal, meter) => {}
        () = drain.ends() => {}
    }
}

async fn linger(mut stream: Stream, refusal: Option<Refusal>, meter: &AddressMeter) {
    let sending = async {
        if let Some(refusal) = refusal {
            stream.write_all(&refusal.to_bytes()).await?;
        }
        stream.shutdown().await
    };
    if !matches!(timeout(LINGER, sending).await, Ok(Ok(()))) {
        return;
    }
    let mut discarded = [0; 4096];
    let mut rest = stream.take(LINGER_BYTES);
    let reading = async {
        while let Ok(count @ 1..) = rest.read(&mut discarded).await {
            // An address that has sent too much may lose the answer.
            if meter.charge_input(count).is_some() {
                break;
            }
        }
    };
    // The result is irrelevant: the connection is closed in any case.
    drop(timeout(LINGER, reading).await);
}

/// Answers the requests of one connection.
struct Requests {
    context: Arc<Context>,
    state: Arc<State>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let turn = self.state.begin(router::cost(&request), Instant::now());
        let (context, state) = (Arc::clone(&self.context), Arc::clone(&self.state));
        async move {
            let answering = Answering(Arc::clone(&state));
            wait_until(turn.at).await;
            let mut response = router::answer(&context, &state, request).await;
            if response.extensions().get::<Endless>().is_some() {
                state.begin_stream();
            }
            if turn.is_last {
                let close = HeaderValue::from_static("close");
                response.headers_mut().entry(CONNECTION).or_insert(close);
            }
            Ok(response.map(|body| {
                Guarded {
                    body,
                    _answering: answering,
                }
                .boxed()
            }))
        }
        .boxed()
    }
}

/// Waits, unless the instant has passed: the timer would round the wait up to a millisecond.
pub(super) async fn wait_until(at: Instant) {
    if at > Instant::now() {
        sleep_until(at).await;
    }
}

/// Exists while a request is answered. Dropping it ends the answer.
struct Answering(Arc<State>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.end(Instant::now());
    }
}

/// The body of an answer, which ends when hyper drops it.
struct Guarded {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
