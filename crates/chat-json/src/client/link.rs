//! One connection: lines out of bytes, and bytes into the stream as it takes them.
//!
//! Invariant: [`Link::step`] can be dropped at any time without losing a byte.

use super::builder::ByteStream;
use bytes::{Buf, BufMut, BytesMut};
use chat_core::codec::{Inbound, Line, LineCodec};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::codec::Decoder;

/// How much is read at a time: fewer messages than may wait for the caller.
const READ_BYTES: usize = 32 * 1024;

pub(super) struct Link {
    reader: ReadHalf<Box<dyn ByteStream>>,
    writer: WriteHalf<Box<dyn ByteStream>>,
    codec: LineCodec,
    input: BytesMut,
}

/// What a step brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Bytes came: there may be lines.
    Read,
    /// Bytes were taken.
    Wrote,
}

impl Link {
    pub(super) fn new(stream: Box<dyn ByteStream>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            codec: LineCodec::new(crate::wire::REPLY_BYTES_MAX),
            input: BytesMut::new(),
        }
    }

    /// Reads what has come, or writes what the stream takes.
    pub(super) async fn step(&mut self, output: &mut BytesMut) -> io::Result<Step> {
        let Self {
            reader,
            writer,
            input,
            ..
        } = self;
        input.reserve(READ_BYTES);
        let mut space = input.limit(READ_BYTES);
        // Both are cancel safe: what a half has done, it has done to the buffer.
        tokio::select! {
            read = reader.read_buf(&mut space) => match read? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(Step::Read),
            },
            written = writer.write(output), if !output.is_empty() => {
                output.advance(written?);
                Ok(Step::Wrote)
            }
        }
    }

    /// The next line that has come.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>, io::Error> {
        match self.codec.decode(&mut self.input)? {
            None => Ok(None),
            Some(Inbound::Line(line)) => Ok(Some(line)),
            Some(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line that is no line of a chat server's",
            )),
        }
    }
}
