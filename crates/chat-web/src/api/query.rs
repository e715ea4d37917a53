//! The query of a request: its parameters, percent-decoded.

use chat_core::Seq;
use chat_core::log::{Epoch, Position};
use chat_core::protocol::{Code, Refusal};

/// The parameters of a query. Unknown ones are ignored. Of several with one name, the first counts.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

/// A position that a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    /// `None`: the present epoch of the log.
    pub(super) epoch: Option<Epoch>,
    pub(super) seq: Seq,
}

impl Query {
    /// Parses the part of a target after `?`.
    pub(super) fn parse(query: &str) -> Result<Self, Refusal> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name, ' ')?, decode(value, ' ')?))
        });
        let decoded = decoded.collect::<Option<_>>();
        decoded
            .map(Self)
            .ok_or_else(|| bad("the query is not percent-encoded UTF-8"))
    }

    /// Returns a parameter; `None` if it is absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Returns the parameter `limit`.
    pub(super) fn limit(&self) -> Result<Option<usize>, Refusal> {
        let limit = self.get("limit").map(str::parse).transpose();
        limit.map_err(|_| bad("limit: a number of messages"))
    }

    /// Returns a parameter that is a position.
    pub(super) fn position(&self, name: &str) -> Result<Option<Named>, Refusal> {
        let position = self.get(name).map(Named::parse).transpose();
        position.map_err(|()| {
            bad(format!(
                "{name}: a position, as EPOCH:SEQ or as a number alone"
            ))
        })
    }

    /// Returns a parameter that is `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(bad(format!("{name}: true or false"))),
        }
    }
}

impl Named {
    /// Parses `EPOCH:SEQ`, or a number alone.
    pub(super) fn parse(text: &str) -> Result<Self, ()> {
        let (epoch, seq) = match text.split_once(':') {
            Some((epoch, seq)) => (Some(epoch.parse().map_err(drop)?), seq),
            None => (None, text),
        };
        // `parse` also accepts a sign.
        if !seq.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(());
        }
        let seq = Seq(seq.parse().map_err(drop)?);
        Ok(Self { epoch, seq })
    }

    /// Writes a position as [`parse`](Self::parse) reads it.
    pub(super) fn write(Position { epoch, seq }: Position) -> String {
        format!("{epoch}:{seq}")
    }
}

/// Decodes percent-encoded text, in which `plus` is written as `+`. Returns `None` if an escape is not valid, or the
/// result is not UTF-8.
pub(super) fn decode(text: &str, plus: char) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                bytes.push(high << 4 | low);
            }
            b'+' => bytes.extend(plus.encode_utf8(&mut [0; 4]).bytes()),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

pub(super) fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_the_first_of_a_name_counts() {
        let query = Query::parse("nick=%EA%B9%80&q=a+b%2B&nick=lee&&flag&after=").unwrap();
        assert_eq!(query.get("nick"), Some("김"));
        assert_eq!(query.get("q"), Some("a b+"));
        for absent in ["flag", "after", "limit"] {
            assert_eq!(query.get(absent), None, "{absent}");
        }
        for wrong in ["a=%f", "a=%ff", "%=1", "a=%+1"] {
            assert!(Query::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_position_is_an_epoch_and_a_number_or_a_number() {
        let seq = Seq(1041);
        assert_eq!(Named::parse("1041"), Ok(Named { epoch: None, seq }));
        let epoch = Epoch(123);
        let text = Named::write(Position { epoch, seq });
        let epoch = Some(epoch);
        assert_eq!(Named::parse(&text), Ok(Named { epoch, seq }));
        for wrong in [
            "",
            ":1",
            "k3f:",
            "k3f",
            "-1",
            "+1",
            "K:1",
            "1:2:3",
            "99999999999999999999",
        ] {
            assert_eq!(Named::parse(wrong), Err(()), "{wrong}");
        }
    }
}
