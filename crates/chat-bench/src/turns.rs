//! The order of measurements: in each round, every server is measured once.
//!
//! The servers take turns within a round, so that a disturbance of the machine affects all of them. After a failure, a
//! server is not measured again. The other servers continue.

use std::fmt::Display;

use serde::Serialize;

use crate::peer::{Contestant, PeerName};
use crate::progress::Progress;

/// The results of one server.
#[derive(Debug)]
pub(crate) struct Turns<R> {
    pub(crate) server: PeerName,
    /// One result for each round; `None` for the round in which the server failed, and for all later rounds.
    pub(crate) runs: Vec<Option<R>>,
    pub(crate) failure: Option<String>,
}

/// The figures of one server: the medians over the rounds, and the figures of each round.
#[derive(Debug, Serialize)]
pub(crate) struct ServerReport<M, R> {
    pub(crate) server: PeerName,
    /// The medians over the rounds. `None` if the server failed in the first round.
    pub(crate) median: Option<M>,
    pub(crate) runs: Vec<Option<R>>,
    pub(crate) failure: Option<String>,
}

impl<R> Turns<R> {
    /// Returns the report. `median` computes the medians.
    pub(crate) fn report<M>(self, median: impl FnOnce(&Self) -> Option<M>) -> ServerReport<M, R> {
        ServerReport {
            server: self.server,
            median: median(&self),
            runs: self.runs,
            failure: self.failure,
        }
    }
}

/// Returns one error text for each server that failed.
pub(crate) fn failures<'a, M: 'a, R: 'a>(
    servers: impl IntoIterator<Item = &'a ServerReport<M, R>>,
) -> Vec<String> {
    let failures = servers.into_iter();
    failures
        .filter_map(|server| server.failure.clone())
        .collect()
}

/// Measures each server once in each round. `title` is shown with the progress.
pub(crate) fn take<R, E: Display>(
    title: &str,
    rounds: u32,
    contestants: &[Contestant],
    progress: &Progress,
    mut measure: impl FnMut(&Contestant) -> Result<R, E>,
) -> Vec<Turns<R>> {
    let mut servers: Vec<Turns<R>> = contestants
        .iter()
        .map(|contestant| Turns {
            server: contestant.name,
            runs: Vec::new(),
            failure: None,
        })
        .collect();
    for round in 1..=rounds {
        for (contestant, turns) in contestants.iter().zip(&mut servers) {
            if turns.failure.is_some() {
                turns.runs.push(None);
                continue;
            }
            let name = contestant.name.as_str();
            let where_we_are = format!("{title} round {round}/{rounds}: {name}");
            progress.now(&where_we_are);
            match measure(contestant) {
                Ok(run) => turns.runs.push(Some(run)),
                Err(error) => {
                    let text = format!("{where_we_are}: {error:#}");
                    progress.note(&text);
                    turns.failure = Some(text);
                    turns.runs.push(None);
                }
            }
        }
    }
    servers
}
