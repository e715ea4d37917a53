//! Connects and watches groups of members.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::client::Client;
use super::findings::Findings;
use crate::launch::Server;
use crate::proc;

/// The most connections that are opened at the same time: fewer than the server's listen backlog.
pub(crate) const ARRIVING_MAX: usize = 256;

/// Connects a member for each nick. The members join in random order, and are returned in the order of `nicks`.
pub(crate) async fn arrive(port: u16, nicks: Vec<String>) -> anyhow::Result<Vec<Client>> {
    let (door, mut arriving) = (Arc::new(Semaphore::new(ARRIVING_MAX)), JoinSet::new());
    for (number, nick) in nicks.into_iter().enumerate() {
        let door = Arc::clone(&door);
        arriving.spawn(async move {
            let _permit = door.acquire().await?;
            let client = Client::arrive(port, &nick).await;
            anyhow::Ok((number, client.with_context(|| format!("{nick} arriving"))?))
        });
    }
    let mut clients = Vec::new();
    while let Some(client) = arriving.join_next().await {
        clients.push(client.context("a member panicked")??);
    }
    clients.sort_unstable_by_key(|(number, _)| *number);
    Ok(clients.into_iter().map(|(_, client)| client).collect())
}

/// Waits for at most `patience` until the server holds at most `expected` descriptors. Reports the number of
/// descriptors.
pub(crate) async fn is_gone(
    server: &Server,
    expected: usize,
    patience: Duration,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut now = proc::descriptors(server.pid())?;
    while now > expected && began.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(10)).await;
        now = proc::descriptors(server.pid())?;
    }
    let what = "descriptors after all have left";
    findings.exactly(what, now as u64, expected as u64);
    findings.figure(
        "  after",
        format!("{:.0} ms", began.elapsed().as_secs_f64() * 1e3),
    );
    Ok(())
}

/// Returns the nicks `m0`, `m1`, ..
pub(crate) fn nicks(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("m{number}")).collect()
}
