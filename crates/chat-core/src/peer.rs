//! What the embedding program knows about the other end of a connection.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

/// What the embedding program knows about a peer before the peer has sent anything: the peer's address, and any values
/// that the program adds. A [`Policy`](crate::Policy) can base its decisions on them.
///
/// # Examples
///
/// ```
/// use chat_core::Peer;
///
/// #[derive(Debug, PartialEq)]
/// struct Staff(bool);
///
/// let peer = Peer::default().with(Staff(true));
/// assert_eq!(peer.get::<Staff>(), Some(&Staff(true)));
/// assert_eq!(peer.address(), None);
/// ```
#[derive(Default)]
pub struct Peer {
    address: Option<SocketAddr>,
    metadata: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Peer {
    /// Adds a value that describes the peer, and returns the peer. A peer has one value of each type: a later value
    /// replaces an earlier one of the same type.
    #[must_use]
    pub fn with<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.insert(value);
        self
    }

    /// Adds a value to this peer, as [`with`](Self::with) does.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        self.metadata.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// Returns the value of type `T`, or `None` if the peer has no value of this type.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.metadata.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// Sets the peer's address, for example an address that a proxy has forwarded.
    #[must_use]
    pub fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Returns the peer's address, or `None` if the peer has no address, as over a Unix socket. The limits for
    /// addresses in [`Limits`](crate::Limits) apply to this address.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self {
            address: Some(address),
            ..Self::default()
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("address", &self.address)
            .field("metadata", &self.metadata.len())
            .finish()
    }
}
