#![allow(clippy::unwrap_used)]
use super::support::*;

const HTML: [(&str, &str); 1] = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];

fn bench() -> Bench {
    Bench::with(Wishes {
        page: true,
        ..Wishes::default()
    })
}

#[tokio::test]
async fn the_page_and_its_files() {
    let bench = bench();
    let page = bench.get("/").await;
    assert_eq!(
        (page.status, page.body.as_ref()),
        (200, b"<html>page</html>".as_slice())
    );
    assert_eq!(
        (page.header("content-type"), page.header("cache-control")),
        ("text/html; charset=utf-8", "no-cache")
    );
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'self'",
        "media-src 'self' blob:",
        "wss:",
        "object-src 'none'",
        "frame-ancestors 'self'",
    ] {
        assert!(policy.contains(part), "{part}");
    }
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(!page.header("referrer-policy").is_empty());
    let script = bench.get("/assets/index-DiwrgTda.js").await;
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(script.header("cache-control"), "public, max-age=31536000, immutable");
    let etag = script.header("etag").to_owned();
    let again = bench
        .request("GET", "/assets/index-DiwrgTda.js", &[("if-none-match", &etag)], "")
        .await;
    assert_eq!(again.status, 304);
    assert_eq!(bench.request("HEAD", "/", &[], "").await.header("content-length"), "17");
}

#[tokio::test]
async fn addresses_of_the_page_show_the_page() {
    let bench = bench();
    for path in ["/cameras/cam-1", "/login?next=/", "/index.html"] {
        let answer = bench.request("GET", path, &HTML, "").await;
        assert_eq!(
            (answer.status, answer.body.as_ref()),
            (200, b"<html>page</html>".as_slice()),
            "{path}"
        );
    }
    // What the application owns, what is no page, and what changes something goes to the application.
    for (method, path, headers) in [
        ("GET", "/api/v1/unknown", HTML.as_slice()),
        ("GET", "/docs", HTML.as_slice()),
        ("GET", "/assets/missing.js", &[]),
        ("POST", "/cameras/cam-1", HTML.as_slice()),
    ] {
        let answer = bench.request(method, path, headers, "").await;
        assert_eq!(
            (answer.status, answer.body.as_ref()),
            (404, b"{\"from\":\"application\"}".as_slice()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn no_address_leads_out_of_the_folder() {
    let bench = bench();
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/../../secret.txt",
    ] {
        let answer = bench
            .raw(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
            .await;
        assert!(!answer.contains("\r\n\r\nsecret"), "{path}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn without_a_page_it_is_told_how_to_build_one() {
    let bench = Bench::new();
    let answer = bench.request("GET", "/", &HTML, "").await;
    assert_eq!(answer.status, 404);
    assert!(String::from_utf8_lossy(&answer.body).contains("make build"));
    assert_eq!(bench.get("/healthz").await.status, 200);
}
