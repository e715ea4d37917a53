//! Server operators: who may become one.

use crate::hub::authenticator::{AuthError, Secret};
use crate::peer::Peer;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Decides which peers may become server operators; install it with
/// [`HubBuilder::operators`](crate::HubBuilder::operators).
///
/// A peer sends a name and a password, which its dialect passes with
/// [`Command::Operate`](crate::protocol::Command::Operate). The name need not be that of an account. A session is an
/// operator until it ends.
///
/// # Overload
///
/// The limits of an [`Authenticator`](crate::auth::Authenticator) apply: the number of checks that run at once, the
/// time of each, and the charge for wrong passwords.
///
/// # Cancel safety
///
/// A future is dropped when it times out or its peer is gone; see [`Authenticator`](crate::auth::Authenticator).
///
/// # Examples
///
/// ```
/// use chat_core::auth::{AuthError, Operators, Secret};
/// use chat_core::{Hub, Peer};
///
/// struct Admin;
///
/// impl Operators for Admin {
///     async fn check(&self, _: &Peer, name: &str, password: &Secret<'_>) -> Result<(), AuthError> {
///         match (name, password.reveal()) {
///             ("admin", "swordfish") => Ok(()),
///             _ => Err(AuthError::new("wrong name or password")),
///         }
///     }
/// }
///
/// let hub = Hub::builder().operators(Admin).build();
/// ```
pub trait Operators: Send + Sync + 'static {
    /// Checks whether the peer may become an operator.
    ///
    /// # Errors
    ///
    /// Returns an error if it may not. The peer receives the reason of the error.
    fn check(
        &self,
        peer: &Peer,
        name: &str,
        password: &Secret<'_>,
    ) -> impl Future<Output = Result<(), AuthError>> + Send;
}

/// [`Operators`] behind dynamic dispatch.
pub(crate) trait DynOperators: Send + Sync {
    /// Returns `None` if the check panicked.
    fn check<'a>(
        self: Arc<Self>,
        peer: &'a Peer,
        name: &'a str,
        password: &'a Secret<'a>,
    ) -> BoxFuture<'a, Option<Result<(), AuthError>>>;
}

impl<O: Operators> DynOperators for O {
    fn check<'a>(
        self: Arc<Self>,
        peer: &'a Peer,
        name: &'a str,
        password: &'a Secret<'a>,
    ) -> BoxFuture<'a, Option<Result<(), AuthError>>> {
        let checked = async move { Operators::check(&*self, peer, name, password).await };
        Box::pin(AssertUnwindSafe(checked).catch_unwind().map(Result::ok))
    }
}

impl fmt::Debug for dyn DynOperators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operators")
    }
}
