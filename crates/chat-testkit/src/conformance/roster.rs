//! The suite for rosters.

use crate::conformance::violation::{Rule, Violation};
use chat_core::Nick;
use chat_core::error::NickError;
use chat_core::log::{Account, SessionId, TokenDigest};
use chat_core::name::NameRules;
use chat_core::roster::{IfTaken, NickClaim, NickKeys, Roster};

/// Runs a roster that has no sessions yet through the suite. The suite checks these rules: a nick has one owner; two
/// owners can't have nicks that look alike; sessions of one account share a nick; after a take-over, the nick has no
/// other owner; a released nick is free.
///
/// # Errors
///
/// Returns the first [`Violation`].
///
/// # Cancel safety
///
/// Dropping the future ends the suite. The roster keeps the nicks that the suite has claimed so far.
pub async fn roster(roster: &impl Roster) -> Result<(), Violation> {
    let suite = Suite { roster };
    suite.one_owner().await?;
    suite.looks().await?;
    suite.sharing().await?;
    suite.taking_over().await
}

struct Suite<'a, R> {
    roster: &'a R,
}

fn keys(nick: &str) -> NickKeys {
    NickKeys::new(&NameRules::default(), &parsed(nick))
}

fn parsed(nick: &str) -> Nick {
    Nick::parse(nick).expect("the suite's nicks are names")
}

impl<R: Roster> Suite<'_, R> {
    fn id(&self, number: u64) -> SessionId {
        SessionId::new(self.roster.incarnation(), number)
    }

    fn claim(&self, number: u64, nick: &str) -> NickClaim {
        NickClaim::new(self.id(number), parsed(nick), keys(nick))
    }

    async fn expect(
        &self,
        what: &str,
        claim: NickClaim,
        is_expected: impl Fn(&Result<Vec<SessionId>, NickError>) -> bool,
    ) -> Result<(), Violation> {
        let claimed = self.roster.claim(claim).await;
        let claimed = claimed.map(|claimed| claimed.replaced);
        if is_expected(&claimed) {
            Ok(())
        } else {
            Err(Violation::new(Rule::Nicks, what, format!("{claimed:?}")))
        }
    }

    fn owners(&self, nick: &str, expected: &[u64]) -> Result<(), Violation> {
        let mut seen = self.roster.find(&keys(nick).key);
        seen.sort_unstable();
        let expected: Vec<_> = expected.iter().map(|number| self.id(*number)).collect();
        if seen == expected {
            return Ok(());
        }
        let what = format!("{nick} is owned by {expected:?}");
        Err(Violation::new(Rule::Nicks, what, format!("{seen:?}")))
    }

    async fn one_owner(&self) -> Result<(), Violation> {
        let is_taken = |claimed: &Result<_, _>| matches!(claimed, Err(NickError::Taken(_)));
        self.expect("a free nick is had", self.claim(1, "Kim"), Result::is_ok)
            .await?;
        self.expect("a taken nick is refused", self.claim(2, "kim"), is_taken)
            .await?;
        self.expect(
            "its owner spells it anew",
            self.claim(1, "KIM"),
            Result::is_ok,
        )
        .await?;
        self.roster.release(self.id(2), &keys("kim"));
        self.owners("kim", &[1])?;
        self.roster.release(self.id(1), &keys("kim"));
        self.owners("kim", &[])?;
        self.expect(
            "a released nick is free",
            self.claim(2, "kim"),
            Result::is_ok,
        )
        .await?;
        self.roster.release(self.id(2), &keys("kim"));
        Ok(())
    }

    async fn looks(&self) -> Result<(), Violation> {
        // The second name begins with a Cyrillic letter.
        let (latin, cyrillic) = ("paul", "\u{440}aul");
        if keys(latin).shape != keys(cyrillic).shape {
            return Ok(());
        }
        let looks = |claimed: &Result<_, _>| matches!(claimed, Err(NickError::LooksLike { .. }));
        self.expect("a free nick is had", self.claim(1, latin), Result::is_ok)
            .await?;
        self.expect(
            "a nick that looks like it is refused",
            self.claim(2, cyrillic),
            looks,
        )
        .await?;
        self.owners(cyrillic, &[])?;
        self.roster.release(self.id(1), &keys(latin));
        self.expect("then it is free", self.claim(2, cyrillic), Result::is_ok)
            .await?;
        self.roster.release(self.id(2), &keys(cyrillic));
        Ok(())
    }

    async fn sharing(&self) -> Result<(), Violation> {
        let of_account = |number, account: &str| {
            let mut claim = self.claim(number, "kim");
            claim.account = Account::parse(account).ok();
            claim
        };
        let is_taken = |claimed: &Result<_, _>| matches!(claimed, Err(NickError::Taken(_)));
        self.expect("a free nick is had", of_account(1, "a"), Result::is_ok)
            .await?;
        self.expect("its account shares it", of_account(2, "a"), Result::is_ok)
            .await?;
        self.expect("another account does not", of_account(3, "b"), is_taken)
            .await?;
        self.expect("no account does not", self.claim(3, "kim"), is_taken)
            .await?;
        self.owners("kim", &[1, 2])?;
        self.roster.release(self.id(1), &keys("kim"));
        self.owners("kim", &[2])?;
        self.roster.release(self.id(2), &keys("kim"));
        self.owners("kim", &[])
    }

    async fn taking_over(&self) -> Result<(), Violation> {
        let of_client = |number, token: u8| {
            let mut claim = self.claim(number, "kim");
            claim.token = Some(TokenDigest::new([token; TokenDigest::BYTES]));
            claim.if_taken = IfTaken::TakeOver;
            claim
        };
        let is_taken = |claimed: &Result<_, _>| matches!(claimed, Err(NickError::Taken(_)));
        self.expect("a free nick is had", of_client(1, 7), Result::is_ok)
            .await?;
        self.expect("another client does not take it", of_client(2, 8), is_taken)
            .await?;
        let ghost = vec![self.id(1)];
        self.expect("its client takes it over", of_client(3, 7), |claimed| {
            claimed.as_ref() == Ok(&ghost)
        })
        .await?;
        self.owners("kim", &[3])?;
        // Session 1 ends after session 3 has taken its nick over. The end of session 1 does not free the nick.
        self.roster.release(self.id(1), &keys("kim"));
        self.owners("kim", &[3])?;
        self.roster.release(self.id(3), &keys("kim"));
        self.owners("kim", &[])
    }
}
