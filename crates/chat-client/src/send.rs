//! `chat-client send`: says something, and ends when the server has it.

use std::process::ExitCode;
use std::time::Duration;

use chat_core::codec::{Inbound, LineCodec};
use chat_json::Client;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use tokio::io::Stdin;
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use crate::args::SendArgs;
use crate::script;

/// How many messages are on their way at a time.
const WINDOW: usize = 64;

/// The longest line of stdin that is read: more than any server takes, so that the server says what is too long.
const LINE_BYTES_MAX: usize = 32 * 1024;

/// How long a message may wait for the server to have it, reconnecting and the server's limit on rate included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message on its way, with its line number: why it was not said, if so.
type Sending = BoxFuture<'static, (usize, Result<u64, String>)>;

/// Runs the command. What can't be said is told, and the rest is said all the same.
pub(crate) async fn run(args: &SendArgs) -> anyhow::Result<ExitCode> {
    let builder = script::client(&args.server).join(&args.room);
    let (client, mut events) = script::open(builder, &args.server).await?;
    script::entered(&mut events).await?;
    // What the others say is nothing to this command.
    drop(events);
    let mut lines = Lines::new(args);
    let (mut sending, mut all_said) = (FuturesOrdered::new(), true);
    while let Some((number, line)) = lines.next().await {
        match line {
            Ok(text) => sending.push_back(say(&client, args, number, text)),
            Err(why) => {
                script::notice(&format!("line {number}: {why}"));
                all_said = false;
            }
        }
        if sending.len() >= WINDOW {
            all_said &= is_said(sending.next().await);
        }
    }
    while let Some(said) = sending.next().await {
        all_said &= is_said(Some(said));
    }
    // All that was to be said is said; whether the goodbye is heard does not matter.
    client.quit("").await.ok();
    Ok(if all_said {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn say(client: &Client, args: &SendArgs, number: usize, text: String) -> Sending {
    let (client, room) = (client.clone(), args.room.clone());
    Box::pin(async move {
        let said = match timeout(PATIENCE, client.say(&room, &text)).await {
            Ok(said) => said.map_err(|error| error.to_string()),
            Err(_) => Err(format!(
                "no answer within {} s: it may or may not be said",
                PATIENCE.as_secs()
            )),
        };
        (number, said)
    })
}

/// Tells what was not said.
fn is_said(said: Option<(usize, Result<u64, String>)>) -> bool {
    let Some((number, Err(error))) = said else {
        return true;
    };
    script::notice(&format!("line {number}: {error}"));
    false
}

/// What is to be said, line by line.
enum Lines {
    /// From the command line, or folded.
    One(Option<String>),
    Stdin {
        lines: Box<FramedRead<Stdin, LineCodec>>,
        number: usize,
        is_folded: bool,
    },
}

impl Lines {
    fn new(args: &SendArgs) -> Self {
        if args.text.is_empty() {
            let codec = LineCodec::new(LINE_BYTES_MAX);
            Self::Stdin {
                lines: Box::new(FramedRead::new(tokio::io::stdin(), codec)),
                number: 0,
                is_folded: args.fold,
            }
        } else {
            Self::One(Some(args.text.join(" ")))
        }
    }

    /// The next message, or why there is none in that line.
    async fn next(&mut self) -> Option<(usize, Result<String, String>)> {
        match self {
            Self::One(text) => Some((1, Ok(text.take()?))),
            Self::Stdin {
                is_folded: true, ..
            } => {
                let text = self.fold().await;
                *self = Self::One(None);
                text.map(|text| (1, text))
                    .filter(|(_, text)| !is_blank(text))
            }
            Self::Stdin { lines, number, .. } => loop {
                *number += 1;
                let text = read(lines).await?;
                if !is_blank(&text) {
                    return Some((*number, text));
                }
            },
        }
    }

    async fn fold(&mut self) -> Option<Result<String, String>> {
        let Self::Stdin { lines, .. } = self else {
            return None;
        };
        let mut folded = String::new();
        while let Some(text) = read(lines).await {
            let text = match text {
                Ok(text) => text,
                Err(why) => return Some(Err(why)),
            };
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded.push_str(text.trim_end());
            if folded.len() > LINE_BYTES_MAX {
                return Some(Err("too long for one message".to_owned()));
            }
        }
        Some(Ok(folded))
    }
}

fn is_blank(text: &Result<String, String>) -> bool {
    text.as_ref().is_ok_and(|text| text.trim().is_empty())
}

async fn read(lines: &mut FramedRead<Stdin, LineCodec>) -> Option<Result<String, String>> {
    Some(match lines.next().await? {
        Ok(Inbound::Line(line)) => Ok(line.to_string()),
        Ok(Inbound::NotUtf8(None)) => Err("not UTF-8".to_owned()),
        Ok(Inbound::NotUtf8(Some(charset))) => Err(format!("not UTF-8; this looks like {charset}")),
        Ok(_) => Err("line too long".to_owned()),
        Err(error) => Err(error.to_string()),
    })
}
