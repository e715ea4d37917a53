//! `resume`: a member stops reading and later continues. It must receive every message, or an explicit gap.

use std::ops::Range;

use super::account::{Account, lines};
use super::client::Client;
use super::findings::{Findings, grouped};
use super::stage::Stage;
use super::witness::{Where, Witnesses};

/// The receive buffer of the member that does not read, in bytes. It is small, so that unread messages wait at the
/// server.
const RECEIVE_BYTES: u32 = 4096;

/// The size of a filler in bytes. Fillers are messages that fill the socket, so that later messages wait at the server.
const FILLER: usize = 1000;

/// The size of each short message, in bytes.
const SHORT: usize = 8;

/// The number of messages that the speaker publishes before it waits for the server.
const AT_ONCE: u64 = 16;

/// The number of messages that a room's log holds by default.
const LOG_MESSAGES: u64 = 1024;

/// The speaker publishes this many more fillers than the member's socket and queue hold.
const BEYOND: u64 = 64;

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let server = stage.start(16, &[])?;
    let port = server.port();
    let witnesses = Witnesses::begin(port, Where::OwnRoom).await?;
    let mut speaker = Client::arrive(port, "speaker").await?;
    // Measures how many messages a socket and a member's queue hold.
    let probe = sleep_through(port, &mut speaker, "probe", 8000, 0).await?;
    let held = probe.before_gap.unwrap_or(probe.seen);
    findings.did(format!(
        "the socket and queue of a member that does not read hold {} messages of {FILLER} bytes",
        grouped(held)
    ));
    findings.did("that many messages, a few more and short ones follow before it reads again");
    for (tag, short) in [("few", 500), ("many", 5000)] {
        let filling = held + BEYOND;
        let account = sleep_through(port, &mut speaker, tag, filling, short).await?;
        let total = filling + short;
        let label = |what: &str| format!("{} short messages: {what}", grouped(short));
        let accounted = account.seen + account.missed;
        findings.figure(&label("seen"), grouped(account.seen));
        if short < LOG_MESSAGES {
            findings.exactly(&label("missed"), account.missed, 0);
        } else {
            findings.at_least(&label("reported as missed"), account.missed, 1);
            let short_seen = account.seen - account.before_gap.unwrap_or_default();
            findings.at_least(
                &label("replayed after the gap"),
                short_seen,
                LOG_MESSAGES / 2,
            );
        }
        findings.exactly(&label("seen or reported as missed"), accounted, total);
        findings.exactly(&label("out of place"), account.out_of_place(), 0);
    }
    witnesses.testify(findings).await
}

/// Publishes messages a few at a time, so that the receiver's socket and queue fill up, but no burst overruns the
/// queue.
async fn speak(
    speaker: &mut Client,
    tag: &str,
    numbers: Range<u64>,
    filler: usize,
) -> anyhow::Result<()> {
    let mut next = numbers.start;
    while next < numbers.end {
        let end = numbers.end.min(next + AT_ONCE);
        speaker.writer.send(&lines(tag, next..end, filler)).await?;
        // The server answers `/who` after it has published all messages that were sent before the `/who`.
        speaker.ask("/who\n", "* lobby: ").await?;
        next = end;
    }
    Ok(())
}

/// Connects a member, publishes fillers and short messages while the member does not read, and then reads all of them.
async fn sleep_through(
    port: u16,
    speaker: &mut Client,
    tag: &str,
    filling: u64,
    short: u64,
) -> anyhow::Result<Account> {
    let mut sleeper = Client::connect_small(port, RECEIVE_BYTES).await?;
    sleeper.take_nick(&format!("sleeper-{tag}")).await?;
    speak(speaker, tag, 0..filling, FILLER).await?;
    speak(speaker, tag, filling..filling + short, SHORT).await?;
    let mut account = Account::default();
    account
        .complete(&mut sleeper.reader, "speaker", tag, filling + short)
        .await?;
    // A duplicate would arrive before the answer to this request.
    sleeper.writer.send(b"/who\n").await?;
    loop {
        anyhow::ensure!(
            sleeper.reader.next().await?,
            "the server closed the connection"
        );
        let line = sleeper.reader.line();
        if line.starts_with(b"* lobby: ") {
            return Ok(account);
        }
        account.hear(line, "speaker", tag);
    }
}
