//! The capabilities that a client may request, as data (IRCv3 capability negotiation).

/// One capability.
pub(crate) struct Capability {
    pub(crate) name: &'static str,
    /// The value in the list of capabilities, for clients that negotiate with version 302.
    pub(crate) value: &'static str,
    bit: Capabilities,
}

macro_rules! capabilities {
    ($($constant:ident = $bit:literal, $name:literal, $value:literal;)*) => {
        /// All capabilities, by name.
        pub(crate) const ALL: &[Capability] = &[
            $(Capability { name: $name, value: $value, bit: Capabilities::$constant }),*
        ];

        impl Capabilities {
            $(pub(crate) const $constant: Self = Self(1 << $bit);)*
        }
    };
}

capabilities! {
    BATCH = 0, "batch", "";
    CAP_NOTIFY = 1, "cap-notify", "";
    CHAT_HISTORY = 2, "draft/chathistory", "";
    EVENT_PLAYBACK = 3, "draft/event-playback", "";
    ECHO_MESSAGE = 4, "echo-message", "";
    EXTENDED_JOIN = 5, "extended-join", "";
    LABELED_RESPONSE = 6, "labeled-response", "";
    MESSAGE_TAGS = 7, "message-tags", "";
    MULTI_PREFIX = 8, "multi-prefix", "";
    SERVER_TIME = 9, "server-time", "";
    SETNAME = 10, "setname", "";
    STANDARD_REPLIES = 11, "standard-replies", "";
    USERHOST_IN_NAMES = 12, "userhost-in-names", "";
}

/// The capabilities that a client has enabled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(u32);

impl Capabilities {
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Returns the capabilities after a request such as `server-time -batch`. `None` if one of them is not known: a
    /// request is granted as a whole or not at all.
    pub(crate) fn requested(self, request: &str) -> Option<Self> {
        request
            .split_ascii_whitespace()
            .try_fold(self, |after, word| {
                let (name, is_added) = match word.strip_prefix('-') {
                    Some(name) => (name, false),
                    None => (word, true),
                };
                let known = ALL.iter().find(|capability| capability.name == name)?;
                Some(Self(if is_added {
                    after.0 | known.bit.0
                } else {
                    after.0 & !known.bit.0
                }))
            })
    }

    /// Returns the names of these capabilities.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let enabled = ALL.iter().filter(move |known| self.has(known.bit));
        enabled.map(|known| known.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_granted_as_a_whole_or_not_at_all() {
        let none = Capabilities::default();
        let both = none.requested("batch server-time ").unwrap();
        assert!(both.has(Capabilities::BATCH) && both.has(Capabilities::SERVER_TIME));
        assert_eq!(both.requested("-batch"), Some(Capabilities::SERVER_TIME));
        assert_eq!(both.requested("-batch nonsense"), None);
        assert_eq!(none.requested(""), Some(none));
        assert_eq!(both.names().collect::<Vec<_>>(), ["batch", "server-time"]);
    }

    #[test]
    fn the_list_is_sorted_and_has_no_bit_twice() {
        assert!(ALL.windows(2).all(|two| two[0].name < two[1].name));
        assert_eq!(
            ALL.iter()
                .fold(0, |bits, one| bits | one.bit.0)
                .count_ones() as usize,
            ALL.len()
        );
    }
}
