//! `disk-full`: a small disk fills up while members talk, and is freed again. The server may acknowledge only messages
//! that it has stored. The other messages are refused with an error. The server must recover by itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::findings::{Findings, grouped};
use super::log::{self, ROOM};
use super::stage::Stage;
use crate::ledger::{self, Acknowledged};

/// The size of the disk, and the size of the file that is removed to free space.
const DISK_BYTES: usize = 24 << 20;
const BALLAST_BYTES: usize = 8 << 20;

/// How long the server may take to accept messages after the disk is freed.
const RECOVERS_WITHIN: Duration = Duration::from_secs(5);

/// A small disk in memory. It is unmounted on drop.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> anyhow::Result<Self> {
        let size = format!("size={DISK_BYTES}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "chat-bench"])
            .arg(at)
            .status()
            .context("mount")?;
        ensure!(
            mounted.success(),
            "a small disk can't be mounted: run this drill as root"
        );
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The unmount is lazy, because a server that is shutting down may still use the disk.
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("chat-bench: could not unmount {}", self.0.display());
        }
    }
}

/// What the drill observed before, while and after the disk was full.
struct Seen {
    /// The error reply to the program whose message could not be stored.
    refusal: Value,
    told_plain: String,
    sends_direct: bool,
    opens_rooms: bool,
    kept_before: usize,
    read_while_full: usize,
    kept_while_full: usize,
    recovered: Duration,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    findings.did(format!(
        "a disk of {} MiB; members talk until it is full and on, and then it is freed",
        DISK_BYTES >> 20
    ));
    let dir = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
    let disk = Disk::mount(dir.path())?;
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_BYTES])?;
    let file = dir.path().join("chat.db").to_string_lossy().into_owned();
    let server = stage.start(64, &["--data", &file])?;
    let port = server.port();
    let mut writer = Writer::arrive(port, stage).await?;
    let seen = fill_and_free(port, &mut writer, &ballast).await?;
    let whole = log::read(port, 0).await?;
    let wrongs = ledger::judge(&whole.kept, std::slice::from_ref(&writer.told));
    let invented = whole.kept.len().saturating_sub(writer.told.0.len());
    drop(server);
    let server = stage.start(64, &["--data", &file])?;
    let again = log::read(server.port(), 0).await?;
    drop(server);
    drop(disk);
    seen.report(findings);
    log::report(&wrongs, findings);
    findings.exactly("kept although refused", invented as u64, 0);
    let same = again.kept == whole.kept && again.epoch == whole.epoch;
    findings.exactly("the same after a restart", u64::from(same), 1);
    Ok(())
}

/// Fills the disk, tries the requests that must still work, frees the disk, and waits until messages are accepted
/// again.
async fn fill_and_free(port: u16, writer: &mut Writer, ballast: &Path) -> anyhow::Result<Seen> {
    let mut plain = Client::arrive(port, "plain").await?;
    plain.go_to(ROOM).await?;
    let refusal = writer.write_until_refused().await?;
    let kept_before = writer.told.0.len();
    let told_plain = plain.ask("is it full?\n", "! not delivered").await?;
    // Direct messages are not stored, so they work without the disk.
    let sends_direct = plain.ask("/msg w0 psst\n", "").await.is_ok();
    let read_while_full = log::read(port, 0).await?.kept.len();
    let entered = async {
        let mut late = Client::arrive(port, "late").await?;
        late.go_to("elsewhere").await
    };
    let opens_rooms = entered.await.is_ok();
    writer.write_many().await?;
    let kept_while_full = writer.told.0.len() - kept_before;
    std::fs::remove_file(ballast)?;
    let freed = Instant::now();
    while writer.write().await?.is_some() {
        ensure!(
            freed.elapsed() < 4 * RECOVERS_WITHIN,
            "the server does not recover: {refusal}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let recovered = freed.elapsed();
    writer.write_many().await?;
    Ok(Seen {
        refusal,
        told_plain,
        sends_direct,
        opens_rooms,
        kept_before,
        read_while_full,
        kept_while_full,
        recovered,
    })
}

impl Seen {
    fn report(&self, findings: &mut Findings) {
        findings.figure("error to the program", &self.refusal["msg"]);
        findings.figure("error in the plain dialect", &self.told_plain);
        let is_unavailable = self.refusal["code"] == "unavailable";
        for (what, is_so) in [
            ("error code is unavailable", is_unavailable),
            ("direct messages while it is full", self.sends_direct),
            ("new rooms entered while it is full", self.opens_rooms),
        ] {
            findings.exactly(what, u64::from(is_so), 1);
        }
        let kept_before = self.kept_before as u64;
        findings.at_least("kept before it was full", kept_before, 100);
        let read = self.read_while_full as u64;
        findings.at_least("read while it was full", read, kept_before);
        let kept = grouped(self.kept_while_full as u64);
        findings.figure("kept while it was full", kept);
        findings.within(
            "recovered after it was freed",
            self.recovered,
            RECOVERS_WITHIN,
        );
    }
}

/// A program that publishes numbered messages and records which of them are acknowledged.
struct Writer {
    client: Client,
    told: Acknowledged,
    count: u64,
    filler: String,
}

impl Writer {
    async fn arrive(port: u16, stage: &Stage<'_>) -> anyhow::Result<Self> {
        let mut client = Client::connect(port).await?;
        let hello = json!({"cmd": "hello", "id": 0, "nick": "w0", "join": [{"room": ROOM}]});
        log::ask(&mut client, &hello, 0).await?;
        // The length depends on the seed, so that the disk fills at a different point with each seed.
        let length = 500 + stage.random(1).usize(..1500);
        Ok(Self {
            client,
            told: Acknowledged::default(),
            count: 0,
            filler: "x".repeat(length),
        })
    }

    /// Publishes the next message. If the server refuses the message, returns the server's error.
    async fn write(&mut self) -> anyhow::Result<Option<Value>> {
        let (number, id) = (self.count, self.count + 1);
        self.count += 1;
        // The long message only takes up disk space. Only the short message after it is recorded.
        let filler = json!({"cmd": "say", "room": "filler", "text": self.filler});
        let say = json!({"cmd": "say", "id": id, "room": ROOM, "text": format!("w0 {number}")});
        let begins = format!("{{\"re\":{id},");
        let lines = format!("{filler}\n{say}\n");
        let answer = self.client.ask(&lines, &begins).await?;
        let mut answer: Value = serde_json::from_str(&answer)?;
        if let Some(seq) = answer["ok"]["seq"].as_u64() {
            self.told.0.push((number, seq));
            return Ok(None);
        }
        Ok(Some(answer["err"].take()))
    }

    /// Publishes 200 messages. Some or all may be refused.
    async fn write_many(&mut self) -> anyhow::Result<()> {
        for _ in 0..200 {
            self.write().await?;
        }
        Ok(())
    }

    async fn write_until_refused(&mut self) -> anyhow::Result<Value> {
        let request = json!({"cmd": "join", "id": 0, "room": "filler"});
        log::ask(&mut self.client, &request, 0).await?;
        loop {
            ensure!(self.count < 100_000, "the disk does not get full");
            if let Some(refusal) = self.write().await? {
                return Ok(refusal);
            }
        }
    }
}
