//! Finding the account of a peer. An authenticator never delays the delivery of messages.
//!
//! Invariant: an authenticator only finds accounts. A policy decides what an account may do.

use crate::log::Account;
use crate::peer::Peer;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Finds the account of a peer; install it with [`HubBuilder::authenticator`](crate::HubBuilder::authenticator).
///
/// The hub calls the authenticator once when a connection begins, with [`Credentials::Peer`]. A client certificate, the
/// user at the other end of a Unix socket, or what a proxy has forwarded may then prove the account. The hub calls the
/// authenticator again when a peer sends a password or a token, which the peer's dialect passes with
/// [`Command::Authenticate`](crate::protocol::Command::Authenticate).
///
/// # Overload
///
/// Only the peer that is being authenticated waits. At most [`Limits::authentications`](crate::Limits::authentications)
/// of the authentications that dialects ask for run at once. Wrong credentials use up much of the peer's rate limits;
/// see [`Limits::failed_authentications`](crate::Limits::failed_authentications). A future must not block its thread:
/// compute the hash of a password on a thread of its own.
///
/// If an authenticator panics, or does not answer within [`Limits::policy_timeout`](crate::Limits::policy_timeout), no
/// account is found. For [`Credentials::Peer`], the peer then has no account; other credentials are refused.
///
/// # Cancel safety
///
/// A future is dropped when it times out or its peer is gone. The future must not leave anything half done.
///
/// Dropping the future also ends its turn among the [`Limits::authentications`](crate::Limits::authentications). Work
/// that goes on after that, such as a hash that `spawn_blocking` computes, is not counted by the hub. An authenticator
/// with such work must bound it: acquire an owned permit of a Tokio `Semaphore`, and move the permit into the closure,
/// so that it is released when the work has ended. Otherwise peers that send a password and leave could keep any number
/// of threads busy.
///
/// # Examples
///
/// ```
/// use chat_core::auth::{AuthError, Authenticator, Credentials};
/// use chat_core::log::Account;
/// use chat_core::{Hub, Peer};
///
/// struct OnePassword;
///
/// impl Authenticator for OnePassword {
///     async fn authenticate(
///         &self,
///         _peer: &Peer,
///         credentials: Credentials<'_>,
///     ) -> Result<Option<Account>, AuthError> {
///         match credentials {
///             Credentials::Password { account, password } if password.reveal() == "swordfish" => {
///                 Ok(Account::parse(&account).ok())
///             }
///             Credentials::Peer => Ok(None),
///             _ => Err(AuthError::new("wrong account or password")),
///         }
///     }
/// }
///
/// let hub = Hub::builder().authenticator(OnePassword).build();
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// Finds the account that the credentials prove; `None` if they prove none.
    ///
    /// # Errors
    ///
    /// Returns an error if the credentials are wrong. The peer receives the reason of the error. After an error for
    /// [`Credentials::Peer`], the connection is closed.
    fn authenticate(
        &self,
        peer: &Peer,
        credentials: Credentials<'_>,
    ) -> impl Future<Output = Result<Option<Account>, AuthError>> + Send;
}

/// What proves the account of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials<'a> {
    /// No secret. The authenticator uses only what the program knows of the peer; [`Peer::get`] returns it.
    Peer,
    /// A password.
    Password {
        /// The account that the password is for, as the peer named it.
        account: Cow<'a, str>,
        /// The password.
        password: Secret<'a>,
    },
    /// A token that proves an account, in place of an account and a password.
    Token(Secret<'a>),
}

impl Credentials<'_> {
    /// Copies the credentials, so that they no longer borrow the line that they were read from.
    pub(crate) fn into_owned(self) -> Credentials<'static> {
        let own = Secret::into_owned;
        match self {
            Self::Peer => Credentials::Peer,
            Self::Password { account, password } => Credentials::Password {
                account: Cow::Owned(account.into_owned()),
                password: own(password),
            },
            Self::Token(token) => Credentials::Token(own(token)),
        }
    }
}

/// A secret, which `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<'a>(Cow<'a, str>);

impl<'a> Secret<'a> {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<Cow<'a, str>>) -> Self {
        Self(secret.into())
    }

    /// Copies the secret, so that it no longer borrows the line that it was read from.
    pub(crate) fn into_owned(self) -> Secret<'static> {
        Secret(Cow::Owned(self.0.into_owned()))
    }

    /// Returns the secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// The error for wrong credentials. It holds the reason that the peer receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthError(String);

impl AuthError {
    /// Creates an error with the reason that the peer receives.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AuthError {}

/// Why credentials prove no account.
#[derive(Debug)]
pub(crate) enum NotProved {
    /// The authenticator refused the credentials, for this reason.
    Wrong(AuthError),
    /// The authenticator could not check the credentials, for this reason.
    Unknown(&'static str),
}

/// An [`Authenticator`] behind dynamic dispatch.
pub(crate) trait DynAuthenticator: Send + Sync {
    /// Returns `None` if the authenticator panicked.
    fn authenticate<'a>(
        self: Arc<Self>,
        peer: &'a Peer,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Option<Result<Option<Account>, AuthError>>>;
}

impl<A: Authenticator> DynAuthenticator for A {
    fn authenticate<'a>(
        self: Arc<Self>,
        peer: &'a Peer,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Option<Result<Option<Account>, AuthError>>> {
        let found = async move { Authenticator::authenticate(&*self, peer, credentials).await };
        Box::pin(AssertUnwindSafe(found).catch_unwind().map(Result::ok))
    }
}

impl fmt::Debug for dyn DynAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}
