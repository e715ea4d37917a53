//! Checks detectors: a decision about a prefix must still hold when the prefix grows.

use super::hostile;
use super::{Rule, Speech, Violation, open, unpanicked};
use crate::random::Random;
use chat_core::protocol::{Detection, Detector};

/// The maximum length of a random prefix in bytes, before noise is added. Prefixes are short, because a detector may
/// decide on a long line before it has seen the end of the line.
const PREFIX_BYTES_MAX: usize = 400;

pub(super) fn check(detector: &impl Detector, speech: &Speech) -> Result<(), Violation> {
    for opening in &speech.openings {
        drop(open(detector, opening)?);
        grows(detector, format!("{opening}\n").as_bytes())?;
        grows(detector, format!("{opening}\r\n").as_bytes())?;
    }
    let lines: Vec<String> = speech
        .openings
        .iter()
        .chain(&speech.lines)
        .cloned()
        .collect();
    for seed in speech.seeds.clone() {
        let mut random = Random::new(seed);
        for _ in 0..16 {
            let mut prefix = hostile::line(&lines, &mut random).into_bytes();
            prefix.truncate(PREFIX_BYTES_MAX);
            if random.once_in(4) {
                prefix.extend((0..8).map(|_| random.next().to_le_bytes()[0]));
            }
            prefix.extend_from_slice(if random.once_in(4) {
                b"\r\nmore"
            } else {
                b"\n"
            });
            grows(detector, &prefix).map_err(|violation| violation.seeded(seed))?;
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Mine,
    NotMine,
    None,
}

fn decision(detector: &impl Detector, prefix: &[u8]) -> Result<Decision, Violation> {
    let doing = format!("sniffing {:?}", prefix.escape_ascii().to_string());
    Ok(match unpanicked(&doing, || detector.detect(prefix))? {
        Detection::Found(_) => Decision::Mine,
        Detection::NotFound => Decision::NotMine,
        Detection::NeedMore => Decision::None,
    })
}

/// Passes growing prefixes of the input to a detector, and checks that the detector never changes a decision.
fn grows(detector: &impl Detector, whole: &[u8]) -> Result<(), Violation> {
    let mut decided: Option<(usize, Decision)> = None;
    for end in 0..=whole.len() {
        let now = decision(detector, &whole[..end])?;
        match decided {
            None if now == Decision::None || end == 0 => {}
            None => decided = Some((end, now)),
            Some((_, before)) if before == now => {}
            Some((at, before)) => {
                let expected = format!(
                    "{before:?}, as for {:?}",
                    whole[..at].escape_ascii().to_string()
                );
                let seen = format!("{now:?} for {:?}", whole[..end].escape_ascii().to_string());
                return Err(Violation::new(Rule::Verdicts, expected, seen));
            }
        }
    }
    Ok(())
}
