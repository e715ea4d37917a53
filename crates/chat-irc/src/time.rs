//! Times as IRC writes them: `2011-10-19T16:40:51.620Z` (IRCv3 server-time).

use chat_core::log::Timestamp;

/// The length of a written time.
pub(crate) const TIME_BYTES: usize = 24;

/// Returns a time in the form of server-time. Years after 9999 are written as 9999.
pub(crate) fn format(at: Timestamp) -> [u8; TIME_BYTES] {
    let (days, millis) = (at.0 / MILLIS_A_DAY, at.0 % MILLIS_A_DAY);
    let (year, month, day) = civil(days);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let mut out = *b"0000-00-00T00:00:00.000Z";
    put(&mut out[0..4], year.min(9999));
    put(&mut out[5..7], month);
    put(&mut out[8..10], day);
    put(&mut out[11..13], seconds / 3600);
    put(&mut out[14..16], seconds / 60 % 60);
    put(&mut out[17..19], seconds % 60);
    put(&mut out[20..23], millis);
    out
}

/// Parses a time in the form of server-time. The fraction of the second may be missing or have any length.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let is_valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_valid || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(*b"000").take(3);
    let millis = digits.fold(0, |millis, digit| millis * 10 + u64::from(digit - b'0'));
    let seconds = (days_before(year, month, day)? * 24 + hour) * 3600 + minute * 60 + second;
    Some(Timestamp(seconds * 1000 + millis))
}

const MILLIS_A_DAY: u64 = 24 * 60 * 60 * 1000;

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: u64 = 719_468;

/// Days of 400 years.
const ERA: u64 = 146_097;

/// Returns the year, month and day of a day after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", civil_from_days).
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_EPOCH;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + (month <= 2) as u64;
    (year, month, day)
}

/// Returns the days from 1970-01-01 to a date (the same document, days_from_civil). `None` if there is no such day.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * ERA + day_of_era).checked_sub(DAYS_TO_EPOCH)?;
    (civil(days) == (year, month, day)).then_some(days)
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Writes a number with leading zeros.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        // A remainder of 10 fits into a byte.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(at: u64) -> String {
        String::from_utf8_lossy(&format(Timestamp(at))).into_owned()
    }

    #[test]
    fn a_time_is_written_as_server_time_says() {
        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(1_319_042_451_620), "2011-10-19T16:40:51.620Z");
        assert_eq!(written(1_709_164_800_001), "2024-02-29T00:00:00.001Z");
        assert!(written(u64::MAX).starts_with("9999-"));
        assert_eq!(
            parse("2011-10-19T16:40:51Z"),
            Some(Timestamp(1_319_042_451_000))
        );
        assert_eq!(
            parse("2011-10-19T16:40:51.62Z"),
            Some(Timestamp(1_319_042_451_620))
        );
        for bad in [
            "",
            "2011-10-19",
            "2011-02-30T00:00:00Z",
            "1969-12-31T00:00:00Z",
            "T:Z",
            "2011-10-19T16:40:51",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_written_time_is_parsed_again(at in 0..253_402_300_800_000_u64) {
            prop_assert_eq!(parse(&written(at)), Some(Timestamp(at)));
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(text in "[0-9TZ:.-]{0,30}") {
            parse(&text);
        }
    }
}
