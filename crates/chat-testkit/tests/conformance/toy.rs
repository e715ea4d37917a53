//! A dialect for tests: it repeats what it is told, and breaks a rule if it is to.

use bytes::{BufMut, BytesMut};
use chat_core::wire::{
    Broadcast, Candidate, Command, Dialect, Form, Greeting, Manners, Moment, Opening, Reply,
    Verdict,
};
use chat_core::{CloseReason, Direct, Echo, text};
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

/// Opens with `TOY`.
pub(crate) struct Toy {
    fault: Fault,
    form: Arc<ToyForm>,
}

struct ToyForm {
    fault: Fault,
    encoded: AtomicUsize,
}

struct Talk {
    fault: Fault,
    form: Arc<ToyForm>,
}

impl Toy {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            form: ToyForm::new(fault),
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

impl Candidate for Toy {
    fn sniff(&self, prefix: &[u8]) -> Verdict {
        let beginning = &b"TOY\n"[..];
        if prefix.starts_with(beginning) || prefix.starts_with(b"TOY\r\n") {
            let form = match self.fault {
                Fault::HasAFormForEach => ToyForm::new(self.fault),
                _ => Arc::clone(&self.form),
            };
            let fault = self.fault;
            Verdict::Mine(Opening::Dialect(Box::new(Talk { fault, form })))
        } else if self.fault == Fault::ChangesItsMind && prefix.starts_with(b"TO") {
            Verdict::NotMine
        } else if beginning.starts_with(prefix) || prefix == b"TOY\r" {
            Verdict::NeedMore
        } else {
            Verdict::NotMine
        }
    }
}

impl Dialect for Talk {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn form(&self) -> Arc<dyn Form> {
        Arc::<ToyForm>::clone(&self.form)
    }

    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn manners(&self) -> Manners {
        Manners {
            arrives_in_lobby: true,
            silence_ends_text: false,
            has_heartbeat: false,
            line_bytes: None,
        }
    }

    fn receive<'a>(&mut self, line: &'a str, out: &mut BytesMut) -> Option<Command<'a>> {
        match self.fault {
            Fault::Panics => assert!(!line.contains('{'), "what is a brace?"),
            Fault::RepeatsControls => put(out, line),
            _ => put(out, &text::clean(line)),
        }
        None
    }

    fn greet(&mut self, _greeting: &Greeting<'_>, _out: &mut BytesMut) {}

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
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

impl Form for ToyForm {
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
