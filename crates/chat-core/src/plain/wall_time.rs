//! A timestamp as a day and a time of day, for the lines of the plain dialect.

use crate::log::Timestamp;

/// A timestamp as a day and a time of day, in the time zone of [`Server::wall_time`](crate::Server::wall_time). Lines
/// of the plain dialect show the day and the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTime {
    /// The year of the Gregorian calendar.
    pub year: u16,
    /// The month, from 1 to 12.
    pub month: u8,
    /// The day of the month, from 1 to 31.
    pub day: u8,
    /// The hour, from 0 to 23.
    pub hour: u8,
    /// The minute, from 0 to 59.
    pub minute: u8,
}

impl WallTime {
    /// Converts a timestamp to a day and a time of day in UTC.
    #[must_use]
    pub fn utc(at: Timestamp) -> Self {
        let minutes = at.0 / 60_000 % (24 * 60);
        let (year, month, day) = civil(at.0 / (24 * 60 * 60_000));
        Self {
            year,
            month,
            day,
            hour: (minutes / 60) as u8,
            minute: (minutes % 60) as u8,
        }
    }
}

/// Returns the day of the Gregorian calendar that is this many days after 1970-01-01. Years begin in March here, so a
/// leap day is the last day of its year, and every 400 years have the same length.
fn civil(days: u64) -> (u16, u8, u8) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = u16::try_from(era * 400 + year + next).unwrap_or(u16::MAX);
    (year, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_has_them() {
        let utc = |seconds: u64| {
            let at = WallTime::utc(Timestamp(seconds * 1000));
            (at.year, at.month, at.day, at.hour, at.minute)
        };
        assert_eq!(utc(0), (1970, 1, 1, 0, 0));
        assert_eq!(utc(951_782_399), (2000, 2, 28, 23, 59));
        assert_eq!(utc(951_782_400), (2000, 2, 29, 0, 0));
        assert_eq!(utc(1_795_457_391), (2026, 11, 23, 18, 9));
        assert_eq!(utc(4_107_542_400), (2100, 3, 1, 0, 0));
        assert_eq!(WallTime::utc(Timestamp(u64::MAX)).year, u16::MAX);
    }
}
