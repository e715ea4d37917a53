//! The connection suite for dialects: checks what a peer receives while the peer and other sessions send arbitrary
//! input.

use super::hostile;
use super::{Rule, Speech, Violation, shortened, written};
use crate::TestHub;
use crate::random::Random;
use chat_core::CloseReason;

/// Runs a dialect through the suite over connections to a hub. Each peer sends one of the first lines of the speech,
/// and then other lines of the speech and hostile lines, in pieces that end at any byte. The peers also receive what
/// other sessions send.
///
/// Use this suite for errors that only a hub can cause, and for dialects whose detector is not public, such as the
/// plain dialect.
///
/// The hub must serve the dialect and have no rate limit. Run the suite with paused time.
///
/// # Errors
///
/// Returns the first [`Violation`].
///
/// # Panics
///
/// Panics if another session has a nick that the suite uses. The nicks of the suite begin with `suite-`.
///
/// # Cancel safety
///
/// Dropping the future closes the peers' streams.
///
/// # Examples
///
/// ```
/// use chat_core::Limits;
/// use chat_testkit::TestHub;
/// use chat_testkit::conformance::{self, Speech};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let mut limits = Limits::default();
/// limits.rate = None;
/// let plain = Speech::new(["hello"]).lines(["/who", "/topic news"]).seeds(0..4);
/// conformance::assert_conforms(conformance::connection(&mut TestHub::new(limits), &plain).await);
/// # })
/// ```
pub async fn connection(hub: &mut TestHub, speech: &Speech) -> Result<(), Violation> {
    for opening in &speech.openings {
        for seed in speech.seeds.clone() {
            let done = one(hub, speech, opening, &mut Random::new(seed)).await;
            done.map_err(|violation| violation.seeded(seed))?;
        }
    }
    Ok(())
}

async fn one(
    hub: &mut TestHub,
    speech: &Speech,
    opening: &str,
    random: &mut Random,
) -> Result<(), Violation> {
    let lobby = hub.hub.lobby().as_str().to_owned();
    let other = hub.hub.session(None).await.expect("the hub gives nicks");
    let talker = other.join(&lobby).await.expect("the lobby is open");
    let mut peer = hub.connect_saying("peer", [opening]).await;
    let (mut written, mut sent) = (peer.bytes_until_quiet().await, opening.to_owned());
    let mut doing = format!("line {}", shortened(&format!("{opening:?}")));
    for _ in 0..30 {
        let mut said = match random.below(3) {
            0 => random.pick_or(&speech.lines, opening).to_owned(),
            _ => hostile::line(&speech.lines, random),
        };
        // The complete lines that have arrived are the output for the previous line.
        let end = written.iter().rposition(|&byte| byte == b'\n');
        let rest = written.split_off(end.map_or(0, |end| end + 1));
        written::check(&written, speech, &sent, &doing)?;
        written = rest;
        doing = format!("line {}", shortened(&format!("{said:?}")));
        said.push('\n');
        sent.push_str(&said);
        // The line is split at any byte, even within a character.
        let (head, tail) = said.as_bytes().split_at(random.below(said.len()));
        let is_open = peer.sends_if_open(head).await && peer.sends_if_open(tail).await;
        // A text that can't be published is an error for the talker only, not for the peer.
        drop(talker.say(&hostile::text_of(random)).await);
        drop(talker.act(&hostile::text_of(random)).await);
        drop(talker.set_topic(&hostile::text_of(random)).await);
        for session in hub.hub.rooms() {
            if let Some(nick) = hub
                .hub
                .info(session.room.as_str())
                .and_then(|info| info.nicks.last().cloned())
            {
                drop(other.tell(nick.as_str(), &hostile::text_of(random)).await);
            }
        }
        written.extend(peer.bytes_until_quiet().await);
        if !is_open {
            break;
        }
    }
    peer.ends_if_open().await;
    let ended = hub.try_ended().await;
    written.extend(peer.bytes_until_quiet().await);
    let wrong = |rule, seen: String| {
        let expected = "a connection that serves its peer to the end";
        Violation::new(rule, expected, format!("{seen}\n{}", peer.transcript()))
    };
    match ended {
        Err(panic) => return Err(wrong(Rule::Panics, panic)),
        Ok(CloseReason::Quit(_) | CloseReason::Disconnected) => {}
        Ok(reason) => return Err(wrong(Rule::Serves, reason.to_string())),
    }
    written::check(&written, speech, &sent, &doing)
}
