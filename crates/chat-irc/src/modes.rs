//! The modes of rooms and the roles of their members, as letters.
//!
//! Invariant: each mode and each role of core has one letter, announced in `RPL_ISUPPORT`. What is written is parsed to
//! the same changes.
//!
//! | letter | mode |
//! | --- | --- |
//! | `i` `m` `n` `s` `t` | invite-only, moderated, no external messages, secret, topic lock |
//! | `k` `l` | key, limit |
//! | `b` `e` `I` | ban, exception of bans, exception of invitations |
//! | `q` `o` `v` | owner, operator, voice |
//!
//! The letter `q` is that of owners, so quiets have none of their own: a quiet is the ban `m:MASK` (`EXTBAN=,m`).

use chat_core::rooms::{
    Mask, MaskEntry, MaskList, ModeChange, ModeChanges, Modes, Role, RoleTarget, RoomKey, Setting,
};

/// The letters of settings, in the order of the alphabet.
const SETTINGS: [(Setting, char); 5] = [
    (Setting::InviteOnly, 'i'),
    (Setting::Moderated, 'm'),
    (Setting::NoExternal, 'n'),
    (Setting::Secret, 's'),
    (Setting::TopicLock, 't'),
];

/// The letters of roles and the signs before nicks, the highest role first.
const ROLES: [(Role, char, char); 3] = [
    (Role::Owner, 'q', '~'),
    (Role::Operator, 'o', '@'),
    (Role::Voice, 'v', '+'),
];

/// The letters of lists.
const LISTS: [(MaskList, char); 3] = [
    (MaskList::Ban, 'b'),
    (MaskList::Except, 'e'),
    (MaskList::InviteExcept, 'I'),
];

/// The beginning of a ban that is a quiet.
const QUIET: &str = "m:";

/// The value of `CHANMODES`: lists, modes that always have an argument, those that have one when they are set, and
/// those that have none.
pub(crate) const CHANMODES: &str = "Ibe,k,l,imnst";

/// The value of `PREFIX`.
pub(crate) const PREFIX: &str = "(qov)~@+";

/// All letters of channel modes, for `RPL_MYINFO`, and those of them that have an argument.
pub(crate) const LETTERS: [&str; 2] = ["Ibeiklmnoqstv", "Ibekloqv"];

/// Returns the sign that stands before the nick of a member with this role.
pub(crate) fn sign(role: Option<Role>) -> &'static str {
    match role {
        None => "",
        Some(Role::Owner) => "~",
        Some(Role::Operator) => "@",
        // A later role is at least a voice.
        Some(_) => "+",
    }
}

/// What the parameters of MODE ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The changes, in parts of at most [`ModeChanges::MAX`].
    pub(crate) changes: Vec<ModeChanges>,
    /// The letters of the lists to show, each once.
    pub(crate) lists: Vec<char>,
    pub(crate) faults: Vec<Fault>,
}

/// A part of the parameters of MODE that asks for nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No mode has this letter.
    Unknown(char),
    /// The mode with this letter can't have this argument.
    Argument(char, String),
    /// The argument is not a nick.
    Nick(String),
}

/// Parses the parameters of MODE behind the channel.
pub(crate) fn parse(letters: &str, arguments: &[&str]) -> Asked {
    let mut asked = Asked::default();
    let mut arguments = arguments.iter().copied();
    let mut is_set = true;
    for letter in letters.chars() {
        match letter {
            '+' => is_set = true,
            '-' => is_set = false,
            letter => match parse_one(letter, is_set, &mut arguments) {
                Ok(change) => asked.add(change),
                Err(Problem::Shows) if !asked.lists.contains(&letter) => asked.lists.push(letter),
                Err(Problem::Shows) => {}
                Err(Problem::Fault(fault)) => asked.faults.push(fault),
            },
        }
    }
    asked
}

/// Why a letter is not a change.
enum Problem {
    /// It asks for a list.
    Shows,
    Fault(Fault),
}

fn parse_one<'a>(
    letter: char,
    is_set: bool,
    arguments: &mut impl Iterator<Item = &'a str>,
) -> Result<ModeChange, Problem> {
    let bad = |text: &str| Problem::Fault(Fault::Argument(letter, text.to_owned()));
    if let Some((setting, _)) = SETTINGS.iter().find(|(_, known)| *known == letter) {
        return Ok(if is_set {
            ModeChange::Set(*setting)
        } else {
            ModeChange::Unset(*setting)
        });
    }
    if let Some((list, _)) = LISTS.iter().find(|(_, known)| *known == letter) {
        let text = arguments.next().filter(|mask| !mask.is_empty());
        let text = text.ok_or(Problem::Shows)?;
        let (list, mask) = match text.strip_prefix(QUIET) {
            Some(mask) if *list == MaskList::Ban => (MaskList::Quiet, mask),
            _ => (*list, text),
        };
        let mask = Mask::parse(mask).map_err(|_| bad(text))?;
        return Ok(if is_set {
            ModeChange::Add(list, mask)
        } else {
            ModeChange::Remove(list, mask)
        });
    }
    if let Some((role, ..)) = ROLES.iter().find(|(_, known, _)| *known == letter) {
        let text = arguments.next().ok_or_else(|| bad("*"))?;
        let target = RoleTarget::parse(text);
        let target = target.map_err(|_| Problem::Fault(Fault::Nick(text.to_owned())))?;
        return Ok(if is_set {
            ModeChange::Grant(*role, target)
        } else {
            ModeChange::Revoke(*role, target)
        });
    }
    match letter {
        'k' if is_set => {
            let text = arguments.next().unwrap_or("*");
            let key = RoomKey::parse(text).ok().filter(|_| text != "*");
            key.map(|key| ModeChange::Key(Some(key)))
                .ok_or_else(|| bad(text))
        }
        'k' => {
            // Clients repeat the key to remove it.
            arguments.next();
            Ok(ModeChange::Key(None))
        }
        'l' if is_set => {
            let text = arguments.next().unwrap_or("*");
            let limit = text.parse().map_err(|_| bad(text))?;
            Ok(ModeChange::Limit(Some(limit)))
        }
        'l' => Ok(ModeChange::Limit(None)),
        unknown => Err(Problem::Fault(Fault::Unknown(unknown))),
    }
}

impl Asked {
    fn add(&mut self, change: ModeChange) {
        let last = self.changes.last_mut();
        if !last.is_some_and(|last| last.push(change.clone())) {
            self.changes.push(change.into());
        }
    }
}

/// Returns the letter of the first list among changes, for an error about a full list.
pub(crate) fn list_letter(changes: &ModeChanges) -> char {
    let mut letters = changes.iter().filter_map(|change| match change {
        ModeChange::Add(..) | ModeChange::Grant(_, RoleTarget::Account(_)) => word(change),
        _ => None,
    });
    letters.next().map_or('b', |(_, letter, _)| letter)
}

/// Returns the sign, the letter and the argument of a change; `None` for a change of a later version.
fn word(change: &ModeChange) -> Option<(char, char, Option<String>)> {
    let setting = |setting: &Setting| {
        let known = SETTINGS.iter().find(|(known, _)| known == setting)?;
        Some((known.1, None))
    };
    let list = |list: &MaskList, mask: &Mask| match list {
        MaskList::Quiet => Some(('b', Some(format!("{QUIET}{mask}")))),
        list => {
            let known = LISTS.iter().find(|(known, _)| known == list)?;
            Some((known.1, Some(mask.to_string())))
        }
    };
    let role = |role: &Role, who: &RoleTarget| {
        let known = ROLES.iter().find(|(known, ..)| known == role)?;
        Some((known.1, Some(who.to_string())))
    };
    let (sign, word) = match change {
        ModeChange::Set(set) => ('+', setting(set)),
        ModeChange::Unset(unset) => ('-', setting(unset)),
        ModeChange::Key(Some(key)) => ('+', Some(('k', Some(key.as_str().to_owned())))),
        ModeChange::Key(None) => ('-', Some(('k', Some("*".to_owned())))),
        ModeChange::Limit(Some(limit)) => ('+', Some(('l', Some(limit.to_string())))),
        ModeChange::Limit(None) => ('-', Some(('l', None))),
        ModeChange::Add(to, mask) => ('+', list(to, mask)),
        ModeChange::Remove(from, mask) => ('-', list(from, mask)),
        ModeChange::Grant(given, who) => ('+', role(given, who)),
        ModeChange::Revoke(taken, who) => ('-', role(taken, who)),
        _ => return None,
    };
    word.map(|(letter, argument)| (sign, letter, argument))
}

/// Returns changes as the last parameters of MODE lines, such as `+mo-k bob *`: one line, or more if a line would have
/// more than `bytes_max` bytes.
pub(crate) fn lines(changes: &ModeChanges, bytes_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut letters, mut arguments, mut sign) = (String::new(), String::new(), None);
    let mut is_full = false;
    for (new_sign, letter, argument) in changes.iter().filter_map(word) {
        let needed = 2 + argument.as_ref().map_or(0, |argument| argument.len() + 2);
        is_full |= letters.len() + arguments.len() + needed > bytes_max;
        if is_full && !letters.is_empty() {
            lines.push(std::mem::take(&mut letters) + &std::mem::take(&mut arguments));
            sign = None;
        }
        if sign != Some(new_sign) {
            letters.push(new_sign);
            sign = Some(new_sign);
        }
        letters.push(letter);
        // An argument that begins with a colon can only be the last of its line.
        is_full = argument.as_ref().is_some_and(|text| text.starts_with(':'));
        if let Some(argument) = argument {
            arguments.push_str(if is_full { " :" } else { " " });
            arguments.push_str(&argument);
        }
    }
    if !letters.is_empty() {
        lines.push(letters + &arguments);
    }
    lines
}

/// Returns the modes of a room as the changes that set them, without its lists.
pub(crate) fn set(modes: &Modes) -> ModeChanges {
    let mut changes = ModeChanges::default();
    for (setting, _) in SETTINGS {
        if modes.has(setting) {
            changes.push(ModeChange::Set(setting));
        }
    }
    if let Some(limit) = modes.limit() {
        changes.push(ModeChange::Limit(Some(limit)));
    }
    if let Some(key) = modes.key() {
        changes.push(ModeChange::Key(Some(key.clone())));
    }
    changes
}

/// Returns the entries of the list with this letter, each with its mask as IRC writes it.
pub(crate) fn entries(modes: &Modes, letter: char) -> impl Iterator<Item = (String, &MaskEntry)> {
    let list = LISTS.iter().find(|(_, known)| *known == letter);
    let list = list.map_or(MaskList::Ban, |(list, _)| *list);
    let quiets = modes.list(MaskList::Quiet).iter();
    let quiets = quiets.filter(move |_| list == MaskList::Ban);
    let written = |quiet: &str, entry: &MaskEntry| match entry.mask.as_str().strip_prefix(':') {
        // A parameter can't begin with a colon.
        Some(rest) if quiet.is_empty() => format!("?{rest}"),
        _ => format!("{quiet}{}", entry.mask),
    };
    let listed = modes.list(list).iter();
    let listed = listed.map(move |entry| (written("", entry), entry));
    listed.chain(quiets.map(move |entry| (written(QUIET, entry), entry)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> Vec<String> {
        lines(&ModeChanges::parse(text).unwrap(), 400)
    }

    #[test]
    fn changes_are_written_as_letters() {
        for (text, letters) in [
            ("+moderated -topic-lock +operator bob", "+m-t+o bob"),
            ("+key k -key +limit 7 -limit", "+k-k+l-l k * 7"),
            ("+ban a +quiet b +except c", "+bbe a!*@* m:b!*@* c!*@*"),
            ("-invite-except $a:kim +owner $a:lee", "-I+q $a:kim $a:lee"),
        ] {
            assert_eq!(written(text), [letters]);
        }
        assert_eq!(
            written("+ban :x +ban y -secret"),
            ["+b ::x!*@*", "+b-s y!*@*"]
        );
        let many: Vec<_> = (0..20).map(|n| format!("+ban {n:0>100}")).collect();
        let lines = written(&many.join(" "));
        assert!(lines.len() > 4 && lines.iter().all(|line| line.len() <= 400));
    }

    #[test]
    fn what_is_not_a_change_is_a_question_or_a_fault() {
        let asked = parse("bIIb", &["m:x"]);
        assert_eq!(asked.lists, ['I', 'b']);
        assert_eq!(asked.changes[0].to_string(), "+quiet x!*@*");
        let asked = parse("+z-o+klkb", &["7up", "a,b", "x", "*", "a b"]);
        let faults = [
            Fault::Unknown('z'),
            Fault::Nick("7up".into()),
            Fault::Argument('k', "a,b".into()),
            Fault::Argument('l', "x".into()),
            Fault::Argument('k', "*".into()),
            Fault::Argument('b', "a b".into()),
        ];
        assert_eq!(asked.faults, faults);
        assert!(asked.changes.is_empty());
        let many = parse(&"m".repeat(50), &[]);
        assert_eq!(many.changes.iter().map(ModeChanges::len).sum::<usize>(), 50);
    }

    proptest! {
        #[test]
        fn written_changes_are_parsed_to_the_same(
            words in proptest::collection::vec(prop_oneof![
                Just("+moderated"), Just("-secret"), Just("+key k"), Just("-key"), Just("+limit 3"), Just("-limit"),
                Just("+ban a!b@c"), Just("-quiet x"), Just("+except $a:kim"), Just("+operator bob"), Just("-voice 한"),
                Just("+owner $a:lee"), Just("+invite-except *@h"),
            ], 1..20),
        ) {
            let changes = ModeChanges::parse(&words.join(" ")).unwrap();
            let mut read = Vec::new();
            for line in lines(&changes, 60) {
                let mut words = line.split(' ');
                let letters = words.next().unwrap();
                let asked = parse(letters, &words.collect::<Vec<_>>());
                prop_assert!(asked.faults.is_empty() && asked.lists.is_empty());
                read.extend(asked.changes.iter().map(ToString::to_string));
            }
            prop_assert_eq!(read.join(" "), changes.to_string());
        }

        #[test]
        fn any_parameters_are_parsed_without_a_panic(letters in "[-+a-zA-Z]{0,30}", one in ".{0,20}", other in ".{0,20}") {
            parse(&letters, &[&one, &other]);
        }
    }
}
