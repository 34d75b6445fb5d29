//! Files as byte sources, and the web page's files.

use super::body::FrontBody;
use super::content::{self, Opened, Wanted, put};
use super::problem::Problem;
use crate::source::ByteSource;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use percent_encoding::percent_decode_str;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;

/// What a page of ours may do: everything from here, video from memory (MSE), WebSockets, workers from memory.
const PAGE_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' blob:; connect-src 'self' ws: wss:; \
    worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'";

const NO_PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>VMS</title>\
    <h1>The web page is not built</h1><p>The server runs, but has no web page to show. Run <code>make build</code> and \
    start it again. The API is at <a href=\"/docs\">/docs</a>.</p></html>";

/// A file of fixed length; its tag changes when it is written or replaced.
pub(super) struct FileSource {
    file: File,
    size_bytes: u64,
    etag: String,
    content_type: &'static str,
}

impl FileSource {
    /// Opens a regular file. Errors: those of the operating system; a directory or device is `NotFound`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let changed_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let etag = format!("{:x}-{:x}-{changed_ns:x}", metadata.ino(), metadata.len());
        Ok(Self {
            file,
            size_bytes: metadata.len(),
            etag,
            content_type: content_type(path),
        })
    }
}

impl ByteSource for FileSource {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn etag(&self) -> &str {
        &self.etag
    }

    fn content_type(&self) -> &str {
        self.content_type
    }

    fn read_at(&self, offset: u64, max_bytes: usize) -> media_core::Result<Bytes> {
        let left = self.size_bytes.saturating_sub(offset);
        let mut chunk = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(max_bytes)];
        let mut filled = 0;
        while filled < chunk.len() {
            match self.file.read_at(&mut chunk[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        chunk.truncate(filled);
        Ok(Bytes::from(chunk))
    }
}

fn content_type(path: &Path) -> &'static str {
    match path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
    {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "mp4" => "video/mp4",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// The web page: a folder of files, and `index.html` for every address that only the page knows.
pub(super) struct StaticFiles {
    /// None: no page is built.
    root: Option<PathBuf>,
    runtime: Handle,
}

/// Why a request is not answered with a file.
pub(super) enum NotServed {
    /// There is no such file, and the client does not ask for a page.
    Absent,
    Problem(Problem),
}

impl From<Problem> for NotServed {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl StaticFiles {
    /// Files under `root`.
    pub(super) fn new(root: Option<PathBuf>, runtime: Handle) -> Self {
        Self {
            root: root.and_then(|root| root.canonicalize().ok()),
            runtime,
        }
    }

    /// Answers a GET or HEAD.
    pub(super) async fn answer(&self, head: &Parts) -> Result<Response<FrontBody>, NotServed> {
        let wants_page = head
            .headers
            .get_all(ACCEPT)
            .iter()
            .any(|v| v.as_bytes().windows(9).any(|w| w == b"text/html"));
        let path = head.uri.path();
        let is_root = path == "/" || path == "/index.html";
        let Some(root) = self.root.clone() else {
            return if wants_page || is_root {
                Ok(no_page())
            } else {
                Err(NotServed::Absent)
            };
        };
        let path = path.to_owned();
        let wanted = Wanted::of(&head.method, &head.headers);
        let answer = content::answer(&self.runtime, wanted, move || {
            if let Some(opened) = open_below(&root, &path)? {
                return Ok(opened);
            }
            if !wants_page && !is_root {
                return Err(NotServed::Absent);
            }
            open_below(&root, "/index.html")?.ok_or(NotServed::Absent)
        })
        .await;
        match answer {
            Err(NotServed::Absent) if wants_page || is_root => Ok(no_page()),
            answer => answer,
        }
    }
}

/// The file of a percent-encoded path; None when there is none, or the path leads out of `root` or to a hidden file.
fn open_below(root: &Path, path: &str) -> Result<Option<Opened>, Problem> {
    let Ok(path) = percent_decode_str(path).decode_utf8() else {
        return Ok(None);
    };
    let relative = if path == "/" {
        "index.html"
    } else {
        path.trim_start_matches('/')
    };
    // `..`, hidden files, and names that mean something else to the file system.
    if relative
        .split('/')
        .any(|name| name.is_empty() || name.starts_with('.') || name.contains(['\\', '\0']))
    {
        return Ok(None);
    }
    // A symbolic link may lead out of the folder only where it stays below it in the end.
    let Ok(file) = root.join(relative).canonicalize() else {
        return Ok(None);
    };
    if !file.starts_with(root) {
        return Ok(None);
    }
    let source = match FileSource::open(&file) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "a file of the web page cannot be read");
            return Err(Problem::internal());
        }
    };
    let mut headers = HeaderMap::with_capacity(4);
    let policy = if is_hashed(relative) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(policy));
    if source.content_type.starts_with("text/html") {
        put(&mut headers, CONTENT_SECURITY_POLICY, PAGE_POLICY.to_owned());
    }
    Ok(Some(Opened {
        source: Arc::new(source),
        headers,
    }))
}

/// Whether the name of a file changes with its content (`assets/index-DiwrgTda.js`): after the last `-` come eight or
/// more characters of base64url, of which at least one is a digit or a capital.
fn is_hashed(relative: &str) -> bool {
    let Some(name) = relative.strip_prefix("assets/") else {
        return false;
    };
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    // The hash itself may hold `-` and `_`: look at the last eight characters and the mark before them.
    let Some((before, hash)) = stem.len().checked_sub(8).and_then(|at| stem.split_at_checked(at)) else {
        return false;
    };
    before.ends_with('-')
        && hash
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && hash.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

fn no_page() -> Response<FrontBody> {
    let mut response = Response::new(FrontBody::whole(Bytes::from_static(NO_PAGE.as_bytes())));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        for hashed in [
            "assets/index-DiwrgTda.js",
            "assets/a-b-12345678.css",
            "assets/x-a-B_c-D_.woff2",
        ] {
            assert!(is_hashed(hashed), "{hashed}");
        }
        for plain in [
            "index.html",
            "assets/logo.svg",
            "assets/live-wallpaper.svg",
            "assets/a-DiwrgTd.js",
            "a-DiwrgTda.js",
        ] {
            assert!(!is_hashed(plain), "{plain}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder
            .path()
            .join("dist")
            .canonicalize()
            .unwrap_or_else(|_| folder.path().join("dist"));
        std::fs::create_dir_all(root.join("sub")).unwrap();
        let root = root.canonicalize().unwrap();
        std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        std::fs::write(root.join("index.html"), "page").unwrap();
        std::fs::write(root.join("sub/a b.txt"), "a").unwrap();
        std::fs::write(root.join(".env"), "hidden").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret.txt"), root.join("link.txt")).unwrap();
        let found = |path: &str| open_below(&root, path).map(|opened| opened.is_some()).unwrap_or(false);
        assert!(found("/"));
        assert!(found("/index.html"));
        assert!(found("/sub/a%20b.txt"));
        for path in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/sub/../../secret.txt",
            "/sub/..%2f..%2fsecret.txt",
            "//secret.txt",
            "/link.txt",
            "/.env",
            "/%2eenv",
            "/sub",
            "/sub/",
            "/..\\secret.txt",
            "/index.html%00.js",
            "/%ff",
            "/nothing",
        ] {
            assert!(!found(path), "{path}");
        }
        let absolute = format!("/{}", folder.path().join("secret.txt").display());
        assert!(!found(&absolute));
    }
}
