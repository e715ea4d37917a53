//! Authenticates peers: finds the account that a peer's credentials prove.
//!
//! Invariant: guessing credentials is slow. The hub runs at most `Limits::authentications` authentications at the same
//! time. A failed authentication is charged to its connection and to the peer's address like many lines. Several
//! failures in a row end the connection. Failures to become an operator are counted apart from those to log in.

use crate::connection::commands::unless_over;
use crate::connection::connection::Connection;
use crate::connection::conversation::Claim;
use crate::event::CloseReason;
use crate::hub::authenticator::{Credentials, NotProved, Secret};
use crate::log::Account;
use crate::protocol::{Code, Refusal, Reply};
use crate::request::{TooSoon, may_ask};
use std::sync::Arc;
use tokio::io::AsyncRead;

/// Why a peer was not authenticated.
enum Failure {
    /// The authenticator refused the credentials, or could not check them.
    Credentials(NotProved),
    /// The authentication did not begin in time, because the hub ran `Limits::authentications` others.
    Busy,
    /// The peer's address has used up its limits. The value holds the time that the address must wait.
    TooSoon(TooSoon),
    /// The session must end, or the hub drains.
    Over,
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Finds the account that the peer's credentials prove, gives it to the session and answers. Returns why the
    /// connection must end, if too many attempts have failed in a row.
    pub(super) async fn authenticate(
        &mut self,
        credentials: Credentials<'_>,
    ) -> Result<Option<CloseReason>, Refusal> {
        let failure = match self.find_account(credentials).await {
            Ok(account) => {
                self.conversation.proved(Claim::Account);
                self.set_account(&account)?;
                self.reply(&Reply::Authenticated(&account));
                return Ok(None);
            }
            Err(failure) => failure,
        };
        self.refuse_authentication(Claim::Account, failure)
    }

    /// Makes the session a server operator, if the name and the password are right, and answers. Returns why the
    /// connection must end, if too many attempts have failed in a row.
    pub(super) async fn operate(
        &mut self,
        name: &str,
        password: Secret<'_>,
    ) -> Result<Option<CloseReason>, Refusal> {
        let (hub, peer) = (self.hub.clone(), self.peer.clone().unwrap_or_default());
        let checking = async { hub.check_operator(&peer, name, &password).await };
        match self.in_turn(checking).await {
            Ok(()) => {
                self.conversation.proved(Claim::Operator);
                self.become_operator(name)?;
                Ok(None)
            }
            Err(failure) => self.refuse_authentication(Claim::Operator, failure),
        }
    }

    /// Charges a failed attempt, and returns its refusal. If too many attempts have failed in a row, answers and returns
    /// why the connection must end.
    fn refuse_authentication(
        &mut self,
        claim: Claim,
        failure: Failure,
    ) -> Result<Option<CloseReason>, Refusal> {
        let refusal = match failure {
            Failure::Credentials(NotProved::Wrong(error)) => {
                let refusal = Refusal::denied(&error.to_string(), self.hub.limits());
                self.charge_failed_authentication();
                if let (Claim::Operator, Some(session)) = (claim, &self.session) {
                    self.hub.log_failed_operator(session.shared());
                }
                if self.conversation.note_not_proved(claim, self.hub.limits()) {
                    self.reply(&Reply::Refused(&refusal));
                    return Ok(Some(CloseReason::NotAuthenticated));
                }
                refusal
            }
            Failure::Credentials(NotProved::Unknown(reason)) => {
                // An attempt that could not be checked is charged, too. Without this charge, a peer could load an
                // overloaded authenticator at no cost.
                self.charge_failed_authentication();
                Refusal::new(Code::Denied, reason)
            }
            Failure::Busy => {
                let reason = "too many peers log in now, try again";
                Refusal::new(Code::Unavailable, reason)
            }
            Failure::TooSoon(too_soon) => too_soon.into(),
            Failure::Over => Refusal::new(Code::Denied, "not done: the session ends"),
        };
        Err(refusal)
    }

    /// Asks the authenticator for the account.
    async fn find_account(&mut self, credentials: Credentials<'_>) -> Result<Account, Failure> {
        let (hub, peer) = (self.hub.clone(), self.peer.clone().unwrap_or_default());
        let finding = async { hub.authenticate(&peer, credentials).await };
        self.in_turn(finding).await
    }

    /// Waits until the hub may run another authentication, then runs `finding`. The connection continues to write
    /// output while it waits.
    async fn in_turn<T>(
        &mut self,
        finding: impl Future<Output = Result<T, NotProved>>,
    ) -> Result<T, Failure> {
        let (hub, address) = (&self.hub, self.account.as_ref());
        let finding = async {
            may_ask(address).map_err(Failure::TooSoon)?;
            let _turn = hub.turn_to_authenticate().await.ok_or(Failure::Busy)?;
            // Other attempts from the same address may have failed while this attempt waited, so the address is checked
            // again.
            may_ask(address).map_err(Failure::TooSoon)?;
            finding.await.map_err(Failure::Credentials)
        };
        let finding = async {
            tokio::select! {
                found = finding => found,
                () = hub.draining() => Err(Failure::Over),
            }
        };
        let found = unless_over(self.session.as_ref(), self.transport.outbound(), finding).await;
        found.unwrap_or(Err(Failure::Over))
    }

    /// Gives the account to the session, if the session has begun. Also stores the account in the `Peer`, where the
    /// policy and a session that begins later find it.
    fn set_account(&mut self, account: &Account) -> Result<(), Refusal> {
        if let Some(session) = &self.session {
            session.set_account(Some(account.clone()));
        }
        if let Some(peer) = self.peer.as_mut().and_then(Arc::get_mut) {
            peer.insert(account.clone());
        } else if self.session.is_none() {
            // The policy still holds the `Arc` of the `Peer`, so the account can't be stored in it.
            let reason = "the account can't be used before the session has begun";
            return Err(Refusal::new(Code::Denied, reason));
        }
        Ok(())
    }
}
