//! `costly`: one sender makes the requests that cost the server most, within the default limits. The latency of other
//! members must stay low.
//!
//! Each kind of request has its own server. Members called witnesses talk at a normal pace. The drill measures the
//! latency of their messages, first without an attack, and then in several rounds of the attack. Each round comes from
//! a new address. A kind fails if the median of the 99th percentiles of its rounds reaches 20 ms, or if the server
//! disconnects a witness. Other work on the machine also delays messages, so the drill tries a failed kind up to twice
//! more. The median of all rounds of the kind then decides.

mod attack;
mod kinds;
mod scene;
mod table;
mod witness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::sleep;

use super::findings::Findings;
use super::stage::Stage;
use crate::launch::Server;
use crate::proc;
use attack::{Attack, Flow};
use fastrand::Rng;
use kinds::{KINDS, Kind};
use scene::{Stand, Templates};
use table::{LEGEND, Round, Row, Verdict, header};
use witness::Witnesses;

/// The bound on the 99th percentile of the latency of other members' messages, in milliseconds.
const P99_MAX_MS: f64 = 20.0;

/// How long the drill takes for all kinds of requests together, including the time without an attack.
const LASTING: Duration = Duration::from_secs(30);
const LASTING_QUICK: Duration = Duration::from_secs(8);

/// The time of each kind of request is divided into this many equal parts: one without an attack, and one for each
/// attack.
const PARTS: u32 = 1 + ROUNDS as u32;

/// The number of attack rounds on each server. Each round comes from a new address, which has not used up any of the
/// server's limits.
const ROUNDS: usize = 3;

/// The most times that the drill tries one kind of request.
const TRIES: usize = 3;

/// How long the drill waits for outstanding messages after an attack. If messages are still missing then, the server
/// counts as frozen.
const SETTLE: Duration = Duration::from_secs(2);

/// How long the server may take to log its counters.
const COUNTERS_WITHIN: Duration = Duration::from_secs(1);

/// The parameters of the attacks.
struct Terms {
    part: Duration,
    connections: usize,
    /// Whether a kind of request can fail the drill. If `false`, the drill only measures the kinds.
    is_judged: bool,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let kinds = chosen(stage)?;
    let lasting = stage.lasting(LASTING, LASTING_QUICK);
    let terms = Terms {
        part: lasting / kinds.len() as u32 / PARTS,
        connections: stage.connections(),
        // The server is judged only if there is one sender. With `--quick`, the server is not judged: each measurement
        // is too short, and other tests run at the same time.
        is_judged: stage.pick(stage.connections() == 1, false),
    };
    let senders = match terms.connections {
        1 => "one sender".to_owned(),
        n => format!("{n} senders of one address"),
    };
    findings.did(format!(
        "seed {}: {senders} with the default limits; {} kinds, {ROUNDS} rounds of {} ms each",
        stage.seed(),
        kinds.len(),
        terms.part.as_millis()
    ));
    findings.did(LEGEND);
    say(header(), findings);
    let (mut rows, mut templates) = (Vec::new(), Templates::default());
    for kind in kinds {
        let row = judged(stage, kind, &terms, &mut templates).await;
        let row = row.with_context(|| kind.name)?;
        say(row.to_string(), findings);
        rows.push(row);
    }
    report(&rows, &terms, findings);
    Ok(())
}

/// Adds a line to the report, and prints it at once as progress.
fn say(line: String, findings: &mut Findings) {
    eprintln!("{line}");
    findings.did(line);
}

/// Returns the selected kinds of requests, in an order that depends on the seed.
fn chosen(stage: &Stage<'_>) -> anyhow::Result<Vec<&'static Kind>> {
    let names = stage.kinds();
    for name in names {
        let is_known = KINDS
            .iter()
            .any(|kind| kind.name.starts_with(name.as_str()));
        ensure!(is_known, "no kind of costly is called {name}");
    }
    let is_wanted = |kind: &&Kind| {
        names.is_empty()
            || names
                .iter()
                .any(|name| kind.name.starts_with(name.as_str()))
    };
    let mut kinds: Vec<_> = KINDS.iter().filter(is_wanted).collect();
    stage.random(0).shuffle(&mut kinds);
    Ok(kinds)
}

/// Tries a kind of request until it does not fail, at most [`TRIES`] times.
async fn judged(
    stage: &Stage<'_>,
    kind: &Kind,
    terms: &Terms,
    templates: &mut Templates,
) -> anyhow::Result<Row> {
    let mut row = Row {
        kind: kind.name,
        ..Row::default()
    };
    for number in 0..TRIES {
        let random = stage.random(1 + number);
        let stand = kind.scene.stand(stage, templates).await;
        let stand = stand.context("setting up")?;
        attacked(stand, kind, terms, random, &mut row).await?;
        let is_noticed = row.p99_ms() >= P99_MAX_MS || row.cut_json + row.cut_plain > 0;
        row.verdict = match terms.is_judged {
            false => Verdict::Measured,
            true if is_noticed => Verdict::Fail,
            true => Verdict::Pass,
        };
        if row.verdict != Verdict::Fail {
            break;
        }
    }
    Ok(row)
}

/// Attacks one server, and adds the figures of the attack to `row`.
async fn attacked(
    mut stand: Stand,
    kind: &Kind,
    terms: &Terms,
    mut random: Rng,
    row: &mut Row,
) -> anyhow::Result<()> {
    let server = &stand.server;
    let (port, pid) = (server.port(), server.pid());
    let witnesses = Witnesses::begin(port).await?;
    // Gives the server time to handle the witnesses' joins, which must not be measured.
    sleep(terms.part / 4).await;
    let (began, cpu) = (Instant::now(), proc::cpu_time(pid)?);
    sleep(terms.part).await;
    let quiet_share = (proc::cpu_time(pid)? - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    witnesses.settle(began, Instant::now(), SETTLE).await;
    row.quiet = witnesses.measured(began, began + terms.part);
    let script = Arc::new((kind.script)(&mut random));
    let attack = Attacked {
        server,
        flow: kind.flow,
        script,
        quiet_share,
        witnesses: &witnesses,
    };
    for number in 0..ROUNDS {
        let round = attack.one_round(number, terms).await?;
        let is_frozen = round.attack.missing > 0;
        row.rounds.push(round);
        if is_frozen {
            break;
        }
    }
    let (plain, json) = witnesses.cut();
    row.cut_plain += plain;
    row.cut_json += json;
    drop(witnesses);
    // A clean shutdown could take minutes, because the server would first handle the rest of the attack.
    stand.server.kill()?;
    Ok(())
}

/// A server under attack, and what the attack sends.
struct Attacked<'a> {
    server: &'a Server,
    flow: Flow,
    script: Arc<attack::Script>,
    /// The share of a processor that the server uses without the attack.
    quiet_share: f64,
    witnesses: &'a Witnesses,
}

impl Attacked<'_> {
    async fn one_round(&self, number: usize, terms: &Terms) -> anyhow::Result<Round> {
        let Self {
            server,
            flow,
            ref script,
            quiet_share,
            witnesses,
        } = *self;
        let attack = Attack::begin(
            self.server.port(),
            number as u8,
            self.flow,
            &self.script,
            terms.connections,
        )
        .await?;
        let read_before = bytes_read(server).await;
        let witnesses_before = witnesses.bytes_sent();
        let (began, cpu) = (Instant::now(), proc::cpu_time(server.pid())?);
        let before = attack.go();
        sleep(terms.part).await;
        let until = Instant::now();
        let after = attack.end()?;
        witnesses.settle(began, until, SETTLE).await;
        let read_after = bytes_read(server).await;
        let quiet = Duration::from_secs_f64(began.elapsed().as_secs_f64() * quiet_share);
        let cpu = (proc::cpu_time(server.pid())? - cpu).saturating_sub(quiet);
        let by_witnesses = witnesses.bytes_sent() - witnesses_before;
        let read = read_before.zip(read_after);
        let read = read.map(|(before, after)| (after - before).saturating_sub(by_witnesses));
        let line_bytes = script.line_bytes();
        let requests = match flow {
            Flow::Reconnecting => Some(after.connections - before.connections),
            _ if script.answers.is_empty() => None,
            _ => Some(after.answers - before.answers),
        };
        let sent = after.sent - before.sent;
        let request_bytes = match (flow, requests) {
            (Flow::Reconnecting, _) => sent as f64,
            (_, Some(requests)) => requests as f64 * line_bytes,
            // Requests that can't be counted are measured by the bytes that the server read.
            (Flow::Pipelined | Flow::Trickle, None) => read.unwrap_or_default() as f64,
            (Flow::Unread, None) => 0.0,
        };
        Ok(Round {
            sent,
            answered: after.answered - before.answered,
            read,
            requests,
            request_bytes,
            cpu,
            attack: witnesses.measured(began, until),
        })
    }
}

/// Returns how many bytes the server has read, from the counters in its log. `None` if the log has no such counters.
async fn bytes_read(server: &Server) -> Option<u64> {
    let before = counted(&server.output()).len();
    kill(Pid::from_raw(server.pid() as i32), Signal::SIGUSR1).ok()?;
    let began = Instant::now();
    while began.elapsed() < COUNTERS_WITHIN {
        sleep(Duration::from_millis(2)).await;
        let counts = counted(&server.output());
        if counts.len() > before {
            return counts.last().copied();
        }
    }
    None
}

/// Returns each count of read bytes (`bytes_in`) that the server's log contains.
fn counted(log: &[u8]) -> Vec<u64> {
    let log = String::from_utf8_lossy(log);
    log.lines()
        .filter_map(|line| line.split_once(" bytes_in: ")?.1.split(',').next())
        .filter_map(|count| count.parse().ok())
        .collect()
}

fn report(rows: &[Row], terms: &Terms, findings: &mut Findings) {
    let requests = rows.iter().map(Row::requests).sum();
    findings.at_least("requests answered", requests, 1);
    if !terms.is_judged {
        return;
    }
    let failed = |row: &&Row| row.p99_ms() >= P99_MAX_MS;
    let case = |row: &Row| format!("{}: {:.0} ms", row.kind, row.p99_ms());
    let cases: Vec<_> = rows.iter().filter(failed).map(case).collect();
    let what = format!("kinds with a witness p99 of {P99_MAX_MS} ms or more");
    findings.none(&what, &cases);
    let was_cut = |row: &&Row| row.cut_plain + row.cut_json > 0;
    let case = |row: &Row| format!("{}: {}+{}", row.kind, row.cut_plain, row.cut_json);
    let cases: Vec<_> = rows.iter().filter(was_cut).map(case).collect();
    findings.none("kinds that disconnect witnesses", &cases);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_read_are_found_in_the_log() {
        let log = b"x\nINFO asked stats=Stats { a: 1, bytes_in: 217, bytes_out: 5 }\nbytes_in: x\n\
            INFO asked stats=Stats { a: 1, bytes_in: 300, bytes_out: 5 }\n";
        assert_eq!(counted(log), [217, 300]);
        assert!(counted(b"").is_empty());
    }
}
