//! The numbers of replies and errors, with their names and the documents that define them.
//!
//! *Modern* is the Modern IRC Client Protocol document. A numeric that *Modern* does not describe names another document.

use std::fmt;

/// The number of a reply or an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Numeric(pub u16);

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

macro_rules! numerics {
    ($($name:ident = $number:literal, $document:literal;)*) => {
        $(
            #[doc = concat!("`", stringify!($number), "`: ", $document, ".")]
            pub const $name: Numeric = Numeric($number);
        )*

        #[cfg(test)]
        const ALL: &[(&str, Numeric)] = &[$((stringify!($name), $name)),*];
    };
}

numerics! {
    RPL_WELCOME = 1, "Modern";
    RPL_YOURHOST = 2, "Modern";
    RPL_CREATED = 3, "Modern";
    RPL_MYINFO = 4, "Modern";
    RPL_ISUPPORT = 5, "Modern";
    RPL_UMODEIS = 221, "Modern";
    RPL_LUSERCLIENT = 251, "Modern";
    RPL_LUSEROP = 252, "Modern";
    RPL_LUSERCHANNELS = 254, "Modern";
    RPL_LUSERME = 255, "Modern";
    RPL_ADMINME = 256, "Modern";
    RPL_ADMINLOC1 = 257, "Modern";
    RPL_ADMINLOC2 = 258, "Modern";
    RPL_ADMINEMAIL = 259, "Modern";
    RPL_LOCALUSERS = 265, "Modern";
    RPL_GLOBALUSERS = 266, "Modern";
    RPL_TRYAGAIN = 263, "RFC 2812, section 5.1";
    RPL_USERHOST = 302, "Modern";
    RPL_ISON = 303, "RFC 2812, section 4.9";
    RPL_WHOISUSER = 311, "Modern";
    RPL_WHOISSERVER = 312, "Modern";
    RPL_ENDOFWHO = 315, "Modern";
    RPL_ENDOFWHOIS = 318, "Modern";
    RPL_WHOISCHANNELS = 319, "Modern";
    RPL_LISTSTART = 321, "Modern";
    RPL_LIST = 322, "Modern";
    RPL_LISTEND = 323, "Modern";
    RPL_CHANNELMODEIS = 324, "Modern";
    RPL_NOTOPIC = 331, "Modern";
    RPL_TOPIC = 332, "Modern";
    RPL_TOPICWHOTIME = 333, "Modern";
    RPL_INVITING = 341, "Modern";
    RPL_INVEXLIST = 346, "Modern";
    RPL_ENDOFINVEXLIST = 347, "Modern";
    RPL_EXCEPTLIST = 348, "Modern";
    RPL_ENDOFEXCEPTLIST = 349, "Modern";
    RPL_VERSION = 351, "Modern";
    RPL_WHOREPLY = 352, "Modern";
    RPL_NAMREPLY = 353, "Modern";
    RPL_WHOSPCRPL = 354, "IRCv3, WHOX";
    RPL_LINKS = 364, "Modern";
    RPL_ENDOFLINKS = 365, "Modern";
    RPL_ENDOFNAMES = 366, "Modern";
    RPL_BANLIST = 367, "Modern";
    RPL_ENDOFBANLIST = 368, "Modern";
    RPL_ENDOFWHOWAS = 369, "Modern";
    RPL_INFO = 371, "Modern";
    RPL_MOTD = 372, "Modern";
    RPL_ENDOFINFO = 374, "Modern";
    RPL_MOTDSTART = 375, "Modern";
    RPL_ENDOFMOTD = 376, "Modern";
    RPL_TIME = 391, "Modern";
    ERR_UNKNOWNERROR = 400, "Modern";
    ERR_NOSUCHNICK = 401, "Modern";
    ERR_NOSUCHSERVER = 402, "Modern";
    ERR_NOSUCHCHANNEL = 403, "Modern";
    ERR_CANNOTSENDTOCHAN = 404, "Modern";
    ERR_TOOMANYCHANNELS = 405, "Modern";
    ERR_WASNOSUCHNICK = 406, "Modern";
    ERR_TOOMANYTARGETS = 407, "RFC 2812, section 5.2";
    ERR_NOORIGIN = 409, "Modern";
    ERR_INVALIDCAPCMD = 410, "IRCv3, capability negotiation";
    ERR_NORECIPIENT = 411, "Modern";
    ERR_NOTEXTTOSEND = 412, "Modern";
    ERR_INPUTTOOLONG = 417, "Modern";
    ERR_UNKNOWNCOMMAND = 421, "Modern";
    ERR_NOMOTD = 422, "Modern";
    ERR_NONICKNAMEGIVEN = 431, "Modern";
    ERR_ERRONEUSNICKNAME = 432, "Modern";
    ERR_NICKNAMEINUSE = 433, "Modern";
    ERR_UNAVAILRESOURCE = 437, "RFC 2812, section 5.2";
    ERR_USERNOTINCHANNEL = 441, "Modern";
    ERR_NOTONCHANNEL = 442, "Modern";
    ERR_USERONCHANNEL = 443, "Modern";
    ERR_CANTCHANGENICK = 447, "as UnrealIRCd and others use it; no document defines it";
    ERR_NOTREGISTERED = 451, "Modern";
    ERR_NEEDMOREPARAMS = 461, "Modern";
    ERR_ALREADYREGISTERED = 462, "Modern";
    ERR_YOUREBANNEDCREEP = 465, "Modern";
    ERR_CHANNELISFULL = 471, "Modern";
    ERR_UNKNOWNMODE = 472, "Modern";
    ERR_INVITEONLYCHAN = 473, "Modern";
    ERR_BANNEDFROMCHAN = 474, "Modern";
    ERR_BADCHANNELKEY = 475, "Modern";
    ERR_BADCHANMASK = 476, "Modern";
    ERR_BANLISTFULL = 478, "RFC 2812, section 5.2";
    ERR_NOPRIVILEGES = 481, "Modern";
    ERR_CHANOPRIVSNEEDED = 482, "Modern";
    ERR_NOOPERHOST = 491, "Modern";
    ERR_UMODEUNKNOWNFLAG = 501, "Modern";
    ERR_USERSDONTMATCH = 502, "Modern";
    ERR_HELPNOTFOUND = 524, "Modern";
    RPL_HELPSTART = 704, "Modern";
    RPL_HELPTXT = 705, "Modern";
    RPL_ENDOFHELP = 706, "Modern";
    ERR_INVALIDMODEPARAM = 696, "Modern";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_one_name_and_three_digits() {
        for (at, (name, numeric)) in ALL.iter().enumerate() {
            assert!(name.starts_with("RPL_") || name.starts_with("ERR_"));
            assert!(ALL[at + 1..].iter().all(|(_, other)| other != numeric));
        }
        assert_eq!(RPL_WELCOME.to_string(), "001");
    }
}
