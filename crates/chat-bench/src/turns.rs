//! The order of measurements: in each round, each server.
//!
//! The servers take turns within a round, so that a disturbance of the machine affects all of them. A server that
//! failed is not measured again; the others are.

use std::fmt::Display;

use serde::Serialize;

use crate::peer::{Contestant, PeerName};
use crate::progress::Progress;

/// The results of one server.
#[derive(Debug)]
pub(crate) struct Turns<R> {
    pub(crate) server: PeerName,
    /// One for each round; `None` from the failure on.
    pub(crate) runs: Vec<Option<R>>,
    pub(crate) failure: Option<String>,
}

/// One server's figures: the medians over the rounds, and the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct ServerReport<M, R> {
    pub(crate) server: PeerName,
    /// `None` if the server failed in the first round.
    pub(crate) median: Option<M>,
    pub(crate) runs: Vec<Option<R>>,
    pub(crate) failure: Option<String>,
}

impl<R> Turns<R> {
    /// The report with the medians that `median` takes.
    pub(crate) fn report<M>(self, median: impl FnOnce(&Self) -> Option<M>) -> ServerReport<M, R> {
        ServerReport {
            server: self.server,
            median: median(&self),
            runs: self.runs,
            failure: self.failure,
        }
    }
}

/// What failed, one text for each server.
pub(crate) fn failures<'a, M: 'a, R: 'a>(
    servers: impl IntoIterator<Item = &'a ServerReport<M, R>>,
) -> Vec<String> {
    let failures = servers.into_iter();
    failures
        .filter_map(|server| server.failure.clone())
        .collect()
}

/// Measures each server once in each round; `title` is shown as progress.
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
