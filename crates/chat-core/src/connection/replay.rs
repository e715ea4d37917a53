//! What is written to a peer from a room's log: what it missed, and what it asks to see again.
//!
//! Invariant: a page is read only when the one before has been taken, so what waits for a peer that does not read
//! stays within the limits; and what happens meanwhile is held back until the replay is done.

use super::Connection;
use crate::batch::Seq;
use crate::delivery::Echo;
use crate::dialect::Reply;
use crate::event::{Broadcast, Moment};
use crate::journal::{Gap, Page, Span};
use crate::refusal::{Code, Refusal};
use crate::session::Session;
use crate::wire_member::{Repaired, Replay, WireMember};
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;

/// How many messages of a replay are read and written at a time: of the longest ones, half of what may wait.
const REPLAY_PAGE: usize = 32;

/// A replay that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replaying {
    /// Which of the session's members it is for.
    pub(super) member: usize,
    pub(super) replay: Replay,
    /// Whether the peer is shown its own messages, as it is in history.
    pub(super) echo: Echo,
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Goes on with a replay, or begins one for a member that fell behind. Call it when all output is written but what
    /// is held back.
    pub(super) async fn level(&mut self) {
        if self.replaying.is_none() {
            let Some(member) = self.members.iter().position(WireMember::is_behind) else {
                return;
            };
            self.hub.counters().lag_repairs.add(1);
            self.outbound.cork();
            let Repaired {
                replay,
                missed_presence,
            } = self.members[member].go_live();
            self.replaying = Some(Replaying {
                member,
                replay,
                echo: self.echo(),
            });
            if missed_presence {
                let roll = self.members[member].roll();
                self.reply(&Reply::Present(&roll));
            }
        }
        while let Some(mut replaying) = self.replaying {
            if replaying.replay.is_done() {
                self.replaying = None;
                self.outbound.uncork();
                return;
            }
            let bytes = self.read_replay(&mut replaying).await;
            self.replaying = Some(replaying);
            self.outbound.send(&bytes);
            if self.outbound.progress().waiting_ahead > 0 {
                return;
            }
        }
    }

    /// The next page of a replay, encoded.
    pub(super) async fn read_replay(&mut self, replaying: &mut Replaying) -> Bytes {
        let Replaying {
            member,
            replay,
            echo,
        } = replaying;
        let Some(dialect) = &self.dialect else {
            // Nobody to show it to.
            replay.after = replay.through;
            return Bytes::new();
        };
        let member = &self.members[*member];
        let page = match member.read_replay(replay, REPLAY_PAGE).await {
            Ok(page) => page,
            Err(error) => {
                self.hub.log_journal_failure(member.room().as_str(), &error);
                let gap = Gap {
                    from: replay.after.next(),
                    to: replay.through,
                };
                replay.after = replay.through;
                Page {
                    gap: Some(gap),
                    excerpts: Vec::new(),
                }
            }
        };
        let (form, mut out) = (dialect.form(), BytesMut::new());
        if let Some(gap) = page.gap {
            self.hub.counters().gaps.add(1);
            form.encode(
                &Broadcast::Gap(member.room(), gap),
                Moment::Replay,
                &mut out,
            );
        }
        let session = self.session.as_ref().map(Session::id);
        let own = session.filter(|_| *echo == Echo::Exclude);
        for excerpt in page
            .excerpts
            .iter()
            .filter(|excerpt| Some(excerpt.batch.author()) != own)
        {
            let messages = Broadcast::Messages(&excerpt.batch, excerpt.range.clone());
            form.encode(&messages, Moment::Replay, &mut out);
        }
        self.hub.counters().bytes_out.add(out.len());
        out.freeze()
    }

    /// Shows at most `limit` messages that precede a place, and says whether there are any. They are written as fast
    /// as the peer takes them; what it sends meanwhile waits.
    pub(super) async fn show_history(
        &mut self,
        member: usize,
        before: Seq,
        limit: usize,
    ) -> Result<bool, Refusal> {
        let room = self.members[member].room().clone();
        let page = self.members[member]
            .read(Span::Before(before), limit)
            .await
            .map_err(|error| {
                self.hub.log_journal_failure(room.as_str(), &error);
                Refusal::new(
                    Code::Unavailable,
                    "the room's log can't be read now, try again",
                )
            })?;
        let (Some(first), Some(through)) = (page.first(), page.last()) else {
            return Ok(false);
        };
        let replay = Replay {
            after: Seq(first.0.saturating_sub(1)),
            through,
        };
        self.outbound.cork();
        self.replaying = Some(Replaying {
            member,
            replay,
            echo: Echo::Include,
        });
        if self.outbound.progress().waiting_ahead == 0 {
            self.level().await;
        }
        Ok(true)
    }

    /// Whether the peer gets its own messages back.
    pub(super) fn echo(&self) -> Echo {
        self.dialect
            .as_ref()
            .map_or(Echo::Exclude, |dialect| dialect.echo())
    }
}
