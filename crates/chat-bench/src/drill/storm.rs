//! `reconnect-storm`: thousands of members are disconnected, and return under their nicks within seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Client, PATIENCE};
use super::crowd;
use super::findings::{Findings, grouped};
use super::stage::Stage;
use super::witness::{Where, Witnesses};
use crate::proc;

/// The time over which the reconnects of all members are evenly spread.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// The time within which all members must have their nicks again.
const OVER_WITHIN: Duration = Duration::from_secs(10);

/// How long a member waits before it asks for its nick again.
const ASK_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let members = stage.pick(5000, 100);
    let back_within = stage.pick(BACK_WITHIN, BACK_WITHIN / 10);
    findings.did(format!(
        "seed {}: {} members are reset and reconnect at random within {} ms, under the same nicks",
        stage.seed(),
        grouped(members as u64),
        back_within.as_millis()
    ));
    let server = stage.start(3 * members, &[])?;
    let port = server.port();
    let witnesses = Witnesses::begin(port, Where::OwnRoom).await?;
    let mut counter = Client::arrive(port, "counter").await?;
    let clients = crowd::arrive(port, crowd::nicks(members)).await?;
    let before = counter.count("lobby").await?;
    let descriptors = proc::descriptors(server.pid())?;
    let cut = Instant::now();
    for client in clients {
        client.cut()?;
    }
    let (mut random, door) = (
        stage.random(0),
        Arc::new(Semaphore::new(crowd::ARRIVING_MAX)),
    );
    let mut coming = JoinSet::new();
    for nick in crowd::nicks(members) {
        let wait = back_within.mul_f64(random.f64());
        coming.spawn(come_back(port, nick, cut, wait, Arc::clone(&door)));
    }
    let (mut back, mut retries, mut slowest) = (Vec::new(), 0, Duration::ZERO);
    while let Some(one) = coming.join_next().await {
        let (client, asked_again, took) = one.context("a member panicked")??;
        retries += asked_again;
        slowest = slowest.max(took);
        back.push(client);
    }
    findings.within(
        "all are back under their nicks after",
        cut.elapsed(),
        OVER_WITHIN,
    );
    findings.figure(
        "slowest, from its connect",
        format!("{:.0} ms", slowest.as_secs_f64() * 1e3),
    );
    findings.figure("nicks asked for again", grouped(retries));
    findings.exactly("back", back.len() as u64, members as u64);
    let after = counter.count("lobby").await?;
    findings.exactly("members, from /who", after as u64, before as u64);
    let mut astray = Vec::new();
    for client in &mut back {
        let answer = client.ask_either("/who\n", "* lobby: ", "! ").await?;
        if !answer.starts_with("* ") {
            astray.push(answer);
        }
    }
    findings.none("back, but not in the lobby", &astray);
    let now = proc::descriptors(server.pid())?;
    findings.exactly("descriptors of the server", now as u64, descriptors as u64);
    witnesses.testify(findings).await
}

async fn come_back(
    port: u16,
    nick: String,
    cut: Instant,
    wait: Duration,
    door: Arc<Semaphore>,
) -> anyhow::Result<(Client, u64, Duration)> {
    tokio::time::sleep_until((cut + wait).into()).await;
    let _permit = door.acquire().await?;
    let began = Instant::now();
    let mut client = Client::connect(port).await?;
    let mut retries = 0;
    let taking = async {
        while !has_taken(&mut client, &nick).await? {
            retries += 1;
            tokio::time::sleep(ASK_EVERY).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, taking)
        .await
        .with_context(|| format!("{nick} does not get its nick back"))??;
    Ok((client, retries, began.elapsed()))
}

/// Requests the nick. Returns `false` if another session has the nick.
async fn has_taken(client: &mut Client, nick: &str) -> anyhow::Result<bool> {
    client
        .writer
        .send(format!("/nick {nick}\n").as_bytes())
        .await?;
    let done = format!("* you are now {nick}");
    let answer = client
        .reader
        .until(|line| line == done || line.starts_with("! "))
        .await?;
    if answer == done {
        return Ok(true);
    }
    if answer.contains("taken") || answer.contains("looks like") {
        return Ok(false);
    }
    bail!("{nick} is refused: {answer}")
}
