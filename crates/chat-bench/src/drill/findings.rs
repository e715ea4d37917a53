//! The findings of a drill: what it did, its figures, and the bounds of the figures.

use std::fmt;
use std::time::Duration;

pub(crate) use crate::report::grouped;

/// The findings of one drill, in the order in which they are printed.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    did: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    figure: String,
    /// The bound as text, and whether the figure satisfies it. `None` for a figure without a bound.
    bound: Option<(String, bool)>,
}

impl Findings {
    /// Adds a description of what the drill does.
    pub(crate) fn did(&mut self, what: impl Into<String>) {
        self.did.push(what.into());
    }

    /// Adds a figure without a bound.
    pub(crate) fn figure(&mut self, what: &str, figure: impl fmt::Display) {
        self.row(what, figure, None);
    }

    /// Adds a figure that must be below a bound.
    pub(crate) fn below(&mut self, what: &str, figure: f64, bound: f64, unit: &str) {
        let shown = format!("< {} {unit}", rounded(bound));
        let figure_shown = format!("{} {unit}", rounded(figure));
        self.row(what, figure_shown, Some((shown, figure < bound)));
    }

    /// Adds a time that must be below a bound.
    pub(crate) fn within(&mut self, what: &str, took: Duration, bound: Duration) {
        let (figure, bound) = (took.as_secs_f64(), bound.as_secs_f64());
        if bound < 1.0 {
            self.below(what, figure * 1e3, bound * 1e3, "ms");
        } else {
            self.below(what, figure, bound, "s");
        }
    }

    /// Adds a count that must be `expected`.
    pub(crate) fn exactly(&mut self, what: &str, count: u64, expected: u64) {
        let bound = Some((format!("= {}", grouped(expected)), count == expected));
        self.row(what, grouped(count), bound);
    }

    /// Adds a count that must be at least `least`. Such a bound shows that the drill did something.
    pub(crate) fn at_least(&mut self, what: &str, count: u64, least: u64) {
        let bound = Some((format!(">= {}", grouped(least)), count >= least));
        self.row(what, grouped(count), bound);
    }

    /// Adds a count that must be 0: the number of `cases`. If there are cases, the report shows the first few as
    /// examples.
    pub(crate) fn none(&mut self, what: &str, cases: &[String]) {
        self.exactly(what, cases.len() as u64, 0);
        for case in cases.iter().take(CASES_SHOWN) {
            self.figure("  for example", case);
        }
    }

    /// Returns whether all figures satisfy their bounds.
    pub(crate) fn have_passed(&self) -> bool {
        let mut bounds = self.rows.iter().filter_map(|row| row.bound.as_ref());
        bounds.all(|(_, is_kept)| *is_kept)
    }

    fn row(&mut self, what: &str, figure: impl fmt::Display, bound: Option<(String, bool)>) {
        self.rows.push(Row {
            what: what.to_owned(),
            figure: figure.to_string(),
            bound,
        });
    }
}

/// The most cases that are shown for one figure.
const CASES_SHOWN: usize = 3;

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in &self.did {
            writeln!(f, "  {what}")?;
        }
        for Row {
            what,
            figure,
            bound,
        } in &self.rows
        {
            match bound {
                None => writeln!(f, "    {what:<48} {figure:>14}")?,
                Some((bound, is_kept)) => {
                    let verdict = if *is_kept { "PASS" } else { "FAIL" };
                    writeln!(f, "    {what:<48} {figure:>14}   {bound:<14} {verdict}")?;
                }
            }
        }
        Ok(())
    }
}

/// Formats a figure with a readable number of digits.
fn rounded(figure: f64) -> String {
    if figure.abs() < 10.0 && figure.fract() != 0.0 {
        format!("{figure:.2}")
    } else {
        format!("{figure:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_figure_out_of_bounds_fails_the_drill() {
        let mut findings = Findings::default();
        findings.figure("time", "1 s");
        findings.below("memory", 12.5, 100.0, "KiB");
        findings.exactly("lost", 0, 0);
        assert!(findings.have_passed());
        findings.at_least("messages", 0, 1);
        assert!(!findings.have_passed());
        let text = findings.to_string();
        assert!(text.contains("12 KiB   < 100 KiB      PASS"), "{text}");
        assert!(text.contains("0   >= 1           FAIL"), "{text}");
    }
}
