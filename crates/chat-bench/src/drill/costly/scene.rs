//! The server's state before an attack: full logs, rooms with many members, many rooms, or a log in a file.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use chat_core::Hub;
use chat_sqlite::{Options, SqliteJournal, Sync};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::super::client::Client;
use super::super::stage::Stage;
use crate::launch::Server;

/// The state of a server before the attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scene {
    /// The lobby holds 200 messages of 4,000 bytes: `ababab…aaab`.
    Big,
    /// The lobby holds 1,000 messages of a few bytes.
    Small,
    /// 95 members are in each of the rooms `r0` to `r63`.
    Crowd,
    /// There are 4,000 rooms with long names.
    Rooms,
    /// The lobby's log is in a file (`--data`) and holds 20,000 messages of Hangul.
    Data,
}

/// The number of members in each room of [`Scene::Crowd`].
const CROWD: usize = 95;

/// The most rooms that one session may be in.
pub(super) const ROOMS_MAX: usize = 64;

/// The number of sessions that keep [`ROOMS_MAX`] rooms open each. With the lobby and the witnesses' room there are
/// 4,034 rooms.
const HOLDERS: usize = 63;

/// The number of messages that a connection sends at once, within the default rate.
const SAID_AT_ONCE: usize = 18;

/// The number of connections that fill a log at the same time.
const FILLING: usize = 16;

/// How often a member that keeps a room open sends a ping. The member sends nothing else.
const ALIVE_EVERY: Duration = Duration::from_millis(800);

/// The server pings a JSON member after 2 s of silence, and disconnects it after 4 s. The defaults are much longer.
/// With these values, a freeze of a few seconds disconnects members.
const HEARTBEAT: [&str; 4] = ["--ping-after", "2", "--dead-after", "4"];

/// The option that applies the limits for each address to the loopback network too. Members and witnesses connect from
/// different addresses of that network.
const COUNT_LOOPBACK: &str = "--count-loopback";

/// The syllables of all messages in [`Scene::Data`]. Searches use the same syllables.
pub(super) const HANGUL: [char; 7] = ['가', '나', '다', '라', '마', '바', '사'];

/// The last of the messages that fill a log in memory.
pub(super) const LAST: &[u8] = b"this is the last message, aaab";

/// A server in the state of a scene.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) server: Server,
    /// The tasks of the silent members. They are aborted on drop.
    _members: JoinSet<()>,
    _dir: Option<TempDir>,
}

/// Data that all scenes share. Each field is set when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Templates {
    data: Option<(TempDir, PathBuf)>,
    counts_loopback: Option<bool>,
}

impl Scene {
    /// Starts a server for the scene, and brings it into the scene's state. The server has the default limits, except
    /// for [`HEARTBEAT`].
    pub(super) async fn stand(
        self,
        stage: &Stage<'_>,
        templates: &mut Templates,
    ) -> anyhow::Result<Stand> {
        let mut arguments: Vec<&str> = HEARTBEAT.to_vec();
        if templates.counts_loopback(stage)? {
            arguments.push(COUNT_LOOPBACK);
        }
        let (mut dir, mut file) = (None, String::new());
        if self == Self::Data {
            let copy = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
            let path = copy.path().join("chat.db");
            let messages = stage.pick(20_000, 2_000);
            std::fs::copy(templates.data(messages).await?, &path)?;
            file = path.to_string_lossy().into_owned();
            dir = Some(copy);
        }
        if !file.is_empty() {
            // The time that the disk takes to sync is not part of the measurement.
            arguments.extend(["--data", &file, "--sync", "normal"]);
        }
        let server = stage.start_default(&arguments)?;
        let (port, mut members) = (server.port(), JoinSet::new());
        match self {
            Self::Big => fill(port, stage.pick(200, 60), &ababab(4000)).await?,
            Self::Small => fill(port, stage.pick(1000, 300), "m").await?,
            Self::Crowd => {
                let rooms: Vec<_> = (0..ROOMS_MAX).map(|n| format!("r{n}")).collect();
                for number in 0..stage.pick(CROWD, 20) {
                    hold(port, number, &rooms, &mut members).await?;
                }
            }
            Self::Rooms => {
                for number in 0..stage.pick(HOLDERS, 16) {
                    let name = |n: usize| format!("room-{:x>48}", number * ROOMS_MAX + n);
                    let rooms: Vec<_> = (0..ROOMS_MAX).map(name).collect();
                    hold(port, number, &rooms, &mut members).await?;
                }
            }
            Self::Data => {}
        }
        Ok(Stand {
            server,
            _members: members,
            _dir: dir,
        })
    }
}

impl Templates {
    /// Returns whether the server has the option [`COUNT_LOOPBACK`]. Older servers, which are measured for comparison,
    /// do not have it.
    fn counts_loopback(&mut self, stage: &Stage<'_>) -> anyhow::Result<bool> {
        if self.counts_loopback.is_none() {
            let help = Command::new(stage.program()).arg("--help").output()?.stdout;
            let is_there = memchr::memmem::find(&help, COUNT_LOOPBACK.as_bytes()).is_some();
            self.counts_loopback = Some(is_there);
        }
        self.counts_loopback.context("it was found")
    }

    /// Returns the path of the file with the lobby's log. Writes the file first if it does not exist.
    async fn data(&mut self, messages: usize) -> anyhow::Result<&Path> {
        if self.data.is_none() {
            let dir = tempfile::Builder::new().prefix("chat-bench-").tempdir()?;
            let path = dir.path().join("chat.db");
            write_log(&path, messages).await.context("filling a log")?;
            self.data = Some((dir, path));
        }
        let data = self.data.as_ref().context("it was made")?;
        Ok(&data.1)
    }
}

/// Returns a text `ababab…aaab`. The words `aaab`, `baaab` and so on occur only at its end.
pub(super) fn ababab(bytes: usize) -> String {
    const END: &str = "aaab";
    let mut text = "ab".repeat((bytes - END.len()) / 2);
    text.push_str(END);
    text
}

/// Returns a run of `syllables` syllables that begins with syllable number `from`.
pub(super) fn hangul(from: usize, syllables: usize) -> String {
    HANGUL.iter().cycle().skip(from).take(syllables).collect()
}

/// Publishes `count` messages in the lobby. Spreads the messages over many connections, so that no connection exceeds
/// the default rate. The last message is [`LAST`], so that a drill can recognise an answer with this message.
async fn fill(port: u16, count: usize, text: &str) -> anyhow::Result<()> {
    let texts = vec![text; count - 1];
    let mut filling = futures::stream::iter(texts.chunks(SAID_AT_ONCE).enumerate())
        .map(|(number, texts)| say(port, number, texts))
        .buffer_unordered(FILLING);
    while let Some(said) = filling.next().await {
        said.context("filling the lobby's log")?;
    }
    drop(filling);
    let last = String::from_utf8_lossy(LAST);
    say(port, 0, &[&last]).await
}

async fn say(port: u16, number: usize, texts: &[&str]) -> anyhow::Result<()> {
    let mut client = Client::connect_from(port, source(number)).await?;
    client.does(&texts.join("\n")).await?;
    client.cut()?;
    Ok(())
}

/// Connects a silent JSON member that keeps rooms open.
async fn hold(
    port: u16,
    number: usize,
    rooms: &[String],
    members: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let mut client = Client::connect_from(port, source(number)).await?;
    let hello = hello(1, &format!("member-{number}"), rooms, None);
    let welcome = client.ask(&hello, r#"{"re":1,"#).await?;
    ensure!(
        !welcome.contains("\"err\""),
        "member {number} is refused: {}",
        welcome.chars().take(300).collect::<String>()
    );
    members.spawn(async move {
        let mut alive = interval(ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_there = tokio::select! {
                _ = alive.tick() => client.writer.send(b"{\"cmd\":\"ping\"}\n").await.is_ok(),
                more = client.reader.next() => more.unwrap_or(false),
            };
            if !is_there {
                return;
            }
        }
    });
    Ok(())
}

/// Returns a `hello` that joins `rooms`. With `after`, the server replays the rooms' logs from that position.
pub(super) fn hello(id: u64, nick: &str, rooms: &[String], after: Option<u64>) -> String {
    let replayed = match after {
        Some(seq) => format!(r#","after":{{"seq":{seq}}},"limit":1000"#),
        None => r#","limit":0"#.to_owned(),
    };
    let join: Vec<_> = rooms
        .iter()
        .map(|room| format!(r#"{{"room":"{room}"{replayed}}}"#))
        .collect();
    let nick = if nick.is_empty() {
        String::new()
    } else {
        format!(r#","nick":"{nick}""#)
    };
    let join = join.join(",");
    format!("{{\"cmd\":\"hello\",\"id\":{id},\"v\":1{nick},\"join\":[{join}]}}\n")
}

/// Returns the address of one of the members that set up a scene.
fn source(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, 1 + (number % 250) as u8)
}

/// Writes a log with `messages` messages of Hangul into a file.
async fn write_log(path: &Path, messages: usize) -> anyhow::Result<()> {
    /// The number of appends that wait at the same time. Waiting appends share a commit.
    const AT_ONCE: usize = 512;
    /// The number of syllables of a message of typical length.
    const SYLLABLES: usize = 60;
    let mut options = Options::default();
    options.sync = Sync::Normal;
    let hub = Hub::builder()
        .journal(SqliteJournal::open(path, &options)?)
        .build();
    let session = hub.session(Some("writer")).await?;
    let texts: Vec<_> = (0..HANGUL.len()).map(|n| hangul(n, SYLLABLES)).collect();
    let mut saying = FuturesUnordered::new();
    for number in 0..messages {
        if saying.len() >= AT_ONCE {
            let said: Option<Result<_, _>> = saying.next().await;
            said.transpose()?;
        }
        saying.push(session.publish("lobby", &texts[number % texts.len()]));
    }
    while let Some(said) = saying.next().await {
        said?;
    }
    drop(saying);
    drop(session);
    // Dropping the last owner of the journal closes the file.
    drop(hub);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_at_the_end_of_the_text_only() {
        let text = ababab(4000);
        assert_eq!((text.len(), text.find("aaab")), (4000, Some(3996)));
    }

    #[test]
    fn a_hello_is_one_json_line() {
        let rooms = ["a".to_owned(), "b".to_owned()];
        for after in [None, Some(0)] {
            let line = hello(1, "kim", &rooms, after);
            assert_eq!(line.find('\n'), Some(line.len() - 1));
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["join"][1]["room"], "b");
        }
    }
}
