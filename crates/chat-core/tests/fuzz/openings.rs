//! The first bytes of connections: bytes of another protocol are never treated as chat, and no bytes make the server
//! loop without end.

use crate::harness::{check, in_paused_time};
use crate::peer::Stage;
use chat_core::{Hub, Limits};
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::Duration;

/// Returns the first bytes of a connection. Many of these beginnings do not identify the protocol at once.
fn beginning() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            &b"GET /"[..], b"POST /say?x=1", b"\x16", b"SSH-2.0", b"EHLO ", b"GET", b"hello", b"/nick x",
        ]).prop_map(<[u8]>::to_vec),
        2 => prop::collection::vec(any::<u8>(), 1..4),
        2 => "[a-z ]{1,8}".prop_map(String::into_bytes),
        1 => Just("가나다".as_bytes()[..8].to_vec()),
        1 => Just(vec![0xff, 0xfa]),
        1 => Just(b" HTTP/1.1".to_vec()),
        1 => (1..600_usize).prop_map(|count| vec![b'a'; count]),
    ];
    prop::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_beginning_that_dribbles_in_ends_as_any_other() {
    let steps = prop::collection::vec(
        (beginning(), prop_oneof![0..400_u64, 4_000..6_000_u64]),
        1..12,
    );
    check(300, &steps, |steps| {
        in_paused_time(move || async move {
            let mut stage = Stage::new(Hub::builder());
            let mut stranger = stage.connect(64 * 1024);
            for (bytes, pause) in steps {
                stranger.push(&bytes);
                stranger.pump(usize::MAX);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            stranger.ends();
            stage.wait_for_the_end(&mut [&mut stranger]).await;
            assert_eq!(stage.hub.sessions(), 0);
        });
    });
}

#[test]
fn a_request_line_that_dribbles_in_for_longer_than_the_prefix_timeout_does_not_spin() {
    in_paused_time(|| async {
        let mut stage = Stage::new(Hub::builder());
        let mut stranger = stage.connect(1024);
        for (bytes, pause) in [(&b"GET /a"[..], 4_900), (b"b", 1_000)] {
            stranger.push(bytes);
            stranger.pump(usize::MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        stranger.ends();
        stage.wait_for_the_end(&mut [&mut stranger]).await;
    });
}

/// Generates a whole HTTP request, and the first position at which a test may split it. The position lies after the
/// first byte of the request's target, because the bytes before it could still be chat.
fn request() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "OPTIONS", "HEAD", "CHAT"]);
    let target = prop_oneof![
        3 => "/[a-z0-9/?=&%.]{0,60}",
        1 => (0..3000_usize).prop_map(|count| format!("/{}", "a".repeat(count))),
    ];
    let end = prop::sample::select(vec!["\n", "\r\n"]);
    let body = prop_oneof![
        Just("/nick admin\nevil\n".to_owned()),
        "([a-z/ ]{0,20}\r?\n){0,6}",
    ];
    (method, target, 0..3_u8, end, body).prop_map(|(method, target, version, end, body)| {
        let head = format!("{method} {target} HTTP/1.{version}{end}Host: x{end}{end}");
        (format!("{head}{body}").into_bytes(), method.len() + 2)
    })
}

#[test]
fn no_request_becomes_chat_however_it_is_cut() {
    let cuts = prop::collection::vec((any::<Index>(), 0..400_u64), 0..8);
    check(
        300,
        &(request(), 0..400_u64, cuts),
        |((request, uncut), silence, cuts)| {
            in_paused_time(move || async move {
                let mut limits = Limits::default();
                limits.rate = None;
                let mut stage = Stage::new(Hub::builder().limits(limits));
                let mut witness = stage.connect(64 * 1024);
                witness.push(b"/nick witness\n");
                witness.pump(usize::MAX);
                tokio::time::sleep(Duration::from_millis(1)).await;
                let mut web = stage.connect(64 * 1024);
                tokio::time::sleep(Duration::from_millis(silence)).await;
                let mut cuts: Vec<_> = cuts
                    .iter()
                    .map(|(at, pause)| (uncut + at.index(request.len() - uncut), *pause))
                    .chain([(request.len(), 0)])
                    .collect();
                cuts.sort_unstable();
                let mut from = 0;
                for (to, pause) in cuts {
                    web.push(&request[from..to]);
                    web.pump(usize::MAX);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    from = to;
                }
                web.ends();
                stage.settle(&mut [&mut witness, &mut web]).await;
                let lines = witness.lines();
                assert!(
                    lines.iter().all(|line| line.starts_with("* ")),
                    "{lines:#?}"
                );
                let answer = String::from_utf8(web.bytes().to_vec()).unwrap();
                assert!(answer.contains("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
            });
        },
    );
}
