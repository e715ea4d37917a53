//! The grammar of IRC lines: tags, a source, a command and its parameters (Modern IRC Client Protocol, "Message
//! Format"; IRCv3 message-tags).
//!
//! Invariant: parsing copies nothing and never fails on a line that has a command. A message that is written and parsed
//! again is the same message.

use std::borrow::Cow;
use std::fmt;

/// The most parameters of a message (RFC 2812, section 2.3).
pub const PARAMETERS_MAX: usize = 15;

/// A parsed line. Borrows its parts from the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    tags: Tags<'a>,
    source: Option<&'a str>,
    command: &'a str,
    parameters: [&'a str; PARAMETERS_MAX],
    count: usize,
    body: &'a str,
}

impl<'a> Message<'a> {
    /// Parses a line without its terminator. Returns `None` if the line has no command, for example because it is
    /// empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use chat_irc::message::Message;
    ///
    /// let message = Message::parse("@label=1 PRIVMSG #ops :hello all").ok_or("no command")?;
    /// assert_eq!(message.command(), "PRIVMSG");
    /// assert_eq!(message.parameters(), ["#ops", "hello all"]);
    /// assert_eq!(message.tags().find("label").as_deref(), Some("1"));
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim_end_matches(['\r', '\n']);
        let (tags, body) = match line.strip_prefix('@') {
            Some(line) => word(line),
            None => ("", line),
        };
        let body = body.trim_start_matches(' ');
        let (source, rest) = match body.strip_prefix(':') {
            Some(rest) => {
                let (source, rest) = word(rest);
                (Some(source), rest)
            }
            None => (None, body),
        };
        let (command, mut rest) = word(rest);
        // A line with a space before its tags has no command.
        if command.is_empty() || command.starts_with('@') {
            return None;
        }
        let mut parameters = [""; PARAMETERS_MAX];
        let mut count = 0;
        while !rest.is_empty() && count < PARAMETERS_MAX {
            if let Some(last) = rest.strip_prefix(':') {
                (parameters[count], rest) = (last, "");
            } else if count == PARAMETERS_MAX - 1 {
                // The last parameter needs no colon (RFC 2812, section 2.3.1).
                (parameters[count], rest) = (rest, "");
            } else {
                (parameters[count], rest) = word(rest);
            }
            count += 1;
        }
        Some(Self {
            tags: Tags(tags),
            source,
            command,
            parameters,
            count,
            body,
        })
    }

    /// Returns the message's tags.
    #[must_use]
    pub const fn tags(&self) -> Tags<'a> {
        self.tags
    }

    /// Returns the source, which other documents call the prefix.
    #[must_use]
    pub const fn source(&self) -> Option<&'a str> {
        self.source
    }

    /// Returns the command, as it was written.
    #[must_use]
    pub const fn command(&self) -> &'a str {
        self.command
    }

    /// Returns the parameters.
    #[must_use]
    pub fn parameters(&self) -> &[&'a str] {
        &self.parameters[..self.count]
    }

    /// Returns the parameter with this index; an empty text if there is no such parameter.
    #[must_use]
    pub fn parameter(&self, index: usize) -> &'a str {
        self.parameters.get(index).copied().unwrap_or_default()
    }

    /// Returns how many bytes the line has without its tags and its terminator.
    #[must_use]
    pub const fn body_bytes(&self) -> usize {
        self.body.len()
    }
}

/// Writes the message without a terminator. The last parameter is written with a colon if it needs one.
impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.tags.0.is_empty() {
            write!(f, "@{} ", self.tags.0)?;
        }
        if let Some(source) = self.source {
            write!(f, ":{source} ")?;
        }
        f.write_str(self.command)?;
        for (at, parameter) in self.parameters().iter().enumerate() {
            let is_last = at + 1 == self.count;
            let needs_colon =
                parameter.is_empty() || parameter.starts_with(':') || parameter.contains(' ');
            let colon = if is_last && needs_colon { ":" } else { "" };
            write!(f, " {colon}{parameter}")?;
        }
        Ok(())
    }
}

/// The tags of a message, without the `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tags<'a>(&'a str);

impl<'a> Tags<'a> {
    /// Returns each tag and its value. A tag without a value has an empty value.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let tags = self.0.split(';').filter(|tag| !tag.is_empty());
        tags.map(|tag| {
            let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
            (key, unescape(value))
        })
    }

    /// Returns the value of a tag; `None` if the message does not have the tag. If the message has the tag several
    /// times, the last one counts.
    #[must_use]
    pub fn find(self, key: &str) -> Option<Cow<'a, str>> {
        let mut found = self.iter().filter(|(other, _)| *other == key);
        let first = found.next()?;
        Some(found.last().unwrap_or(first).1)
    }

    /// Returns how many bytes the tags have.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Returns whether the message has no tags.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// Replaces the escapes in a tag's value by the characters that they stand for (IRCv3 message-tags, "Escaping values").
#[must_use]
pub fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some(':') => plain.push(';'),
                Some('s') => plain.push(' '),
                Some('r') => plain.push('\r'),
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                // A lone backslash at the end is dropped.
                None => {}
            },
            c => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// Escapes a text, so that it can be the value of a tag.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains([';', ' ', '\\', '\r', '\n']) {
        return Cow::Borrowed(text);
    }
    let mut value = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            ';' => value.push_str("\\:"),
            ' ' => value.push_str("\\s"),
            '\\' => value.push_str("\\\\"),
            '\r' => value.push_str("\\r"),
            '\n' => value.push_str("\\n"),
            c => value.push(c),
        }
    }
    Cow::Owned(value)
}

/// Splits a text after its first word. Spaces before the rest are dropped.
fn word(text: &str) -> (&str, &str) {
    match text.split_once(' ') {
        Some((word, rest)) => (word, rest.trim_start_matches(' ')),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters(line: &str) -> Vec<&str> {
        let message = Message::parse(line).unwrap();
        message.parameters().to_vec()
    }

    /// Cases of the Modern IRC Client Protocol document, "Parameters", and of the IRC parser tests.
    #[test]
    fn parameters_are_split_as_the_document_says() {
        assert_eq!(parameters("CAP * LIST :"), ["*", "LIST", ""]);
        assert_eq!(parameters("CAP * LS :a b"), ["*", "LS", "a b"]);
        assert_eq!(parameters("CAP REQ :sasl"), ["REQ", "sasl"]);
        assert_eq!(parameters("PRIVMSG #chan Hey!"), ["#chan", "Hey!"]);
        assert_eq!(parameters("PRIVMSG #chan ::-) :-)"), ["#chan", ":-) :-)"]);
        assert_eq!(parameters("JOIN   #a  "), ["#a"]);
        assert_eq!(parameters("QUIT"), [""; 0]);
        let many = (0..20).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let line = format!("X {many}");
        let found = parameters(&line);
        assert_eq!((found.len(), found[14]), (15, "14 15 16 17 18 19"));
    }

    #[test]
    fn a_line_without_a_command_is_none() {
        for line in ["", " ", "\r\n", "@a=b", ":source", "@a :b", "@a :b "] {
            assert_eq!(Message::parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_source_and_tags_may_come_before_the_command() {
        let message = Message::parse("@a=1;+b;c=x\\:y\\sz\\ :dan!d@host PRIVMSG #a :hi").unwrap();
        assert_eq!(message.source(), Some("dan!d@host"));
        let tags: Vec<_> = message.tags().iter().collect();
        let expected = [("a", "1"), ("+b", ""), ("c", "x;y z")];
        assert_eq!(tags, expected.map(|(key, value)| (key, value.into())));
        assert_eq!(message.body_bytes(), ":dan!d@host PRIVMSG #a :hi".len());
    }

    /// IRCv3 message-tags: "Escaping values".
    #[test]
    fn values_of_tags_are_escaped() {
        for (text, value) in [
            ("a;b", "a\\:b"),
            ("a b", "a\\sb"),
            ("a\\b", "a\\\\b"),
            ("a\r\nb", "a\\r\\nb"),
            ("안녕", "안녕"),
        ] {
            assert_eq!(escape(text), value);
            assert_eq!(unescape(value), text);
        }
        assert_eq!(unescape("a\\bc\\"), "abc");
        let twice = Message::parse("@a=1;a=2 X").unwrap();
        assert_eq!(twice.tags().find("a").as_deref(), Some("2"));
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_and_written_again_as_the_same_message(line in "[@: a-c=;\\\\é\u{1}]{0,40}") {
            if let Some(message) = Message::parse(&line) {
                let written = message.to_string();
                let again = Message::parse(&written).unwrap();
                prop_assert_eq!(again.parameters(), message.parameters());
                prop_assert_eq!(again.command(), message.command());
                prop_assert_eq!(again.source(), message.source());
                prop_assert_eq!(again.tags(), message.tags());
            }
        }

        #[test]
        fn no_line_makes_the_parser_panic(line in any::<String>()) {
            if let Some(message) = Message::parse(&line) {
                prop_assert!(message.parameters().len() <= PARAMETERS_MAX);
                prop_assert!(message.tags().iter().count() <= line.len());
            }
        }

        #[test]
        fn a_value_survives_escaping(text in any::<String>()) {
            let value = escape(&text).into_owned();
            prop_assert!(!value.contains([';', ' ', '\r', '\n']));
            prop_assert_eq!(unescape(&value), text.as_str());
        }

        /// A differential test: the parser of the crate `irc-proto` reads the same tags, source and parameters.
        #[test]
        fn another_parser_reads_the_same(
            tags in proptest::collection::vec(("[a-z+/.-]{1,6}", "[a-z0-9; :\\\\]{1,6}"), 0..4),
            source in proptest::option::of("[a-z]{1,5}![a-z~]{1,5}@[a-z.]{1,5}"),
            command in "[A-Z]{1,8}",
            middle in proptest::collection::vec("[a-z#0-9][a-z:#@!*]{0,6}", 0..6),
            last in proptest::option::of("[ :a-z]{0,12}"),
        ) {
            let written: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
            let mut head = String::new();
            if !tags.is_empty() {
                head += &format!("@{} ", written.join(";"));
            }
            if let Some(source) = &source {
                head += &format!(":{source} ");
            }
            let mut line = command.clone();
            middle.iter().for_each(|word| line += &format!(" {word}"));
            if let Some(last) = &last {
                line += &format!(" :{last}");
            }
            let whole = format!("{head}{line}");
            let ours = Message::parse(&whole).unwrap();
            let theirs: irc_proto::Message = format!("{head}XCMD{line}\r\n").parse().unwrap();
            let their_tags: Vec<_> = theirs.tags.into_iter().flatten().map(|tag| (tag.0, tag.1.unwrap_or_default())).collect();
            let our_tags: Vec<_> = ours.tags().iter().map(|(key, value)| (key.to_owned(), value.into_owned())).collect();
            prop_assert_eq!(our_tags, their_tags);
            prop_assert_eq!(ours.source().map(str::to_owned), theirs.prefix.map(|prefix| prefix.to_string()));
            let irc_proto::Command::Raw(name, parameters) = theirs.command else {
                return Ok(());
            };
            prop_assert_eq!(name, format!("XCMD{}", ours.command()));
            prop_assert_eq!(parameters, ours.parameters());
        }
    }
}
