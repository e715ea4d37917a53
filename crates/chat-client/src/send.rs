//! `chat-client send`: sends messages, and exits once the server has accepted them.

use std::fmt::{self, Display, Formatter};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use chat_core::codec::{Inbound, LineCodec};
use chat_json::{Client, IfMissing, RequestError};
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{Stream, StreamExt, stream};
use tokio::io::Stdin;
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use crate::args::SendArgs;
use crate::script;

/// The most messages that may wait for their answers.
const WINDOW: usize = 64;

/// The longest line of stdin that is read, in bytes. It is longer than any server accepts, so that the server reports
/// a message that is too long.
const LINE_BYTES_MAX: usize = 32 * 1024;

/// How long sending one message may take, including reconnects and the server's rate limit.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message in flight. Resolves to the line number of the message, and the result.
type Sending = BoxFuture<'static, (usize, Result<u64, Unsaid>)>;

/// Why a message was not sent.
enum Unsaid {
    /// The request failed with this error.
    Refused(RequestError),
    /// No answer arrived within [`PATIENCE`].
    NoAnswer,
}

impl Unsaid {
    /// Returns whether the room is the reason for the failure. If it is, the command's other messages would fail, too.
    fn is_for_all(&self) -> bool {
        matches!(self, Self::Refused(RequestError::Refused { code, .. }) if code == NOT_FOUND || code == BAD_NAME)
    }
}

impl Display for Unsaid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::NoAnswer => write!(
                f,
                "no answer within {} s: it may have been sent",
                PATIENCE.as_secs()
            ),
        }
    }
}

/// Runs the `send` command. If one message fails, reports the failure and still sends the other messages. If the
/// failure would be the same for all messages to the room, returns an error.
pub(crate) async fn run(args: &SendArgs) -> anyhow::Result<ExitCode> {
    let (client, events) = script::open(script::client(&args.server), &args.server).await?;
    // Incoming events are not needed.
    drop(events);
    let mut lines = pin!(Lines::new(args).into_stream());
    let (mut sending, mut all_said) = (FuturesOrdered::new(), true);
    let mut is_over = false;
    while !is_over || !sending.is_empty() {
        // Answers are handled while the next line is read.
        tokio::select! {
            line = lines.next(), if !is_over && sending.len() < WINDOW => match line {
                Some((number, Ok(text))) => sending.push_back(say(&client, args, number, text)),
                Some((number, Err(why))) => {
                    args.tell_unsaid(number, &why);
                    all_said = false;
                }
                None => is_over = true,
            },
            Some((number, said)) = sending.next(), if !sending.is_empty() => match said {
                Ok(_) => {}
                Err(unsaid) if unsaid.is_for_all() => {
                    bail!("{}", explain(&client, args, &unsaid).await);
                }
                Err(unsaid) => {
                    args.tell_unsaid(number, &unsaid);
                    all_said = false;
                }
            },
        }
    }
    // The result of the goodbye is irrelevant: the server has answered all messages.
    client.quit("").await.ok();
    Ok(if all_said {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn say(client: &Client, args: &SendArgs, number: usize, text: String) -> Sending {
    let (client, room) = (client.clone(), args.room.clone());
    let if_missing = match args.create {
        true => IfMissing::Create,
        false => IfMissing::Refuse,
    };
    Box::pin(async move {
        let said = match timeout(PATIENCE, client.publish(&room, &text, if_missing)).await {
            Ok(said) => said.map_err(Unsaid::Refused),
            Err(_) => Err(Unsaid::NoAnswer),
        };
        (number, said)
    })
}

/// Returns why nothing can be sent to the room, and what to do.
async fn explain(client: &Client, args: &SendArgs, unsaid: &Unsaid) -> String {
    let Unsaid::Refused(RequestError::Refused { code, .. }) = unsaid else {
        return unsaid.to_string();
    };
    if code != NOT_FOUND {
        return format!("{}: {unsaid}", args.room);
    }
    let nearest = script::nearest_room(client, &args.room).await;
    format!("no such room: {}{nearest}; --create creates it", args.room)
}

impl SendArgs {
    /// Reports a message that the server did not accept. If the messages are read from stdin, the report has the line
    /// number.
    fn tell_unsaid(&self, number: usize, why: &dyn Display) {
        script::notice(&match self.text.is_empty() {
            true => format!("line {number}: {why}"),
            false => why.to_string(),
        });
    }
}

/// The server's codes for a missing room, and for an invalid name.
const NOT_FOUND: &str = "not_found";
const BAD_NAME: &str = "bad_name";

/// The messages to send.
enum Lines {
    /// The message from the arguments. `None` once the message was returned, or once all of stdin was folded into one
    /// message.
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

    /// Returns the messages with their line numbers, as a stream for `select!`.
    fn into_stream(self) -> impl Stream<Item = (usize, Result<String, String>)> {
        stream::unfold(self, async |mut lines| {
            let line = lines.next().await?;
            Some((line, lines))
        })
    }

    /// Returns the number of the next line, with its message or why the line is not a message. Returns `None` after the
    /// last message.
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
