//! The report as bars in the terminal: processor time a delivery, on a logarithmic scale.

use super::{FanoutReport, WorkloadReport, three_digits};

/// The longest bar, in characters.
const WIDTH: f64 = 50.0;

/// Characters of the longest server name, `chat-server-json`.
const NAME_WIDTH: usize = 16;

/// Draws one group of bars for each workload.
pub(super) fn draw(report: &FanoutReport) -> String {
    let mut text = String::from(
        "Server's CPU microseconds a delivery: shorter is better, each full step of a scale is tenfold.\n",
    );
    for workload in &report.workloads {
        text.push_str(&format!("\n{}\n", workload.workload.title()));
        text.push_str(&draw_group(workload));
    }
    text
}

fn draw_group(workload: &WorkloadReport) -> String {
    let scale = Scale::over(cpu_figures(workload));
    let mut text = String::new();
    for server in &workload.servers {
        let name = server.server.as_str();
        text.push_str(&match &server.median {
            Some(figures) => {
                let cpu = figures.cpu_us_per_delivery;
                let bar = bar(scale.share(cpu) * WIDTH);
                format!("  {name:<NAME_WIDTH$} {bar} {}\n", three_digits(cpu))
            }
            None => format!("  {name:<NAME_WIDTH$} failed\n"),
        });
    }
    text
}

fn cpu_figures(workload: &WorkloadReport) -> impl Iterator<Item = f64> {
    let medians = workload
        .servers
        .iter()
        .filter_map(|server| server.median.as_ref());
    medians.map(|figures| figures.cpu_us_per_delivery)
}

/// A logarithmic scale that begins and ends at powers of ten.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) first: i32,
    pub(super) last: i32,
}

impl Scale {
    /// A scale that all these figures fit on; those that are not positive have no place on any.
    pub(super) fn over(figures: impl IntoIterator<Item = f64>) -> Self {
        let positive = figures.into_iter().filter(|figure| *figure > 0.0);
        let logs: Vec<f64> = positive.map(f64::log10).collect();
        let least = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if logs.is_empty() {
            return Self { first: 0, last: 1 };
        }
        // A figure just above a power of ten would have no bar to speak of.
        let first = (least - 0.2).floor() as i32;
        let last = (most.ceil() as i32).max(first + 1);
        Self { first, last }
    }

    /// Where on the scale a figure is: 0 at its beginning, 1 at its end.
    pub(super) fn share(&self, figure: f64) -> f64 {
        if figure <= 0.0 {
            return 0.0;
        }
        let (first, last) = (f64::from(self.first), f64::from(self.last));
        ((figure.log10() - first) / (last - first)).clamp(0.0, 1.0)
    }
}

/// A bar of so many characters, in eighths.
fn bar(length: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (length * 8.0).round().max(1.0) as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    #[test]
    fn the_scale_holds_all_figures() {
        let scale = Scale::over([0.021, 4.3]);
        assert_eq!(scale, Scale { first: -2, last: 1 });
        assert_eq!(scale.share(0.01), 0.0);
        assert_eq!(scale.share(10.0), 1.0);
        assert!(scale.share(0.021) < scale.share(4.3));
        assert_eq!(Scale::over([]), Scale { first: 0, last: 1 });
        assert_eq!(Scale::over([0.0]).share(0.0), 0.0);
    }

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!(bar(0.0), "▏");
        assert_eq!(bar(1.5), "█▌");
    }

    #[test]
    fn every_server_is_drawn() {
        let text = draw(&report());
        assert_eq!(text.matches("floor").count(), 2);
        assert!(text.contains("failed"));
    }
}
