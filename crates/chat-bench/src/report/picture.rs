//! Draws the report as an SVG picture: horizontal bars on one logarithmic scale, grouped by workload.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{FanoutReport, Figures, rounds, three_digits};
use crate::fanout::Run;
use crate::peer::PeerName;
use crate::turns;

const WIDTH: u32 = 760;
/// The height in pixels of a bar with its margins, and of a group's title.
const ROW: u32 = 22;
/// The height in pixels of the title above the bars, and of the scale with its description below them.
const AROUND: u32 = 96;
/// The width in pixels for the names of the servers.
const LEFT: u32 = 136;
/// The width in pixels of the space after the longest bar, for the bar's figure.
const RIGHT: u32 = 140;
/// The font of all texts. plotters draws size 16 at 13 pixels.
const FONT: (&str, i32) = ("sans-serif", 16);

type ServerReport = turns::ServerReport<Figures, Run>;

/// One row of the picture.
enum Row<'a> {
    Title(String),
    Bar(&'a ServerReport),
}

/// Draws the picture.
///
/// # Errors
///
/// Returns an error if the drawing backend fails.
pub(super) fn draw(report: &FanoutReport) -> anyhow::Result<String> {
    let rows = rows(report);
    let (first, last) = scale(&rows);
    let mut svg = String::new();
    let size = (WIDTH, rows.len() as u32 * ROW + AROUND);
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(10)
        .margin_right(RIGHT)
        .caption(
            "Server's CPU microseconds for one delivered message",
            (FONT.0, 20),
        )
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .set_label_area_size(LabelAreaPosition::Bottom, 48)
        .build_cartesian_2d((first..last).log_scale(), rows.len() as f64..0.0)?;
    let note = format!(
        "Shorter is better. Logarithmic scale, medians of {}, {} processors, loopback.",
        rounds(report.rounds),
        report.processors
    );
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels((last / first).log10().round() as usize + 1)
        .x_max_light_lines(0)
        .x_label_formatter(&|figure| format!("{figure}"))
        .label_style(FONT)
        .x_desc(note)
        .draw()?;
    for (at, row) in rows.iter().enumerate() {
        let middle = at as f64 + 0.5;
        // Text at a point of the plot, shifted horizontally by `beside` pixels.
        let label = |text: String, x: f64, beside: i32, anchor: HPos| {
            let style = TextStyle::from(FONT.into_font()).pos(Pos::new(anchor, VPos::Center));
            EmptyElement::at((x, middle)) + Text::new(text, (beside, 0), style)
        };
        let server = match row {
            Row::Title(title) => {
                chart.draw_series([label(title.clone(), first, 0, HPos::Left)])?;
                continue;
            }
            Row::Bar(server) => *server,
        };
        let cpu = cpu(server).unwrap_or(first).max(first);
        let bar = [(first, at as f64 + 0.14), (cpu, at as f64 + 0.86)];
        chart.draw_series([Rectangle::new(bar, colour(server.server).filled())])?;
        chart.draw_series([
            label(server.server.as_str().to_owned(), first, -8, HPos::Right),
            label(figure(server), cpu, 6, HPos::Left),
        ])?;
    }
    root.present()?;
    drop(chart);
    drop(root);
    Ok(svg)
}

fn rows(report: &FanoutReport) -> Vec<Row<'_>> {
    let groups = report.workloads.iter().map(|workload| {
        let title = Row::Title(workload.workload.title());
        std::iter::once(title).chain(workload.servers.iter().map(Row::Bar))
    });
    groups.flatten().collect()
}

/// Returns the first and the last value of the scale. Both are powers of ten, and all positive figures lie between
/// them.
fn scale(rows: &[Row<'_>]) -> (f64, f64) {
    let figures = rows.iter().filter_map(|row| match row {
        Row::Title(_) => None,
        Row::Bar(server) => cpu(server).filter(|cpu| *cpu > 0.0),
    });
    let bounds = figures.fold(None, |bounds: Option<(f64, f64)>, figure| {
        let (least, most) = bounds.unwrap_or((figure, figure));
        Some((least.min(figure), most.max(figure)))
    });
    let (least, most) = bounds.unwrap_or((1.0, 1.0));
    // A bar that ends just above a power of ten would have almost no length, so the scale starts lower.
    let first = (least.log10() - 0.2).floor();
    let last = most.log10().ceil().max(first + 1.0);
    (10_f64.powf(first), 10_f64.powf(last))
}

fn cpu(server: &ServerReport) -> Option<f64> {
    Some(server.median.as_ref()?.cpu_us_per_delivery)
}

/// Returns the text to the right of a server's bar: the processor time for each delivery in microseconds, and its ratio
/// to the floor's time. If the server failed, the text is `failed`.
fn figure(server: &ServerReport) -> String {
    let Some(figures) = &server.median else {
        return "failed".to_owned();
    };
    let cpu = three_digits(figures.cpu_us_per_delivery);
    match figures.ratio_to_floor {
        Some(ratio) if server.server != PeerName::Floor => {
            format!("{cpu} ({} x floor)", super::ratio(ratio))
        }
        _ => cpu,
    }
}

const fn colour(server: PeerName) -> RGBColor {
    match server {
        PeerName::ChatServer | PeerName::ChatServerJson | PeerName::ChatServerWeb => {
            RGBColor(0x2f, 0x81, 0xf7)
        }
        PeerName::Floor => RGBColor(0x3f, 0xa4, 0x5b),
        _ => RGBColor(0x8c, 0x95, 0x9f),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    #[test]
    fn every_server_has_a_bar_and_its_figure() {
        let mut report = report();
        let svg = draw(&report).unwrap();
        assert_eq!(svg.matches("floor\n").count(), 2, "{svg}");
        assert_eq!(svg.matches("obvious").count(), 2);
        assert!(svg.contains("7.40 (1.72 x floor)") && svg.contains("failed"));
        // A figure too small to be measured (0) has no place on a logarithmic scale.
        for server in report.workloads.iter_mut().flat_map(|w| &mut w.servers) {
            if let Some(figures) = &mut server.median {
                figures.cpu_us_per_delivery = 0.0;
            }
        }
        assert!(!draw(&report).unwrap().contains("NaN"));
    }

    #[test]
    fn the_scale_holds_all_figures() {
        let report = report();
        assert_eq!(scale(&rows(&report)), (0.01, 10.0));
        assert_eq!(scale(&[]), (0.1, 1.0));
    }
}
