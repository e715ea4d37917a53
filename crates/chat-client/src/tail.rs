//! `chat-client tail`: prints what is said in a room, and goes on printing.

use std::io;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::bail;
use chat_json::{Event, GapCause, Message, MessageKind};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::TailArgs;
use crate::script;

/// Runs the command, until a signal ends it or nobody reads any more.
pub(crate) async fn run(args: &TailArgs) -> anyhow::Result<ExitCode> {
    let builder = script::client(&args.server);
    let builder = match args.since {
        Some(seq) => builder.join_after(&args.room, None, seq),
        None => builder.join_with_history(&args.room, args.lines),
    };
    let (client, mut events) = script::open(builder, &args.server).await?;
    let printer = Printer {
        json: args.json,
        zone: TimeZone::system(),
    };
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
            Some(event) => {
                if !printer.print(event)? {
                    break;
                }
            }
        }
    }
    // It was only listening; whether the goodbye is heard does not matter.
    client.quit("").await.ok();
    Ok(ExitCode::SUCCESS)
}

/// How events are printed.
struct Printer {
    json: bool,
    zone: TimeZone,
}

impl Printer {
    /// Prints an event. Returns whether somebody still reads.
    fn print(&self, event: Event) -> anyhow::Result<bool> {
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
            Event::Entered(room) if room.recovered.is_some() => {
                script::notice(&format!("in {}", room.room));
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    fn print_message(&self, message: &Message) -> io::Result<bool> {
        if !self.json {
            return script::print(&self.line(message));
        }
        let kind = match message.kind {
            MessageKind::Acted => "acted",
            MessageKind::Topic => "topic",
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

    /// A message as the server shows it to line clients.
    fn line(&self, message: &Message) -> String {
        let Message { from, text, .. } = message;
        let at = i64::try_from(message.at).unwrap_or_default();
        let time = match Timestamp::from_millisecond(at) {
            Ok(at) => at.to_zoned(self.zone.clone()).strftime("%H:%M").to_string(),
            Err(_) => "--:--".to_owned(),
        };
        match message.kind {
            MessageKind::Acted => format!("{time} * {from} {text}"),
            MessageKind::Topic if text.is_empty() => format!("* {from} took the topic away"),
            MessageKind::Topic => format!("* {from} set the topic: {text}"),
            _ => format!("{time} {from}: {text}"),
        }
    }

    fn print_gap(
        &self,
        room: &str,
        from: Option<u64>,
        to: Option<u64>,
        why: GapCause,
    ) -> io::Result<bool> {
        if self.json {
            let gap = json!({ "room": room, "gap": { "from": from, "to": to, "why": why } });
            return script::print(&gap.to_string());
        }
        let missed = from
            .zip(to)
            .map(|(from, to)| to.saturating_sub(from).saturating_add(1));
        script::notice(&match missed {
            Some(1) => "1 message missed".to_owned(),
            Some(count) => format!("{count} messages missed"),
            None => "messages may be missed: the room's log began anew".to_owned(),
        });
        Ok(true)
    }
}
