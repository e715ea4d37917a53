//! One connection: reads lines, and writes bytes.
//!
//! Invariant: [`Link::step`] is cancel safe: dropping its future loses no byte.

use super::builder::ByteStream;
use bytes::{Buf, BufMut, BytesMut};
use chat_core::codec::{Inbound, Line, LineCodec};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::codec::Decoder;

/// The maximum number of bytes that one step reads. These bytes contain fewer messages than the client's queue of
/// events holds.
const READ_BYTES: usize = 32 * 1024;

pub(super) struct Link {
    reader: ReadHalf<Box<dyn ByteStream>>,
    writer: WriteHalf<Box<dyn ByteStream>>,
    codec: LineCodec,
    input: BytesMut,
}

/// What [`Link::step`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Bytes were read, and may contain lines.
    Read,
    /// Bytes were written.
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

    /// Reads bytes from the stream once, or writes bytes of `output` once.
    pub(super) async fn step(&mut self, output: &mut BytesMut) -> io::Result<Step> {
        let Self {
            reader,
            writer,
            input,
            ..
        } = self;
        input.reserve(READ_BYTES);
        let mut space = input.limit(READ_BYTES);
        // Both branches are cancel safe: a read or write that is dropped has moved no bytes.
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

    /// Returns the next complete line; `None` if more bytes must be read first.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>, io::Error> {
        match self.codec.decode(&mut self.input)? {
            None => Ok(None),
            Some(Inbound::Line(line)) => Ok(Some(line)),
            Some(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "received a line that no chat server sends",
            )),
        }
    }
}
