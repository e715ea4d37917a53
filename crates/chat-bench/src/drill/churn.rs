//! `churn`: members join, leave, move and rename at random. Each member's view of its room must agree with the server.

mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Client, PATIENCE, PROBE, PROBED};
use super::crowd;
use super::findings::{Findings, grouped};
use super::memory::MemoryWatch;
use super::stage::Stage;
use super::witness::{Where, Witnesses};
use crate::proc;
use fastrand::Rng;
use view::View;

/// The rooms besides the lobby. With more rooms, members would rarely meet. With fewer rooms, a greeting could not name
/// all members of a room.
const ROOMS: [&str; 5] = ["one", "two", "three", "four", "five"];

/// The longest pause between two actions, in milliseconds.
const PAUSE_MAX_MS: usize = 40;

/// How long each member reads late announcements before its view of the room is compared with the server's.
const SETTLE: Duration = Duration::from_millis(500);

/// The longest time until the server has closed the drill's test connection, which showed that the server listens. The
/// server keeps a connection for one second after the client has closed it.
const LOOKER_GONE_WITHIN: Duration = Duration::from_millis(1500);

/// What one task did, and what its members received.
#[derive(Debug, Default)]
struct Log {
    actions: u64,
    sessions: u64,
    announcements: u64,
    /// Announcements that contradict earlier announcements in the same room.
    contradictions: Vec<String>,
    /// The members' views of a room that differ from the server's answer to `/who` at the end.
    differences: Vec<String>,
    compared: u64,
}

/// One connected member.
struct Player {
    client: Client,
    view: View,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let tasks = stage.pick(64, 12);
    let lasting = stage.lasting(Duration::from_secs(60), Duration::from_millis(1500));
    findings.did(format!(
        "seed {}: {tasks} tasks join, leave, rename, quit, close and are reset at random for {:.1} s, in 6 rooms",
        stage.seed(),
        lasting.as_secs_f64()
    ));
    let server = stage.start(2 * tasks + 64, &["--history", "0"])?;
    let port = server.port();
    let witnesses = Witnesses::begin(port, Where::Lobby).await?;
    let descriptors = settled(&server).await?;
    let memory = MemoryWatch::begin(server.pid())?;
    let (barrier, mut playing) = (Arc::new(Barrier::new(tasks)), JoinSet::new());
    let until = Instant::now() + lasting;
    for task in 0..tasks {
        let random = stage.random(task);
        playing.spawn(play(port, task, random, until, Arc::clone(&barrier)));
    }
    let mut all = Log::default();
    while let Some(log) = playing.join_next().await {
        let one = log.context("a task panicked")?.context("a task")?;
        all.actions += one.actions;
        all.sessions += one.sessions;
        all.announcements += one.announcements;
        all.compared += one.compared;
        all.contradictions.extend(one.contradictions);
        all.differences.extend(one.differences);
    }
    findings.figure("actions", grouped(all.actions));
    findings.figure("sessions", grouped(all.sessions));
    findings.at_least("announcements seen", all.announcements, 100);
    findings.none(
        "announcements that contradict earlier ones",
        &all.contradictions,
    );
    findings.at_least("views compared at the end", all.compared, tasks as u64 / 2);
    findings.none("views that differ from /who", &all.differences);
    crowd::is_gone(&server, descriptors, PATIENCE / 3, findings).await?;
    // `counter` joins only after the other members have left. If it joined earlier, it would have to read all their
    // announcements.
    let mut counter = Client::arrive(port, "counter").await?;
    let rooms = counter.ask("/rooms\n", "* rooms: ").await?;
    let is_empty = rooms == "* rooms: lobby (3)";
    findings.exactly(
        "only the lobby is left, with 3 members",
        u64::from(is_empty),
        1,
    );
    findings.figure(
        "memory growth at its highest",
        format!("{:.0} KiB", memory.growth_kib()),
    );
    witnesses.testify(findings).await
}

/// Waits until the server has closed the drill's test connection. Returns how many file descriptors the server then
/// holds: the lowest number within [`LOOKER_GONE_WITHIN`].
async fn settled(server: &crate::launch::Server) -> anyhow::Result<usize> {
    let (began, mut fewest) = (Instant::now(), usize::MAX);
    while began.elapsed() < LOOKER_GONE_WITHIN {
        fewest = fewest.min(proc::descriptors(server.pid())?);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(fewest)
}

async fn play(
    port: u16,
    task: usize,
    mut random: Rng,
    until: Instant,
    barrier: Arc<Barrier>,
) -> anyhow::Result<Log> {
    let (mut log, mut player) = (Log::default(), None);
    while Instant::now() < until {
        player = Some(match player.take() {
            None => enter(port, task, &mut random, &mut log).await?,
            Some(player) => match act(player, task, &mut random, &mut log).await? {
                Some(player) => player,
                None => continue,
            },
        });
    }
    barrier.wait().await;
    // A task whose member has left connects a new member, so that each task has a view to compare.
    let mut player = match player {
        Some(player) => player,
        None => enter(port, task, &mut random, &mut log).await?,
    };
    barrier.wait().await;
    player.listen(SETTLE, &mut log).await?;
    barrier.wait().await;
    player.compare(&mut log).await?;
    barrier.wait().await;
    Ok(log)
}

/// Connects, takes a nick and goes to a room.
async fn enter(port: u16, task: usize, random: &mut Rng, log: &mut Log) -> anyhow::Result<Player> {
    log.sessions += 1;
    let client = Client::connect(port).await?;
    let mut player = Player {
        client,
        view: View::default(),
    };
    let nick = nick(task, random);
    // The previous session of this task may still hold the nick, so the request is repeated until it succeeds.
    while player.view.own != nick {
        player.does(&format!("/nick {nick}"), log).await?;
    }
    player.does(&join(random), log).await?;
    Ok(player)
}

fn join(random: &mut Rng) -> String {
    format!("/join {}", ROOMS[random.usize(..ROOMS.len())])
}

/// Returns a nick that only this task uses.
fn nick(task: usize, random: &mut Rng) -> String {
    format!("t{task}{}", ["", "-a", "-b", "-c"][random.usize(..4)])
}

/// Takes one random action. Returns `None` if the action ended the session.
async fn act(
    mut player: Player,
    task: usize,
    random: &mut Rng,
    log: &mut Log,
) -> anyhow::Result<Option<Player>> {
    let pause = Duration::from_millis(random.usize(..PAUSE_MAX_MS) as u64);
    player.listen(pause, log).await?;
    log.actions += 1;
    match random.usize(..12) {
        0..=2 => player.does(&join(random), log).await?,
        3 => player.does("/leave", log).await?,
        4..=7 => {
            player
                .does(&format!("/nick {}", nick(task, random)), log)
                .await?
        }
        8 => player.does("hello", log).await?,
        9 => {
            player.client.writer.send(b"/quit enough\n").await?;
            player.client.reader.read_out().await?;
            return Ok(None);
        }
        10 => return Ok(None),
        _ => {
            player.client.cut()?;
            return Ok(None);
        }
    }
    Ok(Some(player))
}

impl Player {
    /// Sends a line, and applies all received lines to the view until the server has handled the sent line.
    async fn does(&mut self, line: &str, log: &mut Log) -> anyhow::Result<()> {
        let script = format!("{line}\n{PROBE}");
        self.client.writer.send(script.as_bytes()).await?;
        let reading = async {
            loop {
                ensure!(
                    self.client.reader.next().await?,
                    "the server closed the connection"
                );
                let line = self.client.reader.line();
                if line.starts_with(PROBED.as_bytes()) {
                    return Ok(());
                }
                take(&mut self.view, line, log);
            }
        };
        let done = timeout(PATIENCE, reading)
            .await
            .context("no answer")
            .flatten();
        done.with_context(|| format!("after {line:?}"))
    }

    /// Applies all lines that arrive within `lasting` to the view.
    async fn listen(&mut self, lasting: Duration, log: &mut Log) -> anyhow::Result<()> {
        let listening = async {
            while self.client.reader.next().await? {
                take(&mut self.view, self.client.reader.line(), log);
            }
            anyhow::bail!("the server closed the connection")
        };
        // The timeout is the expected end, because the connection stays open.
        timeout(lasting, listening).await.unwrap_or(Ok(()))
    }

    async fn compare(&mut self, log: &mut Log) -> anyhow::Result<()> {
        // Lines that are still arriving must be applied before the view is compared.
        self.does("", log).await?;
        let begins = format!("* {}: ", self.view.room);
        let answer = self.client.ask("/who\n", &begins).await?;
        let Some(said) = View::named(&answer[begins.len()..]) else {
            return Ok(());
        };
        if self.view.is_whole {
            log.compared += 1;
            if said != self.view.all() {
                let seen = self.view.all();
                log.differences.push(format!(
                    "{} saw {seen:?}, /who says {said:?}",
                    self.view.own
                ));
            }
        }
        Ok(())
    }
}

fn take(view: &mut View, line: &[u8], log: &mut Log) {
    let line = String::from_utf8_lossy(line);
    match view.take(&line) {
        Ok(is_announcement) => log.announcements += u64::from(is_announcement),
        Err(contradiction) => log.contradictions.push(contradiction),
    }
}
