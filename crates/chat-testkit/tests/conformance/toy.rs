//! A dialect for tests. It repeats each text to the sender, and can break one rule.

use bytes::{BufMut, BytesMut};
use chat_core::protocol::{
    Broadcast, Command, Commands, Detected, Detection, Detector, Dialect, DialectOptions, Encoder,
    Greeting, Moment, Reply,
};
use chat_core::{CloseReason, Direct, Echo, text};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Panics,
    LeavesALineOpen,
    RepeatsControls,
    CountsBatches,
    NumbersItems,
    HasAFormForEach,
    ChangesItsMind,
}

/// Recognises connections that begin with `TOY`.
pub(crate) struct Toy {
    fault: Fault,
    encoder: Arc<ToyForm>,
}

struct ToyForm {
    fault: Fault,
    encoded: AtomicUsize,
}

struct Talk {
    fault: Fault,
    encoder: Arc<ToyForm>,
    /// The commands that have not been answered yet.
    asked: VecDeque<Asked>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Say,
    Page,
}

impl Toy {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            encoder: ToyForm::new(fault),
        }
    }
}

impl ToyForm {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            fault,
            encoded: AtomicUsize::new(0),
        })
    }
}

impl Talk {
    fn says<'a>(&mut self, text: &'a str, commands: &mut Commands<'a>) {
        self.asked.push_back(Asked::Say);
        commands.push(Command::Say {
            room: None,
            text: text.into(),
            key: None,
        });
    }
}

impl Detector for Toy {
    fn detect(&self, prefix: &[u8]) -> Detection {
        let beginning = &b"TOY\n"[..];
        if prefix.starts_with(beginning) || prefix.starts_with(b"TOY\r\n") {
            let encoder = match self.fault {
                Fault::HasAFormForEach => ToyForm::new(self.fault),
                _ => Arc::clone(&self.encoder),
            };
            let fault = self.fault;
            let asked = VecDeque::new();
            Detection::Found(Detected::Dialect(Box::new(Talk {
                fault,
                encoder,
                asked,
            })))
        } else if self.fault == Fault::ChangesItsMind && prefix.starts_with(b"TO") {
            Detection::NotFound
        } else if beginning.starts_with(prefix) || prefix == b"TOY\r" {
            Detection::NeedMore
        } else {
            Detection::NotFound
        }
    }
}

impl Dialect for Talk {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        Arc::<ToyForm>::clone(&self.encoder)
    }

    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn options(&self) -> DialectOptions {
        let mut options = DialectOptions::default();
        options.arrives_in_lobby = true;
        options
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        let out = commands.out();
        match self.fault {
            Fault::Panics => assert!(!line.contains('{'), "what is a brace?"),
            Fault::RepeatsControls => put(out, line),
            _ => put(out, &text::clean(line)),
        }
        match line {
            "page" => {
                self.asked.push_back(Asked::Page);
                commands.push(Command::Read {
                    room: None,
                    after: None,
                    epoch: None,
                    before: None,
                    limit: None,
                });
            }
            "say" => {
                self.says(line, commands);
            }
            // This line has several commands.
            "say say" => {
                self.says("one", commands);
                put(commands.out(), "and");
                self.says("two", commands);
            }
            _ => {}
        }
    }

    fn greet(&mut self, _greeting: &Greeting<'_>, _out: &mut BytesMut) {}

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        let mut answers = |asked: Asked, count: usize| {
            for _ in 0..count {
                assert_eq!(self.asked.pop_front(), Some(asked), "{reply:?}");
            }
        };
        match reply {
            Reply::Published(batch) => answers(Asked::Say, batch.len()),
            Reply::Unpublished(count, _) => answers(Asked::Say, *count),
            Reply::Duplicate { .. } => answers(Asked::Say, 1),
            Reply::Page { .. } => answers(Asked::Page, 1),
            Reply::Refused(_) => assert!(self.asked.pop_front().is_some(), "nothing was asked"),
            Reply::Rejected(_) | Reply::Present(_) | Reply::Removed { .. } => {}
            Reply::Joined { .. } => {}
            other => panic!("this answers no command: {other:?}"),
        }
        put(out, &text::clean(&format!("{reply:?}")));
        if self.fault == Fault::LeavesALineOpen && matches!(reply, Reply::Page { .. }) {
            out.put_slice(b"to be continued");
        }
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        put(out, &direct.text);
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        put(out, &reason.to_string());
    }
}

impl Encoder for ToyForm {
    fn encode(&self, item: &Broadcast<'_>, _moment: Moment, out: &mut BytesMut) {
        let encoded = self.encoded.fetch_add(1, Ordering::Relaxed);
        if self.fault == Fault::NumbersItems {
            put(out, &format!("item {encoded}"));
        }
        if let Broadcast::Messages(batch, range) = item {
            if self.fault == Fault::CountsBatches {
                put(out, &format!("{} messages", range.len()));
            }
            for message in batch.messages(range.clone()) {
                put(out, message.text);
            }
        }
    }
}

fn put(out: &mut BytesMut, line: &str) {
    out.put_slice(line.as_bytes());
    out.put_u8(b'\n');
}
