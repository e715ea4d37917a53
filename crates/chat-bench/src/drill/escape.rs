//! `escape`: attacks on terminals through everything that a member can name or say.

use std::collections::BTreeSet;

use anyhow::Context;
use tokio::time::timeout;

use super::client::{Client, PATIENCE};
use super::corpus::{ATTACKS, Attack, danger_in};
use super::findings::{Findings, grouped};
use super::stage::Stage;
use super::witness::{Where, Witnesses};
use fastrand::Rng;

/// Attacks made of pieces of others.
const MIXED: usize = 500;

/// Those who read everything that arrives and believe nothing.
struct Observer {
    client: Client,
    lines: u64,
    dangers: Vec<String>,
    /// The marks that arrived: which attack, through what.
    marks: BTreeSet<String>,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let mixed = stage.pick(MIXED, 30);
    findings.did(format!(
        "seed {}: {} attacks and {mixed} mixtures of them, through nick, message, action, topic, room name, direct message and quit reason",
        stage.seed(),
        ATTACKS.len()
    ));
    let server = stage.start(64, &["--log", "debug"])?;
    let port = server.port();
    let witnesses = Witnesses::begin(port, Where::Lobby).await?;
    let mut observer = Observer::new(Client::arrive(port, "observer").await?);
    let mut expected = BTreeSet::new();
    for (number, attack) in ATTACKS.iter().enumerate() {
        make(port, number, attack.bytes, &mut observer).await?;
        if attack.is_sayable {
            expected.extend(THROUGH.map(|through| format!("{through}{number}-")));
        }
    }
    let mut random = stage.random(0);
    for number in 0..mixed {
        let bytes = mixture(&mut random);
        make(port, ATTACKS.len() + number, &bytes, &mut observer).await?;
    }
    observer.look().await?;
    findings.at_least("lines that the observer got", observer.lines, 100);
    let missing = expected.difference(&observer.marks);
    let missing: Vec<String> = missing.map(|mark| named(mark)).collect();
    findings.none(
        "sayable attacks whose harmless part did not arrive",
        &missing,
    );
    findings.none("dangerous lines at the observer", &observer.dangers);
    witnesses.testify(findings).await?;
    let log = server.output();
    findings.figure("log", format!("{} bytes", grouped(log.len() as u64)));
    let dangers: Vec<String> = log
        .split_inclusive(|b| *b == b'\n')
        .filter_map(danger_in)
        .collect();
    findings.none("dangerous lines in the log at --log debug", &dangers);
    Ok(())
}

/// The marks of the ways on which the harmless part of an attack must arrive.
const THROUGH: [&str; 4] = ["say", "act", "topic", "tell"];

/// A mark, with the name of its attack.
fn named(mark: &str) -> String {
    let number = mark.trim_matches(|c: char| !c.is_ascii_digit()).parse();
    let attack = number.ok().and_then(|number: usize| ATTACKS.get(number));
    format!("{mark} {}", attack.map_or("", |attack| attack.name))
}

/// One attacker makes one attack through everything, and the observer looks.
async fn make(
    port: u16,
    number: usize,
    bytes: &[u8],
    observer: &mut Observer,
) -> anyhow::Result<()> {
    let mut attacker = Client::connect(port).await?;
    let mut script = Vec::new();
    let mut line = |before: &str, after: &str| {
        script.extend_from_slice(before.as_bytes());
        script.extend_from_slice(bytes);
        script.extend_from_slice(after.as_bytes());
        // Ends what a telnet command of the attack may have begun.
        script.extend_from_slice(b"\xff\xf0\n");
    };
    line(&format!("say{number}-"), "-end");
    line(&format!("/me act{number}-"), "-end");
    line(&format!("/topic topic{number}-"), "-end");
    line(&format!("/msg observer tell{number}-"), "-end");
    line(&format!("/nick n{number}"), "x");
    line("/nick ", "");
    line("say it as whoever that is ", "");
    line(&format!("/join r{number}"), "");
    line("/join ", "");
    line("/who ", "");
    line("/", " unknown");
    line("/help ", "");
    line("", "");
    script.extend_from_slice(b"/answer\n");
    attacker.writer.send(&script).await?;
    attacker
        .reader
        .until(|line| line.starts_with("! no such command: /answer "))
        .await?;
    // Rooms of the attack's naming, and newcomers' history, are seen now.
    observer.client.writer.send(b"/rooms\n/history 5\n").await?;
    observer.look().await?;
    let mut quit = b"/leave\n/quit quit".to_vec();
    quit.extend_from_slice(bytes);
    // Where that is no text at all, it has to say goodbye in another way.
    quit.extend_from_slice(b"\xff\xf0-end\n/quit\n");
    attacker.writer.send(&quit).await?;
    attacker.reader.read_out().await?;
    observer.look().await
}

/// Pieces of several attacks, some cut off.
fn mixture(random: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.usize(..4) {
        let Attack { bytes: attack, .. } = &ATTACKS[random.usize(..ATTACKS.len())];
        bytes.extend_from_slice(&attack[..random.usize(..attack.len()) + 1]);
        bytes.push(b'a' + random.u8(..) % 26);
    }
    bytes
}

impl Observer {
    const fn new(client: Client) -> Self {
        Self {
            client,
            lines: 0,
            dangers: Vec::new(),
            marks: BTreeSet::new(),
        }
    }

    /// Reads up to the answer to a question of its own.
    async fn look(&mut self) -> anyhow::Result<()> {
        self.client.writer.send(b"/who\n").await?;
        timeout(PATIENCE, self.read_to_answer())
            .await
            .context("the observer has no answer")?
    }

    async fn read_to_answer(&mut self) -> anyhow::Result<()> {
        loop {
            anyhow::ensure!(self.client.reader.next().await?, "the server hung up");
            let line = self.client.reader.line();
            self.lines += 1;
            self.dangers.extend(danger_in(line));
            let text = String::from_utf8_lossy(line);
            if text.starts_with("* lobby: ") {
                return Ok(());
            }
            for through in THROUGH {
                let found = text
                    .match_indices(through)
                    .map(|(at, _)| &text[at + through.len()..]);
                for (number, _) in found.filter_map(|rest| rest.split_once('-')) {
                    if number.bytes().all(|byte| byte.is_ascii_digit()) {
                        self.marks.insert(format!("{through}{number}-"));
                    }
                }
            }
        }
    }
}
