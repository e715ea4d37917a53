//! The report as JSON.

use serde::Serialize;

/// Returns the report as indented JSON.
pub(super) fn render(report: &impl Serialize) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    #[test]
    fn the_json_holds_the_medians() {
        let text = render(&report()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let floor = &value["workloads"][0]["servers"][0];
        assert_eq!(floor["server"], "floor");
        assert_eq!(floor["median"]["cpu_us_per_delivery"], 4.3);
        assert_eq!(value["workloads"][0]["members"], 100);
        assert!(value["workloads"][1]["servers"][1]["failure"].is_string());
    }
}
