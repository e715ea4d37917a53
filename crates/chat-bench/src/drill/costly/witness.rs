//! Witnesses: members that talk at a normal pace, and measure how long each message takes to reach the other members.
//!
//! Invariant: every message counts. A message that has not arrived counts with the time since it was sent, so a server
//! that delivers nothing gets a bad percentile.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use memchr::memmem;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, sleep};

use super::super::client::{Client, said};
use crate::stats::percentile;

/// The number of witnesses in each of the two rooms. Every second witness is a JSON member.
const IN_EACH_ROOM: usize = 12;

/// The time between two messages of a witness. In the long run, the server's default rate allows no shorter time.
const PACE: Duration = Duration::from_millis(200);

/// The witnesses' second room. The first is the lobby.
pub(super) const OTHER_ROOM: &str = "elsewhere";

/// The dialect of a witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Plain,
    Json,
}

/// The connected witnesses. Dropping this value closes their connections.
#[derive(Debug)]
pub(super) struct Witnesses {
    board: Arc<Mutex<Board>>,
    /// The tasks of the witnesses. They are aborted on drop.
    _talking: JoinSet<()>,
}

/// What all witnesses sent and received.
#[derive(Debug, Default)]
struct Board {
    /// The sent messages, by witness and message number.
    sent: HashMap<(usize, u64), Sent>,
    bytes_sent: u64,
    cut_plain: usize,
    cut_json: usize,
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    latencies_us: Vec<u64>,
}

/// Latencies of the messages that were sent in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    /// The number of deliveries that have not arrived.
    pub(super) missing: usize,
}

impl Witnesses {
    /// Connects the witnesses, and lets them start to talk.
    pub(super) async fn begin(port: u16) -> anyhow::Result<Self> {
        let board = Arc::new(Mutex::new(Board::default()));
        let mut clients = Vec::new();
        for number in 0..2 * IN_EACH_ROOM {
            let client = arrive(port, number).await;
            clients.push(client.with_context(|| format!("witness {number} arriving"))?);
        }
        let (mut talking, begin) = (JoinSet::new(), tokio::time::Instant::now());
        for (number, client) in clients.into_iter().enumerate() {
            // The witnesses' messages are spread evenly over time.
            let first = begin + PACE * number as u32 / (2 * IN_EACH_ROOM) as u32;
            let board = Arc::clone(&board);
            talking.spawn(async move {
                // `talk` returns only if the connection ended, so the server disconnected the witness.
                drop(talk(client, number, first, &board).await);
                let mut board = lock(&board);
                match speech(number) {
                    Speech::Plain => board.cut_plain += 1,
                    Speech::Json => board.cut_json += 1,
                }
            });
        }
        Ok(Self {
            board,
            _talking: talking,
        })
    }

    /// The latencies of the messages that were sent from `from` to `until`.
    pub(super) fn measured(&self, from: Instant, until: Instant) -> Measured {
        self.board().measured(from, until, Instant::now())
    }

    /// Waits until all messages that were sent from `from` to `until` have arrived, for at most `patience`.
    pub(super) async fn settle(&self, from: Instant, until: Instant, patience: Duration) {
        let began = Instant::now();
        while self.measured(from, until).missing > 0 && began.elapsed() < patience {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns how many plain and how many JSON witnesses were disconnected.
    pub(super) fn cut(&self) -> (usize, usize) {
        let board = self.board();
        (board.cut_plain, board.cut_json)
    }

    /// Returns how many bytes the witnesses have sent.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.board().bytes_sent
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }
}

impl Board {
    fn measured(&self, from: Instant, until: Instant, now: Instant) -> Measured {
        let (mut latencies, mut missing) = (Vec::new(), 0);
        for sent in self.sent.values() {
            if !(from..until).contains(&sent.at) {
                continue;
            }
            latencies.extend(&sent.latencies_us);
            let absent = (IN_EACH_ROOM - 1).saturating_sub(sent.latencies_us.len());
            let so_far = micros(now.saturating_duration_since(sent.at));
            latencies.extend(std::iter::repeat_n(so_far, absent));
            missing += absent;
        }
        Measured {
            p50_us: percentile(latencies.clone(), 0.5).unwrap_or_default(),
            p99_us: percentile(latencies, 0.99).unwrap_or_default(),
            missing,
        }
    }

    fn note_sent(&mut self, witness: usize, number: u64, bytes: usize, at: Instant) {
        let sent = Sent {
            at,
            latencies_us: Vec::new(),
        };
        self.sent.insert((witness, number), sent);
        self.bytes_sent += bytes as u64;
    }

    fn note_arrived(&mut self, witness: usize, number: u64, at: Instant) {
        if let Some(sent) = self.sent.get_mut(&(witness, number)) {
            let latency = micros(at.saturating_duration_since(sent.at));
            sent.latencies_us.push(latency);
        }
    }
}

/// Connects one witness. Each witness has an address of its own.
async fn arrive(port: u16, number: usize) -> anyhow::Result<Client> {
    let source = Ipv4Addr::new(127, 0, 0, 10 + number as u8);
    let mut client = Client::connect_from(port, source).await?;
    let nick = format!("witness-{number}");
    let room = room(number);
    match speech(number) {
        Speech::Plain => {
            client.take_nick(&nick).await?;
            if room == OTHER_ROOM {
                client.go_to(room).await?;
            }
        }
        Speech::Json => {
            let hello = format!(
                r#"{{"cmd":"hello","id":1,"v":1,"nick":"{nick}","join":[{{"room":"{room}","limit":0}}]}}"#
            );
            client
                .ask(&format!("{hello}\n"), r#"{"re":1,"ok":"#)
                .await?;
        }
    }
    Ok(client)
}

fn speech(number: usize) -> Speech {
    match number % 2 {
        0 => Speech::Plain,
        _ => Speech::Json,
    }
}

fn room(number: usize) -> &'static str {
    if (number / 2).is_multiple_of(2) {
        "lobby"
    } else {
        OTHER_ROOM
    }
}

/// Sends and receives as one witness until the connection ends.
async fn talk(
    mut client: Client,
    witness: usize,
    first: tokio::time::Instant,
    board: &Mutex<Board>,
) -> anyhow::Result<()> {
    let mut ticker = interval_at(first, PACE);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    loop {
        tokio::select! {
            _ = ticker.tick() => {
                let line = said_by(witness, number);
                lock(board).note_sent(witness, number, line.len(), Instant::now());
                client.writer.send(line.as_bytes()).await?;
                number += 1;
            }
            more = client.reader.next() => {
                anyhow::ensure!(more?, "the server closed the connection");
                if let Some((witness, number)) = heard(client.reader.line()) {
                    lock(board).note_arrived(witness, number, Instant::now());
                }
            }
        }
    }
}

/// Returns the line that a witness sends for a message.
fn said_by(witness: usize, number: u64) -> String {
    match speech(witness) {
        Speech::Plain => format!("w {witness} {number} .\n"),
        Speech::Json => {
            let room = room(witness);
            format!("{{\"cmd\":\"say\",\"room\":\"{room}\",\"text\":\"w {witness} {number} .\"}}\n")
        }
    }
}

/// Returns the number of the witness and the number of its message, if the line delivers a witness's message.
fn heard(line: &[u8]) -> Option<(usize, u64)> {
    const JSON_TEXT: &[u8] = b"\"text\":\"";
    let text = if line.starts_with(b"{") {
        &line[memmem::find(line, JSON_TEXT)? + JSON_TEXT.len()..]
    } else {
        said(line)?.1
    };
    let text = &text[..text.len().min(64)];
    let mut words = text.strip_prefix(b"w ")?.split(|byte| *byte == b' ');
    let mut number = || std::str::from_utf8(words.next()?).ok()?.parse::<u64>().ok();
    let (witness, number) = (number()?, number()?);
    Some((witness as usize, number))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_recognised_in_either_dialect() {
        assert_eq!(heard(b"14:02 witness-2: w 2 17 ."), Some((2, 17)));
        let json =
            br#"{"ev":"said","room":"lobby","seq":9,"ts":1,"from":"witness-1","text":"w 1 4 ."}"#;
        assert_eq!(heard(json), Some((1, 4)));
        for other in [
            "14:02 kim: hello",
            "* kim joined",
            "{\"ev\":\"ping\"}",
            "14:02 kim: w x",
        ] {
            assert_eq!(heard(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn half_of_each_rooms_witnesses_speak_json() {
        let all = 0..2 * IN_EACH_ROOM;
        let json = |number: &usize| speech(*number) == Speech::Json;
        let lobby: Vec<_> = all
            .clone()
            .filter(|number| room(*number) == "lobby")
            .collect();
        assert_eq!(lobby.len(), IN_EACH_ROOM);
        assert_eq!(
            lobby.iter().filter(|number| json(number)).count(),
            IN_EACH_ROOM / 2
        );
        assert_eq!(all.filter(json).count(), IN_EACH_ROOM);
    }

    #[test]
    fn a_message_that_does_not_arrive_counts_as_late_as_it_is() {
        let (mut board, began) = (Board::default(), Instant::now());
        let after = |ms| began + Duration::from_millis(ms);
        for number in 0..10 {
            board.note_sent(0, number, 7, after(number));
            for _ in 1..IN_EACH_ROOM {
                board.note_arrived(0, number, after(number + 1));
            }
        }
        let all = |board: &Board| board.measured(began, after(100), after(5000));
        let measured = Measured {
            p50_us: 1000,
            p99_us: 1000,
            missing: 0,
        };
        assert_eq!(all(&board), measured);
        board.note_sent(2, 0, 7, after(50));
        let measured = all(&board);
        assert_eq!((measured.p50_us, measured.p99_us), (1000, 4_950_000));
        assert_eq!(measured.missing, IN_EACH_ROOM - 1);
        // Messages that were sent outside of the interval do not count.
        assert_eq!(board.measured(began, after(50), after(5000)).missing, 0);
        assert_eq!(board.bytes_sent, 77);
    }
}
