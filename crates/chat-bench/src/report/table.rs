//! Formats the reports as text tables.

use super::{FanoutReport, Figures, WorkloadReport, grouped, rounds, three_digits};
use crate::fanout::Run;
use crate::idle::{IdleReport, IdleRun};
use crate::turns::ServerReport;

/// Returns one table for each workload.
pub(super) fn fanout(report: &FanoutReport) -> String {
    let mut text = format!(
        "Medians of {} on {} processors. CPU: {}.\n\
         'x floor' is the median of each round's ratio; 'last' is the time until the last member received a message.\n",
        rounds(report.rounds),
        report.processors,
        report.cpu_source
    );
    for workload in &report.workloads {
        text.push_str(&format!("\n{}\n", workload.workload.title()));
        text.push_str(&layout(&fanout_rows(workload)));
        for (name, ratio) in [
            ("JSON", workload.ratio_of_json_to_plain),
            ("WebSocket", workload.ratio_of_web_to_plain),
        ] {
            if let Some(ratio) = ratio {
                text.push_str(&format!(
                    "  {name}: {} x the plain dialect's CPU a delivery\n",
                    super::ratio(ratio)
                ));
            }
        }
    }
    text
}

fn fanout_rows(workload: &WorkloadReport) -> Vec<Vec<String>> {
    let head = [
        "server",
        "deliveries/s",
        "CPU us/delivery",
        "x floor",
        "last p50 us",
        "last p99 us",
        "RSS change KiB",
    ];
    let rows = workload.servers.iter().map(fanout_row);
    std::iter::once(head.map(String::from).to_vec())
        .chain(rows)
        .collect()
}

fn fanout_row(server: &ServerReport<Figures, Run>) -> Vec<String> {
    let mut row = vec![server.server.as_str().to_owned()];
    if let Some(figures) = &server.median {
        row.extend([
            grouped(figures.deliveries_per_second.round() as u64),
            three_digits(figures.cpu_us_per_delivery),
            figures
                .ratio_to_floor
                .map_or_else(|| "-".to_owned(), super::ratio),
            grouped(figures.last_p50_us.round() as u64),
            grouped(figures.last_p99_us.round() as u64),
            format!("{:+.0}", figures.rss_change_kib),
        ]);
    }
    if server.failure.is_some() {
        row.push("FAILED".to_owned());
    }
    row
}

/// Returns the table of the idle benchmark.
pub(super) fn idle(report: &IdleReport) -> String {
    let head = [
        "server",
        "KiB/connection",
        "after messages",
        "all in ms",
        "first message ms",
        "message ms",
        "worst ms",
        "CPU us/delivery",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(report.servers.iter().map(idle_row));
    format!(
        "{} silent members, medians of {}; memory is the server's VmRSS, without the kernel's.\n{}",
        report.members,
        rounds(report.rounds),
        layout(&rows)
    )
}

fn idle_row(server: &ServerReport<IdleRun, IdleRun>) -> Vec<String> {
    let mut row = vec![server.server.as_str().to_owned()];
    if let Some(run) = &server.median {
        let figures = [
            run.kib_per_connection,
            run.kib_per_connection_after_messages,
            run.all_in_ms,
            run.first_message_ms,
            run.message_ms,
            run.message_worst_ms,
            run.cpu_us_per_delivery,
        ];
        row.extend(figures.map(three_digits));
    }
    if server.failure.is_some() {
        row.push("FAILED".to_owned());
    }
    row
}

/// Aligns the columns: the first to the left, all others to the right.
fn layout(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = if column == 0 {
                format!("  {cell:<width$}")
            } else {
                format!("  {cell:>width$}")
            };
            text.push_str(&cell);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    #[test]
    fn each_server_has_a_row_and_a_failure_shows() {
        let text = fanout(&report());
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("obvious"))
            .collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].contains("1.72"));
        assert!(rows[1].ends_with("FAILED"));
        assert!(text.contains("JSON: 1.23 x the plain"));
        assert!(text.contains("WebSocket: 1.3"), "{text}");
    }
}
