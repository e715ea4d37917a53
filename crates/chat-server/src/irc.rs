//! The flags for IRC, and how they are applied.

use chat_core::name::NameRules;
use chat_core::{Hub, Server};
use chat_irc::Irc;

/// The flags of IRC.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "IRC")]
pub(crate) struct IrcArgs {
    /// The name of the server that IRC clients see
    #[arg(long, value_name = "NAME", value_parser = name, default_value = "irc.local")]
    irc_name: String,

    /// The name of the network that IRC clients see
    #[arg(long, value_name = "NAME", value_parser = name, default_value = "Chat")]
    network: String,
}

/// How IRC is served.
#[derive(Debug, Clone)]
pub(crate) struct IrcConfig {
    name: String,
    network: String,
}

impl From<IrcArgs> for IrcConfig {
    fn from(args: IrcArgs) -> Self {
        Self {
            name: args.irc_name,
            network: args.network,
        }
    }
}

impl IrcConfig {
    /// Reserves the server's name, so that no session can pass for the server in an IRC client. Called once, so what it
    /// leaks is bounded.
    pub(crate) fn reserve(&self, rules: &mut NameRules) {
        let mut reserved = rules.reserved.to_vec();
        reserved.push(Box::leak(self.name.clone().into_boxed_str()));
        rules.reserved = Box::leak(reserved.into_boxed_slice());
    }

    /// Returns the protocol for all listeners of a hub.
    pub(crate) fn protocol(&self, hub: &Hub) -> Irc {
        let hub = hub.clone();
        Irc::with_stats(&self.name, &self.network, move || hub.stats())
    }
}

/// Returns a server that speaks only IRC. A silent peer is not greeted as a person.
pub(crate) fn only(hub: Hub, irc: Irc) -> Server {
    let server = Server::new(hub).protocol(irc.clone());
    server.default_dialect(move || irc.dialect())
}

/// A name is one word of a line of IRC.
fn name(name: &str) -> Result<String, String> {
    /// The longest host name that IRC allows (RFC 2812, section 2.3.1).
    const BYTES_MAX: usize = 63;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte);
    if name.is_empty() || name.len() > BYTES_MAX || !name.bytes().all(is_plain) {
        return Err("give letters, digits, dots and hyphens, for example irc.example.org".into());
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::{IrcConfig, name};
    use chat_core::name::NameError;

    #[test]
    fn a_name_is_one_word() {
        assert!(name("irc.example.org").is_ok() && name("Example").is_ok());
        for bad in ["", "a b", "a:b", "a!b", &"a".repeat(64)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_session_can_be_called_as_the_server_is() {
        let irc = IrcConfig {
            name: "irc.local".into(),
            network: "Chat".into(),
        };
        let mut rules = crate::names::rules();
        assert!(rules.nick("irc.local").is_ok());
        irc.reserve(&mut rules);
        for bad in ["irc.local", "IRC.Local", "irc.loca1", "server"] {
            assert_eq!(rules.nick(bad), Err(NameError::Reserved), "{bad}");
        }
        assert!(rules.nick("irc.locally").is_ok());
    }
}
