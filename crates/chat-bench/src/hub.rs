//! The hub benchmark: measures the processor time of publishing to members in process, and compares it with the
//! processor time of a bare broadcast channel.
//!
//! The hub and the channel run in turn, on a runtime of one thread with one task for each receiver. The figure is the
//! processor time of the whole process: publishing, waking and receiving. A message is in flight until every receiver
//! has received it.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chat_core::{Event, Hub, Limits};
use serde::Serialize;
use tokio::sync::{Notify, broadcast};
use tokio::task::{JoinSet, LocalSet};

use crate::proc;
use crate::progress::Progress;
use crate::stats::{median, median_ratio};

/// The arguments of `chat-bench hub`.
#[derive(Debug)]
pub(crate) struct HubPlan {
    pub(crate) sessions: usize,
    pub(crate) messages: usize,
    pub(crate) window: usize,
    pub(crate) payload: usize,
    pub(crate) rounds: u32,
}

/// Processor time for each delivery in nanoseconds: medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct HubReport {
    pub(crate) sessions: usize,
    pub(crate) window: usize,
    pub(crate) payload: usize,
    pub(crate) rounds: u32,
    pub(crate) broadcast_ns: f64,
    pub(crate) hub_ns: f64,
    /// The median over all rounds of the hub's cost divided by the channel's cost.
    pub(crate) ratio: f64,
}

/// Measures the bare broadcast channel and the hub, alternately in each round.
pub(crate) fn run(plan: &HubPlan, progress: &Progress) -> anyhow::Result<HubReport> {
    let (mut bare, mut hub) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        progress.now(&format!(
            "round {round}/{}: bare broadcast channel",
            plan.rounds
        ));
        bare.push(Some(in_runtime(measure_broadcast(plan))?));
        progress.now(&format!("round {round}/{}: hub", plan.rounds));
        hub.push(Some(in_runtime(measure_hub(plan))?));
    }
    Ok(HubReport {
        sessions: plan.sessions,
        window: plan.window,
        payload: plan.payload,
        rounds: plan.rounds,
        broadcast_ns: median(bare.iter().copied().flatten()).context("no round")?,
        hub_ns: median(hub.iter().copied().flatten()).context("no round")?,
        ratio: median_ratio(&hub, &bare).context("no round")?,
    })
}

impl fmt::Display for HubReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sessions,
            window,
            payload,
            rounds,
            broadcast_ns,
            hub_ns,
            ratio,
        } = self;
        writeln!(
            out,
            "{sessions} receivers in process, {window} in flight, {payload} bytes; medians of {rounds} rounds."
        )?;
        writeln!(out, "  {:<24} {:>17} {:>6}", "", "CPU ns/delivery", "ratio")?;
        writeln!(
            out,
            "  {:<24} {broadcast_ns:>17.1} {:>6.2}",
            "tokio::sync::broadcast", 1.0
        )?;
        writeln!(
            out,
            "  {:<24} {hub_ns:>17.1} {ratio:>6.2}",
            "chat_core::Hub"
        )
    }
}

fn in_runtime(measuring: impl Future<Output = anyhow::Result<f64>>) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    LocalSet::new().block_on(&runtime, measuring)
}

/// Counts deliveries, and wakes the publisher when the count reaches the awaited number.
#[derive(Debug, Default)]
struct Deliveries {
    count: Cell<usize>,
    awaited: Cell<usize>,
    reached: Notify,
}

impl Deliveries {
    fn add_one(&self) {
        self.count.set(self.count.get() + 1);
        if self.count.get() == self.awaited.get() {
            self.reached.notify_one();
        }
    }

    async fn reach(&self, count: usize) {
        self.awaited.set(count);
        if self.count.get() < count {
            self.reached.notified().await;
        }
    }
}

/// Publishes messages: first a warm-up of about `plan.messages / 5`, and then about `plan.messages` that are measured.
/// Both numbers are rounded up to whole windows. Returns the processor time for each delivery, without the warm-up.
async fn measure<E>(
    plan: &HubPlan,
    deliveries: &Deliveries,
    mut publish: impl AsyncFnMut() -> Result<(), E>,
) -> anyhow::Result<f64>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let pid = std::process::id();
    let windows = plan.messages.div_ceil(plan.window).max(1);
    let warm_up = windows.div_ceil(5);
    let mut began = Duration::ZERO;
    for window in 0..warm_up + windows {
        if window == warm_up {
            began = proc::cpu_time(pid)?;
        }
        for _ in 0..plan.window {
            publish().await?;
        }
        deliveries
            .reach((window + 1) * plan.window * plan.sessions)
            .await;
    }
    let spent = proc::cpu_time(pid)? - began;
    Ok(spent.as_nanos() as f64 / (windows * plan.window * plan.sessions) as f64)
}

async fn measure_broadcast(plan: &HubPlan) -> anyhow::Result<f64> {
    let (tx, _) = broadcast::channel::<Arc<str>>(RING);
    let deliveries = Rc::new(Deliveries::default());
    let mut receivers = JoinSet::new();
    for _ in 0..plan.sessions {
        let (mut rx, deliveries) = (tx.subscribe(), Rc::clone(&deliveries));
        receivers.spawn_local(async move {
            while let Ok(text) = rx.recv().await {
                std::hint::black_box(&text);
                deliveries.add_one();
            }
        });
    }
    let payload = "x".repeat(plan.payload);
    measure(plan, &deliveries, async || {
        tx.send(payload.as_str().into()).map(drop)
    })
    .await
}

async fn measure_hub(plan: &HubPlan) -> anyhow::Result<f64> {
    let mut limits = Limits::default();
    limits.announce = 0;
    let hub = Hub::new(limits);
    let publisher = hub.session(Some("publisher")).await?;
    let room = publisher.join("lobby").await?;
    let deliveries = Rc::new(Deliveries::default());
    let mut receivers = JoinSet::new();
    for _ in 0..plan.sessions {
        let session = hub.session(None).await?;
        let (mut member, deliveries) = (session.join("lobby").await?, Rc::clone(&deliveries));
        receivers.spawn_local(async move {
            let _session = session;
            while let Some(event) = member.next().await {
                if let Event::Message(message) = event {
                    std::hint::black_box(message.text());
                    deliveries.add_one();
                }
            }
        });
    }
    let payload = "x".repeat(plan.payload);
    measure(plan, &deliveries, async || {
        room.say(&payload).await.map(drop)
    })
    .await
}

/// The capacity of the channel and of the hub's rings: the hub's default.
const RING: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_measured_and_nothing_is_lost() {
        // If a message were lost, the publisher would never continue.
        let plan = HubPlan {
            sessions: 10,
            messages: 200,
            window: 16,
            payload: 64,
            rounds: 1,
        };
        let report = run(&plan, &Progress::new()).unwrap();
        assert!(report.broadcast_ns > 0.0 && report.hub_ns > 0.0);
        assert!(report.to_string().contains("chat_core::Hub"));
    }
}
