//! The other end of a connection, as far as the program knows it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

/// What a program knows of a connection's other end before it has sent anything. A [`Policy`](crate::Policy) can base
/// its decisions on it.
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
    /// Adds a value that describes the peer. There is one value of each type: a later one replaces an earlier one.
    #[must_use]
    pub fn with<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.insert(value);
        self
    }

    /// Adds a value as [`with`](Self::with) does, in place.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        self.metadata.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// Returns the value of this type, if one was added.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.metadata.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// Sets the peer's address, for example one that a proxy has forwarded.
    #[must_use]
    pub fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Returns the peer's address, if it connects over IP. Connections are counted by this address.
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
