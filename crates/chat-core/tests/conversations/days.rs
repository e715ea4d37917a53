//! Messages of earlier days, as the plain dialect shows them.

use chat_core::log::Timestamp;
use chat_core::{Hub, Limits};
use chat_testkit::TestHub;
use std::sync::atomic::{AtomicU64, Ordering};

/// The time that the hub's clock shows, in minutes since 1970.
static NOW: AtomicU64 = AtomicU64::new(0);

/// Sets the clock to a minute of a day in January 1970.
fn go_to(day: u64, minute: u64) {
    NOW.store((day - 1) * 24 * 60 + minute, Ordering::Relaxed);
}

fn hub() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    let clock = || Timestamp(NOW.load(Ordering::Relaxed) * 60_000);
    TestHub::over(Hub::builder().limits(limits).clock(clock).build())
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_again_has_its_day_and_today_ends_it() {
    let mut hub = hub();
    let ci = hub.hub.session(Some("ci")).await.unwrap();
    for (day, minute, text) in [(1, 60, "one"), (1, 120, "two"), (3, 0, "three")] {
        go_to(day, minute);
        ci.publish("lobby", text).await.unwrap();
    }
    go_to(5, 600);
    let mut kim = hub.connect("kim");
    kim.sends("/nick kim").await;
    let past = [
        "* 1970-01-01",
        "01:00 ci: one",
        "02:00 ci: two",
        "* 1970-01-03",
        "00:00 ci: three",
        "* 1970-01-05 (today)",
    ];
    kim.sees("* you are guest-1 in lobby: /nick NAME changes your nick, /help lists the commands")
        .await;
    kim.sees("* nobody else is here yet").await;
    for line in past {
        kim.sees(line).await;
    }
    kim.sees("* you are now kim").await;
    ci.publish("lobby", "four").await.unwrap();
    kim.sees("10:00 ci: four").await;
    // Messages of the present day are shown without a date.
    kim.sends("/history 2").await;
    for line in [
        "* 1970-01-03",
        "00:00 ci: three",
        "* 1970-01-05 (today)",
        "10:00 ci: four",
    ] {
        kim.sees(line).await;
    }
    kim.sends("/history 1").await;
    kim.sees("10:00 ci: four").await;
    kim.sends("/time off").await;
    kim.sees("* the time is not shown").await;
    kim.sends("/history 2").await;
    kim.sees("ci: three").await;
    kim.sees("ci: four").await;
    kim.sees_nothing().await;
    the_days_fit_into_the_thousand_bytes_of_a_greeting().await;
}

/// Runs as a part of the test above, because both tests set the same clock.
async fn the_days_fit_into_the_thousand_bytes_of_a_greeting() {
    for bytes in 0..60 {
        let mut hub = hub();
        let ci = hub.hub.session(Some("ci")).await.unwrap();
        for day in 1..20 {
            go_to(day, 0);
            ci.publish("lobby", &"x".repeat(10 + bytes)).await.unwrap();
        }
        go_to(20, 0);
        // The client sends no line, so the hub greets it as a person.
        let mut kim = hub.connect("kim");
        let mut greeting = Vec::new();
        while !greeting
            .last()
            .is_some_and(|line: &String| line.ends_with("(today)"))
        {
            greeting.push(kim.next_line().await.unwrap());
        }
        let length: usize = greeting.iter().map(|line| line.len() + 1).sum();
        assert!((600..=1000).contains(&length), "{length}: {greeting:#?}");
        kim.sees_nothing().await;
    }
}
