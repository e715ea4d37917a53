//! Journals that break one rule each, and the violation that the suite reports for each.

use crate::store::{Fault, Store};
use chat_core::Limits;
use chat_core::log::{Epoch, Head, MemoryJournal};
use chat_testkit::conformance::{self, InMemory, Rule, Violation};
use chat_testkit::{Intercept, WrappedJournal};

async fn violation(fault: Fault) -> Violation {
    let store = match fault {
        Fault::ForgetsAGap => Store::new(fault).keeps(10),
        fault => Store::new(fault),
    };
    let run = conformance::journal(store).await;
    run.expect_err("a wrong journal breaks a rule")
}

#[tokio::test]
async fn a_journal_that_drops_a_batch_loses_messages() {
    let violation = violation(Fault::DropsABatch).await;
    assert_eq!(violation.rule, Rule::Loss, "{violation}");
    assert!(violation.expected.contains("plain #"), "{violation}");
}

#[tokio::test]
async fn a_journal_that_swaps_two_messages_breaks_their_order() {
    let violation = violation(Fault::SwapsTwo).await;
    assert_eq!(violation.rule, Rule::Order, "{violation}");
}

#[tokio::test]
async fn a_journal_that_gives_a_place_twice_is_told_whose_it_was() {
    let violation = violation(Fault::ReusesAPlace).await;
    assert_eq!(violation.rule, Rule::Places, "{violation}");
    assert!(violation.seen.contains("the place of"), "{violation}");
}

#[tokio::test]
async fn a_journal_that_forgets_a_gap_is_told_how_much_is_gone() {
    let violation = violation(Fault::ForgetsAGap).await;
    assert_eq!(violation.rule, Rule::Gaps, "{violation}");
    assert_eq!(violation.seen, "no gap", "{violation}");
}

#[tokio::test]
async fn other_faults_break_the_rule_that_they_should() {
    for (fault, rule) in [
        (Fault::ForgetsItsTail, Rule::Head),
        (Fault::ForgetsItsEpoch, Rule::Epoch),
        (Fault::ForgetsKeys, Rule::Content),
        (Fault::ForgetsAccounts, Rule::Content),
        (Fault::KeepsAuthors, Rule::Author),
        (Fault::AppendsWhenPolled, Rule::Cancelled),
        (Fault::ReadsEveryRoom, Rule::Rooms),
        (Fault::CutsTheWrongEnd, Rule::Ranges),
        (Fault::ReadsOneTooMany, Rule::Ranges),
        (Fault::InventsAGap, Rule::Gaps),
        (Fault::KeepsSpelling, Rule::Epoch),
        (Fault::ForgetsModes, Rule::Head),
    ] {
        let violation = violation(fault).await;
        assert_eq!(violation.rule, rule, "{fault:?}: {violation}");
    }
}

/// Wraps a journal so that a log that begins anew keeps its epoch.
#[derive(Clone)]
struct OneEpoch;

impl Intercept for OneEpoch {
    fn head(&self, mut head: Head) -> Head {
        head.epoch = Epoch(1);
        head
    }
}

#[tokio::test]
async fn a_log_that_begins_anew_with_its_old_epoch_lies_about_its_places() {
    let ring = InMemory(|| WrappedJournal::new(MemoryJournal::new(&Limits::default()), OneEpoch));
    let violation = conformance::journal(ring).await.unwrap_err();
    assert_eq!(violation.rule, Rule::Epoch, "{violation}");
}

#[tokio::test]
async fn what_a_random_run_finds_is_found_again_by_its_seed() {
    let first = violation(Fault::ForgetsKeys).await;
    let seed = first.seed.expect("only random runs give keys");
    let again = conformance::journal_with(Store::new(Fault::ForgetsKeys), [seed]).await;
    let again = again.unwrap_err();
    assert_eq!((again.rule, again.seed), (first.rule, Some(seed)));
    let shown = again.to_string();
    assert!(shown.contains(&format!("seed:     {seed}")), "{shown}");
    assert!(
        shown.contains("a message comes back as it was given"),
        "{shown}"
    );
    assert!(shown.contains("after:    "), "{shown}");
}
