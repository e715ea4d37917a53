//! Creates hubs that speak HTTP, and parses their answers into a form that tests can compare.

use chat_core::Limits;
use chat_json::JsonLines;
use chat_testkit::{TestHub, Wire};
use chat_web::{Web, WebLimits};
use std::time::Duration;

/// A hub whose connections may speak HTTP, with the default limits.
pub(crate) fn web_hub() -> TestHub {
    web_hub_with(Limits::default(), WebLimits::default())
}

pub(crate) fn web_hub_with(limits: Limits, web_limits: WebLimits) -> TestHub {
    let hub = TestHub::new(limits);
    let json = JsonLines::default();
    let web = Web::new(hub.hub.clone(), json.clone()).limits(web_limits);
    hub.protocol(web).protocol(json)
}

/// An answer as it arrived.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Sends a request with this request line (without the version) and these headers to `localhost`. Returns the answer.
pub(crate) async fn ask(wire: &mut Wire, request_line: &str, headers: &[&str]) -> Answer {
    let mut request = format!("{request_line} HTTP/1.1\r\nHost: localhost:5000\r\n");
    for header in headers {
        request += header;
        request += "\r\n";
    }
    request += "\r\n";
    wire.sends_bytes(request.as_bytes()).await;
    let mut answers = answers(wire).await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// Sends bytes, and returns the answers.
pub(crate) async fn exchange(wire: &mut Wire, bytes: &[u8]) -> Vec<Answer> {
    wire.sends_bytes(bytes).await;
    answers(wire).await
}

/// Returns the answers that arrive until no task has work, or the stream ends.
pub(crate) async fn answers(wire: &mut Wire) -> Vec<Answer> {
    let mut bytes = Vec::new();
    while let Ok(chunk) = tokio::time::timeout(Duration::from_millis(1), wire.next_bytes()).await {
        if chunk.is_empty() {
            break;
        }
        bytes.extend(chunk);
    }
    parsed(&bytes)
}

/// Reads until this text has arrived.
pub(crate) async fn sees(wire: &mut Wire, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        let chunk = wire.next_bytes().await;
        assert!(!chunk.is_empty(), "the stream has ended: {seen}");
        seen += &String::from_utf8_lossy(&chunk);
    }
}

/// Returns whether the server has closed the connection.
pub(crate) async fn is_closed(wire: &mut Wire) -> bool {
    let read = tokio::time::timeout(Duration::from_millis(1), wire.next_bytes()).await;
    read.is_ok_and(|bytes| bytes.is_empty())
}

fn parsed(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let mut answer = Answer {
            status,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        bytes = &bytes[end + 4..];
        let length = bytes.len().min(length);
        answer.body = bytes[..length].to_vec();
        bytes = &bytes[length..];
        answers.push(answer);
    }
    answers
}
