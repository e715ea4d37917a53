//! The table of commands: how each is typed, what it does, and its help text.

/// The meaning of a typed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed<'a> {
    /// A message to send, without the escape of a leading slash.
    Say(&'a str),
    /// A command and its arguments.
    Do(Command, &'a str),
    /// An unknown command, and the name of the closest known command if there is one.
    Unknown(&'a str, Option<&'static str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Join,
    Leave,
    Nick,
    Who,
    Rooms,
    Msg,
    Query,
    Reply,
    Me,
    Topic,
    Search,
    Around,
    Members,
    Quit,
    Away,
    Whois,
}

/// One command: its name, its arguments, and its help text.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) command: Command,
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static str,
    pub(crate) help: &'static str,
}

const fn row(
    command: Command,
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
) -> Row {
    Row {
        command,
        name,
        arguments,
        help,
    }
}

pub(crate) const COMMANDS: [Row; 17] = [
    row(Command::Help, "help", "", "shows this help"),
    row(Command::Join, "join", "ROOM", "joins a room and shows it"),
    row(
        Command::Leave,
        "leave",
        "",
        "leaves the room or closes the window (/close)",
    ),
    row(Command::Rooms, "rooms", "", "lists the rooms"),
    row(Command::Who, "who", "[ROOM]", "lists the members of a room"),
    row(
        Command::Whois,
        "whois",
        "NICK",
        "tells what is known of a member",
    ),
    row(Command::Msg, "msg", "NICK TEXT", "sends a direct message"),
    row(
        Command::Query,
        "query",
        "NICK [TEXT]",
        "opens a window for direct messages",
    ),
    row(
        Command::Reply,
        "r",
        "[TEXT]",
        "answers the last direct message",
    ),
    row(
        Command::Me,
        "me",
        "TEXT",
        "sends an action: \"* alice waves\"",
    ),
    row(
        Command::Topic,
        "topic",
        "[TEXT]",
        "shows the topic, or sets it",
    ),
    row(Command::Nick, "nick", "NAME", "takes another nick"),
    row(
        Command::Away,
        "away",
        "[TEXT]",
        "marks you as away; alone, as back",
    ),
    row(
        Command::Search,
        "search",
        "WORDS",
        "searches for words; Enter finds older ones",
    ),
    row(
        Command::Around,
        "around",
        "NUMBER",
        "shows the messages around a match",
    ),
    row(
        Command::Members,
        "members",
        "",
        "shows or hides the members (F2)",
    ),
    row(
        Command::Quit,
        "quit",
        "[REASON]",
        "quits, with a reason (Ctrl+C)",
    ),
];

/// Another name for `/leave`.
const CLOSE: &str = "close";

impl Command {
    /// Returns how the command is typed, with its arguments.
    pub(crate) fn usage(self) -> String {
        let row = COMMANDS.iter().find(|row| row.command == self);
        row.map_or_else(String::new, |row| {
            format!("/{} {}", row.name, row.arguments)
        })
    }

    /// Returns whether the command requires arguments.
    pub(crate) const fn needs_arguments(self) -> bool {
        matches!(
            self,
            Self::Join
                | Self::Nick
                | Self::Msg
                | Self::Query
                | Self::Me
                | Self::Search
                | Self::Around
                | Self::Whois
        )
    }

    /// Returns whether the command works in rooms only, not in windows for direct messages.
    pub(crate) const fn is_for_rooms(self, arguments: &str) -> bool {
        match self {
            Self::Topic | Self::Around | Self::Me => true,
            Self::Who => arguments.is_empty(),
            _ => false,
        }
    }
}

/// The keys and their help texts. `/help` shows them.
pub(crate) const KEYS: [(&str, &str); 10] = [
    ("Tab", "completes nicks, rooms and commands"),
    ("Up, Down", "recalls typed lines"),
    ("PgUp, PgDn", "scrolls; Esc goes back to the end"),
    ("Ctrl+N, Ctrl+P", "shows the next or previous room"),
    ("Alt+1 .. Alt+9", "shows the room of this number"),
    ("Ctrl+W, U, K, Y", "cuts a word, to start, to end; pastes"),
    ("F1, F2", "this help; shows or hides the members"),
    ("Ctrl+L", "redraws the screen"),
    ("Ctrl+Z", "suspends (fg resumes)"),
    ("Ctrl+C", "quits"),
];

/// Returns the commands and their help texts, for the manual page.
pub fn commands() -> impl Iterator<Item = (String, &'static str)> {
    COMMANDS
        .iter()
        .map(|row| (row.command.usage().trim_end().to_owned(), row.help))
}

/// Returns the keys and their help texts, for the manual page.
pub fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYS.into_iter()
}

/// Parses a typed line. Returns `None` if the line is blank.
pub(crate) fn parse(line: &str) -> Option<Typed<'_>> {
    let Some(command) = line.strip_prefix('/') else {
        return (!line.trim().is_empty()).then_some(Typed::Say(line));
    };
    if command.starts_with('/') {
        return Some(Typed::Say(command));
    }
    let (name, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let name = name.trim();
    let name = if name.eq_ignore_ascii_case(CLOSE) {
        "leave"
    } else {
        name
    };
    let known = COMMANDS
        .iter()
        .find(|row| row.name.eq_ignore_ascii_case(name));
    Some(match known {
        Some(row) => Typed::Do(row.command, arguments.trim()),
        None => Typed::Unknown(name, nearest(name)),
    })
}

/// Returns the input line that sends `text` as a message or as an action.
pub(crate) fn line(text: &str, is_action: bool) -> String {
    if is_action {
        format!("/me {text}")
    } else if text.starts_with('/') {
        format!("/{text}")
    } else {
        text.to_owned()
    }
}

/// Returns the first command whose name begins with `name`, or is the beginning of `name`.
fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let near = |row: &&Row| {
        !name.is_empty() && (row.name.starts_with(&name) || name.starts_with(row.name))
    };
    COMMANDS.iter().find(near).map(|row| row.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_meant() {
        assert_eq!(parse("hello"), Some(Typed::Say("hello")));
        assert_eq!(parse("  "), None);
        assert_eq!(parse("//etc"), Some(Typed::Say("/etc")));
        assert_eq!(parse("/JOIN  ops "), Some(Typed::Do(Command::Join, "ops")));
        assert_eq!(parse("/quit"), Some(Typed::Do(Command::Quit, "")));
        assert_eq!(parse("/joi ops"), Some(Typed::Unknown("joi", Some("join"))));
        assert_eq!(parse("/xyz"), Some(Typed::Unknown("xyz", None)));
    }

    #[test]
    fn each_command_is_in_the_table_once() {
        for (at, row) in COMMANDS.iter().enumerate() {
            assert!(
                COMMANDS[at + 1..]
                    .iter()
                    .all(|other| other.name != row.name)
            );
            assert_eq!(
                parse(&format!("/{}", row.name)),
                Some(Typed::Do(row.command, ""))
            );
        }
    }
}
