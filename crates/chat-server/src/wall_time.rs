//! Times in the server's time zone.

use chat_core::WallTime;
use chat_core::log::Timestamp;
use jiff::tz::TimeZone;
use std::sync::LazyLock;

/// The system's time zone, read once. After a change of the time zone, the server must be restarted.
static ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// Returns the date and time of day in the system's time zone (`TZ`, or /etc/localtime).
pub(crate) fn local(at: Timestamp) -> WallTime {
    let moment = i64::try_from(at.0)
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let Some(moment) = moment else {
        return WallTime::utc(at);
    };
    let local = ZONE.to_datetime(moment);
    WallTime {
        year: local.year().unsigned_abs(),
        month: local.month().unsigned_abs(),
        day: local.day().unsigned_abs(),
        hour: local.hour().unsigned_abs(),
        minute: local.minute().unsigned_abs(),
    }
}
