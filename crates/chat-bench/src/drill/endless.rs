//! `endless-line`: bytes without a newline take no memory, and their sender is told once.

use std::time::Instant;

use anyhow::Context;

use super::client::{Client, Reader};
use super::findings::{Findings, grouped};
use super::memory::MemoryWatch;
use super::stage::Stage;
use super::witness::{Where, Witnesses};

/// What one write takes.
const PIECE: usize = 256 * 1024;

const TOLD: &str = "! line too long (limit 8192 bytes)";

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let bytes: usize = stage.pick(1 << 30, 32 << 20);
    findings.did(format!(
        "a line of {} bytes, after one of 1 MiB that warms up",
        grouped(bytes as u64)
    ));
    let server = stage.start(16, &[])?;
    let witnesses = Witnesses::begin(server.port(), Where::Lobby).await?;
    let mut client = Client::arrive(server.port(), "endless").await?;
    write(&mut client, 1 << 20).await?;
    let warm_up = told_until_answered(&mut client).await?;
    let memory = MemoryWatch::begin(server.pid())?;
    let began = Instant::now();
    write(&mut client, bytes).await?;
    let growth = memory.growth_kib();
    let seconds = began.elapsed().as_secs_f64();
    let told = told_until_answered(&mut client).await?;
    findings.figure(
        "MiB a second",
        (bytes as f64 / f64::from(1 << 20) / seconds) as u64,
    );
    findings.exactly("times it was told (warm-up)", warm_up, 1);
    findings.exactly("times it was told", told, 1);
    findings.below("memory growth at its highest", growth, 1024.0, "KiB");
    witnesses.testify(findings).await
}

async fn write(client: &mut Client, bytes: usize) -> anyhow::Result<()> {
    let piece = vec![b'a'; PIECE];
    for _ in 0..bytes / PIECE {
        client.writer.send(&piece).await?;
    }
    Ok(())
}

/// Ends the line, asks something, and counts how often it is told until the answer comes.
async fn told_until_answered(client: &mut Client) -> anyhow::Result<u64> {
    client.writer.send(b"\n/who\n").await?;
    let reader: &mut Reader = &mut client.reader;
    let mut told = 0;
    let reading = async {
        loop {
            anyhow::ensure!(reader.next().await?, "the server hung up");
            match String::from_utf8_lossy(reader.line()) {
                line if line == TOLD => told += 1,
                line if line.starts_with("* lobby: ") => return Ok(told),
                _ => {}
            }
        }
    };
    tokio::time::timeout(super::client::PATIENCE, reading)
        .await
        .context("no answer after the line")?
}
