//! `slowloris`: thousands of sockets that say nothing, or a byte a second.

use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::client::Client;
use super::crowd::ARRIVING_MAX;
use super::findings::{Findings, grouped};
use super::memory::MemoryWatch;
use super::newcomers::Newcomers;
use super::stage::Stage;
use super::witness::{Where, Witnesses};

/// How often a byte dribbles.
const DRIBBLE_EVERY: Duration = Duration::from_secs(1);

/// What dribbles, over and over: nothing at all, a text that never ends, the beginning of a request, half a character
/// and a line that never ends. The first byte decides how the server reads the rest.
const DRIBBLES: [&[u8]; 5] = [
    b"",
    b"abcdefghijklmnopqrstuvwxyz",
    b"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    b"\xed\x95\x9c\xea\xb8\x80",
    b"\nabcdefghijklmnopqrstuvwxyz",
];

/// What one of these sockets may cost: a member that dribbles is still one, with what waits for it.
const EACH_MAX_KIB: f64 = 32.0;

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let sockets = stage.pick(2000, 50);
    let lasting = stage.lasting(Duration::from_secs(15), Duration::from_secs(2));
    findings.did(format!(
        "{} sockets for {} s: a fifth is silent, the others dribble a byte a second (text, half a request, half characters, a line without end); none reads",
        grouped(sockets as u64),
        lasting.as_secs()
    ));
    let server = stage.start(sockets + 64, &[])?;
    let port = server.port();
    let witnesses = Witnesses::begin(port, Where::Lobby).await?;
    let memory = MemoryWatch::begin(server.pid())?;
    let mut dribbling = JoinSet::new();
    for number in 0..sockets {
        let client = Client::connect(port).await?;
        // Spread over the second, as peers that know nothing of each other are.
        let first = DRIBBLE_EVERY * (number as u32) / (sockets as u32);
        dribbling.spawn(dribble(client, DRIBBLES[number % DRIBBLES.len()], first));
        if number % ARRIVING_MAX == 0 {
            tokio::task::yield_now().await;
        }
    }
    let newcomers = Newcomers::begin(port);
    tokio::time::sleep(lasting).await;
    newcomers.testify(findings).await?;
    let growth = memory.growth_kib();
    findings.figure(
        "memory before",
        format!("{} KiB", grouped(memory.before_kib())),
    );
    findings.figure("memory growth at its highest", format!("{growth:.0} KiB"));
    findings.below(
        "  for each socket",
        growth / sockets as f64,
        EACH_MAX_KIB,
        "KiB",
    );
    witnesses.testify(findings).await?;
    let mut gone = 0;
    while let Some(ended) = dribbling.try_join_next() {
        ended.context("a dribbler panicked")?;
        gone += 1;
    }
    findings.figure("hung up on by the server", gone);
    Ok(())
}

/// Sends a byte now and then until the server hangs up.
async fn dribble(mut client: Client, bytes: &'static [u8], first: Duration) {
    let mut ticker = interval_at(Instant::now() + first, DRIBBLE_EVERY);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    if bytes.is_empty() {
        return std::future::pending().await;
    }
    for byte in bytes.iter().cycle() {
        ticker.tick().await;
        if client.writer.send(&[*byte]).await.is_err() {
            return;
        }
    }
}
