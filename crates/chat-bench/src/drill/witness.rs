//! The witnesses: two members that talk to each other during a drill, and count what they receive.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::client::{Client, PATIENCE, missed, said};
use super::findings::Findings;
use crate::ledger::Series;

/// How often each witness sends a message.
const PACE: Duration = Duration::from_millis(10);

/// How long each witness waits for a duplicate after the last message.
const SILENCE: Duration = Duration::from_millis(200);

/// The name of a room that only the witnesses are in.
const OWN_ROOM: &str = "witnesses";

/// The room that the witnesses talk in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// The lobby.
    Lobby,
    /// A room that only the witnesses are in. In a lobby of thousands, the witnesses' messages would be most of the
    /// load.
    OwnRoom,
}

/// Two members that exchange numbered messages until [`testify`](Self::testify) is called.
#[derive(Debug)]
pub(crate) struct Witnesses {
    tasks: JoinSet<anyhow::Result<Testimony>>,
    stop: CancellationToken,
}

/// What one witness received.
#[derive(Debug, Default)]
struct Testimony {
    sent: u64,
    series: Series,
    /// The number of messages that the server reported as missed.
    missed: u64,
    may_skip: bool,
    slowest: Duration,
    /// How many messages the other witness sent. The other witness reports the number in its last line. `None` until
    /// that line arrives.
    expected: Option<u64>,
}

impl Witnesses {
    /// Connects the witnesses, and lets them start to talk.
    pub(crate) async fn begin(port: u16, place: Where) -> anyhow::Result<Self> {
        let (stop, epoch) = (CancellationToken::new(), Instant::now());
        let mut tasks = JoinSet::new();
        let mut clients = Vec::new();
        for nick in ["witness-a", "witness-b"] {
            let mut client = Client::arrive(port, nick).await.context("a witness")?;
            if place == Where::OwnRoom {
                client.go_to(OWN_ROOM).await?;
            }
            clients.push(client);
        }
        for (client, other) in clients.into_iter().zip(["witness-b", "witness-a"]) {
            tasks.spawn(talk(client, other, stop.clone(), epoch));
        }
        Ok(Self { tasks, stop })
    }

    /// Stops the witnesses, and adds their results to the findings.
    pub(crate) async fn testify(mut self, findings: &mut Findings) -> anyhow::Result<()> {
        self.stop.cancel();
        let (mut all, mut exchanged) = (Testimony::default(), 0);
        while let Some(testimony) = self.tasks.join_next().await {
            let one = testimony
                .context("a witness panicked")?
                .context("a witness")?;
            exchanged += one.sent;
            all.series.lost += one.series.lost;
            all.series.repeated += one.series.repeated;
            all.missed += one.missed;
            all.slowest = all.slowest.max(one.slowest);
        }
        findings.at_least("witnesses: messages exchanged", exchanged, 4);
        findings.exactly("witnesses: lost", all.series.lost, 0);
        findings.exactly("witnesses: reported as missed", all.missed, 0);
        findings.exactly(
            "witnesses: duplicated or out of order",
            all.series.repeated,
            0,
        );
        let slowest = all.slowest.as_secs_f64() * 1e3;
        findings.figure("witnesses: slowest message", format!("{slowest:.1} ms"));
        Ok(())
    }
}

async fn talk(
    mut client: Client,
    other: &'static str,
    stop: CancellationToken,
    epoch: Instant,
) -> anyhow::Result<Testimony> {
    let mut testimony = Testimony::default();
    let mut ticker = interval(PACE);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticker.tick() => {
                let line = format!("w {} {}\n", testimony.sent, epoch.elapsed().as_micros());
                client.writer.send(line.as_bytes()).await?;
                testimony.sent += 1;
            }
            more = client.reader.next() => {
                anyhow::ensure!(more?, "the server closed the connection");
                testimony.hear(client.reader.line(), other, epoch);
            }
        }
    }
    let end = format!("end {}\n", testimony.sent);
    client.writer.send(end.as_bytes()).await?;
    let all = async {
        while testimony.expected.is_none() {
            anyhow::ensure!(
                client.reader.next().await?,
                "the server closed the connection"
            );
            testimony.hear(client.reader.line(), other, epoch);
        }
        Ok(())
    };
    timeout(PATIENCE, all)
        .await
        .context("the other's last message did not arrive")??;
    // A duplicate closely follows its original, so the witness reads on for a short time.
    while timeout(SILENCE, client.reader.next())
        .await
        .is_ok_and(|more| more.unwrap_or(false))
    {
        testimony.hear(client.reader.line(), other, epoch);
    }
    let series = &mut testimony.series;
    series.lost += testimony
        .expected
        .unwrap_or_default()
        .saturating_sub(series.next);
    Ok(testimony)
}

impl Testimony {
    fn hear(&mut self, line: &[u8], other: &str, epoch: Instant) {
        if let Some(count) = missed(line) {
            // A gap may include messages of other members, so the next number from the other witness is unknown.
            self.missed += count;
            self.may_skip = true;
        }
        let Some(text) = said(line)
            .filter(|(from, _)| *from == other.as_bytes())
            .and_then(|(_, text)| std::str::from_utf8(text).ok())
        else {
            return;
        };
        let mut words = text.split(' ');
        let (word, number) = (words.next(), words.next().and_then(|n| n.parse().ok()));
        match (word, number) {
            (Some("w"), Some(number)) => {
                let sent = words.next().and_then(|us| us.parse().ok());
                let sent = Duration::from_micros(sent.unwrap_or_default());
                self.slowest = self.slowest.max(epoch.elapsed().saturating_sub(sent));
                self.count(number);
            }
            (Some("end"), Some(sent)) => self.expected = Some(sent),
            // The other witness sends only `w` and `end` lines, so the server has altered this message.
            _ => self.series.lost += 1,
        }
    }

    fn count(&mut self, number: u64) {
        if number >= self.series.next && std::mem::take(&mut self.may_skip) {
            self.series.next = number;
        }
        self.series.receive(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hears(numbers: &[u64]) -> Testimony {
        let mut testimony = Testimony::default();
        for number in numbers {
            let line = format!("14:02 kim: w {number} 0");
            testimony.hear(line.as_bytes(), "kim", Instant::now());
        }
        testimony
    }

    #[test]
    fn lost_and_repeated_messages_are_counted() {
        let counts = |numbers| {
            let testimony = hears(numbers);
            (testimony.series.lost, testimony.series.repeated)
        };
        assert_eq!(counts(&[0, 1, 2]), (0, 0));
        assert_eq!(counts(&[0, 2]), (1, 0));
        assert_eq!(counts(&[0, 1, 1]), (0, 1));
        assert_eq!(counts(&[0, 2, 1]), (1, 1));
    }

    #[test]
    fn messages_of_others_do_not_count() {
        let mut testimony = Testimony::default();
        testimony.hear(b"14:02 lee: w 7 0", "kim", Instant::now());
        testimony.hear(b"* 3 messages missed", "kim", Instant::now());
        assert_eq!(
            (
                testimony.series.lost,
                testimony.series.next,
                testimony.missed
            ),
            (0, 0, 3)
        );
    }
}
