use super::*;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let lines = lines.iter().map(|&(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value);
    }
    headers
}

fn status(effect: Effect, target: &str, lines: &[(&'static str, &'static str)]) -> u16 {
    let hosts = ["chat.example.org".to_owned()];
    let uri = target.parse().unwrap();
    let checked = check(effect, Version::HTTP_11, &uri, &headers(lines), &hosts);
    checked.map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
}

#[test]
fn the_host_must_be_an_address_or_localhost_or_an_allowed_name() {
    for (host, expected) in [
        ("127.0.0.1", 200),
        ("127.0.0.1:5000", 200),
        ("192.0.2.7:5000", 200),
        ("[::1]:5000", 200),
        ("[::1]", 200),
        ("localhost", 200),
        ("LocalHost:5000", 200),
        ("localhost.:5000", 200),
        ("chat.example.org", 200),
        ("Chat.Example.ORG:5000", 200),
        ("chat.example.org.", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("xchat.example.org", 421),
        ("chat.example.org.evil.example", 421),
        ("2130706433", 421),
        ("127.1", 421),
        ("localhost@evil.example", 400),
        ("evil.example, localhost", 400),
        ("http://localhost", 400),
        ("", 400),
    ] {
        assert_eq!(
            status(Effect::Reads, "/", &[("host", host)]),
            expected,
            "{host}"
        );
    }
    assert_eq!(status(Effect::Reads, "/", &[]), 400);
    let two = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(status(Effect::Reads, "/", &two), 400);
}

#[test]
fn the_host_of_an_absolute_target_is_checked_too() {
    let host = [("host", "localhost")];
    assert_eq!(status(Effect::Reads, "http://localhost/", &host), 200);
    assert_eq!(status(Effect::Reads, "http://evil.example/", &host), 421);
}

#[test]
fn a_refused_host_is_told_how_the_name_is_allowed() {
    let uri = Uri::from_static("/");
    let named = headers(&[("host", "chat.local")]);
    let refusal = check(Effect::Reads, Version::HTTP_11, &uri, &named, &[]).unwrap_err();
    assert!(
        refusal.message.contains("--web-host chat.local"),
        "{refusal:?}"
    );
}

#[test]
fn http_1_0_needs_no_host() {
    let uri = Uri::from_static("/");
    let checked = |lines: &[_]| check(Effect::Acts, Version::HTTP_10, &uri, &headers(lines), &[]);
    assert!(checked(&[]).is_ok());
    assert!(checked(&[("origin", "http://evil.example")]).is_err());
}

#[test]
fn a_page_of_another_site_cannot_act() {
    let origin = |origin| [("host", "localhost:5000"), ("origin", origin)];
    for (lines, expected) in [
        // A browser that sends Sec-Fetch-Site.
        (&[("sec-fetch-site", "same-origin")][..], 200),
        (&[("sec-fetch-site", "none")], 200),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "")], 403),
        (
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            403,
        ),
        // It counts more than Origin does.
        (
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://elsewhere.example"),
            ],
            200,
        ),
        (
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "http://localhost:5000"),
            ],
            403,
        ),
        // A program that is no browser.
        (&[], 200),
    ] {
        let lines = [&[("host", "localhost:5000")], lines].concat();
        assert_eq!(status(Effect::Acts, "/", &lines), expected, "{lines:?}");
        assert_eq!(status(Effect::Reads, "/", &lines), 200, "{lines:?}");
    }
    // A browser that sends only Origin.
    for (lines, expected) in [
        (origin("http://localhost:5000"), 200),
        (origin("http://LOCALHOST:5000"), 200),
        (origin("https://localhost:5000"), 200),
        (origin("http://localhost:5001"), 403),
        (origin("http://localhost"), 403),
        (origin("http://127.0.0.1:5000"), 403),
        (origin("http://evil.example"), 403),
        (origin("http://localhost:5000.evil.example"), 403),
        (origin("http://localhost:5000@evil.example"), 403),
        (origin("null"), 403),
        (origin(""), 403),
        (origin("file://"), 403),
        (origin("ws://localhost:5000"), 403),
    ] {
        assert_eq!(status(Effect::Acts, "/", &lines), expected, "{lines:?}");
        assert_eq!(status(Effect::Reads, "/", &lines), 200, "{lines:?}");
    }
}

#[test]
fn the_port_of_the_scheme_may_be_left_out() {
    for (host, origin, expected) in [
        ("chat.example.org", "http://chat.example.org", 200),
        ("chat.example.org", "https://chat.example.org", 200),
        ("chat.example.org:80", "http://chat.example.org", 200),
        ("chat.example.org:443", "https://chat.example.org", 200),
        ("chat.example.org:443", "http://chat.example.org", 403),
        ("chat.example.org:80", "https://chat.example.org", 403),
        (
            "chat.example.org:8443",
            "https://chat.example.org:8443",
            200,
        ),
        ("chat.example.org:8443", "https://chat.example.org", 403),
        ("localhost:5000", "https://LOCALHOST:5000", 200),
        ("[::1]:5000", "https://[::1]:5000", 200),
    ] {
        let lines = [("host", host), ("origin", origin)];
        assert_eq!(status(Effect::Acts, "/", &lines), expected, "{lines:?}");
    }
}

#[test]
fn every_method_but_three_acts_and_so_does_a_websocket() {
    let none = HeaderMap::new();
    for method in ["GET", "HEAD", "OPTIONS"] {
        let method = method.parse().unwrap();
        assert_eq!(Effect::of(&method, &none), Effect::Reads);
        let upgrade = headers(&[("upgrade", "websocket")]);
        assert_eq!(Effect::of(&method, &upgrade), Effect::Acts);
    }
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW", "get",
    ] {
        assert_eq!(
            Effect::of(&method.parse().unwrap(), &none),
            Effect::Acts,
            "{method}"
        );
    }
}

#[test]
fn every_answer_forbids_inline_script_and_sniffing() {
    let mut answer = HeaderMap::new();
    protect(&mut answer);
    let policy = answer["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"));
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer["x-content-type-options"], "nosniff");
    assert_eq!(answer["referrer-policy"], "no-referrer");
    assert_eq!(answer["cross-origin-opener-policy"], "same-origin");
}

#[test]
fn a_page_may_open_the_websockets_of_its_own_host_in_every_browser() {
    for (host, expected) in [
        (
            "localhost:5000",
            "connect-src 'self' ws://localhost:5000 wss://localhost:5000;",
        ),
        (
            "chat.example.org",
            "connect-src 'self' ws://chat.example.org wss://chat.example.org;",
        ),
        ("[::1]:5000", "connect-src 'self';"),
        ("a;script-src*", "connect-src 'self';"),
    ] {
        let mut answer = HeaderMap::new();
        name_web_sockets(&mut answer, &Authority::from_static(host));
        protect(&mut answer);
        let policy = answer["content-security-policy"].to_str().unwrap();
        assert!(policy.contains(expected), "{policy}");
        assert_eq!(policy.matches(';').count(), POLICY.matches(';').count());
    }
}
