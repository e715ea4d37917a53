//! Events of members in process, in words.

use chat_core::{Event, PresenceChange};

/// Describes an event in words, so that a test can compare the events of members and followers in process with texts.
///
/// # Examples
///
/// ```
/// use chat_core::Hub;
/// use chat_testkit::in_words;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::default();
/// let [alice, bob] = [hub.session(Some("alice")).await?, hub.session(Some("bob")).await?];
/// let mut listening = alice.join("lobby").await?;
/// let talking = bob.join("lobby").await?;
/// talking.say("hello").await?;
/// for expected in ["bob joined", "hello"] {
///     assert_eq!(in_words(&listening.next().await.unwrap()), expected);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use]
pub fn in_words(event: &Event) -> String {
    match event {
        Event::Message(message) => message.text().to_owned(),
        Event::Replayed(message) => format!("replayed {}", message.text()),
        Event::Gap(missed) => format!("{missed:?}"),
        Event::Closed(reason) => format!("closed {reason}"),
        Event::Presence(presence) => match &presence.change {
            PresenceChange::Joined => format!("{} joined", presence.nick),
            PresenceChange::Left { .. } => format!("{} left", presence.nick),
            PresenceChange::Renamed { to } => format!("{} is {to}", presence.nick),
            other => format!("{} {other:?}", presence.nick),
        },
        Event::Present(info) => {
            let nicks: Vec<_> = info.nicks.iter().map(|nick| nick.as_str()).collect();
            format!("present: {}", nicks.join(" "))
        }
        other => format!("{other:?}"),
    }
}
