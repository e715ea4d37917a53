//! Masks: patterns that stand for users, by nick, user and host or by account.
//!
//! Invariant: a match takes time that grows with the length of the mask plus the length of the matched text, whatever
//! the mask is. A mask has no white space and no control character.

use crate::log::account::Account;
use crate::name::{NameRules, Nick};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The beginning of a mask that stands for accounts.
const ACCOUNT_PREFIX: &str = "$a:";

/// A pattern that stands for users: `nick!user@host`, or `$a:NAME` for an account. In both forms `*` stands for any
/// characters and `?` for one character.
///
/// Nicks, users and hosts are compared as nicks are ([`NameRules::fold`]). Accounts are compared as they are spelled.
///
/// # Examples
///
/// ```
/// use chat_core::rooms::Mask;
///
/// assert_eq!(Mask::parse("Bob")?.as_str(), "bob!*@*");
/// assert_eq!(Mask::parse("*@10.0.*")?.as_str(), "*!*@10.0.*");
/// assert_eq!(Mask::parse("$a:Kim")?.as_str(), "$a:Kim");
/// assert!(Mask::parse("two words").is_err());
/// # Ok::<(), chat_core::rooms::MaskError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mask(Arc<str>);

/// The error for a text that can't be a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskError;

/// A user, in the form in which masks are compared with it.
#[derive(Debug)]
pub struct MaskSubject<'a> {
    /// The folded `nick!user@host`.
    text: String,
    account: Option<&'a Account>,
    fold: fn(&str) -> String,
}

impl Mask {
    /// The longest mask in bytes.
    pub const BYTES_MAX: usize = 256;

    /// Parses a mask. A mask that has only some of the parts of `nick!user@host` is completed with `*`. Letters become
    /// small letters, except in a mask for accounts.
    ///
    /// # Errors
    ///
    /// The text is empty, holds white space or a control character, or is longer than [`BYTES_MAX`](Self::BYTES_MAX)
    /// when it is completed.
    pub fn parse(text: &str) -> Result<Self, MaskError> {
        let is_bad = |c: char| c.is_whitespace() || c.is_control();
        if text.is_empty() || text.len() > Self::BYTES_MAX || text.chars().any(is_bad) {
            return Err(MaskError);
        }
        let mask = match text.strip_prefix(ACCOUNT_PREFIX) {
            Some("") => return Err(MaskError),
            Some(_) => text.to_owned(),
            None => complete(&text.to_lowercase()),
        };
        let is_clean = crate::text::clean(&mask) == mask;
        if is_clean && mask.len() <= Self::BYTES_MAX {
            Ok(Self(mask.into()))
        } else {
            Err(MaskError)
        }
    }

    /// Returns the text of the mask.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the mask stands for this user.
    #[must_use]
    pub fn matches(&self, who: &MaskSubject<'_>) -> bool {
        self.compile(who).matches(who)
    }

    /// Compiles the mask to be matched with many users, all of which are folded as this one.
    pub(crate) fn compile(&self, who: &MaskSubject<'_>) -> MaskPattern {
        match self.0.strip_prefix(ACCOUNT_PREFIX) {
            Some(pattern) => MaskPattern::new(pattern, true),
            None => MaskPattern::new(&(who.fold)(&self.0), false),
        }
    }
}

/// Adds the parts of `nick!user@host` that the mask does not have.
fn complete(mask: &str) -> String {
    let (nick, rest) = mask.split_once('!').map_or_else(
        || match mask.contains('@') {
            true => ("*", mask),
            false => (mask, "*@*"),
        },
        |(nick, rest)| (nick, rest),
    );
    let (user, host) = rest.split_once('@').unwrap_or((rest, "*"));
    let or_any = |part: &str| if part.is_empty() { "*" } else { part }.to_owned();
    format!("{}!{}@{}", or_any(nick), or_any(user), or_any(host))
}

impl<'a> MaskSubject<'a> {
    /// Describes a user. `user_host` is the user and the host, as in `user@host`.
    #[must_use]
    pub fn new(
        nick: &Nick,
        user_host: &str,
        account: Option<&'a Account>,
        names: &NameRules,
    ) -> Self {
        Self::with_fold(nick.as_str(), user_host, account, names.fold)
    }

    pub(crate) fn with_fold(
        nick: &str,
        user_host: &str,
        account: Option<&'a Account>,
        fold: fn(&str) -> String,
    ) -> Self {
        Self {
            text: fold(&format!("{nick}!{user_host}")),
            account,
            fold,
        }
    }
}

/// Places in a pattern, one bit each.
type Places = Vec<u64>;

/// A mask that is ready to be matched.
#[derive(Debug)]
pub(crate) struct MaskPattern {
    is_of_account: bool,
    /// The number of characters.
    end: usize,
    /// The places of `?`, of `*`, and of each other character.
    any: Places,
    stars: Places,
    literals: BTreeMap<char, Places>,
}

impl MaskPattern {
    fn new(pattern: &str, is_of_account: bool) -> Self {
        let mut chars: Vec<char> = pattern.chars().collect();
        // Adjacent stars stand for the same as one star. `pass_stars` passes only one.
        chars.dedup_by(|a, b| (*a, *b) == ('*', '*'));
        let end = chars.len();
        let none = vec![0; end / 64 + 1];
        let (mut any, mut stars): (Places, Places) = (none.clone(), none.clone());
        let mut literals: BTreeMap<char, Places> = BTreeMap::new();
        for (at, &c) in chars.iter().enumerate() {
            let places = match c {
                '*' => &mut stars,
                '?' => &mut any,
                c => literals.entry(c).or_insert_with(|| none.clone()),
            };
            places[at / 64] |= 1 << (at % 64);
        }
        Self {
            is_of_account,
            end,
            any,
            stars,
            literals,
        }
    }

    /// Returns whether the mask stands for the user.
    pub(crate) fn matches(&self, who: &MaskSubject<'_>) -> bool {
        if !self.is_of_account {
            return self.is_match(&who.text);
        }
        let account = who.account;
        account.is_some_and(|account| self.is_match(account.as_str()))
    }

    /// Returns whether the pattern stands for the whole text.
    ///
    /// The state is a set of places in the pattern. A place is in the set if the pattern up to this place stands for
    /// the text that was read so far. So each character of the text is read once, and takes a few operations for each
    /// 64 characters of the pattern.
    fn is_match(&self, text: &str) -> bool {
        let Self {
            end, any, stars, ..
        } = self;
        let none = vec![0; any.len()];
        let mut reached = none.clone();
        reached[0] = 1;
        pass_stars(&mut reached, stars);
        for c in text.chars() {
            let same = self.literals.get(&c).unwrap_or(&none);
            let mut carry = 0;
            for (word, reached) in reached.iter_mut().enumerate() {
                let passed = *reached & (any[word] | same[word]);
                *reached = passed << 1 | carry | *reached & stars[word];
                carry = passed >> 63;
            }
            pass_stars(&mut reached, stars);
        }
        reached[end / 64] >> (end % 64) & 1 == 1
    }
}

/// Adds the places after stars to the set, because a star may stand for no character.
fn pass_stars(reached: &mut Places, stars: &Places) {
    let mut carry = 0;
    for (reached, stars) in reached.iter_mut().zip(stars) {
        let passed = *reached & stars;
        *reached |= passed << 1 | carry;
        carry = passed >> 63;
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a mask is nick!user@host or $a:account, without spaces, at most {} bytes",
            Mask::BYTES_MAX
        )
    }
}

impl std::error::Error for MaskError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn is_match(pattern: &str, text: &str) -> bool {
        MaskPattern::new(pattern, false).is_match(text)
    }

    /// The obvious matcher, which takes exponential time.
    fn is_match_by_trying(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => {
                (0..=text.len()).any(|skipped| is_match_by_trying(rest, &text[skipped..]))
            }
            Some((c, rest)) => text.split_first().is_some_and(|(first, text)| {
                (*c == '?' || c == first) && is_match_by_trying(rest, text)
            }),
        }
    }

    #[test]
    fn a_mask_agrees_with_the_obvious_matcher() {
        // A linear congruential generator with the constants of Knuth's MMIX; its seed is fixed.
        let mut state = 17_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut matches = 0;
        for _ in 0..20_000 {
            let pattern: Vec<char> = (0..random(9))
                .map(|_| ['a', 'b', '한', '*', '*', '?'][random(6) as usize])
                .collect();
            let text: Vec<char> = (0..random(9))
                .map(|_| ['a', 'b', '한'][random(3) as usize])
                .collect();
            let found = is_match(&String::from_iter(&pattern), &String::from_iter(&text));
            assert_eq!(
                found,
                is_match_by_trying(&pattern, &text),
                "{pattern:?} {text:?}"
            );
            matches += usize::from(found);
        }
        assert!(matches > 1000, "{matches}");
    }

    #[test]
    fn a_mask_of_many_words_matches_over_their_borders() {
        for len in [62, 63, 64, 65, 127, 128, 129, 200] {
            let text = "x".repeat(len);
            assert!(is_match(&text, &text));
            assert!(is_match(&format!("{text}*"), &text));
            assert!(is_match(&format!("*{text}"), &text));
            assert!(is_match(&"?".repeat(len), &text));
            assert!(!is_match(&format!("{text}?"), &text));
            assert!(!is_match(&format!("{text}x"), &text));
            assert!(!is_match(&text, &format!("{text}x")));
        }
    }

    #[test]
    fn a_mask_with_many_stars_takes_linear_time() {
        let mask = "*a?".repeat(80) + "b";
        let text = "a".repeat(400);
        let began = Instant::now();
        for _ in 0..100 {
            assert!(!is_match(&mask, &text));
        }
        // Measured: about 30 ms without optimisation. A matcher that backtracks does not end.
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_mask_is_completed_and_compared_as_nicks_are() {
        for (typed, mask) in [
            ("Bob", "bob!*@*"),
            ("bob!", "bob!*@*"),
            ("u@H", "*!u@h"),
            ("bob!u", "bob!u@*"),
            ("@h", "*!*@h"),
            ("*", "*!*@*"),
            ("$a:Kim", "$a:Kim"),
        ] {
            assert_eq!(Mask::parse(typed).unwrap().as_str(), mask);
            assert_eq!(Mask::parse(mask).unwrap().as_str(), mask);
        }
        for bad in ["", "a b", "a\tb", "a\u{1b}b", "$a:", &"x".repeat(253)] {
            assert_eq!(Mask::parse(bad), Err(MaskError), "{bad:?}");
        }
        let names = NameRules::default();
        let nick = Nick::parse("BÖB").unwrap();
        let kim = Account::parse("Kim").unwrap();
        let who = MaskSubject::new(&nick, "u@10.0.0.7", Some(&kim), &names);
        for mask in ["böb", "b?b!u@*", "*@10.0.*", "*", "$a:Kim", "$a:K*"] {
            assert!(Mask::parse(mask).unwrap().matches(&who), "{mask}");
        }
        for mask in ["bob", "böb!x@*", "*@10.1.*", "$a:kim", "$a:K"] {
            assert!(!Mask::parse(mask).unwrap().matches(&who), "{mask}");
        }
        let guest = MaskSubject::new(&nick, "u@h", None, &names);
        assert!(!Mask::parse("$a:*").unwrap().matches(&guest));
    }
}
