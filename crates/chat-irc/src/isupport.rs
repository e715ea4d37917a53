//! The tokens of `RPL_ISUPPORT` (005), built from the hub's limits (Modern IRC Client Protocol, "Feature Advertisement").

use crate::modes;
use chat_core::Limits;
use chat_core::rooms::{ModeChanges, Modes, RoomKey};

/// The most tokens of one line (Modern, RPL_ISUPPORT).
pub(crate) const TOKENS_PER_LINE: usize = 13;

/// The most targets of one PRIVMSG, NOTICE or TAGMSG. Each costs as much as a line.
pub(crate) const TARGETS_MAX: usize = 4;

/// The most bytes of a topic. A longer one does not fit into a line beside the longest names.
pub(crate) const TOPIC_BYTES_MAX: usize = 390;

/// The longest nick in characters. Core's rule; see `chat_core::name`.
const NICK_CHARS_MAX: usize = 32;

/// The longest name of a channel in bytes, with its `#`. Core's rule; see `chat_core::name`.
const CHANNEL_BYTES_MAX: usize = 65;

/// Returns the tokens, sorted by name.
pub(crate) fn tokens(network: &str, limits: &Limits) -> Vec<String> {
    let rooms = limits.rooms_per_session;
    let entries = Modes::ENTRIES_MAX;
    let topic = TOPIC_BYTES_MAX.min(limits.text_bytes.get());
    vec![
        "CASEMAPPING=ascii".into(),
        format!("CHANLIMIT=#:{rooms}"),
        format!("CHANMODES={}", modes::CHANMODES),
        format!("CHANNELLEN={CHANNEL_BYTES_MAX}"),
        "CHANTYPES=#".into(),
        format!("CHATHISTORY={}", limits.history_max),
        "ELIST=MNU".into(),
        "EXCEPTS=e".into(),
        "EXTBAN=,m".into(),
        "INVEX=I".into(),
        format!("KEYLEN={}", RoomKey::BYTES_MAX),
        "LINELEN=512".into(),
        format!("MAXLIST=I:{entries},b:{entries},e:{entries}"),
        format!("MODES={}", ModeChanges::MAX),
        "MSGREFTYPES=msgid,timestamp".into(),
        format!("NETWORK={network}"),
        format!("NICKLEN={NICK_CHARS_MAX}"),
        format!("PREFIX={}", modes::PREFIX),
        "SAFELIST".into(),
        format!(
            "TARGMAX=ISON:,JOIN:,KICK:,LIST:,NAMES:1,NOTICE:{TARGETS_MAX},PART:,PRIVMSG:{TARGETS_MAX},\
             TAGMSG:{TARGETS_MAX},WHOIS:1"
        ),
        format!("TOPICLEN={topic}"),
        "UTF8ONLY".into(),
        "WHOX".into(),
    ]
}
