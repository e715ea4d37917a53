//! The files of the web client.
//!
//! Invariant: every answer is a file of the list `FILES`, or a file below the directory that the operator has named.
//! No request target leads out of that directory.

use crate::http::{Body, READS, Refusal, full, options};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use http::{Method, Response, StatusCode};
use sha1::{Digest, Sha1};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Lists files of the directory `page` by their names, with their contents.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../page/", $name)))),*]
    };
}

/// The files of the web client. A test compares the list with the directory.
const FILES: &[(&str, &[u8])] = files![
    "address.js",
    "commands.js",
    "composer.js",
    "connection.js",
    "dialogs.js",
    "dom.js",
    "i18n.js",
    "icon-192.png",
    "icon-512.png",
    "icon.svg",
    "index.html",
    "main.js",
    "manifest.webmanifest",
    "messages.js",
    "notify.js",
    "outbox.js",
    "panel.js",
    "rows.js",
    "session.js",
    "sidebar.js",
    "storage.js",
    "store.js",
    "style.css",
    "text.js",
    "timeline.js",
];

/// The file that is served for the path `/`.
const INDEX: &str = "index.html";

/// The content types of files, by the ends of their names.
const CONTENT_TYPES: [(&str, &str); 11] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
    ("ogg", "audio/ogg"),
];

/// The longest file that is read from a directory. A page's file is far shorter.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

static EMBEDDED: LazyLock<Vec<File>> = LazyLock::new(|| {
    let files = FILES.iter();
    files
        .map(|&(name, content)| File::new(name, Bytes::from_static(content)).compressed())
        .collect()
});

/// Compresses the embedded files, so that no request waits for the compression.
pub(crate) fn prepare() {
    LazyLock::force(&EMBEDDED);
}

/// Where the files of the web client are.
#[derive(Debug, Clone)]
pub(crate) enum Page {
    /// In the program.
    Embedded,
    /// In a directory, for developers of the page. The server reads a file again for each request.
    Directory(PathBuf),
}

#[derive(Debug, Clone)]
struct File {
    name: String,
    content_type: &'static str,
    content: Bytes,
    /// The compressed content. `None` if the compressed content is not shorter.
    gzip: Option<Bytes>,
    /// The hash of the content, in hexadecimal.
    hash: String,
}

impl Page {
    /// Answers a request for a file.
    ///
    /// # Errors
    ///
    /// Returns 404 if there is no such file, and 405 if the method is not GET, HEAD or OPTIONS.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let Some(file) = self.find(path).await else {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such page",
            ));
        };
        match *method {
            Method::GET | Method::HEAD => Ok(file.answer(headers)),
            Method::OPTIONS => Ok(options(READS)),
            _ => Err(Refusal::method(READS)),
        }
    }

    async fn find(&self, path: &str) -> Option<File> {
        let name = path.strip_prefix('/')?;
        let name = if name.is_empty() { INDEX } else { name };
        match self {
            Self::Embedded => EMBEDDED.iter().find(|file| file.name == name).cloned(),
            Self::Directory(directory) => read(directory, name).await,
        }
    }
}

impl File {
    fn new(name: &str, content: Bytes) -> Self {
        let digest = Sha1::digest(&content);
        let end = name.rsplit('.').next().unwrap_or_default();
        let known = CONTENT_TYPES.iter().find(|&&(known, _)| known == end);
        Self {
            name: name.to_owned(),
            content_type: known.map_or("application/octet-stream", |&(_, content_type)| {
                content_type
            }),
            content,
            gzip: None,
            hash: digest
                .iter()
                .take(10)
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }
    }

    fn compressed(mut self) -> Self {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = gzip.write_all(&self.content).and_then(|()| gzip.finish());
        let compressed = compressed.ok().map(Bytes::from);
        self.gzip = compressed.filter(|compressed| compressed.len() < self.content.len());
        self
    }

    fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(headers));
        // The compressed and the uncompressed file are different representations, so each has its own tag.
        let tag = format!(
            "\"{}{}\"",
            self.hash,
            if gzip.is_some() { "-gzip" } else { "" }
        );
        let is_known = has_tag(headers, &tag);
        let mut response = Response::new(full(if is_known {
            Bytes::new()
        } else {
            gzip.unwrap_or(&self.content).clone()
        }));
        let answer = response.headers_mut();
        // The tag consists of a hash and quotation marks, so it is always a valid header value.
        if let Ok(tag) = HeaderValue::try_from(tag) {
            answer.insert(ETAG, tag);
        }
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        answer.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if gzip.is_some() {
            answer.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// Returns whether the peer has the representation with this tag.
fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    let listed = headers.get_all(IF_NONE_MATCH).iter();
    let mut listed = listed.filter_map(|value| value.to_str().ok());
    listed.any(|list| {
        list.split(',')
            .map(str::trim)
            .any(|listed| listed == "*" || listed.strip_prefix("W/").unwrap_or(listed) == tag)
    })
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(ACCEPT_ENCODING).iter();
    let mut listed = listed.filter_map(|value| value.to_str().ok());
    listed.any(|list| list.split(',').any(is_gzip))
}

/// Returns whether an entry of `Accept-Encoding` names gzip, with a weight above zero.
fn is_gzip(entry: &str) -> bool {
    let mut parts = entry.split(';').map(str::trim);
    let names_gzip = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
    let mut weights = parts.filter_map(|part| part.strip_prefix("q="));
    names_gzip && weights.all(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
}

/// Reads a file below a directory. Returns `None` if there is no such file, or if the name leads out of the directory.
async fn read(directory: &Path, name: &str) -> Option<File> {
    if !name.split('/').all(is_plain) {
        return None;
    }
    let directory = tokio::fs::canonicalize(directory).await.ok()?;
    // A symbolic link may lead out of the directory, so the resolved path is checked.
    let path = tokio::fs::canonicalize(directory.join(name)).await.ok()?;
    let metadata = tokio::fs::metadata(&path).await.ok()?;
    if !path.starts_with(&directory) || !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return None;
    }
    let content = tokio::fs::read(&path).await.ok()?;
    Some(File::new(name, content.into()))
}

/// Returns whether a part of a path is the name of a file that is not hidden.
fn is_plain(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// File names in the directory with these endings are not part of the page.
    const NOT_SERVED: [&str; 3] = [".md", ".d.ts", "tsconfig.json"];

    #[test]
    fn every_file_of_the_page_is_in_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        let mut found = Vec::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let name = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .replace('\\', "/");
                if !NOT_SERVED.iter().any(|end| name.ends_with(end)) {
                    found.push(name);
                }
            }
        }
        found.sort();
        let mut listed: Vec<_> = FILES.iter().map(|&(name, _)| name.to_owned()).collect();
        listed.sort();
        assert_eq!(listed, found);
    }

    #[test]
    fn every_file_of_the_page_has_a_content_type() {
        for file in EMBEDDED.iter() {
            assert_ne!(
                file.content_type, "application/octet-stream",
                "{}",
                file.name
            );
        }
    }

    #[test]
    fn the_compressed_page_is_under_60_kb() {
        let sizes = EMBEDDED
            .iter()
            .map(|file| file.gzip.as_ref().unwrap_or(&file.content).len());
        let total: usize = sizes.sum();
        assert!(total < 60_000, "{total}");
    }

    #[test]
    fn gzip_is_used_only_if_the_peer_takes_it() {
        for (accepts, expected) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("GZIP", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("br", false),
            ("xgzip", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepts));
            assert_eq!(accepts_gzip(&headers), expected, "{accepts}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
