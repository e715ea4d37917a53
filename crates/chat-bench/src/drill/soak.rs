//! `soak`: members join, talk, change rooms, search and leave for a long time. The server's memory and descriptors must
//! not grow.
//!
//! Only the second half of the time counts. By then, everything of bounded size (logs, remembered rooms, allocator
//! pools) is full.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::client::{Client, PATIENCE};
use super::crowd;
use super::findings::{Findings, grouped};
use super::stage::Stage;
use crate::launch::Server;
use crate::proc;
use crate::stats::{median, slope};
use fastrand::Rng;

/// How long the drill lasts without `--minutes`.
const LASTING: Duration = Duration::from_secs(2 * 60);
const LASTING_QUICK: Duration = Duration::from_secs(4);

/// The number of rooms. The server remembers fewer empty rooms than this, so rooms are forgotten and opened again
/// throughout.
const ROOMS: usize = 96;

/// Small limits on logs and rooms. The server reaches them within seconds, so that its memory does not grow toward them
/// in the second half of the drill.
const SMALL: [&str; 4] = ["--journal-messages", "64", "--empty-rooms", "16"];

/// The longest pause between two actions, in milliseconds.
const PAUSE_MAX_MS: usize = 40;

/// The average number of actions in a session.
const DEEDS: usize = 12;

/// How often memory and descriptors are read.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The most KiB that memory may grow each minute. A server without a leak grew by 39 KiB a minute for seven minutes,
/// and the memory that an allocator retains varies by about 100 KiB. A minute has 90,000 actions and 8,000 sessions, so
/// the bound corresponds to a leak of 32 bytes a session or 3 bytes an action.
const GROWTH_MAX_KIB: f64 = 256.0;

/// How many more descriptors the server may hold after each minute, at most. Each member holds one, and the number of
/// members is constant.
const DESCRIPTORS_MAX: f64 = 4.0;

/// How long the server may take to close connections that have ended.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The server's memory and descriptors at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    minutes: f64,
    resident_kib: f64,
    descriptors: f64,
}

/// Counts what one task did.
#[derive(Clone, Copy, Debug, Default)]
struct Did {
    sessions: u64,
    actions: u64,
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let members = stage.pick(32, 8);
    let lasting = stage.minutes(LASTING, LASTING_QUICK);
    findings.did(format!(
        "seed {}: {members} members join, talk, change rooms, search and leave for {:.1} minutes, in {ROOMS} rooms",
        stage.seed(),
        lasting.as_secs_f64() / 60.0
    ));
    let server = stage.start(2 * members + 16, &SMALL)?;
    sleep(Duration::from_millis(1500)).await;
    let descriptors = proc::descriptors(server.pid())?;
    let (until, mut living) = (Instant::now() + lasting, JoinSet::new());
    for member in 0..members {
        living.spawn(live(server.port(), member, stage.random(member), until));
    }
    let samples = watch(&server, until).await?;
    let mut all = Did::default();
    while let Some(did) = living.join_next().await {
        let did = did.context("a member panicked")?.context("a member")?;
        all.sessions += did.sessions;
        all.actions += did.actions;
    }
    findings.at_least("sessions", all.sessions, members as u64);
    findings.figure("actions", grouped(all.actions));
    judge(&samples, findings);
    crowd::is_gone(&server, descriptors, GONE_WITHIN, findings).await
}

fn judge(samples: &[Sample], findings: &mut Findings) {
    let half = &samples[samples.len() / 2..];
    let line = |of: fn(&Sample) -> f64| -> Option<f64> {
        slope(
            &half
                .iter()
                .map(|sample| (sample.minutes, of(sample)))
                .collect::<Vec<_>>(),
        )
    };
    findings.at_least("samples that count", half.len() as u64, 3);
    let resident = median(half.iter().map(|sample| sample.resident_kib)).unwrap_or_default();
    findings.figure("memory, median", format!("{resident:.0} KiB"));
    let minutes = half
        .last()
        .map_or(0.0, |last| last.minutes - half[0].minutes);
    let (memory, held) = (line(|s| s.resident_kib), line(|s| s.descriptors));
    let (memory, held) = (memory.unwrap_or_default(), held.unwrap_or_default());
    if minutes < MINUTES_JUDGED_MIN {
        // Over a few seconds, the growth of memory only shows the variation of the allocator.
        findings.figure(
            "memory growth a minute, too short to judge",
            format!("{memory:.0} KiB"),
        );
        return;
    }
    findings.below("memory growth a minute", memory, GROWTH_MAX_KIB, "KiB");
    findings.below("descriptor growth a minute", held, DESCRIPTORS_MAX, "");
}

/// The shortest time, in minutes, over which the growth of memory is judged.
const MINUTES_JUDGED_MIN: f64 = 0.5;

async fn watch(server: &Server, until: Instant) -> anyhow::Result<Vec<Sample>> {
    let (began, mut samples) = (Instant::now(), Vec::new());
    let mut ticker = interval(LOOK_EVERY);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until {
        ticker.tick().await;
        samples.push(Sample {
            minutes: began.elapsed().as_secs_f64() / 60.0,
            resident_kib: proc::resident_kib(server.pid())? as f64,
            descriptors: proc::descriptors(server.pid())? as f64,
        });
    }
    Ok(samples)
}

/// Runs the sessions of one member, one after another, until `until`.
async fn live(port: u16, member: usize, mut random: Rng, until: Instant) -> anyhow::Result<Did> {
    let mut did = Did::default();
    while Instant::now() < until {
        let client = Client::connect(port).await?;
        did.sessions += 1;
        let session = one_session(client, member, &mut random, until, &mut did.actions);
        timeout(PATIENCE, session).await.context("no answer")??;
    }
    Ok(did)
}

async fn one_session(
    mut client: Client,
    member: usize,
    random: &mut Rng,
    until: Instant,
    actions: &mut u64,
) -> anyhow::Result<()> {
    // The previous session may still hold the nick. In that case the member stays a guest.
    client.does(&format!("/nick member-{member}")).await?;
    while Instant::now() < until && random.usize(..DEEDS) > 0 {
        sleep(Duration::from_millis(random.usize(..PAUSE_MAX_MS) as u64)).await;
        *actions += 1;
        let line = action(member, random);
        client.does(&line).await?;
    }
    match random.usize(..3) {
        0 => client.cut()?,
        1 => {
            client.writer.send(b"/quit enough\n").await?;
            client.reader.read_out().await?;
        }
        _ => drop(client),
    }
    Ok(())
}

/// Returns the line that performs a random action.
fn action(member: usize, random: &mut Rng) -> String {
    match random.usize(..12) {
        0..=4 => format!("hello number {} of {member}", random.usize(..1000)),
        5..=7 => format!("/join room-{}", random.usize(..ROOMS)),
        8 => format!("/search hello {}", random.usize(..100)),
        9 => format!("/history {}", random.usize(..64)),
        10 => format!("/topic about {}", random.usize(..1000)),
        _ => format!("/nick member-{member}-{}", random.usize(..9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the samples of a run of ten minutes, one for each second. Memory grows by `growth` KiB a minute. In the
    /// first three minutes, it grows by 1,000 KiB a minute more.
    fn samples(growth: f64) -> Vec<Sample> {
        (0..600)
            .map(|second| {
                let minutes = f64::from(second) / 60.0;
                Sample {
                    minutes,
                    resident_kib: 9_000.0 + 1_000.0 * minutes.min(3.0) + growth * minutes,
                    descriptors: 40.0 + f64::from(second % 3),
                }
            })
            .collect()
    }

    #[test]
    fn a_slope_in_the_second_half_fails_and_filling_up_does_not() {
        for (growth, has_passed) in [(0.0, true), (200.0, true), (300.0, false)] {
            let mut findings = Findings::default();
            judge(&samples(growth), &mut findings);
            assert_eq!(
                findings.have_passed(),
                has_passed,
                "{growth} KiB: {findings}"
            );
        }
    }

    #[test]
    fn descriptors_that_grow_fail() {
        let mut samples = samples(0.0);
        samples
            .iter_mut()
            .for_each(|sample| sample.descriptors += 9.0 * sample.minutes);
        let mut findings = Findings::default();
        judge(&samples, &mut findings);
        assert!(!findings.have_passed(), "{findings}");
    }

    #[test]
    fn a_few_seconds_are_too_short_to_judge() {
        let mut findings = Findings::default();
        judge(&samples(9_000.0)[..20], &mut findings);
        assert!(findings.have_passed(), "{findings}");
    }
}
