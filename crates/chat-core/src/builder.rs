//! What a hub is made of, and the defaults.

use crate::batch::Timestamp;
use crate::detect::Detector;
use crate::dialect::Dialects;
use crate::hub::{Hub, Parts};
use crate::journal::{DynJournal, Journal, MemoryJournal};
use crate::limits::Limits;
use crate::name::{NameRules, RoomName};
use crate::plain::PlainEncoders;
use crate::policy::{DynPolicy, Policy};
use crate::text;
use std::fmt;
use std::sync::Arc;

/// Chooses what a hub is made of; every part has a working default.
pub struct HubBuilder {
    limits: Limits,
    names: NameRules,
    clock: fn() -> Timestamp,
    wall_time: fn(Timestamp) -> WallTime,
    journal: Option<Box<dyn DynJournal>>,
    lobby: Option<RoomName>,
    motd: Vec<String>,
    detectors: Vec<Box<dyn Detector>>,
    policy: Option<Arc<dyn DynPolicy>>,
    delivery_tasks: usize,
}

/// The day and the time of day that a line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTime {
    /// The year of the Gregorian calendar.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

impl HubBuilder {
    /// Sets what the hub allows.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how names are read and compared.
    #[must_use]
    pub const fn names(mut self, names: NameRules) -> Self {
        self.names = names;
        self
    }

    /// Sets where rooms' logs are kept; in memory if this is not called.
    #[must_use]
    pub fn journal(mut self, journal: impl Journal) -> Self {
        self.journal = Some(Box::new(journal));
        self
    }

    /// Sets the room that newcomers over a wire are put in; `lobby` if this is not called.
    #[must_use]
    pub fn lobby(mut self, room: RoomName) -> Self {
        self.lobby = Some(room);
        self
    }

    /// Sets what newcomers over a wire are told first. Control characters are removed.
    #[must_use]
    pub fn motd(mut self, motd: &str) -> Self {
        self.motd = motd
            .lines()
            .map(|line| text::clean(line).into_owned())
            .collect();
        self
    }

    /// Adds a dialect, which is asked after those that were added before it.
    #[must_use]
    pub fn detector(mut self, detector: impl Detector) -> Self {
        self.detectors.push(Box::new(detector));
        self
    }

    /// Sets who decides what peers may do; everything that the limits allow if this is not called.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Sets the clock; the system's if this is not called.
    #[must_use]
    pub const fn clock(mut self, clock: fn() -> Timestamp) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how a moment is shown as a time of day; UTC if this is not called, for core knows no time zones.
    #[must_use]
    pub const fn wall_time(mut self, wall_time: fn(Timestamp) -> WallTime) -> Self {
        self.wall_time = wall_time;
        self
    }

    /// Sets how many tasks a big room's delivery may have; one for each processor if this is not called.
    #[must_use]
    pub fn delivery_tasks(mut self, tasks: usize) -> Self {
        self.delivery_tasks = tasks.max(1);
        self
    }

    /// Makes the hub.
    #[must_use]
    pub fn build(self) -> Hub {
        let Self {
            limits,
            names,
            clock,
            wall_time,
            journal,
            lobby,
            motd,
            detectors,
            policy,
            delivery_tasks,
        } = self;
        let journal =
            journal.unwrap_or_else(|| Box::new(MemoryJournal::new(&limits).fold(names.fold)));
        Hub::from_parts(Parts {
            limits,
            names,
            clock,
            journal,
            dialects: Dialects::new(PlainEncoders::new(wall_time), detectors),
            lobby: lobby.unwrap_or_else(RoomName::lobby),
            motd,
            policy,
            delivery_tasks,
        })
    }
}

impl Default for HubBuilder {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            names: NameRules::default(),
            clock: Timestamp::now,
            wall_time: WallTime::utc,
            journal: None,
            lobby: None,
            motd: Vec::new(),
            detectors: Vec::new(),
            policy: None,
            delivery_tasks: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl WallTime {
    /// The day and the time of day in UTC.
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

/// The day of the Gregorian calendar that is so many days after 1970-01-01. Years begin in March here, so that a leap
/// day is a year's last, and 400 of them are always as long.
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

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
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
