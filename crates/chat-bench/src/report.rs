//! The report: medians and ratios of the runs. It is printed, and written to files.

mod json;
mod picture;
mod table;

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::cli::OutputArgs;
use crate::fanout::{FanoutPlan, Run, WorkloadResult};
use crate::idle::IdleReport;
use crate::peer::PeerName;
use crate::proc::CPU_SOURCE;
use crate::stats::{median, median_ratio};
use crate::turns::{self, ServerReport, Turns};
use crate::workload::Workload;

/// The results of the fan-out benchmark.
#[derive(Debug, Serialize)]
pub(crate) struct FanoutReport {
    pub(crate) version: &'static str,
    /// The number of processors of this machine.
    pub(crate) processors: usize,
    pub(crate) rounds: u32,
    pub(crate) cpu_source: &'static str,
    pub(crate) workloads: Vec<WorkloadReport>,
}

/// The results of one workload.
#[derive(Debug, Serialize)]
pub(crate) struct WorkloadReport {
    #[serde(flatten)]
    pub(crate) workload: Workload,
    pub(crate) servers: Vec<ServerReport<Figures, Run>>,
    /// The median over all rounds of this ratio: the processor time for a delivery in the JSON dialect, divided by the
    /// processor time for a delivery in the plain dialect.
    pub(crate) ratio_of_json_to_plain: Option<f64>,
    /// The median over all rounds of this ratio: the processor time for a delivery by WebSocket, divided by the
    /// processor time for a delivery in the plain dialect.
    pub(crate) ratio_of_web_to_plain: Option<f64>,
}

/// The medians of one server's runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) deliveries_per_second: f64,
    pub(crate) cpu_us_per_delivery: f64,
    /// The median of a ratio over all rounds: the processor time for each delivery, divided by the same time of the
    /// server `floor`.
    pub(crate) ratio_to_floor: Option<f64>,
    pub(crate) last_p50_us: f64,
    pub(crate) last_p99_us: f64,
    pub(crate) rss_change_kib: f64,
}

impl FanoutReport {
    /// Computes the medians over the rounds.
    pub(crate) fn new(plan: &FanoutPlan, results: Vec<WorkloadResult>) -> Self {
        let processors = std::thread::available_parallelism();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            processors: processors.map_or(1, usize::from),
            rounds: plan.rounds,
            cpu_source: CPU_SOURCE,
            workloads: results.into_iter().map(summarise).collect(),
        }
    }

    /// Returns one error text for each server that failed.
    pub(crate) fn failures(&self) -> Vec<String> {
        turns::failures(self.workloads.iter().flat_map(|workload| &workload.servers))
    }
}

fn summarise(result: WorkloadResult) -> WorkloadReport {
    let cpu_of = |name: PeerName| {
        let mut servers = result.servers.iter();
        let server = servers.find(|server| server.server == name);
        server.map(cpu_by_round).unwrap_or_default()
    };
    let floor = cpu_of(PeerName::Floor);
    let plain = cpu_of(PeerName::ChatServer);
    let ratio_of_json_to_plain = median_ratio(&cpu_of(PeerName::ChatServerJson), &plain);
    let ratio_of_web_to_plain = median_ratio(&cpu_of(PeerName::ChatServerWeb), &plain);
    let servers = result.servers.into_iter();
    let servers = servers.map(|turns| turns.report(|turns| figures(turns, &floor)));
    WorkloadReport {
        servers: servers.collect(),
        ratio_of_json_to_plain,
        ratio_of_web_to_plain,
        workload: result.workload,
    }
}

fn cpu_by_round(server: &Turns<Run>) -> Vec<Option<f64>> {
    let runs = server.runs.iter();
    runs.map(|run| run.as_ref().map(|run| run.cpu_us_per_delivery))
        .collect()
}

fn figures(server: &Turns<Run>, floor: &[Option<f64>]) -> Option<Figures> {
    let of = |figure: fn(&Run) -> f64| median(server.runs.iter().flatten().map(figure));
    Some(Figures {
        deliveries_per_second: of(|run| run.deliveries_per_second)?,
        cpu_us_per_delivery: of(|run| run.cpu_us_per_delivery)?,
        ratio_to_floor: median_ratio(&cpu_by_round(server), floor),
        last_p50_us: of(|run| run.last_p50_us)?,
        last_p99_us: of(|run| run.last_p99_us)?,
        rss_change_kib: of(|run| run.rss_change_kib as f64)?,
    })
}

/// Prints the tables, and writes the files that `output` names.
pub(crate) fn write_fanout(report: &FanoutReport, output: &OutputArgs) -> anyhow::Result<()> {
    write(&table::fanout(report), report, output.json.as_deref())?;
    match output.svg.as_deref() {
        Some(path) => write_file(path, &picture::draw(report)?),
        None => Ok(()),
    }
}

/// Prints the table of the idle benchmark, and writes the JSON file.
pub(crate) fn write_idle(report: &IdleReport, json: Option<&Path>) -> anyhow::Result<()> {
    write(&table::idle(report), report, json)
}

/// Prints a report as `text`, and writes it as JSON to the file `json`.
pub(crate) fn write(
    text: &str,
    report: &impl Serialize,
    json: Option<&Path>,
) -> anyhow::Result<()> {
    print_beside_json(text, json)?;
    match json {
        Some(path) => write_file(path, &json::render(report)?),
        None => Ok(()),
    }
}

/// Prints `text` to standard output, or to standard error if the JSON goes to standard output.
fn print_beside_json(text: &str, json: Option<&Path>) -> anyhow::Result<()> {
    if json.is_some_and(is_standard_output) {
        io::stderr().write_all(text.as_bytes())?;
    } else {
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    if is_standard_output(path) {
        return Ok(io::stdout().write_all(text.as_bytes())?);
    }
    std::fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

fn is_standard_output(path: &Path) -> bool {
    path == Path::new("-")
}

/// Formats a number as `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the number with its noun, such as `1 round` or `5 rounds`.
fn rounds(count: u32) -> String {
    format!("{count} round{}", if count == 1 { "" } else { "s" })
}

/// Formats a ratio. Below 100, it has two decimals.
fn ratio(ratio: f64) -> String {
    if ratio < 100.0 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.0}")
    }
}

/// Formats a figure with three significant digits.
fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod testing {
    use super::*;
    use crate::workload::WorkloadName;

    /// A report of two workloads with these processor times. In the second workload, the last server failed.
    pub(super) fn report() -> FanoutReport {
        let server = |server, cpu: f64, ratio| ServerReport {
            server,
            median: Some(Figures {
                deliveries_per_second: 1e6 / cpu,
                cpu_us_per_delivery: cpu,
                ratio_to_floor: Some(ratio),
                last_p50_us: 430.0,
                last_p99_us: 900.0,
                rss_change_kib: 12.0,
            }),
            runs: Vec::new(),
            failure: None,
        };
        let failed = ServerReport {
            server: PeerName::Obvious,
            median: None,
            runs: vec![None],
            failure: Some("member 3 expected <1> & \"got\" 2".to_owned()),
        };
        let workload = |name, servers| WorkloadReport {
            workload: Workload::standard(name),
            servers,
            ratio_of_json_to_plain: Some(1.234),
            ratio_of_web_to_plain: Some(1.345),
        };
        let first = vec![
            server(PeerName::Floor, 4.3, 1.0),
            server(PeerName::Obvious, 7.4, 1.72),
        ];
        FanoutReport {
            version: "0",
            processors: 2,
            rounds: 3,
            cpu_source: CPU_SOURCE,
            workloads: vec![
                workload(WorkloadName::A, first),
                workload(
                    WorkloadName::B,
                    vec![server(PeerName::Floor, 0.021, 1.0), failed],
                ),
            ],
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn three_digits_count() {
        let shown = [123.4, 12.34, 1.234, 0.1234, 0.01234].map(three_digits);
        assert_eq!(shown, ["123", "12.3", "1.23", "0.123", "0.0123"]);
    }
}
