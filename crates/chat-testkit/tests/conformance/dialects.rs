//! The plain dialect satisfies the rules for dialects. For a dialect that breaks a rule, the suite reports this rule.

use crate::toy::{Fault, Toy};
use chat_core::{Hub, Limits};
use chat_testkit::TestHub;
use chat_testkit::conformance::{self, Rule, Speech};

fn unlimited() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    TestHub::new(limits)
}

#[tokio::test(start_paused = true)]
async fn the_plain_dialect_conforms() {
    let plain = Speech::new(["hello", "/nick suite-1", "/who"]).lines([
        "/help",
        "/nick suite-2",
        "/join ops",
        "/leave",
        "/who",
        "/rooms",
        "/me waves",
        "/topic news",
        "/topic",
        "/history 5",
        "/msg suite-2 hello",
        "/time off",
        "/quit so long",
        "//not a command",
        "hello",
    ]);
    let conforms = conformance::connection(&mut unlimited(), &plain).await;
    conformance::assert_conforms(conforms);
}

#[tokio::test]
async fn a_dialect_that_breaks_a_rule_is_told_which() {
    let speech = Speech::new(["TOY"]).lines(["hello {name}", "say", "page", "say say"]);
    let right = conformance::dialect(&Toy::new(Fault::None), &speech).await;
    conformance::assert_conforms(right);
    for (fault, rule) in [
        (Fault::Panics, Rule::Panics),
        (Fault::LeavesALineOpen, Rule::Lines),
        (Fault::RepeatsControls, Rule::Clean),
        (Fault::CountsBatches, Rule::Pieces),
        (Fault::NumbersItems, Rule::Repeatable),
        (Fault::HasAFormForEach, Rule::SharedForm),
        (Fault::ChangesItsMind, Rule::Verdicts),
    ] {
        let wrong = conformance::dialect(&Toy::new(fault), &speech).await;
        let violation = wrong.expect_err("a wrong dialect breaks a rule");
        assert_eq!(violation.rule, rule, "{fault:?}: {violation}");
        let shown = violation.to_string();
        assert!(shown.len() < 8192, "{fault:?}: {} bytes", shown.len());
        if let Fault::LeavesALineOpen = fault {
            assert!(shown.contains("replying Page to \"page\""), "{shown}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_dialect_panics_is_found_out() {
    let mut limits = Limits::default();
    limits.rate = None;
    let builder = Hub::builder().limits(limits);
    let mut hub = TestHub::build(builder).protocol(Toy::new(Fault::Panics));
    let speech = Speech::new(["TOY"]).lines(["hello {name}"]);
    let violation = conformance::connection(&mut hub, &speech)
        .await
        .unwrap_err();
    assert_eq!(violation.rule, Rule::Panics, "{violation}");
}
