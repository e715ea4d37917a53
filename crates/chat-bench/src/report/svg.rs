//! The report as a picture: horizontal bars on one logarithmic scale, a group for each workload.
//!
//! No background of its own: its text is dark on a light page and light on a dark one.

use super::chart::Scale;
use super::{FanoutReport, ServerReport, rounds, three_digits};
use crate::peer::PeerName;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 136.0;
/// Room for the figure behind the longest bar.
const RIGHT: f64 = 130.0;
const BAR: f64 = 16.0;
const STEP: f64 = 21.0;
const TOP: f64 = 52.0;
const GROUP_HEAD: f64 = 30.0;
const GROUP_GAP: f64 = 12.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}\
.title{font-size:15px;font-weight:600}.group{font-weight:600}.quiet{fill:#57606a;font-size:12px}\
.grid{stroke:#8c959f;stroke-opacity:.35}.other{fill:#8c959f}.ours{fill:#2f81f7}.floor{fill:#3fa45b}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.quiet{fill:#9aa4ae}}";

/// Draws the picture.
pub(super) fn draw(report: &FanoutReport) -> String {
    let servers = || {
        report
            .workloads
            .iter()
            .flat_map(|workload| &workload.servers)
    };
    let figures = servers().filter_map(|server| server.median.as_ref());
    let scale = Scale::over(figures.map(|figures| figures.cpu_us_per_delivery));
    let groups: f64 = report
        .workloads
        .iter()
        .map(|workload| group_height(workload.servers.len()))
        .sum();
    let bottom = TOP + groups;
    let mut body = grid(&scale, bottom);
    let mut y = TOP;
    for workload in &report.workloads {
        let title = workload.workload.title();
        body.push_str(&label(LEFT, y + 18.0, "group", "start", &title));
        for (at, server) in workload.servers.iter().enumerate() {
            let y = y + GROUP_HEAD + at as f64 * STEP;
            body.push_str(&draw_bar(server, &scale, y));
        }
        y += group_height(workload.servers.len());
    }
    let height = bottom + 34.0;
    let title = "Server's CPU microseconds for one delivered message";
    let note = format!(
        "Shorter is better. Logarithmic scale, medians of {}, {} processors, loopback.",
        rounds(report.rounds),
        report.processors
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n{}{}{body}</svg>\n",
        label(10.0, 20.0, "title", "start", title),
        label(10.0, 39.0, "quiet", "start", &note),
    )
}

fn group_height(servers: usize) -> f64 {
    GROUP_HEAD + servers as f64 * STEP + GROUP_GAP
}

/// A line and a figure at each power of ten.
fn grid(scale: &Scale, bottom: f64) -> String {
    let mut text = String::new();
    for power in scale.first..=scale.last {
        let figure = 10_f64.powi(power);
        let x = position(scale, figure);
        let digits = power.min(0).unsigned_abs() as usize;
        text.push_str(&format!(
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\n"
        ));
        let figure = format!("{figure:.digits$}");
        text.push_str(&label(x, bottom + 18.0, "quiet", "middle", &figure));
    }
    text
}

fn draw_bar(server: &ServerReport, scale: &Scale, y: f64) -> String {
    let class = match server.server {
        PeerName::ChatServer | PeerName::ChatServerJson => "ours",
        PeerName::Floor => "floor",
        _ => "other",
    };
    let middle = y + BAR - 3.5;
    let name = label(LEFT - 8.0, middle, "", "end", server.server.as_str());
    let Some(figures) = &server.median else {
        return name + &label(LEFT + 6.0, middle, "quiet", "start", "failed");
    };
    let end = position(scale, figures.cpu_us_per_delivery);
    let ratio = match figures.ratio_to_floor {
        Some(ratio) if server.server != PeerName::Floor => {
            format!(" ({} x floor)", super::ratio(ratio))
        }
        _ => String::new(),
    };
    let figure = three_digits(figures.cpu_us_per_delivery) + &ratio;
    let width = (end - LEFT).max(1.0);
    format!(
        "{name}<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>\n{}",
        label(LEFT + width + 6.0, middle, "", "start", &figure)
    )
}

fn position(scale: &Scale, figure: f64) -> f64 {
    LEFT + scale.share(figure) * (WIDTH - LEFT - RIGHT)
}

fn label(x: f64, y: f64, class: &str, anchor: &str, text: &str) -> String {
    let text = escape(text);
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>\n"
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    /// Checks that elements are closed in the order they were opened and attributes are quoted.
    fn check_well_formed(svg: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = svg;
        while let Some(start) = rest.find('<') {
            assert!(!rest[..start].contains('>'), "stray > in {rest:?}");
            let end = start + rest[start..].find('>').expect("a tag that ends");
            let tag = &rest[start + 1..end];
            rest = &rest[end + 1..];
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            assert!(!tag.contains('<'), "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().expect("a name"));
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(!svg.contains("& "), "an ampersand that is not escaped");
    }

    #[test]
    fn the_picture_is_well_formed() {
        let svg = draw(&report());
        check_well_formed(&svg);
        assert_eq!(svg.matches("<rect").count(), 3);
        assert!(svg.contains("1.72 x floor"));
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
    }
}
