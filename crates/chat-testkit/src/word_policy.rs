//! A policy that decides by the words in a text, for tests of each possible decision.

use chat_core::Kind;
use chat_core::policy::{Decision, Policy, Visitor};
use std::time::Duration;

/// A policy that decides by what a message, a reason, a topic, a nick or a room's name contains.
///
/// The policy refuses a text that contains the word given to [`refusing`](Self::refusing). If the text contains `slow`,
/// the policy decides after a second. If the text contains `hang`, the policy never decides. If the text contains
/// `panic`, the policy panics. The policy changes `teh` to `the`. The policy allows all other texts, and all
/// connections.
///
/// The reason of a refusal contains a control character, so that a test can check that no control character reaches a
/// peer.
#[derive(Debug, Clone, Copy)]
pub struct WordPolicy {
    refused: &'static str,
}

impl WordPolicy {
    /// Creates a policy that refuses texts that contain this word.
    #[must_use]
    pub const fn refusing(refused: &'static str) -> Self {
        Self { refused }
    }

    /// Returns the decision of the policy about a text.
    ///
    /// # Panics
    ///
    /// Panics if the text contains `panic`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future only waits.
    pub async fn judge(&self, text: &str) -> Decision {
        if text.contains(self.refused) {
            return Decision::refuse("that is\x1b not done here");
        }
        if text.contains("slow") {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if text.contains("hang") {
            std::future::pending::<()>().await;
        }
        assert!(!text.contains("panic"), "a policy with a bug");
        if text.contains("teh") {
            return Decision::Change(text.replace("teh", "the"));
        }
        Decision::Allow
    }
}

impl Policy for WordPolicy {
    async fn join(&self, _who: &Visitor, room: &str) -> Decision {
        self.judge(room).await
    }

    async fn say(&self, _who: &Visitor, _room: &str, _kind: Kind, text: &str) -> Decision {
        self.judge(text).await
    }

    async fn tell(&self, _who: &Visitor, _to: &str, text: &str) -> Decision {
        self.judge(text).await
    }

    async fn rename(&self, _who: &Visitor, nick: &str) -> Decision {
        self.judge(nick).await
    }

    async fn quit(&self, _who: &Visitor, reason: &str) -> Decision {
        self.judge(reason).await
    }

    async fn set_topic(&self, _who: &Visitor, _room: &str, text: &str) -> Decision {
        self.judge(text).await
    }
}
