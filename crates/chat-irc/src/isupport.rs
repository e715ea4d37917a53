//! The tokens of `RPL_ISUPPORT` (005), built from the hub's limits (Modern IRC Client Protocol, "Feature Advertisement").

use crate::modes;
use crate::names::{HOST, USER};
use crate::reply::BODY_BYTES_MAX;
use chat_core::Limits;
use chat_core::rooms::{ModeChanges, Modes, RoomKey};

/// The most tokens of one line (Modern, RPL_ISUPPORT).
pub(crate) const TOKENS_PER_LINE: usize = 13;

/// The most targets of one PRIVMSG, NOTICE or TAGMSG. Each costs as much as a line.
pub(crate) const TARGETS_MAX: usize = 4;

/// The longest nick in bytes as it is usually spelled: 32 characters of four bytes.
const NICK_BYTES: usize = 4 * NICK_CHARS_MAX;

/// Returns the most bytes of a topic that a line of `RPL_TOPIC` holds beside the longest names: `:SERVER 332 NICK #ROOM
/// :TOPIC`. The head of a TOPIC line is shorter, unless the server's name is.
pub(crate) fn topic_bytes_max(server: &str) -> usize {
    let source = server.len().max(1) + ": 332 ".len() + NICK_BYTES + " ".len();
    let event = NICK_BYTES + ":!@ TOPIC ".len() + USER.len() + HOST.len();
    BODY_BYTES_MAX - CHANNEL_BYTES_MAX - " :".len() - source.max(event)
}

/// The most channels or nicks of one JOIN, KICK, LIST or PART: as many as core executes for one line.
const LISTED_MAX: usize = 64;

/// The most nicks of one ISON.
pub(crate) const NICKS_MAX: usize = 32;

/// The longest nick in characters. Core's rule; see `chat_core::name`.
const NICK_CHARS_MAX: usize = 32;

/// The longest name of a channel in bytes, with its `#`. Core's rule; see `chat_core::name`.
const CHANNEL_BYTES_MAX: usize = 65;

/// Returns the tokens, sorted by name.
pub(crate) fn tokens(server: &str, network: &str, limits: &Limits) -> Vec<String> {
    let rooms = limits.rooms_per_session;
    let entries = Modes::ENTRIES_MAX;
    let topic = topic_bytes_max(server).min(limits.text_bytes.get());
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
            "TARGMAX=ISON:{NICKS_MAX},JOIN:{LISTED_MAX},KICK:{LISTED_MAX},LIST:{LISTED_MAX},NAMES:1,\
             NOTICE:{TARGETS_MAX},PART:{LISTED_MAX},PRIVMSG:{TARGETS_MAX},\
             TAGMSG:{TARGETS_MAX},WHOIS:1"
        ),
        format!("TOPICLEN={topic}"),
        "UTF8ONLY".into(),
        "WHOX".into(),
    ]
}
