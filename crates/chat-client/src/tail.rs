//! `chat-client tail`: prints the messages of a room as they arrive.

use std::io;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::bail;
use chat_json::{Client, Event, GapCause, Message, MessageKind, Room};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Since, TailArgs};
use crate::script;

/// Runs the command until a signal arrives or stdout is closed.
pub(crate) async fn run(args: &TailArgs) -> anyhow::Result<ExitCode> {
    let builder = script::client(&args.server);
    let builder = match &args.since {
        Some(Since { epoch, seq }) => builder.join_after(&args.room, epoch.clone(), *seq),
        None => builder.join_with_history(&args.room, args.lines),
    };
    let (client, mut events) = script::open(builder, &args.server).await?;
    let mut printer = Printer::new(args);
    let mut terminated = signal(SignalKind::terminate())?;
    let mut reader_gone = pin!(script::reader_gone());
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => break,
            _ = terminated.recv() => break,
            () = &mut reader_gone => break,
        };
        match event {
            None => bail!("the connection is closed"),
            Some(Event::Entered(room)) => printer.enter(&room, &client).await,
            Some(event) => {
                if !printer.print(event)? {
                    break;
                }
            }
        }
    }
    // The result of the goodbye is irrelevant: nothing was sent.
    client.quit("").await.ok();
    Ok(ExitCode::SUCCESS)
}

/// Prints the events of a room as text or as JSON.
struct Printer {
    is_json: bool,
    times: Times,
    /// The position after which printing begins. `None` once the room was joined.
    since: Option<Since>,
    /// Set if the log ends before the requested position. The next gap is then reported with this cause.
    beyond: Option<Beyond>,
}

/// The log ends before the requested position.
struct Beyond {
    /// The requested position.
    wanted: u64,
    /// The last position of the log.
    last: u64,
}

impl Printer {
    fn new(args: &TailArgs) -> Self {
        Self {
            is_json: args.json,
            times: Times {
                format: args.time.clone(),
                zone: TimeZone::system(),
            },
            since: args.since.clone(),
            beyond: None,
        }
    }

    /// Handles the first join, or a join after a disconnect.
    async fn enter(&mut self, room: &Room, client: &Client) {
        if let Some(Since { epoch, seq }) = self.since.take() {
            let is_present = epoch.is_none_or(|epoch| epoch == room.epoch);
            self.beyond = (is_present && seq > room.seq).then_some(Beyond {
                wanted: seq,
                last: room.seq,
            });
        } else if room.recovered.is_some() {
            script::notice(&format!("in {}", room.room));
        }
        if room.seq == 0 && room.count <= 1 && room.recovered.is_none() {
            let nearest = script::nearest_room(client, &room.room).await;
            script::notice(&format!("{} is a new room{nearest}", room.room));
        }
    }

    /// Prints an event. Returns whether stdout is still open.
    fn print(&mut self, event: Event) -> anyhow::Result<bool> {
        match event {
            Event::Message(message) => Ok(self.print_message(&message)?),
            Event::Gap {
                room,
                from,
                to,
                why,
            } => Ok(self.print_gap(&room, from, to, why)?),
            Event::NotEntered { room, message, .. } => bail!("not in {room}: {message}"),
            Event::Closed { why } => bail!("{why}"),
            Event::Offline { why, .. } => {
                script::notice(&format!("offline: {why}"));
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    fn print_message(&self, message: &Message) -> io::Result<bool> {
        if !self.is_json {
            return script::print(&self.times.line(message, &Zoned::now()));
        }
        let kind = match message.kind {
            MessageKind::Acted => "acted",
            MessageKind::Topic => "topic",
            MessageKind::Notice => "notice",
            MessageKind::Mode => "mode",
            _ => "said",
        };
        let object = json!({
            "room": message.room,
            "epoch": message.epoch,
            "seq": message.seq,
            "ts": message.at,
            "from": message.from,
            "kind": kind,
            "text": message.text,
            "replay": message.is_replay,
        });
        script::print(&object.to_string())
    }

    fn print_gap(
        &mut self,
        room: &str,
        from: Option<u64>,
        to: Option<u64>,
        why: GapCause,
    ) -> io::Result<bool> {
        let beyond = self.beyond.take().filter(|_| why == GapCause::Epoch);
        if self.is_json {
            let gap = match beyond {
                Some(Beyond { last, .. }) => {
                    json!({ "from": null, "to": null, "why": "beyond", "last": last })
                }
                None => json!({ "from": from, "to": to, "why": why }),
            };
            return script::print(&json!({ "room": room, "gap": gap }).to_string());
        }
        let missed = from
            .zip(to)
            .map(|(from, to)| to.saturating_sub(from).saturating_add(1));
        script::notice(&match (missed, beyond) {
            (_, Some(Beyond { wanted, last })) => format!(
                "{room} has no message {wanted}; the last one is {last}: all stored messages follow"
            ),
            (Some(1), None) => "1 message is missing".to_owned(),
            (Some(count), None) => format!("{count} messages are missing"),
            (None, None) => "messages may be missing: the room's log was replaced".to_owned(),
        });
        Ok(true)
    }
}

/// Formats the time of a message.
struct Times {
    /// A strftime(3) format. `None` prints the time of day, with the date if it is not today.
    format: Option<String>,
    zone: TimeZone,
}

impl Times {
    /// Formats a message as the server does in line mode.
    fn line(&self, message: &Message, now: &Zoned) -> String {
        let Message { from, text, .. } = message;
        let (time, is_needed) = self.time(message.at, now);
        match message.kind {
            MessageKind::Acted => format!("{time}* {from} {text}"),
            MessageKind::Topic => {
                let time = if is_needed { &time } else { "" };
                match text.is_empty() {
                    true => format!("* {time}{from} took the topic away"),
                    false => format!("* {time}{from} set the topic: {text}"),
                }
            }
            MessageKind::Mode => {
                let time = if is_needed { &time } else { "" };
                format!("* {time}{from} {}", message.in_words())
            }
            _ => format!("{time}{from}: {text}"),
        }
    }

    /// Returns the time with a space after it, or an empty text if the user's format is empty. Also returns whether the
    /// line of a topic must show the time: the user chose the format, or the message is not of today.
    fn time(&self, at: u64, now: &Zoned) -> (String, bool) {
        let at = i64::try_from(at).ok();
        let Some(at) = at.and_then(|at| Timestamp::from_millisecond(at).ok()) else {
            return ("--:-- ".to_owned(), false);
        };
        let at = at.to_zoned(self.zone.clone());
        let is_today = at.date() == now.with_time_zone(self.zone.clone()).date();
        let format = match &self.format {
            Some(format) if format.is_empty() => return (String::new(), false),
            Some(format) => format,
            None if is_today => "%H:%M",
            None => "%F %H:%M",
        };
        // The format was checked when the arguments were parsed, so formatting does not fail.
        let mut time = jiff::fmt::strtime::format(format, &at).unwrap_or_default();
        time.push(' ');
        (time, self.format.is_some() || !is_today)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn line(format: Option<&str>, kind: MessageKind, text: &str) -> String {
        let zone = TimeZone::get("Asia/Seoul").unwrap_or(TimeZone::fixed(jiff::tz::offset(9)));
        let at = date(2026, 11, 21).at(14, 2, 3, 0);
        let at = at.to_zoned(zone.clone()).unwrap().timestamp();
        let mut message = Message::said("ops", 7, "alice", text);
        (message.at, message.kind) = (at.as_millisecond().unsigned_abs(), kind);
        let times = Times {
            format: format.map(str::to_owned),
            zone: zone.clone(),
        };
        let now = date(2026, 11, if text == "now" { 21 } else { 24 }).at(0, 30, 0, 0);
        // Late in the evening in Seoul, UTC has another date.
        let now = now.to_zoned(zone).unwrap().with_time_zone(TimeZone::UTC);
        times.line(&message, &now)
    }

    #[test]
    fn what_was_not_said_today_has_its_date() {
        let said = |text| line(None, MessageKind::Said, text);
        assert_eq!(said("now"), "14:02 alice: now");
        assert_eq!(said("then"), "2026-11-21 14:02 alice: then");
        let acted = |text| line(None, MessageKind::Acted, text);
        assert_eq!(acted("now"), "14:02 * alice now");
        assert_eq!(acted("waves"), "2026-11-21 14:02 * alice waves");
        let topic = |text| line(None, MessageKind::Topic, text);
        assert_eq!(topic("now"), "* alice set the topic: now");
        assert_eq!(topic("x"), "* 2026-11-21 14:02 alice set the topic: x");
        assert_eq!(topic(""), "* 2026-11-21 14:02 alice took the topic away");
    }

    #[test]
    fn a_format_is_used_for_every_message() {
        let format = |format, text| line(Some(format), MessageKind::Said, text);
        assert_eq!(format("%F %T", "now"), "2026-11-21 14:02:03 alice: now");
        assert_eq!(format("%d.%m.", "then"), "21.11. alice: then");
        assert_eq!(format("", "then"), "alice: then");
        let topic = line(Some("%F"), MessageKind::Topic, "now");
        assert_eq!(topic, "* 2026-11-21 alice set the topic: now");
    }

    #[test]
    fn a_time_that_is_none_is_shown_as_such() {
        let mut message = Message::said("ops", 7, "alice", "hi");
        message.at = u64::MAX;
        let zone = TimeZone::UTC;
        let times = Times { format: None, zone };
        assert_eq!(times.line(&message, &Zoned::now()), "--:-- alice: hi");
    }
}
