//! `POST /rooms/{room}/messages`: publishes one message.

use crate::api::answers::json;
use crate::api::query::{Query, bad};
use crate::http::Body;
use chat_core::Guest;
use chat_core::log::TokenDigest;
use chat_core::protocol::{IfMissing, Refusal};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use std::borrow::Cow;

/// The header that holds the key of a message.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The body of a request in JSON.
#[derive(Deserialize)]
struct Posted<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
}

/// The answer to a request.
#[derive(Serialize)]
struct Published<'a> {
    room: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    seq: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dup: bool,
}

/// How the body of a request holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

/// Publishes the message of a request.
pub(super) async fn publish(
    guest: &Guest,
    room: &str,
    query: &Query,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response<Body>, Refusal> {
    let posted = parse(form(headers)?, body)?;
    let key = key(headers, posted.key.as_deref())?;
    let nick = query.get("nick");
    let owner = sender(guest, nick);
    let key = key.as_deref().map(|key| (key, owner));
    let if_missing = match query.flag("create")? {
        Some(false) => IfMissing::Refuse,
        Some(true) | None => IfMissing::Create,
    };
    let said = guest
        .publish(nick, room, &posted.text, key, if_missing)
        .await?;
    let status = if said.is_duplicate {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let published = Published {
        room: said.room.as_str(),
        epoch: said.epoch.map(|epoch| epoch.to_string()),
        seq: said.seq.0,
        dup: said.is_duplicate,
    };
    let (response, _) = json(status, &published);
    Ok(response)
}

/// Returns the form of a body by its content type. The body of a form is the text, because `curl -d` calls any text a
/// form; so is that of an unknown type.
fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    let Some(content) = headers.get(CONTENT_TYPE) else {
        return Ok(Form::Text);
    };
    let content = String::from_utf8_lossy(content.as_bytes()).to_ascii_lowercase();
    let mut parts = content.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    if media.starts_with("multipart/") {
        return Err(bad(
            "a body of several parts is not understood: send the text alone",
        ));
    }
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    let charset = charset.map(|charset| charset.trim_matches('"'));
    if charset.is_some_and(|charset| !matches!(charset, "utf-8" | "utf8" | "us-ascii")) {
        return Err(bad("send UTF-8"));
    }
    Ok(if media == "application/json" || media.ends_with("+json") {
        Form::Json
    } else {
        Form::Text
    })
}

fn parse(form: Form, body: &[u8]) -> Result<Posted<'_>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| bad("not UTF-8: send UTF-8"))?;
    match form {
        Form::Text => Ok(Posted {
            text: text.into(),
            key: None,
        }),
        // serde also accepts an array of the fields, in their order.
        Form::Json if !text.trim_start().starts_with('{') => Err(bad("not a JSON object")),
        Form::Json => serde_json::from_str(text).map_err(|error| {
            let error = error.to_string();
            bad(format!(
                "not an object with \"text\", a string: {}",
                chat_core::text::clean(&error)
            ))
        }),
    }
}

/// Returns the key of the message, which the header or the body may hold.
fn key<'a>(
    headers: &'a HeaderMap,
    in_body: Option<&'a str>,
) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(header) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(in_body.map(Cow::Borrowed));
    };
    let header = std::str::from_utf8(header.as_bytes());
    let header = header
        .map_err(|_| bad("Idempotency-Key: not UTF-8"))?
        .trim();
    // Some clients send a string of RFC 8941, in quotation marks.
    let quoted = header
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let header = quoted.unwrap_or(header);
    if in_body.is_some_and(|key| key != header) {
        return Err(bad("the key in the body is not that of Idempotency-Key"));
    }
    Ok(Some(header.into()))
}

/// Returns the owner of the keys of a sender: of its account, or else of its address and its nick. It is the same for
/// all requests of the sender, also after a restart.
fn sender(guest: &Guest, nick: Option<&str>) -> TokenDigest {
    // The prefix makes this digest different from other uses of SHA-1. Each part but the last one can't hold a newline,
    // so different senders have different inputs.
    let hash = Sha1::new_with_prefix("chat http sender\n");
    let hash = match guest.account() {
        Some(account) => hash
            .chain_update("account\n")
            .chain_update(account.as_str()),
        None => {
            let address = guest
                .peer()
                .address()
                .map(|address| address.ip().to_canonical());
            let address = address
                .map(|address| address.to_string())
                .unwrap_or_default();
            let names = guest.hub().names();
            // A name that is too long is refused later, so it need not be folded.
            let nick = nick.filter(|nick| nick.len() <= NICK_BYTES_MAX);
            let nick = nick.map(names.fold).unwrap_or_default();
            hash.chain_update("address\n")
                .chain_update(address)
                .chain_update("\n")
                .chain_update(nick)
        }
    };
    let mut digest = [0; TokenDigest::BYTES];
    let bytes = digest.iter_mut().zip(hash.finalize());
    bytes.for_each(|(to, from)| *to = from);
    TokenDigest::new(digest)
}

/// More bytes than any valid nick has.
const NICK_BYTES_MAX: usize = 1024;
