//! `panic`: streams that panic while they are read or written end their own member only. In process, as no peer can
//! make a socket panic.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use anyhow::Context as _;
use chat_core::{Event, Hub, Limits, Member, Peer, PresenceChange, serve_connection};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::PATIENCE;
use super::findings::{Findings, grouped};
use super::stage::Stage;

/// How many panic at a time.
const WAVE: usize = 50;

/// What a stream holds.
const STREAM_BYTES: usize = 64 * 1024;

/// Where a stream panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Read,
    Write,
}

/// A stream that panics once it is armed.
#[derive(Debug)]
struct Bomb {
    stream: DuplexStream,
    fault: Fault,
    is_armed: Arc<AtomicBool>,
}

/// What the listener saw of the others.
#[derive(Debug, Default)]
struct Seen {
    messages: u64,
    out_of_place: u64,
    /// How often each nick was announced to have come, or been taken, and to have gone.
    came: HashMap<String, u64>,
    left: HashMap<String, u64>,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let bombs: usize = stage.pick(1000, 100);
    findings.did(format!(
        "in process: {} connections whose streams panic, half when read and half when written, {WAVE} at a time",
        grouped(bombs as u64)
    ));
    let hook = std::panic::take_hook();
    // They panic on purpose: nobody wants to read that a thousand times.
    std::panic::set_hook(Box::new(|_| {}));
    let done = explode(bombs, findings).await;
    std::panic::set_hook(hook);
    done
}

async fn explode(bombs: usize, findings: &mut Findings) -> anyhow::Result<()> {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.announce = usize::MAX;
    let hub = Hub::new(limits);
    let (listener, talker) = (hub.session(Some("listener"))?, hub.session(Some("talker"))?);
    let (mut listening, talking) = (listener.join("lobby").await?, talker.join("lobby").await?);
    let (mut seen, mut said, mut panics) = (Seen::default(), 0, 0);
    for wave in 0..bombs / WAVE {
        let (mut connections, mut peers) = (JoinSet::new(), Vec::new());
        for number in wave * WAVE..(wave + 1) * WAVE {
            let (mut near, stream) = duplex(STREAM_BYTES);
            let is_armed = Arc::new(AtomicBool::new(false));
            let fault = if number % 2 == 0 {
                Fault::Read
            } else {
                Fault::Write
            };
            let bomb = Bomb {
                stream,
                fault,
                is_armed: Arc::clone(&is_armed),
            };
            connections.spawn(serve_connection(bomb, Peer::default(), hub.clone()));
            near.write_all(format!("/nick bomb-{number}\n").as_bytes())
                .await?;
            peers.push((near, is_armed));
        }
        let here = (wave + 1) * WAVE;
        seen.until(&mut listening, |seen| seen.came.len() == here)
            .await?;
        for (near, is_armed) in &mut peers {
            is_armed.store(true, Ordering::Relaxed);
            near.write_all(b"x\n").await?;
        }
        // Whoever only panics when written must be written to.
        talking.say(&said.to_string()).await?;
        said += 1;
        while let Some(ended) = connections.join_next().await {
            panics += u64::from(ended.is_err_and(|error| error.is_panic()));
        }
        seen.until(&mut listening, |seen| seen.left.len() == here)
            .await?;
        drop(peers);
    }
    talking.say(&said.to_string()).await?;
    seen.until(&mut listening, |seen| seen.messages > said)
        .await?;
    findings.figure("tasks that panicked", grouped(panics));
    findings.exactly("messages to the others", seen.messages, said + 1);
    findings.exactly("  out of place", seen.out_of_place, 0);
    findings.exactly("leavings announced", seen.left.values().sum(), bombs as u64);
    let twice: Vec<String> = seen
        .left
        .iter()
        .filter(|(_, n)| **n != 1)
        .map(|(nick, _)| nick.clone())
        .collect();
    findings.none("announced more than once", &twice);
    findings.exactly("sessions left over", hub.sessions() as u64 - 2, 0);
    findings.exactly("members left over", listening.info().count as u64 - 2, 0);
    let taken: Vec<String> = (0..bombs)
        .map(|number| format!("bomb-{number}"))
        .filter(|nick| hub.session(Some(nick)).is_err())
        .collect();
    findings.none("nicks that are not free again", &taken);
    Ok(())
}

impl Seen {
    async fn until(
        &mut self,
        listening: &mut Member,
        is_enough: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let looking = async {
            while !is_enough(self) {
                let event = listening.next().await.context("the hub ended")?;
                self.take(&event);
            }
            Ok(())
        };
        let done = timeout(PATIENCE, looking).await;
        done.with_context(|| {
            format!(
                "{} came, {} left, {} messages",
                self.came.len(),
                self.left.len(),
                self.messages
            )
        })?
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Message(message) if message.from().as_str() == "talker" => {
                if message.text() != self.messages.to_string() {
                    self.out_of_place += 1;
                }
                self.messages += 1;
            }
            Event::Presence(presence) => match &presence.change {
                PresenceChange::Renamed { to } => {
                    *self.came.entry(to.to_string()).or_default() += 1;
                }
                PresenceChange::Left { .. } => {
                    *self.left.entry(presence.nick.to_string()).or_default() += 1;
                }
                _ => {}
            },
            _ => {}
        }
    }
}

impl Bomb {
    fn tick(&self, fault: Fault) {
        let explodes = self.fault == fault && self.is_armed.load(Ordering::Relaxed);
        assert!(!explodes, "on purpose");
    }
}

impl AsyncRead for Bomb {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.tick(Fault::Read);
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Bomb {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.tick(Fault::Write);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
