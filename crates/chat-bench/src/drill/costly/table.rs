//! The table of the costs of each kind of request: the processor time of the server, and the delays and disconnections
//! of the witnesses.

use std::fmt;
use std::time::Duration;

use super::witness::Measured;
use crate::stats::median;

/// The figures of one attack round.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// The number of bytes that the server read from the attackers. `None` if the server did not log its counters.
    pub(super) read: Option<u64>,
    /// The number of answered requests. For reconnecting senders, the number of connections. `None` if requests can't
    /// be counted.
    pub(super) requests: Option<u64>,
    /// The number of bytes of the counted requests. If requests were not counted, the bytes that the server read.
    pub(super) request_bytes: f64,
    /// The server's processor time, minus the time that it would use without the attack.
    pub(super) cpu: Duration,
    pub(super) attack: Measured,
}

/// The figures of one kind of request.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) quiet: Measured,
    pub(super) rounds: Vec<Round>,
    pub(super) cut_plain: usize,
    pub(super) cut_json: usize,
    pub(super) verdict: Verdict,
}

/// The result of one kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    #[default]
    Pass,
    Fail,
    /// The kind of request was measured but not judged: the drill has more than one sender, or runs with `--quick`.
    Measured,
}

impl Row {
    /// The median over all attack rounds of the 99th percentile of the latency, in milliseconds.
    pub(super) fn p99_ms(&self) -> f64 {
        let rounds = self.rounds.iter();
        median(rounds.map(|round| ms(round.attack.p99_us))).unwrap_or_default()
    }

    /// The number of counted requests in all attack rounds.
    pub(super) fn requests(&self) -> u64 {
        self.rounds.iter().filter_map(|round| round.requests).sum()
    }

    fn p50_ms(&self) -> f64 {
        let rounds = self.rounds.iter();
        median(rounds.map(|round| ms(round.attack.p50_us))).unwrap_or_default()
    }

    /// Processor time for each request, in microseconds.
    fn cpu_us_per_request(&self) -> Option<f64> {
        (self.requests() > 0).then(|| self.cpu_s() * 1e6 / self.requests() as f64)
    }

    /// Processor time for each byte of the requests, in nanoseconds.
    fn cpu_ns_per_byte(&self) -> Option<f64> {
        let bytes: f64 = self.rounds.iter().map(|round| round.request_bytes).sum();
        (bytes > 0.0).then(|| self.cpu_s() * 1e9 / bytes)
    }

    /// The server's processor time in the attack rounds whose requests or bytes were counted, in seconds.
    fn cpu_s(&self) -> f64 {
        let rounds = self.rounds.iter();
        let is_counted = |round: &&Round| round.requests.is_some() || round.request_bytes > 0.0;
        let counted = rounds.filter(is_counted);
        counted.map(|round| round.cpu.as_secs_f64()).sum()
    }
}

/// A description of the table's columns.
pub(super) const LEGEND: &str = "KiB sent: taken by the kernel; read: by the server; answered: received by the sender. \
     requests: answered ones (- if the sender does not read), or connections of a reconnecting sender; CPU in total, a \
     request and a byte of the requests: of the server, without its share in the quiet. quiet, attack: latency of the \
     witnesses' messages in ms (attack: median of the rounds); cut: disconnected plain + JSON witnesses";

/// The header line of the table.
pub(super) fn header() -> String {
    format!(
        "{:<24} {:>9} {:>9} {:>9} {:>8} {:>7} {:>9} {:>8} {:>13} {:>17} {:>5}  verdict",
        "kind",
        "KiB sent",
        "read",
        "answered",
        "requests",
        "CPU ms",
        "us/req",
        "ns/byte",
        "quiet p50/p99",
        "attack p50/p99",
        "cut"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |of: fn(&Round) -> u64| self.rounds.iter().map(of).sum::<u64>() as f64 / 1024.0;
        let is_told = self.rounds.iter().all(|round| round.read.is_some());
        let read = is_told.then(|| kib(|round| round.read.unwrap_or_default()));
        let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), shown);
        let pair = |p50: f64, p99: f64| format!("{p50:.2}/{p99:.2}");
        let requests = self.requests();
        let cpu: f64 = self
            .rounds
            .iter()
            .map(|round| round.cpu.as_secs_f64())
            .sum();
        write!(
            f,
            "{:<24} {:>9.1} {:>9} {:>9.1} {:>8} {:>7.0} {:>9} {:>8} {:>13} {:>17} {:>5}  {}",
            self.kind,
            kib(|round| round.sent),
            read.map_or_else(|| "?".to_owned(), |read| format!("{read:.1}")),
            kib(|round| round.answered),
            if requests > 0 {
                requests.to_string()
            } else {
                "-".to_owned()
            },
            cpu * 1e3,
            figure(self.cpu_us_per_request()),
            figure(self.cpu_ns_per_byte()),
            pair(ms(self.quiet.p50_us), ms(self.quiet.p99_us)),
            pair(self.p50_ms(), self.p99_ms()),
            format!("{}+{}", self.cut_plain, self.cut_json),
            self.verdict
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Measured => "-",
        })
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

/// Formats a figure with a readable number of digits.
fn shown(figure: f64) -> String {
    if figure < 10.0 {
        format!("{figure:.2}")
    } else {
        format!("{figure:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(p99_us: u64, requests: Option<u64>) -> Round {
        Round {
            sent: 4096,
            answered: 10_240,
            read: requests.map(|_| 2048),
            requests,
            request_bytes: 16.0 * requests.unwrap_or_default() as f64,
            cpu: Duration::from_millis(2),
            attack: Measured {
                p50_us: 500,
                p99_us,
                missing: 0,
            },
        }
    }

    #[test]
    fn a_row_has_the_medians_and_what_a_request_and_a_byte_cost() {
        let quiet = Measured {
            p50_us: 200,
            p99_us: 1_250,
            missing: 0,
        };
        let mut row = Row {
            kind: "history-big",
            quiet,
            rounds: [1_000, 900_000, 3_000]
                .map(|p99| round(p99, Some(4)))
                .into(),
            cut_json: 2,
            ..Row::default()
        };
        assert!((row.p99_ms() - 3.0).abs() < 1e-9);
        let line = row.to_string();
        let columns: Vec<_> = line.split_whitespace().collect();
        let expected = [
            "history-big",
            "12.0",
            "6.0",
            "30.0",
            "12",
            "6",
            "500",
            "31250",
            "0.20/1.25",
            "0.50/3.00",
            "0+2",
            "PASS",
        ];
        assert_eq!(columns, expected);
        assert_eq!(header().find("verdict"), line.find("PASS"));
        // An attack round whose requests were not counted does not change the cost of a request.
        row.rounds.push(round(1, None));
        let line = row.to_string();
        assert!(line.contains(" ? ") && line.contains(" 500 "), "{line}");
    }

    #[test]
    fn a_kind_that_did_nothing_has_no_costs() {
        let row = Row {
            verdict: Verdict::Fail,
            ..Row::default()
        };
        assert_eq!(row.cpu_us_per_request(), None);
        assert!(row.to_string().ends_with("FAIL"), "{row}");
    }
}
