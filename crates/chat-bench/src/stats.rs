//! Medians, percentiles, and ratios that are taken round by round.

/// The median; the mean of the two in the middle if there is an even number. `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values
        .into_iter()
        .filter(|value| value.is_finite())
        .collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The median of the ratios of the two figures of each round, so that what disturbed a whole round cancels out.
pub(crate) fn median_ratio(figures: &[Option<f64>], of: &[Option<f64>]) -> Option<f64> {
    let ratios = figures.iter().zip(of).filter_map(|pair| match pair {
        (Some(figure), Some(of)) if *of > 0.0 => Some(figure / of),
        _ => None,
    });
    median(ratios)
}

/// The smallest value that this share of the values does not exceed (nearest rank). `None` of nothing.
pub(crate) fn percentile(mut values: Vec<u64>, share: f64) -> Option<u64> {
    values.sort_unstable();
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([7.0]), Some(7.0));
        assert_eq!(median([]), None);
        assert_eq!(median([f64::NAN, 1.0]), Some(1.0));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let figures = [Some(2.0), Some(40.0), None, Some(6.0)];
        let floor = [Some(1.0), Some(10.0), Some(5.0), Some(2.0)];
        assert_eq!(median_ratio(&figures, &floor), Some(3.0));
        assert_eq!(median_ratio(&[Some(1.0)], &[Some(0.0)]), None);
        assert_eq!(median_ratio(&[None], &[Some(1.0)]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_so_many_do_not_exceed() {
        let values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(percentile(values.clone(), 0.5), Some(100));
        assert_eq!(percentile(values.clone(), 0.99), Some(198));
        assert_eq!(percentile(values.clone(), 1.0), Some(200));
        assert_eq!(percentile(values, 0.0), Some(1));
        assert_eq!(percentile(vec![7], 0.99), Some(7));
        assert_eq!(percentile(Vec::new(), 0.5), None);
    }
}
