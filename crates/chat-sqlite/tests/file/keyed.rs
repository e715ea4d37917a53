//! Keys of messages, and which hub may append to a log.

use super::*;

async fn say_under(log: &SqliteLog, at: u64, key: Option<&str>) {
    let mut drafts = Drafts::new(SessionId(7), Nick::parse("alice").unwrap(), Timestamp(at));
    drafts.restore(Kind::Said, &"long ".repeat(800), key);
    log.append(drafts).await.unwrap();
}

#[tokio::test]
async fn what_was_said_under_keys_lately_is_found_without_its_texts() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    let (ops, tea) = (log(&journal, "ops").await, log(&journal, "tea").await);
    for number in 1..=40 {
        let key = format!("k{number}");
        say_under(&ops, number, (number % 2 == 0).then_some(&key)).await;
        say_under(&tea, number, Some("elsewhere")).await;
    }
    let keys = async |since, limit| {
        let page = ops.keyed(Timestamp(since), limit).await.unwrap();
        let slices = page.slices.iter();
        let messages = slices.flat_map(|slice| slice.batch.messages(slice.range.clone()));
        let keys: Vec<_> = messages
            .map(|message| {
                assert_eq!(message.text, "");
                assert!(message.key == Some(&*format!("k{}", message.seq.0)));
                message.seq.0
            })
            .collect();
        keys
    };
    assert_eq!(keys(35, 100).await, [36, 38, 40]);
    assert_eq!(keys(0, 2).await, [38, 40]);
    assert_eq!(keys(0, 100).await.len(), 20);
    assert_eq!(keys(41, 100).await.len(), 0);
}

/// If two hubs appended to one journal, each hub would miss the messages of the other hub.
#[tokio::test]
async fn a_log_that_does_not_know_what_another_hub_has_said_takes_nothing_more() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    let refuses = async |log: &SqliteLog| {
        let refused = say(log, "lost?").await;
        assert!(
            matches!(&refused, Err(JournalError::Unavailable(why)) if why.contains("another hub")),
            "{refused:?}"
        );
    };
    let first = log(&journal, "ops").await;
    say(&first, "one").await.unwrap();
    let second = log(&journal, "ops").await;
    let third = log(&journal, "ops").await;
    assert_eq!(say(&second, "two").await.unwrap(), Seq(2));
    refuses(&first).await;
    refuses(&third).await;
    drop(second);
    refuses(&first).await;
    let fourth = log(&journal, "ops").await;
    assert_eq!(say(&fourth, "three").await.unwrap(), Seq(3));
    assert_eq!(texts(&all(&fourth).await), ["one", "two", "three"]);
}

/// Opening a log only to read it does not affect the hub that appends to the log.
#[tokio::test]
async fn a_log_is_written_on_while_others_only_look_at_it() {
    let dir = Dir::new();
    written(&dir.file(), 1).await;
    let journal = open(&dir.file());
    let room = log(&journal, "ops").await;
    let looked = log(&journal, "ops").await;
    say(&room, "one").await.unwrap();
    drop(log(&journal, "ops").await);
    say(&room, "two").await.unwrap();
    drop(looked);
    say(&room, "three").await.unwrap();
}
