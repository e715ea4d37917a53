//! The files of the page.

use crate::harness::{ask, web_hub};
use chat_core::Hub;
use chat_json::JsonLines;
use chat_testkit::TestHub;
use chat_web::Web;
use std::path::{Path, PathBuf};

#[tokio::test(start_paused = true)]
async fn the_page_is_at_the_root() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    for target in ["GET /", "GET /index.html", "GET /?nick=kim"] {
        let answer = ask(&mut browser, target, &[]).await;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert!(answer.text().starts_with("<!doctype html>"), "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_the_body() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    let get = ask(&mut browser, "GET /", &[]).await;
    let mut other = hub.connect("other");
    let head = ask(&mut other, "HEAD /", &[]).await;
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(head.header("etag"), get.header("etag"));
    assert!(head.body.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    for accepts in ["Accept-Encoding: gzip", "Accept-Encoding: identity"] {
        let first = ask(&mut browser, "GET /", &[accepts]).await;
        let tag = first.header("etag").unwrap();
        for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let known = format!("If-None-Match: {known}");
            let again = ask(&mut browser, "GET /", &[accepts, &known]).await;
            assert_eq!(again.status, 304, "{known}");
            assert_eq!(again.header("etag"), Some(tag));
            assert!(again.body.is_empty());
        }
        let other = ask(
            &mut browser,
            "GET /",
            &[accepts, "If-None-Match: \"other\""],
        )
        .await;
        assert_eq!(other.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_compressed_for_browsers_that_take_it() {
    let mut hub = web_hub();
    let mut browser = hub.connect("browser");
    let plain = ask(&mut browser, "GET /", &[]).await;
    let gzip = ask(&mut browser, "GET /", &["Accept-Encoding: gzip, br"]).await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(gzip.header("vary"), Some("accept-encoding"));
    assert_ne!(gzip.header("etag"), plain.header("etag"));
    assert!(gzip.body.starts_with(&[0x1f, 0x8b]) && gzip.body.len() < plain.body.len());
    assert_eq!(plain.header("content-encoding"), None);
}

#[tokio::test]
async fn a_directory_serves_its_files_and_no_others() {
    let root = directory();
    let hub = Hub::default();
    let web = Web::new(hub.clone(), JsonLines::default()).web_dir(root.join("page"));
    let mut hub = TestHub::over(hub).protocol(web);
    for (target, expected) in [
        ("/", Some("<!doctype html>from disk")),
        ("/app.js", Some("let here;")),
        ("/parts/list.js", Some("let there;")),
        ("/nowhere.js", None),
        ("/parts", None),
        ("/parts/", None),
        ("/../secret", None),
        ("/parts/../../secret", None),
        ("/%2e%2e/secret", None),
        ("/..%2fsecret", None),
        ("/parts\\..\\..\\secret", None),
        ("//secret", None),
        ("/.hidden", None),
        ("/link", None),
        ("/linked/secret", None),
    ] {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut browser = hub.connect("browser");
        browser.sends_bytes(request.as_bytes()).await;
        let lines = browser.sees_the_end().await.join("\n");
        match expected {
            Some(content) => assert!(lines.contains("200 OK"), "{target}: {lines} {content}"),
            None => assert!(
                lines.contains(" 404 ") || lines.contains(" 400 "),
                "{target}: {lines}"
            ),
        }
        assert!(!lines.contains("top secret"), "{target}");
    }
    std::fs::remove_dir_all(root).unwrap();
}

/// Creates a directory with a page, and with files beside the page that must not be served.
fn directory() -> PathBuf {
    let name = format!("chat-web-{}", std::process::id());
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let page = root.join("page");
    std::fs::create_dir_all(page.join("parts")).unwrap();
    for (name, content) in [
        ("secret", "top secret\n"),
        ("page/index.html", "<!doctype html>from disk\n"),
        ("page/app.js", "let here;\n"),
        ("page/parts/list.js", "let there;\n"),
        ("page/.hidden", "top secret\n"),
    ] {
        std::fs::write(root.join(name), content).unwrap();
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(root.join("secret"), page.join("link")).unwrap();
        std::os::unix::fs::symlink(&root, page.join("linked")).unwrap();
    }
    root
}
