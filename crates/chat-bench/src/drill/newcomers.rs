//! How soon a newcomer is served while others make trouble.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::findings::Findings;

/// One newcomer after the other, with this much time between.
const EVERY: Duration = Duration::from_millis(20);

/// Within which each must have its first answer.
const SERVED_WITHIN: Duration = Duration::from_millis(100);

/// Members that come, ask who is there, and go.
#[derive(Debug)]
pub(crate) struct Newcomers {
    coming: JoinSet<anyhow::Result<Vec<Duration>>>,
    stop: CancellationToken,
}

impl Newcomers {
    /// Lets the first one come.
    pub(crate) fn begin(port: u16) -> Self {
        let (stop, mut coming) = (CancellationToken::new(), JoinSet::new());
        let stopped = stop.clone();
        coming.spawn(async move {
            let mut times = Vec::new();
            while !stopped.is_cancelled() {
                let began = Instant::now();
                let mut client = Client::connect(port).await.context("a newcomer")?;
                client
                    .ask("/who\n", "* lobby: ")
                    .await
                    .context("a newcomer")?;
                times.push(began.elapsed());
                tokio::time::sleep(EVERY).await;
            }
            Ok(times)
        });
        Self { coming, stop }
    }

    /// No more come; says how long they waited.
    pub(crate) async fn testify(mut self, findings: &mut Findings) -> anyhow::Result<()> {
        self.stop.cancel();
        let times = self.coming.join_next().await.context("no newcomer")?;
        let mut times = times.context("a newcomer panicked")??;
        times.sort_unstable();
        let median = times[times.len() / 2].as_secs_f64() * 1e3;
        findings.at_least("newcomers", times.len() as u64, 1);
        findings.figure("  served after (median)", format!("{median:.1} ms"));
        let slowest = times.last().copied().unwrap_or_default();
        findings.within("  served after (slowest)", slowest, SERVED_WITHIN);
        Ok(())
    }
}
