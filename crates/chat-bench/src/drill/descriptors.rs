//! `fd-exhaustion`: clients open more connections than the server has descriptors.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::client::Client;
use super::findings::{Findings, grouped};
use super::stage::Stage;
use super::witness::{Where, Witnesses};
use crate::launch::Server;
use crate::proc;

/// The server's descriptor limit.
const DESCRIPTORS: usize = 256;

/// The number of connections that clients open.
const CONNECTIONS: usize = 400;

/// The server's `--connections`: so high that only the descriptor limit takes effect.
const ALLOWED: usize = 100_000;

/// How long the server is watched while it has no free descriptor.
const WATCH: Duration = Duration::from_secs(3);

const SERVES_AGAIN_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    findings.did(format!(
        "a server with {DESCRIPTORS} descriptors and --connections {ALLOWED}; {CONNECTIONS} connections are opened and held for {} s",
        WATCH.as_secs()
    ));
    let server = stage.start_with_descriptors(DESCRIPTORS, ALLOWED)?;
    let port = server.port();
    let witnesses = Witnesses::begin(port, Where::OwnRoom).await?;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(Client::connect(port).await.context("a connection")?);
    }
    let descriptors = until_full(&server).await?;
    findings.at_least(
        "descriptors in use",
        descriptors as u64,
        DESCRIPTORS as u64 - 64,
    );
    let (before, began) = (proc::cpu_time(server.pid())?, Instant::now());
    tokio::time::sleep(WATCH).await;
    let used = proc::cpu_time(server.pid())? - before;
    let percent = 100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64();
    findings.below("share of a processor while it is full", percent, 10.0, "%");
    let log = server.output();
    let lines = log.split(|byte| *byte == b'\n').count();
    findings.figure("log lines so far", grouped(lines as u64));
    let freed = Instant::now();
    drop(held);
    served_again(port).await?;
    findings.within(
        "serves new clients after",
        freed.elapsed(),
        SERVES_AGAIN_WITHIN,
    );
    witnesses.testify(findings).await
}

/// Waits until the number of the server's descriptors no longer grows, and returns that number.
async fn until_full(server: &Server) -> anyhow::Result<usize> {
    let began = Instant::now();
    let mut last = 0;
    loop {
        let now = proc::descriptors(server.pid())?;
        if now == last && now > DESCRIPTORS / 2 {
            return Ok(now);
        }
        last = now;
        ensure!(
            began.elapsed() < WATCH * 3,
            "{now} descriptors are in use, fewer than expected"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Connects repeatedly until the server answers. The server may refuse connections for some time.
async fn served_again(port: u16) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < SERVES_AGAIN_WITHIN * 5 {
        let mut client = Client::connect(port).await?;
        if client.ask("/who\n", "* lobby: ").await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("no client is served although descriptors are free again")
}
