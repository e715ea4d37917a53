//! Computes medians, percentiles, slopes, and ratios of paired figures.

/// Returns the median. For an even number of values, this is the mean of the two middle values. `None` if there are no
/// values.
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

/// Divides each round's value in `figures` by the same round's value in `of`, and returns the median of the ratios. A
/// disturbance of a whole round affects both values, so it cancels out.
pub(crate) fn median_ratio(figures: &[Option<f64>], of: &[Option<f64>]) -> Option<f64> {
    let ratios = figures.iter().zip(of).filter_map(|pair| match pair {
        (Some(figure), Some(of)) if *of > 0.0 => Some(figure / of),
        _ => None,
    });
    median(ratios)
}

/// Returns the percentile by nearest rank. `share` is from 0 to 1. `None` if there are no values.
pub(crate) fn percentile(mut values: Vec<u64>, share: f64) -> Option<u64> {
    values.sort_unstable();
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

/// Returns how much `y` grows with each unit of `x`: the slope of the least-squares line. `None` if there are fewer
/// than two different values of `x`.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (x_sum, y_sum) = points
        .iter()
        .fold((0.0, 0.0), |(x_sum, y_sum), (x, y)| (x_sum + x, y_sum + y));
    let (x_mean, y_mean) = (x_sum / count, y_sum / count);
    let (mut together, mut spread) = (0.0, 0.0);
    for (x, y) in points {
        together += (x - x_mean) * (y - y_mean);
        spread += (x - x_mean) * (x - x_mean);
    }
    (spread > 0.0).then(|| together / spread)
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

    #[test]
    fn a_slope_is_that_of_the_line_with_the_least_squares() {
        let points: Vec<_> = (0..10)
            .map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x)))
            .collect();
        assert!((slope(&points).unwrap() - 2.0).abs() < 1e-9);
        // The least-squares line of symmetric points is level.
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 4.0), (2.0, 1.0)]), Some(0.0));
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(slope(&[]), None);
    }
}
