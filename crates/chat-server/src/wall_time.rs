//! A moment as a day and a time of day where the server stands.

use chat_core::WallTime;
use chat_core::log::Timestamp;
use jiff::tz::TimeZone;
use std::sync::LazyLock;

/// Read once: a server that moves is started anew.
static ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// The day and the time of day in the system's time zone (`TZ`, or /etc/localtime).
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
