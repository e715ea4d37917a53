//! Applies the answers of the policy to requests.

use crate::hub::{Decision, Hub, Visitor};
use crate::protocol::Refusal;

/// Converts the answer of the policy. Returns `None` if the request is allowed unchanged, and the changed request if
/// the policy has changed it. `decision` is `None` if the policy failed or did not answer in time; the failure is
/// counted, and the request is refused.
pub(crate) fn decided(hub: &Hub, decision: Option<Decision>) -> Result<Option<String>, Refusal> {
    match decision {
        Some(Decision::Allow) => Ok(None),
        Some(Decision::Change(change)) => Ok(Some(change)),
        Some(Decision::Refuse(reason)) => Err(Refusal::denied(&reason, hub.limits())),
        None => {
            hub.note_policy_failure();
            Err(Refusal::undecided())
        }
    }
}

/// Returns whether the policy lets a peer learn that the room with this key exists. Without a policy, a peer sees all
/// rooms.
pub(crate) fn may_see(hub: &Hub, who: &Visitor, room: &str) -> bool {
    let seen = hub
        .policy()
        .map_or(Some(true), |policy| policy.may_see(who, room));
    unless_failed(hub, seen)
}

/// Returns whether the policy lets a peer see the members of the room with this key.
pub(crate) fn may_see_members(hub: &Hub, who: &Visitor, room: &str) -> bool {
    let seen = hub
        .policy()
        .map_or(Some(true), |policy| policy.may_see_members(who, room));
    unless_failed(hub, seen)
}

/// Returns the answer of the policy, or `false` if the policy has failed.
fn unless_failed(hub: &Hub, answer: Option<bool>) -> bool {
    answer.unwrap_or_else(|| {
        hub.note_policy_failure();
        false
    })
}
