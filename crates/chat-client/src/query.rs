//! `chat-client rooms` and `chat-client who`: send one request, and print the answer.

use std::process::ExitCode;

use serde_json::json;

use crate::args::ServerArgs;
use crate::script;

/// Lists the rooms that have members.
pub(crate) async fn rooms(server: &ServerArgs, json: bool) -> anyhow::Result<ExitCode> {
    let (client, _events) = script::open(script::client(server), server).await?;
    for listing in client.rooms().await? {
        let line = if json {
            json!({ "room": listing.room, "count": listing.count, "topic": listing.topic })
                .to_string()
        } else {
            let line = format!("{}\t{}\t{}", listing.room, listing.count, listing.topic);
            line.trim_end().to_owned()
        };
        if !script::print(&line)? {
            break;
        }
    }
    client.quit("").await.ok();
    Ok(ExitCode::SUCCESS)
}

/// Lists the members of a room.
pub(crate) async fn who(server: &ServerArgs, room: &str, json: bool) -> anyhow::Result<ExitCode> {
    let (client, _events) = script::open(script::client(server), server).await?;
    let present = client.who(room).await?;
    if json {
        let object =
            json!({ "room": present.room, "count": present.count, "members": present.members });
        script::print(&object.to_string())?;
    } else {
        for nick in &present.members {
            if !script::print(nick)? {
                return Ok(ExitCode::SUCCESS);
            }
        }
        let unnamed = present.count.saturating_sub(present.members.len());
        if unnamed > 0 {
            script::notice(&format!("and {unnamed} more"));
        }
    }
    client.quit("").await.ok();
    Ok(ExitCode::SUCCESS)
}
