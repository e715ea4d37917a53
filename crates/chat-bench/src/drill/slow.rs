//! `slow-readers`: members read 1 KiB a second while another member sends much faster.

use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::account::{Account, lines};
use super::client::Client;
use super::crowd;
use super::findings::{Findings, grouped};
use super::memory::MemoryWatch;
use super::stage::Stage;
use super::witness::{Where, Witnesses};

/// How a slow reader reads: at most 256 bytes, four times a second.
const READ_BYTES: usize = 256;
const READ_EVERY: Duration = Duration::from_millis(250);

/// The bytes of a slow reader's receive buffer, and of each read, at the end of the drill. The reader then reads as
/// fast as possible.
const RECEIVE_BYTES: u32 = 4096;

/// A slow reader's receive buffer and read size at the end, when it reads as fast as possible.
const HURRY_BYTES: usize = 64 * 1024;

/// How the speaker sends: 20 messages of 200 bytes every 10 ms, which makes 2,000 messages a second.
const SPEAK_EVERY: Duration = Duration::from_millis(10);
const AT_ONCE: u64 = 20;
const FILLER: usize = 200;

/// How long the readers are slow. This is longer than `--stall-timeout` (30 s), which must not apply to a slow reader.
const LASTING: Duration = Duration::from_secs(45);

/// The number of members that read without delay.
const PROMPT: usize = 5;

/// The most memory that each slow reader may cost: its queue of 256 KiB, and as much again for the allocator.
const EACH_MAX_KIB: f64 = 512.0;

/// Receives the total number of messages once all of them are sent.
type Total = tokio::sync::watch::Receiver<Option<u64>>;

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let readers = stage.pick(200, 10);
    let lasting = stage.lasting(LASTING, Duration::from_secs(1));
    findings.did(format!(
        "{readers} members read 1 KiB a second for {} s while 2,000 messages of {FILLER} bytes a second are sent; then they read the rest",
        lasting.as_secs()
    ));
    let server = stage.start(readers + PROMPT + 16, &[])?;
    let port = server.port();
    let witnesses = Witnesses::begin(port, Where::OwnRoom).await?;
    let (tell, total) = tokio::sync::watch::channel(None);
    let (mut slow, mut prompt) = (JoinSet::new(), JoinSet::new());
    let hurry = CancellationToken::new();
    for nick in crowd::nicks(readers) {
        let mut client = Client::connect_small(port, RECEIVE_BYTES).await?;
        client.take_nick(&nick).await?;
        slow.spawn(dawdle(client, hurry.clone(), total.clone()));
    }
    for client in crowd::arrive(port, (0..PROMPT).map(|n| format!("p{n}")).collect()).await? {
        prompt.spawn(keep_up(client, total.clone()));
    }
    let mut speaker = Client::arrive(port, "speaker").await?;
    let memory = MemoryWatch::begin(server.pid())?;
    let said = speak(&mut speaker, lasting).await?;
    tell.send(Some(said)).context("no reader is left")?;
    let growth = memory.growth_kib();
    hurry.cancel();
    findings.figure("messages", grouped(said));
    let each = growth / readers as f64;
    findings.figure("memory growth at its highest", format!("{growth:.0} KiB"));
    findings.below("  for each slow reader", each, EACH_MAX_KIB, "KiB");
    judge("slow readers", &accounts(slow).await?, said, true, findings);
    judge(
        "prompt readers",
        &accounts(prompt).await?,
        said,
        false,
        findings,
    );
    witnesses.testify(findings).await
}

async fn speak(speaker: &mut Client, lasting: Duration) -> anyhow::Result<u64> {
    let mut ticker = interval(SPEAK_EVERY);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut said, began) = (0, std::time::Instant::now());
    while began.elapsed() < lasting {
        ticker.tick().await;
        let batch = lines("s", said..said + AT_ONCE, FILLER);
        speaker.writer.send(&batch).await?;
        said += AT_ONCE;
    }
    speaker.ask("/who\n", "* lobby: ").await?;
    Ok(said)
}

/// Reads slowly until `hurry` is cancelled, then reads the remaining messages.
async fn dawdle(
    mut client: Client,
    hurry: CancellationToken,
    mut total: Total,
) -> anyhow::Result<Account> {
    let mut account = Account::default();
    client.reader.read_at_most(READ_BYTES);
    while !hurry.is_cancelled() {
        tokio::select! {
            () = hurry.cancelled() => {}
            () = tokio::time::sleep(READ_EVERY) => {
                // The wait for bytes has a time limit. Without it, the reader would not notice on an empty socket that
                // `hurry` is cancelled.
                let read = tokio::time::timeout(READ_EVERY, client.reader.fill()).await;
                anyhow::ensure!(!matches!(read, Ok(Ok(0) | Err(_))), "the server closed the connection");
                while client.reader.next_buffered() {
                    account.hear(client.reader.line(), "speaker", "s");
                }
            }
        }
    }
    client.reader.read_at_most(HURRY_BYTES);
    client.reader.widen(HURRY_BYTES)?;
    let total = total.wait_for(Option::is_some).await?.unwrap_or_default();
    account
        .complete(&mut client.reader, "speaker", "s", total)
        .await?;
    Ok(account)
}

async fn keep_up(mut client: Client, mut total: Total) -> anyhow::Result<Account> {
    let mut account = Account::default();
    let total = loop {
        tokio::select! {
            total = total.wait_for(Option::is_some) => break total?.unwrap_or_default(),
            more = client.reader.next() => {
                anyhow::ensure!(more?, "the server closed the connection");
                account.hear(client.reader.line(), "speaker", "s");
            }
        }
    };
    account
        .complete(&mut client.reader, "speaker", "s", total)
        .await?;
    Ok(account)
}

async fn accounts(mut readers: JoinSet<anyhow::Result<Account>>) -> anyhow::Result<Vec<Account>> {
    let mut accounts = Vec::new();
    while let Some(account) = readers.join_next().await {
        accounts.push(account.context("a reader panicked")?.context("a reader")?);
    }
    Ok(accounts)
}

fn judge(who: &str, accounts: &[Account], said: u64, may_miss: bool, findings: &mut Findings) {
    let sum = |of: fn(&Account) -> u64| accounts.iter().map(of).sum::<u64>();
    let label = |what: &str| format!("{who}: {what}");
    let expected = said * accounts.len() as u64;
    let (seen, missed) = (sum(|a| a.seen), sum(|a| a.missed));
    findings.exactly(
        &label("seen or reported as missed"),
        seen + missed,
        expected,
    );
    findings.exactly(&label("out of place"), sum(Account::out_of_place), 0);
    if may_miss {
        let gaps = sum(|a| a.gaps);
        let text = format!("{} in {} gaps", grouped(missed), grouped(gaps));
        findings.figure(&label("reported as missed"), text);
    } else {
        findings.exactly(&label("missed"), missed, 0);
    }
}
