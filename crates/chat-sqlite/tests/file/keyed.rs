//! What was said under keys, and by whom a log is written.

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
        let excerpts = page.excerpts.iter();
        let messages = excerpts.flat_map(|excerpt| excerpt.batch.messages(excerpt.range.clone()));
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

/// Two hubs on one journal would each miss what the other one's members say.
#[tokio::test]
async fn a_log_that_another_hub_has_opened_since_takes_nothing_more() {
    let dir = Dir::new();
    let journal = open(&dir.file());
    let first = log(&journal, "ops").await;
    say(&first, "one").await.unwrap();
    let second = log(&journal, "ops").await;
    let refused = say(&first, "lost?").await;
    assert!(
        matches!(&refused, Err(JournalError::Unavailable(why)) if why.contains("another hub")),
        "{refused:?}"
    );
    assert_eq!(say(&second, "two").await.unwrap(), Seq(2));
    drop(second);
    assert!(say(&first, "lost?").await.is_err());
    let third = log(&journal, "ops").await;
    assert_eq!(texts(&all(&third).await), ["one", "two"]);
}
